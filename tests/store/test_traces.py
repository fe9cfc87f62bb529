"""Traces in the database: by call and by leg, the newest kept."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert

from offhook.store.database import migrate
from offhook.store.tables import call_log
from offhook.store.traces import Traces
from offhook.store.writer import Writer
from tests.support.databases import Database


class Room:
    """A database with its writer and traces."""

    def __init__(self, database: Database) -> None:
        self.engine = database.open()
        self.writer = Writer(self.engine)
        self.traces = Traces(self.engine, self.writer)

    async def put(self, ref: str, **more: Any) -> None:
        self.traces.put({"call_ref": ref, **more})
        await self.writer.drained()


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    one = Room(database)
    await migrate(one.engine)
    one.writer.start()
    yield one
    await one.writer.stop()


async def test_by_call_and_by_leg(room: Room) -> None:
    await room.put("call-1", data=[{"summary": "Grüße"}])
    now = datetime.now(UTC)
    values = {"leg_ref": "leg-2", "call_ref": "call-1", "started_at": now, "ended_at": now, "record": {}}
    room.writer.put(insert(call_log), values)
    await room.writer.drained()
    kept = {"call_ref": "call-1", "data": [{"summary": "Grüße"}]}
    assert await room.traces.get("call-1") == kept
    assert await room.traces.get("leg-2") == kept
    assert await room.traces.get("call-2") is None


async def test_a_later_one_replaces(room: Room) -> None:
    await room.put("call-1", n=1)
    await room.put("call-1", n=2)
    assert await room.traces.get("call-1") == {"call_ref": "call-1", "n": 2}
