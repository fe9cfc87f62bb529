"""A call reaches a number, an address or an application: its handler begins (API.md 1.9, 5.3).

Lives here: several endpoints at once, the way to a gateway, what cannot be run, and where a number goes on to when nobody
answers. Never here: one endpoint's devices and forwardings (seeking.py), the shapes (entry.py).
"""

from offhook.calls import bridge, ending, fork, guests, preferences, reports, screening
from offhook.calls.call import Call, Effects
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.document import Link, StatusWish
from offhook.calls.entry import BeyondTier, Entry, Fetch, ForwardsTo, Locked, Member, NotRun, RingsMembers, RunsDocument
from offhook.calls.events import FactsFound
from offhook.calls.fork import Fork
from offhook.calls.outcome import Outcome, refusal
from offhook.sip.domains import qualified
from offhook.sip.location import Account, Binding
from offhook.sip.message import Headers

BUSY = frozenset({"callee_busy", "endpoint_at_call_limit", "do_not_disturb"})
NO_ANSWER = frozenset({"callee_no_answer"})
UNREACHABLE = frozenset({"not_registered", "flow_lost", "device_silent"})
"""Failures that an endpoint's forwardings are for, by their codes."""
NO_WAY = frozenset(
    {
        "trunk_unreachable", "trunk_timeout", "trunk_dns_failed", "trunk_tls_failed", "trunk_auth_failed", "trunk_full",
        "trunk_rate_exceeded", "trunk_quota_used", "trunks_exhausted", "trunk_rejected", "number_unallocated",
    }
)  # fmt: skip
"""What a gateway that is not reached comes to."""
FALLS_BACK = BUSY | NO_ANSWER | UNREACHABLE | NO_WAY
"""Failures that a number's fallback is for."""


def enter(one: Fork, entry: Entry) -> Outcome | None:
    """From here on the entry's ring time and fallback count; an outcome when the call has been here before."""
    if entry.name.casefold() in one.visited:
        way = " → ".join((*one.visited, entry.name))
        return Outcome(482, CATALOGUE["loop_detected"], f"The call has come back to {entry.name}: {way}")
    one.visited.append(entry.name.casefold())
    one.entry = entry
    return None


def begin(call: Call, one: Fork, entry: Entry, facts: FactsFound, now: float) -> Effects | Outcome:
    """The handler of an entry that is more than one endpoint; an outcome says why it cannot begin."""
    match entry.handler:
        case None:
            return refusal("number_not_assigned", f"{entry.name} is ours, and has no handler")
        case RingsMembers(members):
            return _ring_members(call, one, entry, members)
        case ForwardsTo() as gateway:
            out = call.index.outbound
            if out is None:
                return refusal("handler_unavailable", f"There is no way out to gateway {gateway.name}")
            if one in call.forks:
                call.forks.remove(one)
            return out.to_gateway(call, one, gateway, facts.numbers, facts.permits, now)
        case RunsDocument() as document:
            return _run(call, one, entry, document, now)
        case BeyondTier():
            assert one.rights is not None
            return guests.beyond(one.rights, entry.name)
        case Locked():
            return refusal("address_locked", f"{entry.name} is locked")
        case NotRun(name):
            return refusal("handler_unavailable", f"{entry.name} has the handler {name}, which nothing here runs")


def _run(call: Call, one: Fork, entry: Entry, document: RunsDocument, now: float) -> Effects | Outcome:
    """A document takes the caller, who has not been answered yet; a leg that was placed has nobody to give to it."""
    if one.party is not call.caller or one.party.confirmed or one.asked is not None or call.index.run_document is None:
        text = f"{entry.name} is handled by a document, which only who calls it can reach"
        return refusal("handler_unavailable", text)
    if one in call.forks:
        call.forks.remove(one)
    call.project, call.domain = entry.project_id, entry.domain
    return run_for_caller(call, document, entry.status_events, now)


def direct(call: Call, own: Entry, now: float) -> Effects:
    """An endpoint's handler takes every call that it makes (API.md section 2), but calls for help."""
    call.project, call.domain = own.project_id, own.domain
    if isinstance(own.handler, RunsDocument):
        return run_for_caller(call, own.handler, own.status_events, now)
    name = own.handler.name if isinstance(own.handler, NotRun) else "none"
    text = f"{own.name} has the handler {name}, which nothing here runs"
    return ending.refuse(call, refusal("handler_unavailable", text), now)


def run_for_caller(call: Call, document: RunsDocument, events: tuple[str, ...], now: float) -> Effects:
    """The handler's document for the call's first leg, of whose states its callback hears."""
    if document.status is not None:
        wish = StatusWish(document.status.url, events, form=True, method=document.status.method)
        reports.listen(call, call.caller, wish)
    assert call.index.run_document is not None
    return call.index.run_document(call, call.caller, link_of(document), now)


