"""Webhook subscriptions: which events go to which URL (API.md 12.5)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.changes import read_again
from offhook.store.identifiers import new_id
from offhook.store.tables import webhooks


@dataclass(frozen=True, slots=True)
class Webhook:
    """`types` are types of events and families as `call.*`; none means all."""

    id: str
    project_id: str
    name: str
    url: str
    types: tuple[str, ...]
    enabled: bool
    created_at: datetime
    updated_at: datetime


class Webhooks:
    """All subscriptions. Reads never wait; a write is committed before it is seen and returned."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._rows: dict[str, Webhook] = {}

    async def load(self) -> None:
        """Reads every row."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(webhooks).order_by(webhooks.c.id))).mappings().all()
        self._rows = {row["id"]: _from_row(dict(row)) for row in rows}

    async def refresh(self, ids: Collection[str] | None) -> None:
        """Reads rows again that another process has changed (store/changes.py)."""
        found = await read_again(self._engine, webhooks, ids)
        for id_ in set(self._rows).union(found) if ids is None else ids:
            self._rows.pop(id_, None)
            if id_ in found:
                self._rows[id_] = _from_row(found[id_])

    def __iter__(self) -> Iterator[Webhook]:
        return iter(tuple(self._rows.values()))

    def of_project(self, project_id: str) -> list[Webhook]:
        """Those of a project, the oldest first."""
        return [one for one in self if one.project_id == project_id]

    def get(self, id_: str) -> Webhook | None:
        """By id."""
        return self._rows.get(id_)

    async def create(self, project_id: str, name: str, url: str, types: tuple[str, ...], enabled: bool) -> Webhook:
        """A new row, committed."""
        now = datetime.now(UTC)
        row = Webhook(new_id(), project_id, name, url, types, enabled, now, now)
        async with self._engine.begin() as connection:
            await connection.execute(insert(webhooks).values(**_values(row)))
        self._rows[row.id] = row
        return row

    async def change(self, id_: str, **fields: Any) -> Webhook | None:
        """The row with these fields, committed; None when it is gone."""
        row = self._rows.get(id_)
        if row is None:
            return None
        changed = replace(row, **fields, updated_at=datetime.now(UTC))
        async with self._engine.begin() as connection:
            await connection.execute(update(webhooks).where(webhooks.c.id == id_).values(**_values(changed)))
        self._rows[id_] = changed
        return changed

    async def remove(self, id_: str) -> None:
        """Deletes the row; a second time does nothing."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(webhooks).where(webhooks.c.id == id_))
        self._rows.pop(id_, None)


def _values(row: Webhook) -> dict[str, Any]:
    return {**{name: getattr(row, name) for name in Webhook.__dataclass_fields__}, "types": list(row.types)}


def _from_row(row: dict[str, Any]) -> Webhook:
    for name in ("created_at", "updated_at"):
        row[name] = row[name].replace(tzinfo=UTC)
    return Webhook(**{**row, "types": tuple(row["types"])})
