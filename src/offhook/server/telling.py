"""Everything that tells of what happens, put together: events, the outbox, and who listens to call control."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.calls.switchboard import Switchboard
from offhook.server.config import Settings
from offhook.server.events import Events
from offhook.server.happenings import Happenings
from offhook.server.outbox import Outbox
from offhook.server.peers import outward_http
from offhook.store.deliveries import DeliveryRows
from offhook.store.events import EventRows
from offhook.transport.outward_http import OutwardHttp

if TYPE_CHECKING:
    from offhook.server.app import Store


@dataclass
class Telling:
    """What the rest of the server needs: `events.publish`, `events.listen`, `outbox.enqueue` and `http.send`."""

    events: Events
    outbox: Outbox
    happenings: Happenings
    http: OutwardHttp

    async def stop(self) -> None:
        """Closes what is open."""
        await self.http.close()


async def open_telling(
    settings: Settings, engine: AsyncEngine, store: "Store", switchboard: Switchboard, call_refs: Iterable[str]
) -> Telling:
    """`call_refs` are the calls of an earlier process that go on."""
    rows, deliveries = EventRows(engine, store.writer), DeliveryRows(engine, store.writer)
    await rows.load()
    await deliveries.load()
    events = Events(rows)
    events.go_on(await rows.sequences(call_refs))
    root = store.space.project_id
    happenings = Happenings(events, root, store.endpoints.named, store.trunks.get, switchboard.by_ref)
    return Telling(events, Outbox(deliveries), happenings, outward_http(settings))
