"""What the API needs of devices (API.md 12.2)."""

from typing import Any, Protocol


class DeviceDesk(Protocol):
    """Devices of endpoints, registered or not, as the API shows them."""

    def all(self) -> list[dict[str, Any]]:
        """Every device of the installation, without figures."""
        ...

    def one(self, id_: str) -> dict[str, Any] | None:
        """By id."""
        ...

    async def with_figures(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The same with `calls_30d` and `mos_30d` from the log."""
        ...

    async def change(self, id_: str, fields: dict[str, Any]) -> dict[str, Any] | None:
        """Sets `name`, `ring` or `blocked`; a device that is blocked loses its registrations. None when it is gone."""
        ...

    async def remove(self, id_: str) -> None:
        """Forgets a device and takes its registrations away; one that registers again is a new one."""
        ...

    async def block_for(self, id_: str, seconds: int) -> None:
        """Keeps a device away for a time."""
        ...

    async def call(self, endpoint_id: str, instance_id: str, name: str) -> None:
        """Keeps the name that a page gives its device."""
        ...
