"""Resources: whatever a call can lead to and that is no endpoint, number or trunk (API.md 4.1, 4.5, 6, 13.2), in memory."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Executable, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.addresses import Addresses
from offhook.store.changes import read_again
from offhook.store.identifiers import new_id
from offhook.store.tables import resources

NOT_CALLED = ("widget",)
"""Types without an address of their own."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One row. `settings` are the fields of its type as validated, without those that are columns here."""

    id: str
    project_id: str
    type: str
    name: str
    created_at: datetime
    updated_at: datetime
    settings: dict[str, Any] = field(default_factory=dict, repr=False)


class Resources:
    """All resources of the installation. Reads never wait; a write is committed before it is seen and returned. Each
    resource is given an address, which goes with it."""

    def __init__(self, engine: AsyncEngine, addresses: Addresses) -> None:
        self._engine = engine
        self._addresses = addresses
        self._rows: dict[str, Resource] = {}

    async def load(self) -> None:
        """Reads every row, and mends what a power cut left without an address."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(resources).order_by(resources.c.id))).mappings().all()
        self._rows = {row["id"]: _from_row(dict(row)) for row in rows}
        for one in self:
            await self._address(one)

    async def refresh(self, ids: Collection[str] | None) -> None:
        """Reads rows again that another process has changed (store/changes.py)."""
        found = await read_again(self._engine, resources, ids)
        for id_ in set(self._rows).union(found) if ids is None else ids:
            known = self._rows.get(id_)
            if id_ not in found:
                self._rows.pop(id_, None)
            elif known is None or found[id_]["updated_at"].replace(tzinfo=UTC) >= known.updated_at:
                self._rows[id_] = _from_row(found[id_])
        self._rows = dict(sorted(self._rows.items()))

    def __iter__(self) -> Iterator[Resource]:
        return iter(tuple(self._rows.values()))

    def get(self, id_: str) -> Resource | None:
        """By id."""
        return self._rows.get(id_)

    def of_type(self, project_id: str, *types: str) -> Iterator[Resource]:
        """Those of a project with one of the types, the oldest first."""
        return (one for one in self if one.project_id == project_id and one.type in types)

    async def create(
        self, project_id: str, type_: str, name: str, settings: dict[str, Any], id_: str | None = None
    ) -> Resource | None:
        """A new row with its address, committed; None when the id that it brings is taken."""
        now = datetime.now(UTC)
        row = Resource(id_ or new_id(), project_id, type_, name, now, now, settings)
        if not await self._execute(insert(resources).values(**_values(row))):
            return None
        self._rows[row.id] = row
        await self._address(row)
        return row

    async def change(self, id_: str, name: str, settings: dict[str, Any]) -> Resource | None:
        """The row with this name and these settings, committed; None when it is gone. Its address stays."""
        row = self._rows.get(id_)
        if row is None:
            return None
        changed = replace(row, name=name, settings=settings, updated_at=datetime.now(UTC))
        await self._execute(update(resources).where(resources.c.id == id_).values(**_values(changed)))
        self._rows[id_] = changed
        return changed

    async def remove(self, id_: str) -> None:
        """Deletes the row and its address; a second time does nothing."""
        await self._execute(delete(resources).where(resources.c.id == id_))
        self._rows.pop(id_, None)
        await self._addresses.remove_of(id_)

    async def _address(self, row: Resource) -> None:
        if row.type not in NOT_CALLED:
            await self._addresses.ensure(row.project_id, row.id, row.name)

    async def _execute(self, statement: Executable) -> bool:
        try:
            async with self._engine.begin() as connection:
                await connection.execute(statement)
        except IntegrityError:
            return False
        return True


def _values(row: Resource) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Resource.__dataclass_fields__}


def _from_row(row: dict[str, Any]) -> Resource:
    for name in ("created_at", "updated_at"):
        row[name] = row[name].replace(tzinfo=UTC)
    return Resource(**row)
