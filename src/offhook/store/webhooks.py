"""Webhook subscriptions: which events go to which URL (API.md 12.5)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.mirror import Mirror
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


class Webhooks(Mirror[Webhook]):
    """All subscriptions."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, webhooks, Webhook)

    def of_project(self, project_id: str) -> list[Webhook]:
        """Those of a project, the oldest first."""
        return [one for one in self if one.project_id == project_id]

    async def create(
        self, project_id: str, name: str, url: str, types: tuple[str, ...], enabled: bool
    ) -> Webhook | None:
        """A new row; None when the project is gone."""
        return await self._insert(project_id=project_id, name=name, url=url, types=types, enabled=enabled)

    async def change(self, id_: str, **fields: Any) -> Webhook | None:
        """The row with these fields; None when it is gone."""
        return await self._update(id_, **fields)

    def _write(self, row: Webhook) -> dict[str, Any]:
        return super()._write(row) | {"types": list(row.types)}

    def _read(self, columns: dict[str, Any]) -> Webhook:
        return super()._read(columns | {"types": tuple(columns["types"])})
