"""Identifiers and randomness are arguments: whoever runs the core passes an `Ids` in."""

from typing import Protocol


class Ids(Protocol):
    """A source of identifiers: the system's generator in service, a seeded one in tests."""

    def token(self) -> str:
        """At least 64 random bits as SIP token characters: tags, Call-IDs, branches, Contact users."""
        ...

    def ref(self) -> str:
        """A lower-case UUID version 7, whose order is the order of creation (`call_ref`, `leg_ref`)."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A random number in [low, high]."""
        ...

    def octets(self, count: int) -> bytes:
        """`count` random octets fit for cryptography."""
        ...
