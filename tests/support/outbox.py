"""The outbox of one process of the server: events, subscriptions and deliveries over a real database and real HTTP."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

from offhook.server.committed import Committed
from offhook.server.delivering import Deliverer, DeliverySettings
from offhook.server.events import Events
from offhook.server.outbox import Outbox
from offhook.server.subscriptions import Subscriptions
from offhook.sip.address_policy import AddressPolicy
from offhook.store.database import migrate
from offhook.store.deliveries import Delivery, DeliveryRows
from offhook.store.events import EventRows
from offhook.store.space import Spaces
from offhook.store.webhooks import Webhooks
from offhook.store.writer import Writer
from offhook.transport.outward_http import HttpSettings, OutwardHttp
from offhook.transport.records import Records, RecordSettings
from tests.support.databases import Database
from tests.support.patience import PATIENCE

KEY = "PSK_0123456789abcdef0123456789abcdef"


class Post:
    """Open it with `post(database)`. `project` is the root project, `failed` what was given up."""

    def __init__(self, database: Database, settings: DeliverySettings, total: float) -> None:
        self.engine = database.open()
        self.writer = Writer(self.engine)
        self.event_rows, self.rows = (
            EventRows(self.engine, self.writer),
            DeliveryRows(self.engine, self.writer, "node-1"),
        )
        self.event_rows.alone = True
        self.webhooks, self.key, self.forces_https = Webhooks(self.engine), KEY, False
        self.settings, self.total = settings, total

    async def open(self) -> None:
        await migrate(self.engine)
        self.writer.start()
        self.project = await self._project()
        for one in (self.event_rows, self.rows, self.webhooks):
            await one.load()
        clock = asyncio.get_running_loop().time
        records = Records(RecordSettings(servers=("127.0.0.1:9",), hosts=None), clock)
        policy = AddressPolicy((ip_network("127.0.0.0/8"),))
        self.http = OutwardHttp(records, policy, clock, HttpSettings(connect=self.total, total=self.total))
        self.events = Events(self.event_rows, self.writer)
        self.outbox = Outbox(self.rows, Committed(self.writer, lambda: self.deliverer.kick()))
        self.subscriptions = Subscriptions(self.webhooks, self.events, self.outbox)
        self.deliverer = Deliverer(
            self.rows,
            self.writer,
            self.http,
            lambda _: self.key,
            lambda _: self.forces_https,
            self.subscriptions.failed,
            random.Random(1).uniform,
            "Offhook/0",
            self.settings,
        )
        self.deliverer.start()

    async def _project(self) -> str:
        spaces = Spaces(self.engine)
        space = await spaces.load()
        if space is None:
            space, _ = await spaces.create("offhook.test")
        return space.project_id

    async def close(self) -> None:
        self.events.close()
        await self.deliverer.stop()
        await self.http.close()
        await self.writer.stop()
        await self.engine.dispose()

    def put(self, url: str, number: int = 0, call: str = "", **more: Any) -> str:
        """Enqueues `{"n": number}`."""
        more = more or {"json": {"n": number}}
        return self.outbox.enqueue(self.project, url, call_ref=call, **more)

    async def ended(self, id_: str, seconds: float = PATIENCE) -> Delivery:
        """The delivery, once it is no longer pending."""
        async with asyncio.timeout(seconds):
            while True:
                await self.writer.drained()
                found = await self.rows.get(self.project, id_)
                if found is not None and found.state != "pending":
                    return found
                await asyncio.sleep(0.02)


@asynccontextmanager
async def post(
    database: Database, first_retry: float = 0.02, total: float = PATIENCE, at_once: int = 100, per_receiver: int = 10
) -> AsyncIterator[Post]:
    """One process's outbox, running."""
    one = Post(database, DeliverySettings(at_once, per_receiver, first_retry), total)
    await one.open()
    try:
        yield one
    finally:
        await one.close()
