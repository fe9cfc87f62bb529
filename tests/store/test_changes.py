"""What one process writes, every other one on the same PostgreSQL knows within moments (API.md 1.1)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from offhook.sip.digest import both_ha1
from offhook.store import changes, tables
from offhook.store.addresses import Addresses
from offhook.store.changes import Changes
from offhook.store.database import migrate, open_database
from offhook.store.endpoints import Endpoints
from offhook.store.numbers import NumberRows
from offhook.store.space import Space, Spaces
from tests.support.databases import Cluster, Database
from tests.support.patience import PATIENCE


class Process:
    """The memory of one server on the database."""

    def __init__(self, database: Database) -> None:
        engine = database.open()
        self.notes: list[str] = []
        self.addresses = Addresses(engine)
        self.endpoints = Endpoints(engine, self.addresses)
        self.numbers = NumberRows(engine)
        self.changes = Changes(engine, lambda event, facts: self.notes.append(event))
        self.changes.follow(tables.addresses, self.addresses.refresh)
        self.changes.follow(tables.endpoints, self.endpoints.refresh)
        self.changes.follow(tables.phone_numbers, self.numbers.refresh)

    async def create(self, space: Space, username: str) -> Any:
        md5, sha256 = both_ha1(username, space.realm, "a good secret")
        return await self.endpoints.create(
            project_id=space.project_id, username=username, ha1_md5=md5, ha1_sha256=sha256
        )


@pytest.fixture
async def postgres(cluster: Cluster) -> AsyncIterator[Database]:
    """SQLite has one process: nothing is told there."""
    url = cluster.create()
    one = Database("postgresql", url)
    yield one
    await one.close()
    cluster.drop(url)


@pytest.fixture
async def two(postgres: Database) -> AsyncIterator[tuple[Process, Process, Space]]:
    engine = postgres.open()
    await migrate(engine)
    space, _ = await Spaces(engine).create("offhook.test")
    first, second = Process(postgres), Process(postgres)
    await first.changes.start()
    await second.changes.start()
    yield first, second, space
    await first.changes.stop()
    await second.changes.stop()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.01)


async def test_what_one_writes_the_other_knows(two: tuple[Process, Process, Space]) -> None:
    first, second, space = two
    bob = await first.create(space, "bob")
    await until(lambda: second.endpoints.named("Bob"))
    assert second.endpoints.get(bob.id) == bob, "1. a new row, whole"
    assert second.endpoints.account("bob", space.realm) is not None
    await until(lambda: second.addresses.of(bob.id))
    changed = await second.endpoints.change(bob.id, username="robert", enabled=False)
    assert changed is not None
    await until(lambda: first.endpoints.named("robert"))
    assert first.endpoints.named("bob") is None, "2. under its new name alone"
    account = first.endpoints.account("robert", space.realm)
    assert account is not None
    assert not account.enabled, "3. what SIP reads is made anew"
    number = await first.numbers.create(project_id=space.project_id, number="+15125550100", endpoint_id=bob.id)
    assert number is not None
    await until(lambda: second.numbers.of_endpoint(bob.id))
    await first.endpoints.remove(bob.id)
    await until(lambda: second.endpoints.get(bob.id) is None)


async def test_a_stranger_with_a_database_client_is_heard_too(
    two: tuple[Process, Process, Space], postgres: Database
) -> None:
    first, second, space = two
    await first.create(space, "bob")
    await until(lambda: second.endpoints.named("bob"))
    with psycopg.connect(str(postgres.where)) as raw:
        raw.execute("update endpoints set enabled = false, updated_at = now()")
    for one in two[:2]:
        await until(lambda one=one: not one.endpoints.named("bob").enabled)  # type: ignore[misc]


async def test_what_was_written_while_nobody_heard_is_known_after_it(
    two: tuple[Process, Process, Space], postgres: Database
) -> None:
    first, second, space = two
    bob = await first.create(space, "bob")
    await until(lambda: second.endpoints.named("bob"))
    with psycopg.connect(str(postgres.where)) as raw:
        raw.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name like 'offhook-node-%' and datname = current_database()"
        )
        raw.execute("delete from endpoints")
        raw.execute(
            "insert into addresses select 'a-1', id, 'owner-1', 'front-desk', false, now() from projects limit 1"
        )
    await until(lambda: second.notes)
    await until(lambda: second.endpoints.get(bob.id) is None)
    await until(lambda: second.addresses.named(space.project_id, "front-desk"))
    await until(lambda: len(second.notes) == 2)
    assert second.notes == ["changes of other nodes are not heard", "changes of other nodes are heard again"]


async def test_many_rows_at_once(two: tuple[Process, Process, Space]) -> None:
    first, second, space = two
    await asyncio.gather(*(first.create(space, f"user{number}") for number in range(200)))
    await until(lambda: len(second.endpoints) == 200)
    assert {one.id: one for one in second.endpoints} == {one.id: one for one in first.endpoints}


async def test_who_asks_is_told_once_the_others_know(two: tuple[Process, Process, Space]) -> None:
    first, second, space = two
    for number in range(20):
        writer, reader = (first, second) if number % 2 else (second, first)
        made = await writer.create(space, f"user{number}")
        assert await writer.changes.everywhere()
        assert reader.endpoints.get(made.id) == made, "1. no waiting between the answer and the next look"
    await asyncio.gather(*(one.changes.everywhere() for one in (first, second) for _ in range(20)))


async def test_nobody_else_is_nobody_to_wait_for(postgres: Database, tmp_path: Path) -> None:
    await migrate(postgres.open())
    alone = Process(postgres)
    await alone.changes.start()
    assert await alone.changes.everywhere()
    await alone.changes.stop()
    on_sqlite = Changes(open_database(tmp_path / "offhook.sqlite"), lambda event, facts: None)
    await on_sqlite.start()
    assert await on_sqlite.everywhere()


async def test_one_that_hangs_is_not_waited_for(
    two: tuple[Process, Process, Space], postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "CONFIRM", 0.2)
    first, second, space = two
    go_on = asyncio.Event()

    async def hangs(ids: object) -> None:
        await go_on.wait()

    second.changes.follow(tables.endpoints, hangs)
    await first.create(space, "bob")
    assert not await first.changes.everywhere()
    go_on.set()
    await until(lambda: second.addresses.of(first.endpoints.named("bob").id))  # type: ignore[union-attr]
    assert await first.changes.everywhere()
