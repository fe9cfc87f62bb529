"""What the API's numbers, caller ids and applications need of the rest of the house (API.md sections 5 and 6)."""

from datetime import datetime
from typing import Any, Protocol

from offhook.api.rows import Changing, PlainRows
from offhook.sip.secret import Secret


class CallerIdRow(Protocol):
    """A number of others that may be shown once it is verified."""

    @property
    def id(self) -> str: ...
    @property
    def project_id(self) -> str: ...
    @property
    def number(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def extension(self) -> str | None: ...
    @property
    def verified_at(self) -> datetime | None: ...
    @property
    def code_sha256(self) -> str: ...
    @property
    def code_until(self) -> datetime | None: ...
    @property
    def tries(self) -> int: ...


class CallerIdRows(PlainRows[CallerIdRow], Protocol):
    """The caller ids. `create` is None when the project has the number already, `change` when the row is gone."""

    def verified(self, project_id: str) -> frozenset[str]: ...


class ApplicationRow(Changing, Protocol):
    """A domain application or a SIP address."""

    @property
    def type(self) -> str: ...
    @property
    def identifier(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> dict[str, Any]: ...
    @property
    def ha1_md5(self) -> Secret: ...
    @property
    def ha1_sha256(self) -> Secret: ...


class ApplicationRows(PlainRows[ApplicationRow], Protocol):
    """The applications. `create` and `change` are None when the identifier is taken."""

    def named(self, identifier: str) -> ApplicationRow | None: ...


class Reception(Protocol):
    """What is kept beside numbers, and what the running server does with it."""

    caller_ids: CallerIdRows
    applications: ApplicationRows
    ip_auth_entries: int
    """`limits.ip_auth_entries`."""

    def country(self, project_id: str) -> str:
        """ISO 3166 country by whose rules a project's numbers are read."""
        ...

    def is_ours(self, host: str) -> bool:
        """True for a host that means this server."""
        ...

    async def read_code(self, row: CallerIdRow, code: str) -> tuple[str, str] | None:
        """Calls the number and reads the six digits; None when the call is on its way, else code and words of why it cannot
        be made."""
        ...

    def uri_of(self, row: ApplicationRow) -> str:
        """Where it is really called."""
        ...

    def application_changed(self, id_: str) -> None:
        """A URI that strangers may call is new, has changed or is gone."""
        ...
