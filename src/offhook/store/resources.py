"""Resources: whatever a call can lead to and that is no endpoint, number or trunk (API.md 4.1, 4.5, 6, 13.2), in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.addresses import Addresses
from offhook.store.identifiers import new_id
from offhook.store.mirror import Mirror
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


class Resources(Mirror[Resource]):
    """All resources of the installation. Each is given an address, which goes with it."""

    def __init__(self, engine: AsyncEngine, addresses: Addresses) -> None:
        super().__init__(engine, resources, Resource)
        self._addresses = addresses

    async def load(self) -> None:
        """Reads every row, and mends what a power cut left without an address."""
        await super().load()
        for one in self:
            await self._address(one)

    def of_type(self, project_id: str, *types: str) -> Iterator[Resource]:
        """Those of a project with one of the types, the oldest first."""
        return (one for one in self if one.project_id == project_id and one.type in types)

    async def create(
        self, project_id: str, type_: str, name: str, settings: dict[str, Any], id_: str | None = None
    ) -> Resource | None:
        """A new row with its address; None when the id that it brings is taken."""
        id_ = id_ or new_id()
        async with self._turns.of(id_):
            row = await self._insert(id=id_, project_id=project_id, type=type_, name=name, settings=settings)
            if row is not None:
                await self._address(row)
            return row

    async def change(self, id_: str, name: str, settings: dict[str, Any]) -> Resource | None:
        """The row with this name and these settings; None when it is gone. Its address stays."""
        return await self._update(id_, name=name, settings=settings)

    async def remove(self, id_: str) -> None:
        """Deletes the row and its address; a second time does nothing."""
        await super().remove(id_)
        await self._addresses.remove_of(id_)

    async def _address(self, row: Resource) -> None:
        if row.type not in NOT_CALLED:
            await self._addresses.ensure(row.project_id, row.id, row.name)
