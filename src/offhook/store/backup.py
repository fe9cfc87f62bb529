"""All tables of a database at one moment, as lines of JSON that restore into either kind of database.

One file per table, `tables/NAME.jsonl`, one object per row, by column: octets as base64, times in ISO 8601 with their zone,
JSON as it is. Rows are read in one transaction that sees one moment, while the server writes on.
"""

import base64
import contextlib
import json
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psycopg
from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    inspect,
    select,
    text,
)
from sqlalchemy.pool import NullPool

from offhook.store import postgres
from offhook.store.changes import LISTENER
from offhook.store.database import engine_url, postgres_url
from offhook.store.tables import metadata

AT_ONCE = 500
"""Rows read or written at a time: what of them is in memory."""
VERSIONS = "alembic_version"

Open = Callable[[str], contextlib.AbstractContextManager[IO[bytes]]]
"""Opens a file of the backup, by its name."""


def open_unhurried(where: Path | str) -> Engine:
    """For work of minutes on one connection, by a program of its own."""
    if isinstance(where, Path):
        return create_engine(f"sqlite:///{where}", poolclass=NullPool, connect_args={"timeout": 30})
    url = postgres_url(where)
    return create_engine(engine_url(url), poolclass=NullPool, creator=lambda: psycopg.connect(url, **postgres.OPTIONS))


@contextlib.contextmanager
def _moment(engine: Engine) -> Iterator[Connection]:
    """A connection on which every read sees the same moment."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        else:
            connection.exec_driver_sql("BEGIN")
        yield connection


def save(engine: Engine, open_: Open) -> tuple[str, dict[str, int]]:
    """Writes every table; returns the revision of the schema, "" for a database without one, and the rows of each."""
    with _moment(engine) as connection:
        revision = MigrationContext.configure(connection).get_current_revision() or ""
        counts = {}
        for table in _tables(connection, metadata.tables):
            with open_(f"tables/{table.name}.jsonl") as file:
                counts[table.name] = _save_table(connection, table, file)
    return revision, counts


def _tables(connection: Connection, names: Collection[str]) -> list[Table]:
    """As they are, not as this program would have them; those that others refer to first."""
    found = MetaData()
    found.reflect(connection, only=lambda name, _: name in names)
    return found.sorted_tables


def _save_table(connection: Connection, table: Table, file: IO[bytes]) -> int:
    count = 0
    rows = connection.execution_options(yield_per=AT_ONCE).execute(select(table).order_by(*table.primary_key))
    for row in rows.mappings():
        plain = {column.name: _plain(column, row[column]) for column in table.c}
        file.write(json.dumps(plain, ensure_ascii=True, separators=(",", ":")).encode() + b"\n")
        count += 1
    return count


def _plain(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, LargeBinary):
        return base64.b64encode(value).decode()
    if isinstance(column.type, DateTime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    return value


def is_empty(engine: Engine) -> bool:
    """True while a database has none of our tables."""
    return not inspect(engine).has_table(VERSIONS)


def users(engine: Engine) -> int:
    """Servers that work on a PostgreSQL now (store/changes.py gives their connections a name)."""
    if engine.dialect.name != "postgresql":
        return 0
    named = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE :named"
    )
    with engine.connect() as connection:
        return int(connection.scalar(named, {"named": f"{LISTENER}%"}) or 0)


def drop_all(engine: Engine) -> None:
    """Takes every table of ours away."""
    with engine.begin() as connection:
        found = MetaData()
        found.reflect(connection, only=lambda name, _: name in metadata.tables or name == VERSIONS)
        found.drop_all(connection)


def load(engine: Engine, names: Collection[str], open_: Open) -> dict[str, int]:
    """Fills the tables of a fresh schema, in one transaction; returns the rows of each."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(text("PRAGMA defer_foreign_keys=ON"))
        return {table.name: _load_table(connection, table, open_) for table in _tables(connection, names)}


def _load_table(connection: Connection, table: Table, open_: Open) -> int:
    for column in table.c:
        if isinstance(column.type, JSON):
            # None in a backup is SQL's NULL wherever there can be one.
            column.type = JSON(none_as_null=bool(column.nullable))
    # A migration may have filled a table by itself.
    connection.execute(table.delete())
    count, group = 0, []
    with open_(f"tables/{table.name}.jsonl") as file:
        for line in file:
            row = json.loads(line)
            group.append({name: _read(table.c[name], value) for name, value in row.items()})
            if len(group) == AT_ONCE:
                connection.execute(table.insert(), group)
                count, group = count + len(group), []
    if group:
        connection.execute(table.insert(), group)
    return count + len(group)


def _read(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, LargeBinary):
        return base64.b64decode(value)
    if isinstance(column.type, DateTime):
        return datetime.fromisoformat(value)
    return value
