"""The rows of one commit: few statements, and for each table the order in which they were queued."""

from pathlib import Path
from typing import Any

from sqlalchemy import Column, Executable, MetaData, String, Table, create_engine, delete, insert, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from offhook.store.writer import Writer, _runs

META = MetaData()
ONE = Table("one", META, Column("id", String, primary_key=True))
OTHER = Table("other", META, Column("id", String, primary_key=True))
INTO_ONE, INTO_OTHER = insert(ONE), insert(OTHER)
ALL_GONE = delete(ONE)
SEEN = text("SELECT 1")


def row(name: str) -> dict[str, Any]:
    return {"id": name}


def shapes(*queued: tuple[Executable, str]) -> list[tuple[Executable, list[str]]]:
    """Which statements are made of these, with the names of their rows."""
    runs = _runs([(statement, row(name)) for statement, name in queued])
    return [(statement, [values["id"] for values in rows]) for statement, rows in runs]


def test_rows_of_two_tables_by_turns_are_two_statements() -> None:
    by_turns = [(INTO_ONE, "a"), (INTO_OTHER, "b"), (INTO_ONE, "c"), (INTO_OTHER, "d")]
    assert shapes(*by_turns) == [(INTO_ONE, ["a", "c"]), (INTO_OTHER, ["b", "d"])]


def test_nothing_of_a_table_passes_another_statement_about_it() -> None:
    queued = [(INTO_ONE, "a"), (ALL_GONE, "b"), (INTO_OTHER, "c"), (INTO_ONE, "d"), (INTO_OTHER, "e")]
    # 1. What was written before the removal goes with it, what came later stays.
    assert shapes(*queued) == [(INTO_ONE, ["a"]), (ALL_GONE, ["b"]), (INTO_OTHER, ["c", "e"]), (INTO_ONE, ["d"])]


def test_nothing_passes_a_statement_that_may_be_about_any_table() -> None:
    assert shapes((INTO_ONE, "a"), (SEEN, "b"), (INTO_ONE, "c")) == [
        (INTO_ONE, ["a"]),
        (SEEN, ["b"]),
        (INTO_ONE, ["c"]),
    ]


async def test_every_row_is_there_after_the_commit(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    plain = create_engine(f"sqlite:///{path}")
    META.create_all(plain)
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    writer = Writer(engine)
    writer.start()
    for number in range(50):
        writer.put(INTO_ONE, row(f"a{number}"))
        writer.put(INTO_OTHER, row(f"b{number}"))
    await writer.drained()
    await writer.stop()
    await engine.dispose()
    with plain.connect() as connection:
        for table in (ONE, OTHER):
            assert len(connection.execute(select(table)).all()) == 50
    plain.dispose()
