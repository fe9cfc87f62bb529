"""A table whose every row is in memory: reads never wait, a write is committed before it is seen and returned."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from sqlalchemy import Executable, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.changes import read_again
from offhook.store.identifiers import new_id
from offhook.turns import Turns


class Row(Protocol):
    """A dataclass with a field for each column of its table, unless the mirror's `_read` and `_write` say otherwise."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def id(self) -> str: ...
    @property
    def updated_at(self) -> datetime: ...


R = TypeVar("R", bound=Row)


class Mirror(Generic[R]):
    """The rows of the whole installation, the oldest first. Who derives from it says how rows are made and found, and keeps
    what finds them true in `_index`."""

    def __init__(self, engine: AsyncEngine, table: Table, row: type[R]) -> None:
        self._engine, self._table, self._row = engine, table, row
        self._rows: dict[str, R] = {}
        self._turns = Turns()

    async def load(self) -> None:
        """Reads every row."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(self._table).order_by(self._table.c.id))).mappings().all()
        self._rows = {row["id"]: self._read(dict(row)) for row in rows}
        self._index()

    async def refresh(self, ids: Collection[str] | None) -> None:
        """Reads rows again that another process has changed (store/changes.py)."""
        found = await read_again(self._engine, self._table, ids)
        for id_ in set(self._rows).union(found) if ids is None else ids:
            known = self._rows.get(id_)
            fresh = self._read(found[id_]) if id_ in found else None
            if fresh is None:
                self._rows.pop(id_, None)
            elif known is None or fresh.updated_at >= known.updated_at:
                # An older one was read before our own last write.
                self._rows[id_] = fresh
        self._rows = dict(sorted(self._rows.items()))
        self._index()

    def __iter__(self) -> Iterator[R]:
        return iter(tuple(self._rows.values()))

    def get(self, id_: str) -> R | None:
        """By id."""
        return self._rows.get(id_)

    async def remove(self, id_: str) -> None:
        """Deletes the row; a second time does nothing."""
        async with self._turns.of(id_):
            await self._execute(delete(self._table).where(self._table.c.id == id_))
            self._drop(id_)

    async def _insert(self, **fields: Any) -> R | None:
        """A new row, committed; None when what must be unique is taken."""
        now = datetime.now(UTC)
        row = self._row(**{"id": new_id(), "created_at": now, "updated_at": now, **fields})
        return await self._keep(row, insert(self._table).values(**self._write(row)))

    async def _update(self, id_: str, **fields: Any) -> R | None:
        """The row with those fields changed, committed; None when what must be unique is taken, or the row is gone."""
        async with self._turns.of(id_):
            known = self._rows.get(id_)
            if known is None:
                return None
            row: R = replace(known, updated_at=datetime.now(UTC), **fields)
            return await self._keep(row, update(self._table).where(self._table.c.id == id_).values(**self._write(row)))

    async def _keep(self, row: R, statement: Executable) -> R | None:
        written = await self._execute(statement)
        if not written:
            if written == 0:
                self._drop(row.id)  # another node has deleted it
            return None
        self._rows[row.id] = row
        self._index()
        return row

    def _drop(self, id_: str) -> None:
        if self._rows.pop(id_, None) is not None:
            self._index()

    async def _execute(self, statement: Executable) -> int | None:
        """How many rows it wrote; None when what must be unique is taken, or what it belongs to is gone."""
        return await written(self._engine, statement)

    def _index(self) -> None:
        """Something has changed."""

    def _read(self, columns: dict[str, Any]) -> R:
        return self._row(**in_utc(columns))

    def _write(self, row: R) -> dict[str, Any]:
        return {name: getattr(row, name) for name in self._row.__dataclass_fields__}


async def written(engine: AsyncEngine, statement: Executable) -> int | None:
    """Commits one statement: how many rows it wrote, None when the database's rules refuse it."""
    try:
        async with engine.begin() as connection:
            return (await connection.execute(statement)).rowcount
    except IntegrityError:
        return None


def in_utc(columns: dict[str, Any]) -> dict[str, Any]:
    """A row with its times as what they are: databases keep no zone."""
    return {name: one.replace(tzinfo=UTC) if isinstance(one, datetime) else one for name, one in columns.items()}
