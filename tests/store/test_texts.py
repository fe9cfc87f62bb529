"""Texts that wait: in order, bounded, over a restart."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from offhook.calls.effects import KeptText
from offhook.store.database import migrate
from offhook.store.texts import Texts
from offhook.store.writer import Writer
from tests.support.databases import Database


class Room:
    """A database with its writer; `open` is what a start does."""

    def __init__(self, database: Database) -> None:
        self.engine = database.open()
        self.writer = Writer(self.engine)

    async def open(self) -> Texts:
        texts = Texts(self.engine, self.writer, per_endpoint=3, days=30)
        await texts.load()
        return texts


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    one = Room(database)
    await migrate(one.engine)
    one.writer.start()
    yield one
    await one.writer.stop()


def text(ref: str, to: str = "bob") -> KeptText:
    return KeptText(ref, to, "<sip:alice@example.com>", (("Content-Type", "text/plain"),), b"\xff body")


async def test_kept_found_dropped(room: Room) -> None:
    texts = await room.open()
    texts.put(text("1"))
    found = texts.find("Bob")
    assert [one.ref for one in found] == ["1"]
    assert found[0].fields[0] == ("Content-Type", "text/plain")
    assert found[0].fields[1][0] == "Date", "when it came"
    texts.drop("1")
    texts.drop("1")
    assert texts.find("bob") == ()
    assert len(texts) == 0


async def test_over_a_restart(room: Room) -> None:
    texts = await room.open()
    texts.put(text("1"))
    texts.put(text("2"))
    texts.drop("1")
    await room.writer.drained()
    after = await room.open()
    assert [(one.ref, one.body) for one in after.find("bob")] == [("2", b"\xff body")]


async def test_the_oldest_go_first(room: Room) -> None:
    texts = await room.open()
    for ref in ("1", "2", "3", "4"):
        texts.put(text(ref))
    texts.put(text("5", "carol"))
    assert [one.ref for one in texts.find("bob")] == ["2", "3", "4"]
    await room.writer.drained()
    assert [one.ref for one in (await room.open()).find("bob")] == ["2", "3", "4"]


async def test_none_is_kept_for_ever(room: Room) -> None:
    texts = await room.open()
    texts._remember(text("old"), datetime.now(UTC) - timedelta(days=31))
    assert texts.find("bob") == ()
