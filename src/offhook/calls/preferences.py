"""Which devices suit a caller: preferences of RFC 3841 against the capabilities of RFC 3840, no-fork, Max-Breadth (5393).

Served are the feature tags audio, video and +sip.instance; a preference about anything else is passed over.
"""

from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_params, split_list
from offhook.sip.flow import Flow
from offhook.sip.location import Binding
from offhook.sip.message import Headers

SERVED = ("audio", "video", "+sip.instance")
MAX_BREADTH = 60
"""Branches one call may have anywhere (RFC 5393 section 5.3.3)."""

Preference = dict[str, str | None]


def devices(bindings: tuple[Binding, ...], caller: Flow | None, headers: Headers, limit: int) -> tuple[Binding, ...]:
    """Devices to ring, the most suitable first; the device that calls is not rung when somebody calls himself."""
    others = [one for one in _one_flow_each(bindings) if caller is None or one.flow.id != caller.id]
    accepted, rejected = _preferences(headers, "Accept-Contact"), _preferences(headers, "Reject-Contact")
    suitable = [one for one in others if not any(_all_match(one, wish, strict=True) for wish in rejected)]
    for wish in accepted:
        if "require" in wish:
            suitable = [one for one in suitable if _all_match(one, wish, strict="explicit" in wish)]
    ranked = sorted(suitable, key=lambda one: (-one.q, -sum(_all_match(one, wish, strict=True) for wish in accepted)))
    if "no-fork" in disposition(headers):
        limit = 1
    return tuple(ranked[: min(limit, breadth(headers))])


def _one_flow_each(bindings: tuple[Binding, ...]) -> list[Binding]:
    """Of the flows that one instance keeps beside each other the one heard last: it must ring once (RFC 5626 section 6)."""
    newest: dict[str | None, Binding] = {}
    bindings = tuple(one for one in bindings if one.attached)
    for one in bindings:
        if one.reg_id is not None and (
            one.instance not in newest or newest[one.instance].refreshed_at < one.refreshed_at
        ):
            newest[one.instance] = one
    return [one for one in bindings if one.reg_id is None or newest[one.instance] is one]


def spares(bindings: tuple[Binding, ...], chosen: tuple[Binding, ...]) -> dict[str, list[Binding]]:
    """Further flows of the instances that were chosen, the one heard last at the end, for when the first fails."""
    found: dict[str, list[Binding]] = {}
    instances = {one.instance for one in chosen if one.reg_id is not None}
    for one in sorted(bindings, key=lambda one: one.refreshed_at):
        if one.instance is not None and one.instance in instances and one not in chosen and one.attached:
            found.setdefault(one.instance, []).append(one)
    return found


def breadth(headers: Headers, most: int = MAX_BREADTH) -> int:
    """How many branches may ring at once."""
    text = (headers.get("Max-Breadth") or "").strip()
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 6 else most


def shares(total: int, branches: int) -> list[int]:
    """Max-Breadth of each branch: the sum is not more than what came (RFC 5393 section 5.3.3.1)."""
    return [total // branches + (number < total % branches) for number in range(branches)]


def disposition(headers: Headers) -> frozenset[str]:
    """The words of Request-Disposition."""
    return frozenset(one.strip().lower() for line in headers.all("Request-Disposition") for one in line.split(","))


def _preferences(headers: Headers, name: str) -> list[Preference]:
    found: list[Preference] = []
    for line in headers.all(name):
        try:
            found += [parse_params(value[value.index(";") :]) for value in split_list(line) if ";" in value]
        except PeerError:
            continue
    return [wish for wish in found if any(tag in wish for tag in SERVED)]


def _all_match(binding: Binding, wish: Preference, strict: bool) -> bool:
    """`strict`: a capability that the device does not name counts as missing; else as present (RFC 3841 section 7.2.4)."""
    return all(_matches(binding, tag, wish[tag], strict) for tag in SERVED if tag in wish)


def _matches(binding: Binding, tag: str, value: str | None, strict: bool) -> bool:
    if tag == "+sip.instance":
        return (value or "").strip("<>").lower() == (binding.instance or "").strip("<>").lower()
    if tag not in binding.params:
        return not strict
    has = (binding.params[tag] or "true").lower() != "false"
    return has == ((value or "true").lower() != "false")
