"""A saved database restores into either kind, row for row, also while somebody writes."""

import io
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest
from sqlalchemy import JSON, Boolean, Column, DateTime, Float, Integer, LargeBinary, MetaData, select
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store import backup
from offhook.store.database import migrate
from offhook.store.tables import endpoints, metadata
from tests.support.databases import KINDS, Cluster, Database


class Files:
    """The files of a backup, in memory."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    @contextmanager
    def write(self, name: str) -> Iterator[IO[bytes]]:
        file = io.BytesIO()
        yield file
        self.content[name] = file.getvalue()

    def read(self, name: str) -> AbstractContextManager[IO[bytes]]:
        return io.BytesIO(self.content[name])


def value(column: Column[Any], row: int) -> Any:
    """Something awkward of the column's type."""
    if column.foreign_keys:
        return f"{next(iter(column.foreign_keys)).column.table.name}-{row}"[:36]
    if column.nullable and row == 1:
        return None
    match column.type:
        case JSON():
            return [{"name": 'Grüße "x"\n', "deep": [None, True, 1.5, {"a": []}]}, {}, []][row]
        case LargeBinary():
            return bytes(range(256))
        case DateTime():
            return datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        case Boolean():
            return row == 0
        case Float():
            return 0.1 + row
        case Integer():
            return row + 1
    length = getattr(column.type, "length", None) or 36
    return f"{column.table.name if column.primary_key else 'ü'}-{row}"[:length]


def rows_of_everything() -> dict[str, list[dict[str, Any]]]:
    return {
        table.name: [{column.name: value(column, row) for column in table.c} for row in range(3)]
        for table in metadata.sorted_tables
    }


async def fill(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for table in metadata.sorted_tables:
            await connection.execute(table.insert(), rows_of_everything()[table.name])


async def content(engine: AsyncEngine) -> dict[str, list[tuple[Any, ...]]]:
    async with engine.connect() as connection:
        found = {}
        for table in metadata.sorted_tables:
            rows = await connection.execute(select(table).order_by(*table.primary_key))
            found[table.name] = [
                tuple(one.replace(tzinfo=UTC) if isinstance(one, datetime) else one for one in row) for row in rows
            ]
        return found


@pytest.fixture(params=KINDS)
async def other(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Where it is restored to."""
    if request.param == "sqlite":
        one = Database("sqlite", tmp_path / "restored.sqlite")
        yield one
        await one.close()
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    one = Database("postgresql", cluster.create())
    yield one
    await one.close()


async def test_every_row_of_every_table_comes_back(database: Database, other: Database) -> None:
    source = database.open()
    await migrate(source)
    await fill(source)
    files, opened = Files(), backup.open_unhurried(database.where)
    revision, counts = backup.save(opened, files.write)
    assert counts == dict.fromkeys(metadata.tables, 3)
    target = other.open()
    assert backup.is_empty(backup.open_unhurried(other.where))
    await migrate(target, revision)
    assert backup.load(backup.open_unhurried(other.where), counts, files.read) == counts
    assert await content(target) == await content(source)


async def test_a_backup_shows_one_moment(database: Database) -> None:
    """Rows come two by two; a backup that saw one of a pair alone would have seen two moments."""
    source = database.open()
    await migrate(source)
    await fill(source)
    over = threading.Event()
    writing = backup.open_unhurried(database.where)
    row = rows_of_everything()["endpoints"][0]

    def write() -> None:
        number = 100
        while not over.is_set():
            with writing.begin() as connection:
                for half in "ab":
                    name = f"{number}{half}"
                    connection.execute(
                        endpoints.insert(), {**row, "id": name, "username": name, "username_folded": name}
                    )
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(5):
            files = Files()
            _, counts = backup.save(backup.open_unhurried(database.where), files.write)
            assert (counts["endpoints"] - 3) % 2 == 0
    finally:
        over.set()
        thread.join()
    assert counts["endpoints"] > 3


async def test_tables_of_others_are_left_alone(database: Database) -> None:
    await migrate(database.open())
    engine = backup.open_unhurried(database.where)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE strangers (id INTEGER PRIMARY KEY)")
    files = Files()
    _, counts = backup.save(engine, files.write)
    assert "strangers" not in counts
    backup.drop_all(engine)
    found = MetaData()
    found.reflect(engine)
    assert set(found.tables) == {"strangers"}
