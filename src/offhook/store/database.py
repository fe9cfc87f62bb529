"""Opening the database: a SQLite file in WAL mode by default, PostgreSQL by URL; its schema is brought up to date by Alembic
at every start."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from offhook.store import postgres

MIGRATIONS = Path(__file__).parent / "migrations"
START_LOCK = 0x0FF400C
"""Key of PostgreSQL's advisory lock that a node holds while it makes or changes the schema."""
LOCK_WAIT = 300.0
"""Seconds a node waits for another one that migrates."""


LOCKED = 10.0
"""Seconds that a statement waits for another one that writes to the same SQLite file."""
RECYCLE = 1800
"""Seconds after which a pooled connection is made anew: what stands between may have forgotten it."""


class StoreError(Exception):
    """The database cannot be opened or is newer than this program; the text says what to do."""


def open_database(where: Path | str) -> AsyncEngine:
    """An engine on a SQLite file (a path) in WAL mode, where readers never wait for the writer, foreign keys on; or on
    PostgreSQL (a URL). Connects to nothing yet. Raises StoreError for another URL."""
    if isinstance(where, Path):
        engine = create_async_engine(f"sqlite+aiosqlite:///{where}", connect_args={"timeout": LOCKED})
        event.listen(engine.sync_engine, "connect", _set_up)
        return engine
    url = postgres_url(where)

    async def connect() -> Any:
        return await postgres.PatientAsyncConnection.connect(url, **postgres.OPTIONS)

    return create_async_engine(engine_url(url), async_creator=connect, pool_recycle=RECYCLE)


def open_for_writing(engine: AsyncEngine) -> Engine:
    """A second engine on the same database for a thread of its own: a group of rows costs a tenth of what it costs by
    way of the loop."""
    if engine.dialect.name == "postgresql":
        url = postgres_url(engine.url.render_as_string(hide_password=False))
        return create_engine(
            engine_url(url), creator=lambda: postgres.PatientConnection.connect(url, **postgres.OPTIONS)
        )
    writing = create_engine(engine.url.set(drivername="sqlite"), connect_args={"timeout": 2})
    event.listen(writing, "connect", _set_up)
    return writing


def postgres_url(url: str) -> str:
    """As libpq reads it. Raises StoreError for the URL of anything else."""
    if not postgres.is_postgres(url):
        scheme = url.partition("://")[0][:20]
        raise StoreError(
            f"store.url begins with {scheme!r}: give postgresql://user:password@host/database, or nothing for SQLite"
        )
    return postgres.libpq_url(url)


def engine_url(url: str) -> URL:
    """As SQLAlchemy reads it, with the driver that we use. Raises StoreError."""
    try:
        return make_url(url).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        raise StoreError("store.url is no URL: give postgresql://user:password@host/database") from None


def _set_up(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def shown(engine: AsyncEngine) -> str:
    """The database's name in messages: a path, or a URL without its password."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database)
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=True)


async def migrate(engine: AsyncEngine, revision: str = "head") -> None:
    """Runs every migration that has not run yet, up to that revision. Raises StoreError."""
    config = _config()

    def upgrade(connection: Connection) -> None:
        _refuse_newer(connection, engine)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    unhurried = _unhurried(engine)
    try:
        async with unhurried.begin() as connection:
            await connection.run_sync(upgrade)
    except StoreError:
        raise
    except Exception as error:
        text = reason(error) if isinstance(error, SQLAlchemyError) else str(error)
        raise StoreError(f"the database {shown(engine)} cannot be opened: {text}") from error
    finally:
        if unhurried is not engine:
            await unhurried.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def known_revisions() -> list[str]:
    """Of the schema, the newest first."""
    return [one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions()]


def _unhurried(engine: AsyncEngine) -> AsyncEngine:
    """An engine for work of minutes: a migration of a large table is no outage."""
    if engine.dialect.name == "sqlite":
        return engine
    url = postgres.libpq_url(engine.url.render_as_string(hide_password=False))

    async def connect() -> Any:
        import psycopg

        return await psycopg.AsyncConnection.connect(url, **postgres.OPTIONS)

    return create_async_engine(engine.url, async_creator=connect, poolclass=NullPool)


def _refuse_newer(connection: Connection, engine: AsyncEngine) -> None:
    known = known_revisions()
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        raise StoreError(
            f"the database {shown(engine)} is newer than this program: its schema is {current}, this program knows"
            f" {known[0]} at most. Start the newer Offhook again, or restore a backup of before."
        )


@contextlib.asynccontextmanager
async def alone(engine: AsyncEngine) -> AsyncIterator[None]:
    """While one node makes or changes the schema and what a first start makes, others wait. Raises StoreError."""
    if engine.dialect.name == "sqlite":
        yield
        return
    try:
        async with engine.connect() as connection:
            async with asyncio.timeout(LOCK_WAIT):
                while not await connection.scalar(text(f"SELECT pg_try_advisory_lock({START_LOCK})")):
                    await connection.rollback()
                    await asyncio.sleep(0.2)
            await connection.rollback()
            yield
            await connection.execute(text(f"SELECT pg_advisory_unlock({START_LOCK})"))
    except SQLAlchemyError as error:
        raise StoreError(f"the database {shown(engine)} cannot be reached: {reason(error)}") from error
    except TimeoutError:
        raise StoreError(f"another node changes the schema of {shown(engine)} for more than {LOCK_WAIT:g} s") from None


def reason(error: SQLAlchemyError) -> str:
    """What the database said, without the statement and its values."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
