"""Whom an endpoint does not want to hear from, and whom it may not call (RFC 5359 sections 2.13 and 2.14)."""

from offhook.calls import passing
from offhook.calls.fork import Fork
from offhook.calls.leg import Leg
from offhook.calls.outcome import Outcome, refusal
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_name_addr
from offhook.sip.location import Account

ANONYMOUS = "anonymous"
"""Entry of a list that means every caller who withholds his name."""


def refused(one: Fork, callee: Account | None) -> Outcome | None:
    """Why the call may not be placed, or is not wanted; None lets it through."""
    dialled = one.destination.user if one.destination is not None else ""
    if one.rights is not None and matches(dialled, one.rights.block_targets):
        return refusal("target_blocked", f"{one.rights.username} may not call {dialled}")
    if callee is not None and matches(caller_name(one.party), callee.block_callers):
        return refusal("caller_blocked", f"{callee.username} takes no calls from here")
    return None


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
