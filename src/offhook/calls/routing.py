"""Where does a call go: names and built-in destinations. The devices of an endpoint are chosen by preferences.py."""

import re

from offhook.calls.ports import SourceKind
from offhook.record import record
from offhook.sip.domains import parted, qualified
from offhook.sip.gruu import Gruu, Gruus
from offhook.sip.uri import Uri

BUILT_INS: dict[str, SourceKind | None] = {"echo": None, "tone": SourceKind.TONE, "music": SourceKind.MUSIC}
"""Destinations of every space; None means that the caller hears himself."""
ECHO = "echo"
SPEAKING = frozenset({"clock", "test"})
"""Destinations of every space that say something (speaking.py)."""


RESUME = "resume"
"""The destination that takes a call back (LIVE-13); an endpoint of that name goes before it."""

_CONFERENCE = re.compile(r"conference-([a-z0-9][a-z0-9_.-]{0,63})", re.IGNORECASE)


PREFIXES = ("client:", "verto:")
"""Both mean the endpoint of that name."""
ADDRESS = re.compile(r"/(?:private|public)/([^/?]+)(?:\?(.*))?", re.IGNORECASE)
_CHANNEL = re.compile(r"(?:^|&)channel=(audio|video)(?:&|$)", re.IGNORECASE)
PRIVATE = "/private/"
"""Begins the name of an address, which is looked for before an endpoint of the same name."""


@record
class Destination:
    """The user part that was dialled, and the built-in it names, if it does. With a GRUU it is its endpoint's, and only the
    bindings of one device are meant. `channel` is audio or video where the caller chose (API.md 1.8)."""

    user: str
    built_in: bool
    gruu: Gruu | None = None
    uri: Uri | None = None
    """As it was dialled; a number may need its parameters, a foreign URI its host."""
    channel: str = ""
    domain: str = ""
    """Where it was dialled, "" the canonical domain (offhook.sip.domains)."""

    @property
    def name(self) -> str:
        """What to look for."""
        return qualified(self.user, self.domain)


def destination_of(uri: Uri, gruus: Gruus | None = None) -> Destination:
    """A Request-URI of a host of ours; names are compared without regard to case (API.md 1.8)."""
    gruu = gruus.read(uri) if gruus is not None else None
    if gruu is not None:
        user, domain = parted(gruu.user)
        return Destination(user, False, gruu, uri, domain=domain)
    user, channel = _called(uri)
    domain = gruus.domains.of(uri.host) if gruus is not None else ""
    built_in = user.casefold() in BUILT_INS or speaks(user) or conference_of(user) is not None
    return Destination(user, built_in, None, uri, channel, domain)


def _called(uri: Uri) -> tuple[str, str]:
    """The name, and the channel that it asks for; `/private/bob` and `/public/bob` are one address."""
    user = uri.unescaped_user.strip()
    if uri.password and f"{user.lower()}:" in PREFIXES:
        # `sip:client:bob@host`: what looks like a password is the name.
        return uri.password, ""
    for prefix in PREFIXES:
        if user.lower().startswith(prefix):
            return user[len(prefix) :], ""
    address = ADDRESS.fullmatch(user)
    if address is None:
        return user, ""
    channel = _CHANNEL.search(address.group(2) or "")
    return f"{PRIVATE}{address.group(1)}", channel.group(1).lower() if channel is not None else ""


def speaks(user: str) -> bool:
    """Whether a dialled name is a built-in that says something."""
    return user.casefold() in SPEAKING


def source_of(destination: Destination) -> SourceKind | None:
    """What a built-in plays; None for echo."""
    return BUILT_INS[destination.user.casefold()]


def conference_of(user: str) -> str | None:
    """The conference that a dialled name means; names are compared without regard to case."""
    found = _CONFERENCE.fullmatch(user)
    return found.group(1).casefold() if found is not None else None


def room_of(destination: Destination) -> str | None:
    """The same with its domain: two may have conferences of one name."""
    name = conference_of(destination.user)
    return qualified(name, destination.domain) if name is not None else None
