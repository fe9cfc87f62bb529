"""Where does a call go: names, built-in destinations, the devices of an endpoint."""

from dataclasses import dataclass

from offhook.calls.ports import SourceKind
from offhook.sip.flow import Flow
from offhook.sip.location import Binding
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


def devices_to_ring(bindings: tuple[Binding, ...], caller: Flow, limit: int) -> tuple[Binding, ...]:
    """Every device at once, best q first; the device that calls is not rung when somebody calls himself."""
    others = [one for one in bindings if one.flow.id != caller.id]
    return tuple(sorted(others, key=lambda one: -one.q)[:limit])
