"""What the fabric family of the API needs of the store: resources and their addresses (API.md sections 4 and 6)."""

from collections.abc import Iterator
from typing import Any, Protocol

from offhook.api.rows import Changing, Rows, Stored


class ResourceRow(Changing, Protocol):
    """A resource as stored; `settings` are the fields of its type, as validated."""

    @property
    def type(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> dict[str, Any]: ...


class ResourceRows(Rows[ResourceRow], Protocol):
    """The resources. Writes are committed when they return; `create` is None when the id it brings is taken."""

    def of_type(self, project_id: str, *types: str) -> Iterator[ResourceRow]: ...
    async def create(
        self, project_id: str, type_: str, name: str, settings: dict[str, Any], id_: str | None = None
    ) -> ResourceRow | None: ...
    async def change(self, id_: str, name: str, settings: dict[str, Any]) -> ResourceRow | None: ...
    async def remove(self, id_: str) -> None: ...


class AddressRow(Stored, Protocol):
    """The name under which an endpoint or a resource is called (API.md 4.4)."""

    @property
    def owner_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def locked(self) -> bool: ...


class AddressRows(Rows[AddressRow], Protocol):
    """The addresses; they come and go with their owners."""

    def of(self, owner_id: str) -> AddressRow | None: ...
    def named(self, project_id: str, name: str) -> AddressRow | None: ...
    async def lock(self, id_: str, locked: bool) -> AddressRow | None: ...
