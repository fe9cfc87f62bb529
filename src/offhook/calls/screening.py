"""Whom an endpoint does not want to hear from, and whom it may not call (RFC 5359 sections 2.13 and 2.14)."""

from offhook.calls import passing
from offhook.calls.call import Call
from offhook.calls.fork import Fork
from offhook.calls.leg import Leg
from offhook.calls.numbers import dialled_in
from offhook.calls.outcome import Outcome, refusal
from offhook.sip.domains import parted
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_name_addr
from offhook.sip.location import Account

ANONYMOUS = "anonymous"
"""Entry of a list that means every caller who withholds his name."""


def refused(call: Call, one: Fork, callee: Account | None) -> Outcome | None:
    """Why the call may not be placed, or is not wanted; None lets it through."""
    if one.rights is not None and one.rights.block_targets:
        names = _dialled(call, one)
        if any(matches(name, one.rights.block_targets) for name in names):
            return refusal("target_blocked", f"{one.rights.username} may not call {names[0]}")
    if callee is None:
        return None
    name = caller_name(one.party)
    user, domain = parted(name)
    near = domain == parted(callee.username)[1]
    if matches(name, callee.block_callers) or (near and matches(user, callee.block_callers)):
        return refusal("caller_blocked", f"{callee.username} takes no calls from here")
    return None


def _dialled(call: Call, one: Fork) -> list[str]:
    """The name as it was dialled and, for numbers, what it comes to: separators and prefixes get around no list."""
    if one.destination is None:
        return [""]
    uri, out = one.destination.uri, call.index.outbound
    if uri is None:
        return [one.destination.user, one.destination.name]
    number = out.number(uri) if out is not None else None
    return [one.destination.user, one.destination.name, dialled_in(uri), *([number] if number is not None else [])]


def caller_name(leg: Leg) -> str:
    """The name or number under which a party is shown."""
    if passing.withheld(leg):
        return ANONYMOUS
    if leg.account is not None:
        return leg.account.username
    try:
        return parse_name_addr(leg.identity).uri.unescaped_user
    except PeerError:
        return ANONYMOUS


def matches(name: str, entries: tuple[str, ...]) -> bool:
    """Names are whole and without regard to case; an entry that ends with * means all that begin so."""
    folded = name.casefold()
    return any(
        folded.startswith(entry[:-1].casefold()) if entry.endswith("*") else folded == entry.casefold()
        for entry in entries
    )
