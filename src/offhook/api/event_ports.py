"""What the API needs of events, webhook subscriptions and deliveries (API.md 12.5)."""

import asyncio
from typing import Any, Protocol

from offhook.api.rows import Changing


class EventDesk(Protocol):
    """Events that have been committed. `news` is set, and replaced, whenever more have been: take it before you look.
    Every event behind the cursor `oldest` is kept. `closed`: the server stops."""

    @property
    def news(self) -> asyncio.Event: ...
    def closed(self) -> bool: ...
    @property
    def oldest(self) -> int: ...
    @property
    def look(self) -> float:
        """Seconds after which to look without news: other nodes may have written."""
        ...

    async def last(self) -> int:
        """The cursor after which only what is yet to come follows."""
        ...

    async def read(
        self, project_id: str, types: tuple[str, ...], call_ref: str, endpoint_id: str, after: int, most: int
    ) -> tuple[list[dict[str, Any]], int, bool]:
        """The first `most` behind a cursor as API.md shows them, the cursor to go on after, whether there may be more."""
        ...

    def stream(self) -> bool:
        """Takes one of the places for streams (events.streams); False when none is free."""
        ...

    def stream_ended(self) -> None:
        """Gives it back."""
        ...

    def config_changed(self, project_id: str, data: dict[str, Any], request_id: str) -> None:
        """Tells that something has been set up differently."""
        ...


class WebhookRow(Changing, Protocol):
    """A subscription as stored."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def types(self) -> tuple[str, ...]: ...
    @property
    def enabled(self) -> bool: ...


class WebhookDesk(Protocol):
    """Subscriptions and deliveries. Writes commit before they return; None when the row is gone."""

    def of_project(self, project_id: str) -> list[Any]: ...
    def get(self, id_: str) -> WebhookRow | None: ...
    async def create(
        self, project_id: str, name: str, url: str, types: tuple[str, ...], enabled: bool
    ) -> WebhookRow | None: ...
    async def change(self, id_: str, **fields: Any) -> WebhookRow | None: ...
    async def remove(self, id_: str) -> None: ...

    async def ping(self, id_: str, request_id: str) -> str:
        """Sends a trial; the id of its delivery, which is committed."""
        ...

    async def refusal(self, project_id: str, url: str) -> tuple[str, str] | None:
        """Code and words (`it …`) for a URL that nothing may be sent to."""
        ...

    async def deliveries(
        self, project_id: str, most: int, before: str, after: str, state: str, call_ref: str, url: str
    ) -> list[dict[str, Any]]:
        """As API.md 12.5 shows them, newest first: those older than the id `before`, or the next newer than `after`."""
        ...

    async def delivery(self, project_id: str, id_: str) -> dict[str, Any] | None: ...

    async def retry(self, project_id: str, id_: str) -> dict[str, Any] | None:
        """The delivery, pending once more."""
        ...
