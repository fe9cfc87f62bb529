"""Devices that outlive their registrations: what stays, what goes, and what other nodes are told."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from offhook.sip.location import Binding
from offhook.sip.uri import parse_uri
from offhook.store.database import migrate
from offhook.store.devices import LONGEST, Device, Devices
from offhook.store.writer import Writer
from tests.support.databases import Database
from tests.support.messages import make_flow
from tests.support.nodes import make_account

ALICE = replace(make_account("alice"), id="e1")


class Room:
    """A database with its writer; `open` is what a start, or another node, does."""

    def __init__(self, database: Database) -> None:
        self.engine = database.open()
        self.writer = Writer(self.engine)

    async def open(self) -> Devices:
        await self.writer.drained()
        devices = Devices(self.engine, self.writer, per_endpoint=3)
        await devices.load()
        return devices


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    one = Room(database)
    await migrate(one.engine)
    one.writer.start()
    yield one
    await one.writer.stop()


def binding(instance: str | None, agent: str = "JsSIP 3.13") -> Binding:
    uri = parse_uri("sip:a@x.invalid")
    return Binding("sip:alice@example.com", uri, make_flow(), "c", 1, 60.0, instance, user_agent=agent)


def names(devices: Devices) -> list[str]:
    return sorted(one.instance_id for one in devices)


def of(devices: Devices, instance: str) -> Device:
    found = devices.of("e1", instance)
    assert found is not None
    return found


async def test_a_device_is_known_by_its_instance_and_outlives_a_restart(room: Room) -> None:
    devices = await room.open()
    devices.seen("e1", binding("<urn:uuid:0199AA>"), {"0199aa"})
    first = of(devices, "<urn:uuid:0199aa>")
    # 1. the same in other letters, with another program: one row
    devices.seen("e1", binding("<urn:uuid:0199aa>", "JsSIP 4"), {"0199aa"})
    assert [one.id for one in devices] == [first.id]
    # 2. nothing is kept of those that cannot be told apart, or whose name is too long
    devices.seen("e1", binding(None), set())
    devices.seen("e1", binding("x" * (LONGEST + 1)), set())
    assert names(devices) == ["0199aa"]
    # 3. another life of the server finds it as it was
    again = of(await room.open(), "0199aa")
    assert (again.id, again.user_agent, again.last_source) == (first.id, "JsSIP 4", "127.0.0.2:5070")
    assert again.last_seen_at == of(devices, "0199aa").last_seen_at


async def test_what_an_operator_says_survives_what_registrations_tell(room: Room) -> None:
    devices = await room.open()
    devices.seen("e1", binding("a"), {"a"})
    other = await room.open()
    changed = await devices.change(of(devices, "a").id, name="Desk", ring=False, blocked=True)
    assert changed is not None
    # 1. a node that has not heard of it yet writes what it has seen
    other.seen("e1", binding("a", "another"), {"a"})
    await room.writer.drained()
    await devices.refresh({changed.id})
    await other.refresh(None)
    for one in (of(devices, "a"), of(other, "a"), of(await room.open(), "a")):
        assert (one.name, one.ring, one.blocked, one.user_agent) == ("Desk", False, True, "another")
    # 2. the account says so to whoever decides
    marked = other.marks(ALICE)
    assert (marked.blocks("<urn:uuid:A>"), marked.rings(binding("a")), marked.rings(binding("b"))) == (
        True,
        False,
        True,
    )
    assert other.marks(replace(ALICE, id="e2")).blocked_devices == frozenset()


async def test_a_block_for_a_while_ends(room: Room) -> None:
    devices = await room.open()
    devices.seen("e1", binding("a"), {"a"})
    for seconds, blocked in ((60, True), (-1, False)):
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        await devices.change(of(devices, "a").id, blocked_until=until)
        assert devices.marks(ALICE).blocks("a") is blocked


async def test_of_too_many_the_one_unseen_for_longest_goes(room: Room) -> None:
    devices = await room.open()
    for name in ("a", "b", "c"):
        devices.seen("e1", binding(name), {name})
    # 1. neither a blocked one, which would come back as a stranger, nor one that is registered
    await devices.change(of(devices, "a").id, blocked=True)
    devices.seen("e1", binding("d"), {"b", "d"})
    assert names(devices) == names(await room.open()) == ["a", "b", "d"]
    # 2. when there is none to go, the newcomer is not kept
    devices.seen("e1", binding("e"), {"b", "d", "e"})
    assert names(devices) == ["a", "b", "d"]
    # 3. another endpoint has room of its own
    devices.seen("e2", binding("e"), {"e"})
    assert len(names(devices)) == 4


async def test_named_before_it_registers_and_removed(room: Room) -> None:
    devices = await room.open()
    await devices.called("e1", "A", "Alice's phone", set())
    assert (of(devices, "a").name, of(devices, "a").last_seen_at) == ("Alice's phone", None)
    devices.seen("e1", binding("a"), {"a"})
    await devices.called("e1", "a", "Cell", set())
    other = await room.open()
    assert of(other, "a").name == "Cell"
    # Removed here, it is gone there; and a new one when it comes again.
    before = of(devices, "a").id
    await devices.remove(before)
    await devices.remove(before)
    await other.refresh({before})
    assert names(devices) == names(other) == names(await room.open()) == []
    assert await devices.change(before, name="x") is None
    devices.seen("e1", binding("a"), {"a"})
    assert of(devices, "a").id != before
