"""Numbers of the space: what a call to each leads to (API.md section 5), in memory for the call path."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.mirror import Mirror
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


class NumberRows(Mirror[NumberRow]):
    """All numbers of the installation. `writer` takes what the call path has to say."""

    def __init__(self, engine: AsyncEngine, writer: Writer | None = None) -> None:
        super().__init__(engine, phone_numbers, NumberRow)
        self._writer = writer
        self._by_number: dict[str, NumberRow] = {}
        self._of_endpoint: dict[str, tuple[str, ...]] = {}
        self._of_project: dict[str, tuple[frozenset[str], str | None]] = {}
        self.names: dict[str, str] = {}
        """Display names that go with numbers shown to the outside."""

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
        """A new row; None when the number is taken."""
        return await self._insert(**fields)

    async def change(self, id_: str, **fields: Any) -> NumberRow | None:
        """The row with those fields changed; None when it is gone."""
        return await self._update(id_, **fields)

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
