"""Errors of the SIP layer.

SipError
├── PeerError                 the peer's fault; carries the status to answer with and the words that say why
│   ├── MalformedMessage      400: breaks the grammar
│   │   └── FramingLost       400, and where the next message begins is unknown: close the connection (WebSocket: 1002)
│   ├── TooLarge              400, or 513 where the whole message is too large: over a named limit
│   ├── UnsupportedVersion    505
│   └── Silence               nothing may be answered (a broken response, no usable Via)
└── Misuse                    our fault: a bug
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offhook.sip.message import Request


class SipError(Exception):
    """Base of all."""


class PeerError(SipError):
    """`partial` is as much of a request as could be read, for a stateless answer; None if nothing can be answered."""

    def __init__(
        self, text: str, partial: "Request | None" = None, status: int = 400, slug: str = "request-malformed"
    ) -> None:
        super().__init__(text)
        self.partial, self.status, self.slug = partial, status, slug


class MalformedMessage(PeerError):
    """Breaks the grammar; the text names the place."""


class FramingLost(MalformedMessage):
    """What follows on the connection cannot be trusted: answer, then close it; a WebSocket with 1002 (WS-3)."""


class TooLarge(PeerError):
    """Over a parser limit; the text names the limit and its number."""

    def __init__(self, limit: str, number: int, partial: "Request | None" = None, status: int = 400) -> None:
        super().__init__(f"more than limits.{limit} ({number})", partial, status, "request-too-large")
        self.limit = limit


class UnsupportedVersion(PeerError):
    """Not SIP/2.0."""

    def __init__(self, text: str, partial: "Request | None" = None) -> None:
        super().__init__(text, partial, 505)


class Silence(PeerError):
    """Not to be answered."""


class Misuse(SipError):
    """A call that the caller's own state forbids."""
