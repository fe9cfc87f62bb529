"""What the API needs of recordings (API.md 13.3)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class RecordingDesk(Protocol):
    """What belongs to another project is not there."""

    async def page(self, project: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """A page of recordings."""
        ...

    async def get(self, project: str, id_: str) -> dict[str, Any] | None:
        """One."""
        ...

    async def remove(self, project: str, id_: str) -> bool:
        """A recording goes with its file; False while it runs."""
        ...

    async def media(self, id_: str) -> tuple[str, Path] | None:
        """Its project and its file, if there is one."""
        ...

    def protected(self, project: str) -> bool:
        """True if nobody hears recordings of the project without credentials (`protect_recordings`)."""
        ...
