"""Where does a call go: names and built-in destinations. The devices of an endpoint are chosen by preferences.py."""

from dataclasses import dataclass

from offhook.calls.ports import SourceKind
from offhook.sip.uri import Uri

BUILT_INS: dict[str, SourceKind | None] = {"echo": None, "tone": SourceKind.TONE, "music": SourceKind.MUSIC}
"""Destinations of every space; None means that the caller hears himself."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The user part that was dialled, and the built-in it names, if it does."""

    user: str
    built_in: bool


def destination_of(uri: Uri) -> Destination:
    """A Request-URI of a host of ours; names are compared without regard to case (API.md 1.8)."""
    user = uri.unescaped_user.strip()
    return Destination(user, user.casefold() in BUILT_INS)


def source_of(destination: Destination) -> SourceKind | None:
    """What a built-in plays; None for echo."""
    return BUILT_INS[destination.user.casefold()]
