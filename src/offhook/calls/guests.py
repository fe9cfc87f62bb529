"""What a caller with a token that is no member's may do: call the addresses of his name (API.md 4.3)."""

from collections.abc import Iterable

from offhook.calls.call import Call
from offhook.calls.outcome import Outcome, refusal
from offhook.sip.location import Account
from offhook.sip.tokens import MEMBER


def is_guest(account: Account | None) -> bool:
    """True for an account that only a name describes."""
    return account is not None and account.tier != MEMBER


def beyond(account: Account, what: str) -> Outcome:
    """He may not call that."""
    return refusal("token_tier_not_allowed", f"A token of the tier {account.tier} may not call {what[:64]}")


def refused(call: Call, account: Account, calls: Iterable[Call]) -> Outcome | None:
    """Why his call may not begin; whom a name means is judged when it is looked up."""
    if not is_guest(account):
        return None
    if call.destination.built_in:
        return beyond(account, call.destination.user)
    if not account.line:
        return None
    busy = sum(1 for one in calls if one is not call and _line(one) == account.line)
    if busy < account.line_calls:
        return None
    return refusal("endpoint_at_call_limit", f"The widget has {busy} calls, as many as its max_calls")


def _line(call: Call) -> str:
    return call.caller.account.line if call.caller.account is not None else ""
