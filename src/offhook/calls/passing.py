"""What of one leg is shown to another (CALL-19, CALL-20), and how privacy is kept (RFC 3323, RFC 3325).

Everything that is not named here stops: Via, Contact, Call-ID, tags, addresses, User-Agent and session descriptions of one
leg never appear on another.
"""

from offhook.calls.leg import Leg
from offhook.calls.outcome import Outcome, refusal
from offhook.sip.domains import aor_of
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_name_addr, quote
from offhook.sip.grammar import CONTROL, TOKEN
from offhook.sip.message import Headers, Request

ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'
"""RFC 3323 section 4.1.1.3."""

ALWAYS = frozenset({"Subject", "Priority", "Reason", "User-to-User", "Referred-By"})
"""Fields that cross inside a space."""
ALERTS = frozenset({"Alert-Info", "Call-Info"})
"""They make the callee's device fetch something or ring otherwise, so they need the right `alert`."""
PAGES = frozenset({"Answer-Mode", "Priv-Answer-Mode"})
"""RFC 5373: they make the callee's device answer by itself, so they need the right `page`."""
AUTO_ANSWER = ("answer-after", "auto-answer", "auto answer", "intercom", "alert-autoanswer")
"""Marks in Call-Info and Alert-Info that mean the same in shipping devices."""
USER_TO_USER = 256
"""Octets of User-to-User data that cross; RFC 7433 section 4.3 speaks of 128 and is often exceeded."""
MOST = 30
"""X- fields of one message that cross; a device makes a handful."""
PRIVACY = frozenset({"header", "session", "user", "id", "none", "critical", "history"})


def privacy_of(headers: Headers) -> frozenset[str]:
    """The values of Privacy, lower case."""
    values = ";".join(headers.all("Privacy")).replace(",", ";").split(";")
    return frozenset(value.strip().lower() for value in values if value.strip())


def privacy_refusal(headers: Headers) -> Outcome | None:
    """RFC 3323 section 5: `critical` with a kind of privacy that we cannot give has to fail."""
    asked = privacy_of(headers)
    unknown = sorted(asked - PRIVACY)
    if "critical" not in asked or not unknown:
        return None
    return refusal("privacy_not_available", f"Privacy {', '.join(unknown)} is critical and not known here")


def withheld(leg: Leg) -> bool:
    """True when the party behind this leg wants to stay unknown."""
    if leg.request is None:
        # Of a call from before a restart only this is kept.
        return leg.identity == ANONYMOUS
    given = _from_of(leg.request)
    if "none" in privacy_of(leg.request.headers):
        return False
    anonymous = given[1] == "anonymous.invalid" or given[2].casefold() == "anonymous"
    return anonymous or bool(privacy_of(leg.request.headers) & {"id", "user"})


def identity(leg: Leg, domain: str) -> str:
    """Display name and address of the party behind a leg, as others see it: a complete From value without tag."""
    if leg.identity:
        return leg.identity
    if withheld(leg) or leg.account is None:
        return ANONYMOUS
    display = _from_of(leg.request)[0] if leg.request is not None else ""
    name = leg.account.caller_id or display
    return f"{quote(name) + ' ' if name else ''}<{aor_of(leg.account.username, domain)}>"


def _from_of(request: Request) -> tuple[str, str, str]:
    """(display name, host, user) of From."""
    try:
        given = parse_name_addr(request.headers.get("From") or "")
    except PeerError:
        return "", "", ""
    return given.display, given.uri.host, given.uri.unescaped_user


def crossing(request: Request, rights: frozenset[str], rules: tuple[str, ...] = ()) -> tuple[tuple[str, str], ...]:
    """The fields of an INVITE that go on to the devices called inside the space. `rules` are further names that may."""
    named = {name.lower() for name in rules}
    passed = [(name, value) for name, value in request.headers if _crosses(name, value, rights, named)]
    own = [one for one in passed if one[0][:2].lower() == "x-"][MOST:]
    return tuple(one for one in passed if one not in own)


def _crosses(name: str, value: str, rights: frozenset[str], named: set[str]) -> bool:
    if name == "User-to-User":
        crosses = len(value.encode("utf-8", "surrogateescape")) <= USER_TO_USER
    elif name in PAGES:
        crosses = "page" in rights
    elif name in ALERTS:
        needed = "page" if any(mark in value.lower() for mark in AUTO_ANSWER) else "alert"
        crosses = needed in rights
    else:
        crosses = name in ALWAYS or name[:2].lower() == "x-" or name.lower() in named
    # Nor does what we may not write ourselves.
    return crosses and not CONTROL.search(value) and TOKEN.fullmatch(name) is not None
