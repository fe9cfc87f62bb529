"""Numbers of others that may be shown as a caller, once they are verified (API.md 5.4), in memory for the call path."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Executable, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.identifiers import new_id
from offhook.store.tables import caller_ids


@dataclass(frozen=True, slots=True)
class CallerIdRow:
    """One row. `code_sha256` is that of the six digits read out last, "" for none; `tries` were made at it."""

    id: str
    project_id: str
    number: str
    created_at: datetime
    updated_at: datetime
    name: str = ""
    extension: str | None = None
    verified_at: datetime | None = None
    code_sha256: str = ""
    code_until: datetime | None = None
    tries: int = 0


class CallerIdRows:
    """All of the installation. Reads never wait; a write is committed before it is seen and returned."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._rows: dict[str, CallerIdRow] = {}
        self._verified: dict[str, frozenset[str]] = {}

    async def load(self) -> None:
        """Reads every row."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(caller_ids).order_by(caller_ids.c.id))).mappings().all()
        self._rows = {row["id"]: _from_row(dict(row)) for row in rows}
        self._index()

    def __iter__(self) -> Iterator[CallerIdRow]:
        return iter(tuple(self._rows.values()))

    def get(self, id_: str) -> CallerIdRow | None:
        """By id."""
        return self._rows.get(id_)

    def verified(self, project_id: str) -> frozenset[str]:
        """The numbers that a project may show."""
        return self._verified.get(project_id, frozenset())

    async def create(self, **fields: Any) -> CallerIdRow | None:
        """A new row, committed; None when the project has the number already."""
        now = datetime.now(UTC)
        row = CallerIdRow(id=new_id(), created_at=now, updated_at=now, **fields)
        if not await self._execute(insert(caller_ids).values(**_values(row))):
            return None
        self._rows[row.id] = row
        self._index()
        return row

    async def change(self, id_: str, **fields: Any) -> CallerIdRow | None:
        """The row with those fields changed, committed; None when it is gone."""
        row = self._rows.get(id_)
        if row is None:
            return None
        changed = replace(row, updated_at=datetime.now(UTC), **fields)
        await self._execute(update(caller_ids).where(caller_ids.c.id == id_).values(**_values(changed)))
        self._rows[id_] = changed
        self._index()
        return changed

    async def remove(self, id_: str) -> None:
        """Deletes the row; a second time does nothing."""
        await self._execute(delete(caller_ids).where(caller_ids.c.id == id_))
        self._rows.pop(id_, None)
        self._index()

    async def _execute(self, statement: Executable) -> bool:
        try:
            async with self._engine.begin() as connection:
                await connection.execute(statement)
        except IntegrityError:
            return False
        return True

    def _index(self) -> None:
        found: dict[str, set[str]] = {}
        for row in self._rows.values():
            if row.verified_at is not None:
                found.setdefault(row.project_id, set()).add(row.number)
        self._verified = {project: frozenset(numbers) for project, numbers in found.items()}


def _values(row: CallerIdRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in CallerIdRow.__dataclass_fields__}


def _from_row(row: dict[str, Any]) -> CallerIdRow:
    for name in ("created_at", "updated_at", "verified_at", "code_until"):
        row[name] = row[name].replace(tzinfo=UTC) if row[name] is not None else None
    return CallerIdRow(**row)
