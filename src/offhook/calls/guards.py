"""Toll fraud: what an endpoint may reach outside, and what is told when it may not (API.md section 3, 1.5 and 12.5).

Lives here: the policy of one endpoint and the event of a refusal. Never here: what a trunk allows (numbers.py, caps.py).
"""

from offhook.calls.call import Call, Effects
from offhook.calls.effects import Happened, Publish
from offhook.calls.fork import Fork
from offhook.calls.outcome import Outcome

WATCHED = frozenset(
    {
        "pstn_blocked", "prefix_not_allowed", "not_routable", "external_sip_not_allowed", "caller_id_not_allowed",
        "calls_per_second_exceeded", "trunk_full", "trunk_rate_exceeded", "trunk_quota_used", "target_blocked",
        "source_not_allowed", "emergency_not_configured", "endpoint_rate_exceeded",
    }
)  # fmt: skip
"""Refusals that are told as `security.call_refused`: each of them may be somebody who calls at another's expense."""


def told(call: Call, one: Fork | None, outcome: Outcome) -> Effects:
    """The event of a refusal that a guard made; nothing for any other failure."""
    if outcome.row.code not in WATCHED:
        return []
    rights = one.rights if one is not None else None
    dialled = one.destination.user if one is not None and one.destination is not None else call.destination.user
    details = (
        ("code", outcome.row.code),
        ("text", outcome.text),
        ("from", call.from_name),
        ("to", dialled),
        ("endpoint", rights.username if rights is not None else ""),
        ("source", call.caller.flow.remote[0]),
    )
    return [Publish(Happened("security.call_refused", call.ref, "", details))]
