"""Everything that tells of what happens, put together: events, webhooks, and who listens to call control."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook import __version__
from offhook.calls.call import Call
from offhook.calls.switchboard import Switchboard
from offhook.server.amends import make_amends
from offhook.server.book import read_row
from offhook.server.committed import Committed
from offhook.server.config import Settings
from offhook.server.delivering import Deliverer, DeliverySettings
from offhook.server.events import Events
from offhook.server.happenings import Happenings, Owner
from offhook.server.ids import SystemIds
from offhook.server.nodes import node_id
from offhook.server.observe import log
from offhook.server.outbox import Outbox
from offhook.server.peers import outward_http
from offhook.server.subscriptions import Subscriptions
from offhook.sip.domains import name_of
from offhook.sip.endpoint import SipEndpoint
from offhook.sip.flow import FlowId
from offhook.sip.location import Binding
from offhook.store.deliveries import DeliveryRows
from offhook.store.events import EventRows
from offhook.store.webhooks import Webhooks
from offhook.store.writer import Writer
from offhook.transport.outward_http import OutwardHttp

if TYPE_CHECKING:
    from offhook.server.directory import Store

SWEEP = 3600.0
"""Seconds between two sweeps of old events and deliveries."""
FAREWELL = 2.0
"""Seconds that readers of events have for their last look."""
CAUGHT_UP = 10.0
"""Seconds that a start waits for what an earlier process left on disk for the database."""


@dataclass
class Telling:
    """What the rest of the server needs: `events.publish`, `events.listen`, `outbox.enqueue` and `http.send`."""

    events: Events
    outbox: Outbox
    happenings: Happenings
    http: OutwardHttp
    webhooks: Webhooks
    subscriptions: Subscriptions
    deliverer: Deliverer
    event_rows: EventRows
    delivery_rows: DeliveryRows
    kept: timedelta
    """How long a delivery is kept after its end."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Begins to deliver, and to sweep."""
        self.deliverer.start()
        self._tasks.append(asyncio.create_task(self._sweep(), name="sweep of events"))

    async def stop(self) -> None:
        """Ends readers of events, and deliveries; what is left is delivered after the next start."""
        self.events.close()
        await self.event_rows.quiet(FAREWELL)
        for task in self._tasks:
            task.cancel()
        await self.deliverer.stop()
        await self.http.close()

    async def _sweep(self) -> None:
        while True:
            try:
                await self.event_rows.sweep()
                await self.delivery_rows.sweep(datetime.now(UTC) - self.kept)
            except (SQLAlchemyError, OSError) as error:
                log.warning("old events stay for now", text=str(error)[:200])
            await asyncio.sleep(SWEEP)


async def open_telling(
    settings: Settings,
    engine: AsyncEngine,
    store: "Store",
    switchboard: Switchboard,
    endpoint: SipEndpoint,
    before: Mapping[str, bytes],
) -> Telling:
    """`before` are the rows of the journal, of calls of an earlier process."""
    writer, root, node = store.writer, store.space.project_id, node_id(settings.data)
    await _caught_up(writer)
    rows = EventRows(engine, writer, node, settings.events.retention_days)
    deliveries, webhooks = DeliveryRows(engine, writer, node), Webhooks(engine)
    for one in (rows, deliveries, webhooks):
        await one.load()
    events, http = Events(rows, writer), outward_http(settings)
    events.go_on(await rows.sequences(before))
    wishes = settings.webhooks
    outbox = Outbox(deliveries, Committed(writer, lambda: deliverer.kick()))
    subscriptions = Subscriptions(webhooks, events, outbox)
    deliverer = Deliverer(
        deliveries,
        writer,
        http,
        lambda project: store.projects.signing_key(project).reveal(),
        lambda project: _forces_https(store, project),
        subscriptions.failed,
        SystemIds().uniform,
        f"Offhook/{__version__}",
        DeliverySettings(wishes.at_once, wishes.at_once_per_receiver, wishes.first_retry),
    )
    happenings = Happenings(events, root, _World(store, switchboard, endpoint), asyncio.get_running_loop().time)
    kept = timedelta(days=wishes.retention_days)
    await _tell_of_earlier(before, rows, events, store)
    return Telling(events, outbox, happenings, http, webhooks, subscriptions, deliverer, rows, deliveries, kept)


def _forces_https(store: "Store", project_id: str) -> bool:
    project = store.projects.get(project_id)
    return project is not None and bool(project.settings.get("force_https_requests"))


async def _tell_of_earlier(before: Mapping[str, bytes], rows: EventRows, events: Events, store: "Store") -> None:
    read = {ref: row for ref, state in before.items() if (row := read_row(state)) is not None}

    def project(endpoint_id: str) -> str:
        endpoint = store.endpoints.get(endpoint_id) if endpoint_id else None
        return endpoint.project_id if endpoint is not None else store.space.project_id

    late = make_amends(read, await rows.types(read), events, project) if read else 0
    if late:
        log.info("events told late, of calls of the process before", count=late)


@dataclass(frozen=True)
class _World:
    """Implements `happenings.World`."""

    store: "Store"
    switchboard: Switchboard
    sip: SipEndpoint

    def endpoint(self, username: str) -> Owner | None:
        return self.store.endpoints.named(username) if username else None

    def owner(self, aor: str) -> Owner | None:
        return self.endpoint(name_of(aor, self.store.space.domain))

    def trunk(self, id_: str) -> Owner | None:
        return self.store.trunks.get(id_)

    def call(self, ref: str) -> Call | None:
        return self.switchboard.by_ref(ref)

    def on_flow(self, flow: FlowId) -> list[Binding]:
        every = (one for aor in self.sip.aors(flow) for one in self.store.find(aor))
        return [one for one in every if one.flow.id == flow]


async def _caught_up(writer: Writer) -> None:
    """What waits on disk is numbered already, and counts."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CAUGHT_UP):
            while writer.behind:  # noqa: ASYNC110 - the writer's own clock
                await asyncio.sleep(0.05)
