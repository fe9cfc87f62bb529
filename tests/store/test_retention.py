"""What is kept for a while goes after it, some rows at a time; what is younger stays."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert

from offhook.calls.effects import KeptText
from offhook.server.config import Settings
from offhook.server.log_rows import shown
from offhook.server.setting_sources import load
from offhook.server.sweeping import Sweeps
from offhook.store import retention
from offhook.store.call_log import CallLog
from offhook.store.database import migrate
from offhook.store.retention import delete_old, keep_newest
from offhook.store.tables import bindings, call_details, call_log, call_traces
from offhook.store.texts import Texts
from offhook.store.writer import Writer
from tests.support.databases import Database

NOW = datetime(2026, 1, 31, tzinfo=UTC)


class Room:
    """A database with what sweeps look at."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.engine = database, database.open()
        self.writer = Writer(self.engine)
        self.texts = Texts(self.engine, self.writer, per_endpoint=100, days=settings.limits.text_days)
        self.sweeps = Sweeps(settings, self.engine, self.texts)
        self.counts: list[int] = []
        event.listen(self.engine.sync_engine, "after_cursor_execute", self._count)

    def _count(self, _: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith(("DELETE", "UPDATE")):
            self.counts.append(cursor.rowcount)

    async def traces(self, *ages: int) -> None:
        """One trace of each age in days."""
        rows = [
            {"call_ref": f"{age:04d}-{at}", "kept_at": NOW - timedelta(days=age), "document": b"x"}
            for at, age in enumerate(ages)
        ]
        async with self.engine.begin() as connection:
            await connection.execute(insert(call_traces), rows)

    def left(self, column: str, table: str) -> list[str]:
        return [str(one) for (one,) in self.database.rows(f"select {column} from {table} order by {column}")]


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    one = Room(database, load({"OFFHOOK_TRACE_STORED": "5"}, {}))
    await migrate(one.engine)
    one.writer.start()
    yield one
    await one.writer.stop()


async def test_a_bounded_number_of_rows_at_a_time(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BREATH", 0.0)
    await room.traces(*[40] * 35, *[3] * 5)
    room.counts.clear()
    assert await delete_old(room.engine, call_traces.c.kept_at, NOW - timedelta(days=30), at_once=10) == 35
    assert room.counts == [10, 10, 10, 5], "1. no statement holds the database for long"
    assert len(room.left("call_ref", "call_traces")) == 5, "2. what is younger stays"


async def test_the_newest_stay(room: Room) -> None:
    await room.traces(5, 4, 3, 2, 1)
    assert await keep_newest(room.engine, call_traces.c.kept_at, 2) == 3
    assert [one[:4] for one in room.left("call_ref", "call_traces")] == ["0001", "0002"]
    assert await keep_newest(room.engine, call_traces.c.kept_at, 2) == 0
    assert await keep_newest(room.engine, call_traces.c.kept_at, 0) == 2


async def test_traces_go_by_age_and_number(room: Room) -> None:
    await room.traces(30, 8, 6, 5, 4, 3, 2, 1)
    assert (await room.sweeps.sweep(NOW))["call_traces"] == 3
    ages = [one[:4] for one in room.left("call_ref", "call_traces")]
    assert ages == ["0001", "0002", "0003", "0004", "0005"], "trace.retention_days is 7, trace.stored 5"


async def test_texts_that_nobody_fetches_go(room: Room) -> None:
    for ref in ("old", "young"):
        room.texts.put(KeptText(ref, "bob", "<sip:alice@example.com>", (), b"hello"))
    room.texts._waiting["bob"]["old"] = (NOW - timedelta(days=31), room.texts._waiting["bob"]["old"][1])
    room.texts._waiting["bob"]["young"] = (NOW - timedelta(days=29), room.texts._waiting["bob"]["young"][1])
    assert (await room.sweeps.sweep(NOW))["texts"] == 1
    await room.writer.drained()
    assert room.left("ref", "texts") == ["young"]


async def test_bindings_of_a_node_that_is_gone_go(room: Room) -> None:
    row = {
        "node": "another", "aor": "sip:bob@offhook.test", "contact": "sip:bob@192.0.2.7", "instance": "", "transport": "udp",
        "source": "192.0.2.7 5060", "local": "192.0.2.1 5060", "path": [], "params": {}, "call_id": "c", "cseq": 1, "q": 1.0,
        "user_agent": "phone", "registered_at": NOW, "refreshed_at": NOW,
    }  # fmt: skip
    async with room.engine.begin() as connection:
        for name, hours in (("gone", 25), ("late", 23), ("live", -1)):
            await connection.execute(insert(bindings), {**row, "id": name, "expires_at": NOW - timedelta(hours=hours)})
    assert (await room.sweeps.sweep(NOW))["bindings"] == 1
    assert room.left("id", "bindings") == ["late", "live"]


async def test_a_leg_is_discarded_and_later_gone(room: Room) -> None:
    def leg(age: int) -> dict[str, Any]:
        at = NOW - timedelta(days=age)
        return {
            "leg_ref": f"leg-{age}", "call_ref": "call", "started_at": at, "ended_at": at, "record": {"user_agent": "phone"},
            "project_id": "project", "sender": "alice", "recipient": "bob", "status": "completed", "direction": "inbound",
            "end_code": "hangup", "mos": 4.1,
        }  # fmt: skip

    def detail(age: int) -> dict[str, Any]:
        return {
            "call_ref": f"call-{age}",
            "project_id": "project",
            "kept_at": NOW - timedelta(days=age),
            "document": b"x",
        }

    async with room.engine.begin() as connection:
        await connection.execute(insert(call_log), [leg(age) for age in (1, 364, 366, 394, 396)])
        await connection.execute(insert(call_details), [detail(age) for age in (29, 31)])
    gone = await room.sweeps.sweep(NOW)
    assert (gone["call_log_discarded"], gone["call_log"], gone["call_details"]) == (3, 1, 1)
    assert room.left("leg_ref", "call_log") == ["leg-1", "leg-364", "leg-366", "leg-394"]
    log = CallLog(room.engine, room.writer, "project")
    kept = await log.page("project", {}, "", "", 10)
    assert [one["sender"] for one in kept] == ["alice", "alice"], "1. what is younger stays whole"
    every = [shown(one) for one in await log.page("project", {"include_deleted": True}, "", "", 10)]
    assert [set(one) for one in every if one["id"] == "leg-366"] == [{"id", "discarded_at", "created_at"}], (
        "2. who it was is gone"
    )
    assert (await room.sweeps.sweep(NOW))["call_log_discarded"] == 0
    assert room.left("call_ref", "call_details") == ["call-29"]
