"""What the API needs for browser tokens (API.md 4.3)."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a good token speaks for: `subject` is an endpoint's user name or a guest's. `addresses` are the ids of those that
    a guest may call; `ends_at` in Unix seconds; `fingerprint` of the key whose holder may renew the token, "" for nobody."""

    project_id: str
    subject: str
    tier: str
    addresses: tuple[str, ...]
    ends_at: int
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A token and what it is renewed with."""

    token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a token is no good: a code of the catalogue and a sentence."""

    code: str
    text: str


class TokenOffice(Protocol):
    """Makes and reads tokens."""

    def unix(self) -> int:
        """Unix time."""
        ...

    def guest(self, tier: str, addresses: tuple[str, ...], widget: str = "") -> str:
        """A new name of a guest."""
        ...

    def issue(
        self, subject: str, tier: str, ends_at: int, origin: str = "", fingerprint: str = "", scope: str = ""
    ) -> Pair:
        """A token until then, and one to renew it with that lives five minutes longer. With the scope `sat:refresh` whoever
        holds the key of the fingerprint may renew it too."""
        ...

    def unproven(self, proof: str, fingerprint: str, path: str, token: str | None) -> str:
        """Why a proof (RFC 9449) does not come from the holder of that key; "" if it does."""
        ...

    def renewable(self, holder: Holder, seconds: int) -> dict[str, Any]:
        """The next token of a page that has proved its key: `token`, `expires_at` in Unix seconds, `expires_in`."""
        ...

    async def renew(self, refresh_token: str) -> Pair | Wrong:
        """A new pair that lives as long as the old; the old refresh token is spent."""
        ...

    def holder(self, token: str, origin: str) -> Holder | Wrong:
        """Whom a token speaks for, here and now."""
        ...