def link_of(document: RunsDocument) -> Link:
    """Where a handler's document is fetched."""
    fallback = document.fallback or Fetch("")
    primary = document.primary
    return Link(primary.url, primary.method, fallback.url, fallback.method, cxml=document.kind == "cxml")


def _ring_members(call: Call, one: Fork, entry: Entry, members: tuple[Member, ...]) -> Effects | Outcome:
    """Every device of every endpoint rings at once; who cannot ring is left out."""
    if not members:
        return refusal("not_registered", f"{entry.name} has no endpoint")
    able: list[tuple[Account, tuple[Binding, ...]]] = []
    wrong: list[Outcome] = []
    for member in members:
        devices = _devices(call, one, member)
        why = _why_not(call, one, member, devices)
        if why is None:
            able.append((member.account, devices))
        else:
            wrong.append(why)
    if not able:
        return next((outcome for outcome in wrong if outcome.row.code in BUSY), wrong[0])
    return _start(call, one, entry, able)


def _start(call: Call, one: Fork, entry: Entry, able: list[tuple[Account, tuple[Binding, ...]]]) -> Effects:
    one.members = {account.username.casefold(): account for account, _ in able}
    one.callee, one.rung = None, False
    one.invitation = fork.invitation_to(call, one, qualified(entry.name, entry.domain))
    one.ring_seconds = ring_time(call, one, max(account.ring_seconds for account, _ in able))
    before = [] if one.party.offer is not None or one.party.request is None else [one.party]
    for leg in before:
        # Before the branches, because they offer the caller's codecs first.
        bridge.prepare_incoming(leg)
    for account, devices in able:
        room = max(0, call.config.fork_targets - len(one.branches))
        fork.start(call, one, account, devices[:room])
    names = ", ".join(account.username for account, _ in able)
    decided = call.explain(f"{entry.name} rings {names}: {len(one.branches)} devices")
    return [decided, *bridge.open_legs(call, [*before, *one.branches.values()])]


def ring_time(call: Call, one: Fork, seconds: float) -> float:
    """CALL-18: the endpoint's own time, within the number's and the setting's."""
    if one.asked is not None and one.asked.seconds:
        # A command or a document says how long.
        return one.asked.seconds
    own = one.entry.ring_seconds if one.entry is not None else None
    return min(seconds, call.config.ring_seconds, own if own is not None else seconds)


def _devices(call: Call, one: Fork, member: Member) -> tuple[Binding, ...]:
    headers = one.party.request.headers if one.party.request is not None else Headers()
    calling = one.party.flow if one.party.usage else None
    rung = tuple(one for one in member.bindings if member.account.rings(one))
    return preferences.devices(rung, calling, headers, call.config.fork_targets)


def _why_not(call: Call, one: Fork, member: Member, devices: tuple[Binding, ...]) -> Outcome | None:
    return screening.refused(call, one, member.account) or unreachable(call, one, member, devices)


def unreachable(call: Call, one: Fork, member: Member, devices: tuple[Binding, ...]) -> Outcome | None:
    """Why an endpoint's devices cannot ring now."""
    callee, bindings = member.account, member.bindings
    headers = one.party.request.headers if one.party.request is not None else Headers()
    if not callee.enabled:
        return refusal("not_registered", f"{callee.username} is switched off")
    if callee.do_not_disturb:
        return refusal("do_not_disturb", f"{callee.username} takes no calls now")
    if call.index.busy(callee.username, call, callee.max_calls) >= callee.max_calls:
        return refusal("endpoint_at_call_limit", f"{callee.username} has as many calls as it may")
    if devices:
        return None
    if bindings and preferences.breadth(headers) == 0:
        return Outcome(440, CATALOGUE["loop_detected"], "Max-Breadth is used up")
    others = ", or none that the caller wants" if bindings else ""
    return refusal("not_registered", f"{callee.username} is not registered{others}")


def fallback(one: Fork, outcome: Outcome) -> str:
    """Where the number goes on to after this failure; "" for nowhere."""
    return one.entry.fallback if one.entry is not None and outcome.row.code in FALLS_BACK else ""


def fall_back(one: Fork) -> Entry:
    """The number's fallback begins: it counts once, and its rights count from here on (CALL-16)."""
    assert one.entry is not None
    entry, one.entry = one.entry, None
    if one.hunt is not None and one.hunt.opens_party:
        # No trunk was reached, so the party's leg of the engine has not been asked for either.
        one.party.offer = None
    one.rights, one.callee, one.members = entry.rights, None, {}
    one.stages, one.failures, one.hunt = [], [], None
    return entry
