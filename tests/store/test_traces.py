"""Traces in the database: by call and by leg, newest kept, old ones gone."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from offhook.store.database import migrate
from offhook.store.tables import call_log, call_traces
from offhook.store.traces import Traces
from offhook.store.writer import Writer
from tests.support.databases import Database


class Room:
    """A database with its writer and traces."""

    def __init__(self, database: Database) -> None:
        self.engine = database.open()
        self.writer = Writer(self.engine)
        self.traces = Traces(self.engine, self.writer, days=7, rows=2)

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


async def test_bounded_in_number_and_age(room: Room) -> None:
    for ref in ("call-1", "call-2", "call-3"):
        await room.put(ref)
    room.traces.prune()
    await room.writer.drained()
    assert await room.traces.get("call-1") is None, "trace.stored: the newest stay"
    assert await room.traces.get("call-3") is not None
    old = datetime.now(UTC) - timedelta(days=8)
    room.writer.put(update(call_traces).where(call_traces.c.call_ref == "call-3"), {"kept_at": old})
    room.traces.prune()
    await room.writer.drained()
    assert await room.traces.get("call-3") is None, "trace.retention_days"
    assert await room.traces.get("call-2") is not None
