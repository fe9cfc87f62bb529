"""What the called party of a trunk sees of the caller, and what a carrier tells us of its callers (TRK-8, RFC 3325).

Lives here: choosing the number, writing and reading From, PAI, RPID and Privacy. Never here: number formats (numbers.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from offhook.calls.numbers import dialled_in, looks_dialled
from offhook.calls.passing import ANONYMOUS
from offhook.calls.trunk import Trunk
from offhook.sip.errors import PeerError
from offhook.sip.fields import NameAddr, parse_name_addr, quote, readable_list
from offhook.sip.message import Headers, Request

HINTS = ("P-Preferred-Identity", "P-Asserted-Identity", "Remote-Party-ID")
"""Where an endpoint says which of its numbers it wants shown, best first; hints, never passed."""


@dataclass(frozen=True, slots=True)
class CallerNumbers:
    """Numbers that an endpoint may show: its `own`, and those `of_space` (ours or verified); `chosen` is its setting;
    `names` are display names that go with a number, in place of the endpoint's own."""

    own: tuple[str, ...] = ()
    of_space: frozenset[str] = frozenset()
    default: str | None = None
    chosen: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def may(self, number: str) -> bool:
        """True if the endpoint owns or has verified it."""
        return number in self.own or number in self.of_space


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as call control knows him: the display name he may show, and whether he withholds his identity.

    `number` is what the call came in with (a foreign caller's, for forwarded calls); None for an endpoint of ours.
    """

    name: str = ""
    withheld: bool = False
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """From without tag, and the fields beside it. `refused` is a number that was asked for and may not be shown."""

    from_: str
    fields: tuple[tuple[str, str], ...] = ()
    number: str | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a carrier said of its caller. `number` is E.164 or None; `shown` is the user part as it came."""

    number: str | None
    name: str
    withheld: bool
    shown: str = field(default="")


def asked_number(headers: Headers, normal: Callable[[str], str | None]) -> str | None:
    """The number that an endpoint asks to be shown with, as E.164."""
    for name in HINTS:
        value = _first(headers, name)
        if value is not None and looks_dialled(value.uri.unescaped_user):
            return normal(dialled_in(value.uri))
    return None


def show(
    trunk: Trunk, caller: Caller, numbers: CallerNumbers, asked: str | None, written: Callable[[str], str]
) -> Shown:
    """From and identity fields for this trunk; `written` gives a number the trunk's form.

    Order: the request's wish, the endpoint's setting, the space's number; nothing fits: anonymous.
    """
    number, refused = _chosen(trunk, caller, numbers, asked)
    billing = trunk.caller_id.number or number or numbers.default
    display = numbers.names.get(number or "") or caller.name
    name = quote(display) + " " if display and trunk.caller_id.name else ""
    if caller.withheld or number is None:
        fields = _identity(trunk, "", billing, written, private=True)
        return Shown(ANONYMOUS, (*fields, ("Privacy", "id")), None, refused)
    user = trunk.from_user or written(number)
    return Shown(
        f"{name}<sip:{user}@{trunk.domain}>", _identity(trunk, name, number, written, private=False), number, refused
    )


def _chosen(trunk: Trunk, caller: Caller, numbers: CallerNumbers, asked: str | None) -> tuple[str | None, str]:
    if trunk.caller_id.policy == "fixed":
        return trunk.caller_id.number, ""
    if trunk.caller_id.policy == "passthrough" and caller.number is not None:
        return caller.number, ""
    refused = asked if asked is not None and not numbers.may(asked) else ""
    if asked is not None and not refused:
        return asked, ""
    wishes = (numbers.chosen, *numbers.own, numbers.default, trunk.caller_id.number)
    return next((one for one in wishes if one), None), refused or ""


def _identity(
    trunk: Trunk, name: str, number: str | None, written: Callable[[str], str], private: bool
) -> tuple[tuple[str, str], ...]:
    if number is None or trunk.caller_id.identity == "none":
        return ()
    address = f"{name}<sip:{written(number)}@{trunk.domain}>"
    if trunk.caller_id.identity == "rpid":
        privacy = "full" if private else "off"
        return (("Remote-Party-ID", f"{address};party=calling;screen=yes;privacy={privacy}"),)
    return (("P-Asserted-Identity", address),)


# ---- privacy asked for


def withheld(headers: Headers) -> bool:
    """True if the caller's identity must not be shown: an anonymous From, or Privacy with id or user. What `header` asks for
    (RFC 3323 section 4.2: Via, Contact and the like) crosses to nobody anyway, and is not who calls."""
    sender = _first(headers, "From")
    if sender is not None and _anonymous(sender):
        return True
    return bool(_privacies(headers) & {"id", "user"})


def _privacies(headers: Headers) -> set[str]:
    return {part.strip().lower() for line in headers.all("Privacy") for part in line.replace(",", ";").split(";")} - {
        ""
    }


def _anonymous(value: NameAddr) -> bool:
    return value.uri.host == "anonymous.invalid" or value.uri.unescaped_user.casefold() == "anonymous"


# ---- what a carrier says


def identity_of(request: Request, normal: Callable[[str], str | None]) -> Identity:
    """The caller of an inbound call: PAI, then RPID, then From; a trunk is trusted to assert (RFC 3324)."""
    headers = request.headers
    hidden = withheld(headers)
    sender = _first(headers, "From")
    for name in ("P-Asserted-Identity", "Remote-Party-ID", "From"):
        value = _first(headers, name)
        if value is None or _anonymous(value):
            continue
        hidden = hidden or (name == "Remote-Party-ID" and value.params.get("privacy") in ("full", "uri", "name"))
        user = value.uri.unescaped_user
        display = value.display or (sender.display if sender is not None else "")
        number = normal(dialled_in(value.uri)) if looks_dialled(user) else None
        return Identity(number, display, hidden, user)
    return Identity(None, "", True)


def shown_inside(identity: Identity, domain: str) -> str:
    """From towards a device of ours, without tag."""
    if identity.withheld:
        return ANONYMOUS
    user = identity.number or "".join(one for one in identity.shown if one.isalnum() or one in "+-_.") or "unknown"
    name = identity.name if identity.name and identity.name != identity.shown else ""
    return f"{quote(name) + ' ' if name else ''}<sip:{user}@{domain}>"


def _first(headers: Headers, name: str) -> NameAddr | None:
    for line in headers.all(name):
        for text in readable_list(line) if name != "From" else [line]:
            try:
                value = parse_name_addr(text)
            except PeerError:
                continue
            if value.uri.scheme in ("sip", "sips", "tel"):
                return value
    return None
