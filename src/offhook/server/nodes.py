"""Nodes that share a database: who we are, and what follows here from what another one has written.

Lives here: the consequences for running parts. Never here: how changes are heard (store/changes.py).
"""

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.calls.commands import DropTrunk, UseTrunk
from offhook.server.device_desk import ServerDevices
from offhook.server.observe import log
from offhook.store import tables
from offhook.store.changes import Changes, Refresh
from offhook.store.database import StoreError, reason, shown

if TYPE_CHECKING:
    from offhook.server.app import App

FILE = "node"


def node_id(data: Path) -> str:
    """The id of the node that works in a data directory, made at its first start."""
    path = data / FILE
    if not path.exists():
        partial = path.with_suffix(".part")
        partial.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
        os.replace(partial, path)
    return path.read_text(encoding="ascii").strip()


async def reach(engine: AsyncEngine, patience: float) -> None:
    """Returns once the database answers; waits for `patience` seconds. Raises StoreError."""
    deadline = time.monotonic() + patience
    told = False
    while True:
        try:
            async with engine.connect():
                return
        except (DBAPIError, OSError) as error:
            text = reason(error) if isinstance(error, DBAPIError) else str(error)
        if time.monotonic() >= deadline or engine.dialect.name == "sqlite":
            raise StoreError(f"the database {shown(engine)} cannot be opened: {text}")
        if not told:
            log.warning("the database cannot be reached yet", reason=text, patience=patience)
            told = True
        await asyncio.sleep(1.0)


NOT_IN_MEMORY = frozenset(
    (
        *("spaces", "bindings", "call_log", "call_details", "call_traces", "events", "webhook_deliveries"),
        *("idempotent_answers", "recordings"),
    )
)
"""Tables of which no process keeps rows of others: they are read where they are, or belong to one node."""


class Neighbours:
    """Keeps this node's memory and running parts true to what others write. Each table of the store is either followed here
    or stands in `NOT_IN_MEMORY`."""

    def __init__(self, app: "App", engine: AsyncEngine) -> None:
        self._app = app
        self._changes = Changes(engine, lambda event, facts: log.warning(event, **facts))
        store = app.store
        followed: tuple[tuple[Table, Refresh], ...] = (
            (tables.projects, self._projects),
            (tables.tokens, _whole(store.spaces.tokens.load)),
            (tables.addresses, store.addresses.refresh),
            (tables.endpoints, self._endpoints),
            (tables.resources, self._resources),
            (tables.trunks, self._trunks),
            (tables.trunk_places, app.shares.heard),
            (tables.phone_numbers, store.numbers.refresh),
            (tables.caller_ids, store.caller_ids.refresh),
            (tables.applications, self._applications),
            (tables.texts, store.texts.refresh),
            (tables.devices, self._devices),
            (tables.webhooks, app.telling.webhooks.refresh),
            (tables.given_back, _whole(store.answers.load)),
        )
        for table, refresh in followed:
            self._changes.follow(table, refresh)

    async def start(self) -> None:
        """Nothing that is written from now on is missed."""
        await self._changes.start()

    async def everywhere(self) -> None:
        """Returns once every other node knows what was committed before, or after a second."""
        if not await self._changes.everywhere():
            log.warning("a write is not known to be known to every node", remedy="the next lines say what is wrong")

    async def stop(self) -> None:
        """Hears no more."""
        await self._changes.stop()

    async def _projects(self, ids: Collection[str] | None) -> None:
        rows = self._app.store.projects
        before = {one.id: one for one in rows if ids is None or one.id in ids}
        await rows.refresh(ids)
        after = {one.id: one for one in rows if ids is None or one.id in ids}
        for id_ in before.keys() | after.keys():
            if before.get(id_) != after.get(id_):
                await self._app.platform.profile_changed(id_)

    async def _applications(self, ids: Collection[str] | None) -> None:
        rows = self._app.store.applications
        before = {one.id: one for one in rows}
        await rows.refresh(ids)
        after = {one.id: one for one in rows}
        for id_ in before.keys() | after.keys():
            if before.get(id_) != after.get(id_):
                self._app.platform.reception.application_changed(id_)

    async def _resources(self, ids: Collection[str] | None) -> None:
        await self._app.store.resources.refresh(ids)
        # A widget among them may let pages of other origins connect.
        self._app.platform.widgets_changed()

    async def _endpoints(self, ids: Collection[str] | None) -> None:
        rows = self._app.store.endpoints
        before = {one.id: one for one in rows if ids is None or one.id in ids}
        await rows.refresh(ids)
        for id_, old in before.items():
            new = rows.get(id_)
            kept = new is not None and new.enabled and new.name == old.name
            if not kept or (new is not None and new.credential_version != old.credential_version):
                # As where it was written: whoever registered with what is no longer good, registers again.
                await self._app.platform.unbind(old.name)

    async def _devices(self, ids: Collection[str] | None) -> None:
        await self._app.store.devices.refresh(ids)
        ServerDevices(self._app).leave(ids)

    async def _trunks(self, ids: Collection[str] | None) -> None:
        rows, driver = self._app.store.trunks, self._app.driver
        before: dict[str, Any] = {one.id: one for one in rows if ids is None or one.id in ids}
        await rows.refresh(ids)
        after = {one.id: one for one in rows if ids is None or one.id in ids}
        for id_ in before.keys() - after.keys():
            driver.command(DropTrunk(id_))
        for id_, row in after.items():
            if row != before.get(id_):
                driver.command(UseTrunk(self._app.profiles.trunk(row)))


def _whole(load: Callable[[], Awaitable[Any]]) -> Refresh:
    """For few rows: all are read again."""

    async def refresh(ids: Collection[str] | None) -> None:
        await load()

    return refresh
