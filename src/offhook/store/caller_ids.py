"""Numbers of others that may be shown as a caller, once they are verified (API.md 5.4), in memory for the call path."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.mirror import Mirror
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


class CallerIdRows(Mirror[CallerIdRow]):
    """All of the installation."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, caller_ids, CallerIdRow)
        self._verified: dict[str, frozenset[str]] = {}

    def verified(self, project_id: str) -> frozenset[str]:
        """The numbers that a project may show."""
        return self._verified.get(project_id, frozenset())

    async def create(self, **fields: Any) -> CallerIdRow | None:
        """A new row; None when the project has the number already."""
        return await self._insert(**fields)

    async def change(self, id_: str, **fields: Any) -> CallerIdRow | None:
        """The row with those fields changed; None when it is gone."""
        return await self._update(id_, **fields)

    def _index(self) -> None:
        found: dict[str, set[str]] = {}
        for row in self:
            if row.verified_at is not None:
                found.setdefault(row.project_id, set()).add(row.number)
        self._verified = {project: frozenset(numbers) for project, numbers in found.items()}
