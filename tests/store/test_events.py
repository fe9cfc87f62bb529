"""Events and the outbox in the database: numbers without gaps, order that survives a restart, one due row per lane."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from offhook.server.committed import Committed
from offhook.server.events import Events
from offhook.server.outbox import Outbox
from offhook.store.database import migrate
from offhook.store.deliveries import DeliveryRows
from offhook.store.events import Event, EventRows, Wanted, cursor_at
from offhook.store.identifiers import AscendingIds
from offhook.store.tables import events, webhook_deliveries
from offhook.store.writer import Writer
from tests.support.databases import Database

PROJECT, CALL, OTHER = "0199-project", "0199-call", "0199-other"


class Room:
    """A database with its writer, events and outbox, as one process of the server has it."""

    def __init__(self, database: Database) -> None:
        self.engine = database.open()
        self.writer = Writer(self.engine)
        self.event_rows, self.delivery_rows = (
            EventRows(self.engine, self.writer),
            DeliveryRows(self.engine, self.writer),
        )

    async def start(self) -> "Room":
        await migrate(self.engine)
        self.writer.start()
        await self.event_rows.load()
        await self.delivery_rows.load()
        committed = Committed(self.writer, lambda: None)
        self.events, self.outbox = Events(self.event_rows, self.writer), Outbox(self.delivery_rows, committed)
        return self

    async def rows(self, table: object, *columns: str) -> list[tuple[object, ...]]:
        await self.writer.drained()
        async with self.engine.connect() as connection:
            found = await connection.execute(select(table))  # type: ignore[call-overload]
            return [tuple(getattr(row, name) for name in columns) for row in found]

    async def stop(self) -> None:
        await self.writer.stop()
        await self.engine.dispose()


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    one = await Room(database).start()
    yield one
    await one.stop()


async def test_events_are_numbered_within_their_call_without_gaps(room: Room) -> None:
    for type_, call in (
        ("call.created", CALL),
        ("config.changed", ""),
        ("call.created", OTHER),
        ("call.answered", CALL),
    ):
        room.events.publish(type_, PROJECT, call, data={"Grüße": [1, None]})
    room.events.publish("call.ended", PROJECT, CALL)
    late = room.events.publish("call.finding_cleared", PROJECT, CALL)
    assert late.sequence == 4, "1. also after the end"
    rows = sorted(await room.rows(events, "cursor", "call_ref", "sequence"), key=lambda one: int(str(one[0])))
    assert [one[1:] for one in rows] == [(CALL, 1), ("", None), (OTHER, 1), (CALL, 2), (CALL, 3), (CALL, 4)]
    # 2. what is shown has no empty texts and a time with milliseconds
    shown = late.view()
    assert (shown["leg_ref"], shown["request_id"], shown["at"][-1]) == (None, None, "Z")
    assert shown["cursor"] == str(rows[-1][0])


async def test_the_next_process_counts_on(database: Database) -> None:
    first = await Room(database).start()
    first.events.publish("call.created", PROJECT, CALL)
    last = first.events.publish("call.answered", PROJECT, CALL)
    first.outbox.enqueue(PROJECT, "http://a.test/", json={}, call_ref=CALL)
    before = await first.rows(webhook_deliveries, "id")
    await first.stop()
    second = await Room(database).start()
    second.events.go_on(await second.event_rows.sequences([CALL, OTHER]))
    ended = second.events.publish("call.ended", PROJECT, CALL)
    assert ended.sequence == 3
    assert ended.cursor > last.cursor
    assert second.outbox.enqueue(PROJECT, "http://a.test/", json={}, call_ref=CALL) > str(before[0][0])
    await second.stop()


async def test_who_listens_hears_in_the_same_turn_and_costs_nobody(room: Room) -> None:
    heard: list[Event] = []

    def fails(_: Event) -> None:
        raise ValueError("a listener's own fault")

    room.events.listen(fails)
    room.events.listen(heard.append)
    event = room.events.publish("call.created", PROJECT, CALL)
    assert heard == [event]


async def test_calls_that_go_without_a_word_are_forgotten(room: Room) -> None:
    room.events.publish("call.created", PROJECT, CALL)
    room.events.publish("call.created", PROJECT, OTHER)
    room.events.forget(lambda ref: ref == OTHER)
    assert room.events.publish("call.ended", PROJECT, CALL).sequence == 2, "and yet they count on"
    assert room.events.publish("call.ended", PROJECT, OTHER).sequence == 2


async def test_one_row_of_a_lane_is_due(room: Room) -> None:
    put = room.outbox.enqueue
    for call, url in (
        (CALL, "http://a.test/x"),
        (CALL, "http://a.test/x"),
        (CALL, "http://b.test/"),
        (OTHER, "http://a.test/x"),
    ):
        put(PROJECT, url, json={"n": 1}, call_ref=call)
    alone = [put(PROJECT, "http://a.test/x", form={"A": "ü", "B": ""}) for _ in range(2)]
    rows = await room.rows(webhook_deliveries, "receiver", "due_at", "lane", "kind", "body")
    # 1. the second of one call and URL waits; others do not
    assert [one[1] is not None for one in rows] == [True, False, True, True, True, True]
    assert rows[0][0] == "http://a.test"
    # 2. what belongs to no call waits for nobody
    assert [one[2] for one in rows[4:]] == alone
    # 3. a form has no field without a value
    assert rows[4][3:] == ("form", "A=%C3%BC")
    # 4. nothing that is written is too odd to be kept
    odd = put(PROJECT, "http://[::1", json={"user_agent": "\ud800\x00"}, call_ref=CALL)
    kept = {one[0]: one[1:] for one in await room.rows(webhook_deliveries, "id", "receiver", "body")}
    assert kept[odd] == ("http://[::1", '{"user_agent":"?\\u0000"}')
    with pytest.raises(ValueError, match="either"):
        put(PROJECT, "http://a.test/")


def test_ids_ascend_within_a_millisecond_and_over_the_end_of_their_bits() -> None:
    ids = AscendingIds()
    many = [ids() for _ in range(5_000)]
    assert many == sorted(set(many))
    last = "ffffffff-0000-7fff-bfff-ffffffffffff"
    after = AscendingIds(last)()
    assert after > last
    assert (after[14], after[19]) == ("7", "8")


async def test_reading_on_after_a_cursor(room: Room) -> None:
    said = [
        ("call.created", CALL, ()),
        ("registration.added", "", ("e1",)),
        ("call.ended", CALL, ("e1", "e2")),
        ("trunk.up", "", ()),
    ]
    made = [room.events.publish(type_, PROJECT, call, endpoints=ids) for type_, call, ids in said]
    room.events.publish("call.created", "another project", OTHER)
    await room.writer.drained()
    room.event_rows.alone = True  # nobody else writes here
    read = room.event_rows.read
    # 1. in order, all of one project, from the oldest
    whole = await read(Wanted(PROJECT), room.event_rows.oldest, 100)
    assert list(whole.events) == made
    assert (whole.more, whole.cursor >= made[-1].cursor) == (False, True)
    # 2. page by page none is missed and none comes twice
    first = await read(Wanted(PROJECT), room.event_rows.oldest, 3)
    rest = await read(Wanted(PROJECT), first.cursor, 3)
    assert [*first.events, *rest.events] == made
    assert (first.more, rest.more) == (True, False)
    # 3. filters
    for wanted, numbers in (
        (Wanted(PROJECT, types=("call.ended", "trunk.up")), (2, 3)),
        (Wanted(PROJECT, call_ref=CALL), (0, 2)),
        (Wanted(PROJECT, endpoint_id="e1"), (1, 2)),
        (Wanted(PROJECT, endpoint_id="%"), ()),
    ):
        found = await read(wanted, room.event_rows.oldest, 100)
        assert list(found.events) == [made[one] for one in numbers], wanted
        assert found.cursor >= made[-1].cursor, "what was looked through need not be looked at again"


async def test_with_several_nodes_the_last_moment_is_not_shown_yet(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.event_rows.alone = False
    room.events.publish("trunk.up", PROJECT)
    await room.writer.drained()
    assert (await room.event_rows.read(Wanted(PROJECT), 0, 9)).events == ()
    monkeypatch.setattr("offhook.store.events.SETTLED", -0.001)
    assert len((await room.event_rows.read(Wanted(PROJECT), 0, 9)).events) == 1


async def test_old_events_are_swept_and_their_cursors_have_expired(room: Room) -> None:
    room.event_rows.alone = True
    old = cursor_at(time.time() - 31 * 86_400)
    ancient = Event(old, "e0", datetime.now(UTC) - timedelta(days=31), "trunk.up", PROJECT)
    room.event_rows.put(ancient)
    room.events.publish("trunk.down", PROJECT)
    await room.writer.drained()
    await room.event_rows.sweep()
    assert [one.type for one in (await room.event_rows.read(Wanted(PROJECT), 0, 9)).events] == ["trunk.down"]
    assert room.event_rows.oldest > old


def test_cursors_ascend_when_the_clock_is_set_back(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    first = room.event_rows.cursor()
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    assert first < room.event_rows.cursor() < room.event_rows.cursor()
