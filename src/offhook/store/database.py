"""Opening the database: SQLite in WAL mode by default, its schema brought up to date by Alembic at every start."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

MIGRATIONS = Path(__file__).parent / "migrations"


class StoreError(Exception):
    """The database cannot be opened or is newer than this program; the text says what to do."""


def open_database(path: Path) -> AsyncEngine:
    """An engine on a SQLite file in WAL mode (readers never wait for the writer), foreign keys on."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args={"timeout": 10})
    event.listen(engine.sync_engine, "connect", _set_up)
    return engine


def open_for_writing(engine: AsyncEngine) -> Engine:
    """A second engine on the same database for a thread of its own: a group of rows costs a tenth of what it costs by
    way of the loop."""
    url = engine.url.set(drivername=engine.url.get_backend_name())
    writing = create_engine(url, connect_args={"timeout": 2})
    event.listen(writing, "connect", _set_up)
    return writing


def _set_up(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


async def migrate(engine: AsyncEngine) -> None:
    """Runs every migration that has not run yet. Raises StoreError."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def upgrade(connection: Any) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    try:
        async with engine.begin() as connection:
            await connection.run_sync(upgrade)
    except Exception as error:
        raise StoreError(f"the database {engine.url.database} cannot be opened: {error}") from error
