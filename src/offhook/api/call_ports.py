"""What the API needs of call control: legs, commands on them, the log (API.md sections 8, 9 and 12.3)."""

from collections.abc import Mapping
from typing import Any, Protocol

from offhook.calls.commands import LegCommand, Place, RecordCommand, StreamCommand
from offhook.calls.document import Document

Wished = LegCommand | StreamCommand | RecordCommand
"""What a request can ask of a leg."""
Refusal = tuple[str, str]
"""A code and a sentence."""


class CallDesk(Protocol):
    """Legs are shown as section 8 says, log rows as section 9. An id may be that of any leg, or of the call; what belongs to
    another project is not there."""

    def read_swml(self, value: object) -> Document:
        """SWML as it stands in a request: an object, or text. Raises calls.document.Broken."""
        ...

    async def url_refusal(self, project: str, url: str) -> Refusal | None:
        """Why a document or webhook may not be at a URL: `not_an_http_url` or `url_is_unsafe`."""
        ...

    async def stream_address(self, project: str, url: str) -> str | Refusal:
        """Address and port behind a ws:// or wss:// URL that may be connected; or why it may not."""
        ...

    def refusal(self, project: str, command: Place) -> tuple[str, str, str] | None:
        """Why a call cannot be placed, as far as it is known without a packet: the field, a code and a sentence."""
        ...

    def place(self, command: Place, url: str) -> dict[str, Any] | None:
        """Places a call, now or when its turn comes; its leg. None: too many wait."""
        ...

    def legs(self, project: str) -> list[dict[str, Any]]:
        """Live legs and those that wait to be placed."""
        ...

    async def leg(self, project: str, id_: str) -> dict[str, Any] | None:
        """One leg, also after its end."""
        ...

    def judge(self, project: str, command: Wished) -> Refusal | None:
        """Why a command cannot be carried out: `call_not_found`, `not_found` for what runs on it, or a
        code of section 8.2."""
        ...

    def perform(self, command: Wished) -> None:
        """Carries it out; the outcome is an event."""
        ...

    async def logs(self, project: str, query: Mapping[str, Any], path: str, page: Mapping[str, str]) -> dict[str, Any]:
        """A page of the log. `query` are filters by their names in section 9."""
        ...

    async def log(self, project: str, id_: str) -> dict[str, Any] | None:
        """One row of the log."""
        ...

    async def log_events(self, project: str, id_: str) -> list[dict[str, Any]] | None:
        """What happened on a leg, in order of time; None if there is no such row."""
        ...

    async def quality(self, project: str, ref: str) -> list[dict[str, Any]] | None:
        """Samples of a call's legs, one each 5 s; None if no call has this id."""
        ...

    def client_report(self, project: str, ref: str, username: str, report: Mapping[str, Any]) -> bool:
        """What a page says about a call of its endpoint, "" for any of the project's; False if there is none."""
        ...
