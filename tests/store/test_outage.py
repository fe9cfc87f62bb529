"""A database that is down, stopped, full or locked: rows wait on disk, in order, and are written once."""

import asyncio
import contextlib
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from offhook.store import postgres
from offhook.store.database import migrate
from offhook.store.spool import FILE, Spool
from offhook.store.statements import GONE, Remove, Upsert
from offhook.store.tables import call_log, metadata, texts
from offhook.store.writer import Writer
from tests.support.databases import Cluster, Database
from tests.support.patience import PATIENCE

LEG, NOW = Upsert(call_log), datetime(2026, 1, 1, tzinfo=UTC)
NO_TEXT = Remove(texts)


def leg(number: int) -> dict[str, Any]:
    return {
        "leg_ref": f"leg-{number:05d}", "call_ref": "call", "started_at": NOW, "ended_at": NOW,
        "record": {"end_code": "hangup", "words": "Grüße", "number": number},
    }  # fmt: skip


class Room:
    """A writer with its spool, as one process has it."""

    def __init__(self, database: Database, folder: Path, room: int = 1_000_000) -> None:
        self.spool = Spool(folder / FILE, metadata, room)
        self.notes: list[str] = []
        self.written: list[int] = []
        self.writer = Writer(database.open(), self.spool, lambda event, facts: self.notes.append(event))
        self.writer.start()

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.writer.put(LEG, leg(number))
            self.writer.after(lambda number=number: self.written.append(number))  # type: ignore[misc]

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not true():
                await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A cluster that nobody else is hurt by."""
    with Cluster() as one:
        yield one


@pytest.fixture
async def server(own: Cluster) -> AsyncIterator[Database]:
    one = Database("postgresql", own.create())
    await migrate(one.open())
    yield one
    await one.close()


def legs(database: Database) -> list[str]:
    return [str(one) for (one,) in database.rows("select leg_ref from call_log order by leg_ref")]


def named(numbers: range) -> list[str]:
    return [f"leg-{number:05d}" for number in numbers]


async def test_a_server_that_is_down_costs_no_row(own: Cluster, server: Database, tmp_path: Path) -> None:
    room = Room(server, tmp_path)
    room.put(*range(10))
    await room.writer.drained()
    own.stop()
    room.put(*range(10, 300))
    await room.writer.drained()
    assert room.written == list(range(300)), "1. what is on disk is kept: the caller may forget it"
    assert room.spool.length == 290
    assert room.writer.waiting == 290
    (warning,) = room.writer.warnings()
    assert "290 wait in the data directory" in warning, "2. the operator is told"
    assert not room.writer.full, "3. calls go on"
    own.start()
    await room.until(lambda: not room.spool.length)
    room.put(300)
    await room.writer.drained()
    assert legs(server) == named(range(301)), "4. each row once"
    assert room.notes == ["the database does not take records; they wait", "the database takes records again"]
    assert room.writer.warnings() == []
    await room.writer.stop()


async def test_a_server_that_is_stopped_costs_no_row_and_no_turn_of_the_loop(
    own: Cluster, server: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "PATIENCE", 1.0)
    room = Room(server, tmp_path)
    room.put(0)
    await room.writer.drained()
    own.signal(signal.SIGSTOP)
    turns = 0
    try:
        room.put(*range(1, 100))
        while room.spool.length < 99:
            await asyncio.sleep(0.01)
            turns += 1
    finally:
        own.signal(signal.SIGCONT)
    # A loop that waited too would have turned once for the group that was tried and once for the rest.
    assert turns > 2, "1. the loop ran while the thread waited"
    await room.until(lambda: not room.spool.length)
    # The group that was under way may have been done by the server as it woke: it is there once all the same.
    assert legs(server) == named(range(100)), "2. each row once"
    await room.writer.stop()


async def test_a_killed_server_comes_back(own: Cluster, server: Database, tmp_path: Path) -> None:
    room = Room(server, tmp_path)
    for number in range(50):
        room.put(number)
        if number == 20:
            own.signal(signal.SIGKILL)
            await asyncio.to_thread(own.stop)
        await asyncio.sleep(0.005)
    await room.writer.drained()
    own.start()
    await room.until(lambda: not room.spool.length)
    assert legs(server) == named(range(50))
    await room.writer.stop()


async def test_a_restart_in_the_outage_costs_no_row(own: Cluster, server: Database, tmp_path: Path) -> None:
    first = Room(server, tmp_path)
    own.stop()
    first.put(*range(5))
    await first.writer.drained()
    await first.writer.stop()
    second = Room(server, tmp_path)
    second.put(*range(5, 10))
    await second.writer.drained()
    assert second.spool.length == 10
    own.start()
    await second.until(lambda: not second.spool.length)
    assert legs(server) == named(range(10))
    await second.writer.stop()


async def test_what_waits_is_written_in_order(own: Cluster, server: Database, tmp_path: Path) -> None:
    room = Room(server, tmp_path)
    text = {"recipient": "bob", "sender": "x", "fields": [["a", "b"]], "body": b"\0\xff", "kept_at": NOW}
    own.stop()
    for ref in ("kept", "gone"):
        room.writer.put(Upsert(texts), {"ref": ref, **text})
    room.writer.put(NO_TEXT, {GONE: "gone"})
    room.writer.put(Upsert(texts), {"ref": "kept", **text, "sender": "y"})
    await room.writer.drained()
    own.start()
    await room.until(lambda: not room.spool.length)
    assert server.rows("select ref, sender, body from texts") == [("kept", "y", b"\0\xff")]
    await room.writer.stop()


async def test_the_wait_is_bounded_and_the_oldest_go(own: Cluster, server: Database, tmp_path: Path) -> None:
    room = Room(server, tmp_path, room=100)
    own.stop()
    room.put(*range(150))
    await room.writer.drained()
    assert (room.spool.length, room.writer.dropped) == (100, 50)
    assert room.writer.full
    assert any("50 records were lost" in one for one in room.writer.warnings())
    own.start()
    await room.until(lambda: not room.spool.length)
    assert legs(server) == named(range(50, 150))
    assert not room.writer.full
    await room.writer.stop()


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    one = Database("sqlite", tmp_path / "offhook.sqlite")
    await migrate(one.open())
    yield one
    await one.close()


@contextlib.contextmanager
def full(pages: int) -> Iterator[None]:
    """No SQLite file that is opened meanwhile grows beyond so many pages."""

    def limit(connection: Any, _: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(Engine, "connect", limit)
    try:
        yield
    finally:
        event.remove(Engine, "connect", limit)


async def test_a_full_disk_costs_no_row(file: Database, tmp_path: Path) -> None:
    (pages,) = file.rows("PRAGMA page_count")[0]
    with full(int(str(pages))):
        room = Room(file, tmp_path)
        room.put(*range(2_000))
        await room.writer.drained()
        assert "full" in room.writer.refusal
        assert room.spool.length > 0
        room.writer._engine.dispose()
    await room.until(lambda: not room.spool.length)
    assert legs(file) == named(range(2_000))
    await room.writer.stop()


async def test_a_foreign_writer_delays_rows_and_costs_none(file: Database, tmp_path: Path) -> None:
    room = Room(file, tmp_path)
    with contextlib.closing(sqlite3.connect(str(file.where), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        room.put(*range(10))
        await room.until(lambda: room.spool.length == 10)
        assert "locked" in room.writer.refusal
        other.execute("ROLLBACK")
    await room.until(lambda: not room.spool.length)
    assert legs(file) == named(range(10))
    await room.writer.stop()


async def test_when_the_disk_refuses_too_rows_wait_in_memory(file: Database, tmp_path: Path) -> None:
    room = Room(file, tmp_path)
    (tmp_path / FILE).mkdir()
    with contextlib.closing(sqlite3.connect(str(file.where), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        room.put(*range(10))
        await room.until(lambda: "nor does the disk" in room.writer.refusal)
        assert room.written == [], "1. nobody is told that they are kept"
        other.execute("ROLLBACK")
    await room.until(lambda: len(room.written) == 10)
    assert legs(file) == named(range(10)), "2. and they are written"
    await room.writer.stop()


async def test_a_broken_spool_is_put_aside(file: Database, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    room = Room(file, tmp_path)
    assert (tmp_path / f"{FILE}.broken").exists()
    assert room.writer.dropped == 1
    room.put(1)
    await room.writer.drained()
    assert legs(file) == ["leg-00001"]
    await room.writer.stop()


async def test_a_row_no_database_takes_costs_no_other(own: Cluster, server: Database, tmp_path: Path) -> None:
    room = Room(server, tmp_path)
    own.stop()
    room.put(1)
    room.writer.put(LEG, {**leg(2), "call_ref": "a\udcff"})
    room.writer.put(LEG, {**leg(3), "call_ref": "far too long for its column" * 9})
    room.put(4)
    await room.writer.drained()
    own.start()
    await room.until(lambda: not room.spool.length)
    assert legs(server) == ["leg-00001", "leg-00004"]
    assert room.writer.dropped == 2
    await room.writer.stop()
