"""Numbers of the space: what a call to each leads to (API.md section 5), in memory for the call path."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Executable, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.changes import read_again
from offhook.store.identifiers import new_id
from offhook.store.statements import Stated
from offhook.store.tables import phone_numbers
from offhook.store.writer import Writer


@dataclass(frozen=True, slots=True)
class NumberRow:
    """One row. `number` is E.164 with +; `endpoint_id` is whom it rings, None while it leads nowhere."""

    id: str
    project_id: str
    number: str
    created_at: datetime
    updated_at: datetime
    name: str = ""
    number_type: str = "longcode"
    endpoint_id: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


_DELIVERED = Stated(
    "number delivered",
    lambda insert: (
        update(phone_numbers)
        .where(phone_numbers.c.id == bindparam("row"))
        .values(settings=bindparam("settings", type_=phone_numbers.c.settings.type))
    ),
)


class NumberRows:
    """All numbers of the installation. `writer` takes what the call path has to say."""

    def __init__(self, engine: AsyncEngine, writer: Writer | None = None) -> None:
        self._engine, self._writer = engine, writer
        self._rows: dict[str, NumberRow] = {}
        self._by_number: dict[str, NumberRow] = {}
        self._of_endpoint: dict[str, tuple[str, ...]] = {}
        self._of_project: dict[str, tuple[frozenset[str], str | None]] = {}
        self.names: dict[str, str] = {}
        """Display names that go with numbers shown to the outside."""

    async def load(self) -> None:
        """Reads every row."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(phone_numbers).order_by(phone_numbers.c.id))).mappings().all()
        for row in rows:
            self._rows[row["id"]] = _from_row(dict(row))
        self._index()

    async def refresh(self, ids: Collection[str] | None) -> None:
        """Reads rows again that another process has changed (store/changes.py)."""
        found = await read_again(self._engine, phone_numbers, ids)
        for id_ in set(self._rows).union(found) if ids is None else ids:
            known = self._rows.get(id_)
            if id_ not in found:
                self._rows.pop(id_, None)
            elif known is None or _from_row(found[id_]).updated_at >= known.updated_at:
                self._rows[id_] = _from_row(found[id_])
        self._rows = dict(sorted(self._rows.items()))
        self._index()

    def __iter__(self) -> Iterator[NumberRow]:
        return iter(tuple(self._rows.values()))

    def get(self, id_: str) -> NumberRow | None:
        """By id."""
        return self._rows.get(id_)

    def find(self, number: str) -> NumberRow | None:
        """By E.164."""
        return self._by_number.get(number)

    def of_endpoint(self, endpoint_id: str) -> tuple[str, ...]:
        """The numbers that ring an endpoint, the oldest first."""
        return self._of_endpoint.get(endpoint_id, ())

    def of_project(self, project_id: str) -> tuple[frozenset[str], str | None]:
        """All numbers of a project, and the oldest: what is shown when nothing else is chosen."""
        return self._of_project.get(project_id, (frozenset(), None))

    async def create(self, **fields: Any) -> NumberRow | None:
        """A new row, committed; None when the number is taken."""
        now = datetime.now(UTC)
        row = NumberRow(id=new_id(), created_at=now, updated_at=now, **fields)
        if not await self._execute(insert(phone_numbers).values(**_values(row))):
            return None
        self._rows[row.id] = row
        self._index()
        return row

    async def change(self, id_: str, **fields: Any) -> NumberRow | None:
        """The row with those fields changed, committed; None when it is gone."""
        row = self._rows.get(id_)
        if row is None:
            return None
        changed = replace(row, updated_at=datetime.now(UTC), **fields)
        await self._execute(update(phone_numbers).where(phone_numbers.c.id == id_).values(**_values(changed)))
        self._rows[id_] = changed
        self._index()
        return changed

    async def remove(self, id_: str) -> None:
        """Deletes the row; a second time does nothing."""
        await self._execute(delete(phone_numbers).where(phone_numbers.c.id == id_))
        self._rows.pop(id_, None)
        self._index()

    def delivered(self, number: str, trunk_id: str) -> None:
        """A trunk has delivered a call to it. Known at once, and written behind the call."""
        row = self._by_number.get(number)
        own = row.settings.get("offhook", {}) if row is not None else {}
        if row is None or own.get("trunk_id") == trunk_id:
            return
        changed = replace(row, settings={**row.settings, "offhook": {**own, "trunk_id": trunk_id}})
        self._rows[row.id] = self._by_number[number] = changed
        if self._writer is not None:
            self._writer.put(_DELIVERED, {"row": row.id, "settings": changed.settings})

    async def _execute(self, statement: Executable) -> bool:
        try:
            async with self._engine.begin() as connection:
                await connection.execute(statement)
        except IntegrityError:
            return False
        return True

    def _index(self) -> None:
        self._by_number = {row.number: row for row in self._rows.values()}
        lists: dict[str, list[str]] = {}
        for row in self._rows.values():
            lists.setdefault(row.project_id, []).append(row.number)
        self._of_project = {project: (frozenset(numbers), numbers[0]) for project, numbers in lists.items()}
        owned: dict[str, list[str]] = {}
        for row in self._rows.values():
            if row.endpoint_id is not None:
                owned.setdefault(row.endpoint_id, []).append(row.number)
        self._of_endpoint = {id_: tuple(numbers) for id_, numbers in owned.items()}
        shown = {row.number: row.settings.get("offhook", {}).get("caller_name") for row in self._rows.values()}
        self.names = {number: name for number, name in shown.items() if name}


def _from_row(row: dict[str, Any]) -> NumberRow:
    for name in ("created_at", "updated_at"):
        row[name] = row[name].replace(tzinfo=UTC)
    return NumberRow(**row)


def _values(row: NumberRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in NumberRow.__dataclass_fields__}
