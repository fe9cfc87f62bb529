"""Whom a party reaches: a name becomes devices, a built-in destination, or the target that its endpoint forwards to.

Lives here: forwarding (CALL-16), its loops (CALL-17), ringing one after the other (CALL-14). Never here: the branches
themselves (fork.py), how a party is told (the waiters).
"""

from dataclasses import dataclass

from offhook.calls import bridge, fork, guards, guests, handling, history, late, preferences, screening
from offhook.calls.addresses import uri_of
from offhook.calls.call import Call, CallState, Effects
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.effects import LookUp
from offhook.calls.entry import Member
from offhook.calls.events import FactsFound
from offhook.calls.fork import Fork, Waiter
from offhook.calls.index import Index
from offhook.calls.leg import Leg
from offhook.calls.numbers import dialled_in, looks_dialled
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.routing import Destination, destination_of
from offhook.sip.domains import aor_of, parted, qualified
from offhook.sip.location import Account, Binding
from offhook.sip.message import Headers, Response
from offhook.sip.uri import Uri

SHORTEST_STAGE = 5.0
"""Seconds that each of several devices rings at least when they ring one after the other: a person needs three."""


@dataclass(slots=True, eq=False)
class Seeker:
    """Waiter of every fork that a name was dialled for: a failure may lead on. `inner` hears the end of it."""

    inner: Waiter

    def ringing(self, call: Call, fork_: Fork, leg: Leg, response: Response, now: float) -> Effects:
        """See Waiter."""
        return self.inner.ringing(call, fork_, leg, response, now)

    def answered(self, call: Call, fork_: Fork, leg: Leg, now: float) -> Effects:
        """See Waiter."""
        return self.inner.answered(call, fork_, leg, now)

    def connected(self, call: Call, fork_: Fork, now: float) -> Effects:
        """See Waiter."""
        return self.inner.connected(call, fork_, now)

    def forwarded(self, call: Call, fork_: Fork) -> Effects:
        """See Waiter."""
        return self.inner.forwarded(call, fork_)

    def abandoned(self, call: Call, fork_: Fork) -> Effects:
        """See Waiter."""
        return self.inner.abandoned(call, fork_)

    def failed(self, call: Call, fork_: Fork, outcome: Outcome, now: float) -> Effects:
        """The next stage, the next redirection, the endpoint's forwarding, or the failure."""
        return _go_on(call, fork_, outcome, now)


def seek(call: Call, one: Fork, dialled: Uri, now: float) -> Effects:
    """Looks for whom a URI of ours names; `found` goes on with the answer."""
    out = call.index.outbound
    foreign = out is not None and out.is_foreign(dialled)
    # A name means nothing of ours at another host.
    one.destination = _as_it_stands(dialled) if foreign else destination_of(dialled, call.config.gruus)
    if one not in call.forks:
        call.forks.append(one)
    if one.destination.built_in and one.rights is not None and guests.is_guest(one.rights):
        return _fail(call, one, guests.beyond(one.rights, one.destination.user), now)
    if one.destination.built_in:
        return to_built_in(call, one, now)
    rights = one.rights.username if one.rights is not None else None
    return [look_up(call, f"{call.ref}/{one.ref}", None, one.destination, rights)]


def seek_peer(call: Call, one: Fork, uri: Uri, now: float) -> Effects:
    """A URI at a trunk's host, where `one.replaces` is: no name or built-in of ours is meant, whatever it is called."""
    one.destination = _as_it_stands(uri)
    call.forks.append(one)
    rights = one.rights.username if one.rights is not None else None
    return [look_up(call, f"{call.ref}/{one.ref}", None, one.destination, rights)]


def _as_it_stands(uri: Uri) -> Destination:
    return Destination(uri.unescaped_user, False, None, uri)


def look_up(call: Call, token: str, username: str | None, dialled: Destination, rights: str | None = None) -> LookUp:
    """What has to be known to go on: an endpoint of that name, a number of ours, what may be shown to the outside."""
    return look_up_of(call.index, token, username, dialled, rights, call.project)


def look_up_of(
    index: Index, token: str, username: str | None, dialled: Destination, rights: str | None = None, project: str = ""
) -> LookUp:
    """The same before there is a call."""
    out, uri = index.outbound, dialled.uri
    if out is None or uri is None:
        return LookUp(token, username, dialled.name)
    if out.is_foreign(uri) or (out.is_emergency(dialled_in(uri)) and out.carries_emergencies):
        # TRK-9: where help can be called, no endpoint of that name is in its way.
        return LookUp(token, username, None, None, rights, project=project)
    return LookUp(token, username, dialled.name, out.number(uri), rights, project=project)


def found(call: Call, one: Fork, facts: FactsFound, now: float) -> Effects:
    """The account and devices of the name are known."""
    callee, bindings = facts.callee, facts.bindings
    unwanted = screening.refused(call, one, callee)
    if unwanted is not None:
        if one.callee is not None:
            unwanted = refusal("forward_refused", f"{one.callee.username} forwards, but {unwanted.text}")
        return _give_up(call, one, unwanted, now)
    if facts.entry is not None and call.caller.account is None and not call.domain:
        # Who comes from outside calls the names of whom he reaches.
        call.domain = facts.entry.domain
    if facts.entry is not None and (looped := handling.enter(one, facts.entry)) is not None:
        return _fail(call, one, looped, now)
    if callee is None:
        return _outside(call, one, facts, now)
    if callee.username.casefold() in one.visited:
        text = f"The call has come back to {callee.username}: {' → '.join((*one.visited, callee.username))}"
        return _fail(call, one, Outcome(482, CATALOGUE["loop_detected"], text), now)
    one.visited.append(callee.username.casefold())
    one.callee = callee
    if one.party is call.caller and call.callee is None:
        call.callee = callee
    one.invitation = fork.invitation_of(call, one)
    if callee.forward.always and one.follows:
        return _forward(call, one, callee.forward.always, history.ALWAYS, now)
    headers = one.party.request.headers if one.party.request is not None else Headers()
    if one.destination is not None and one.destination.gruu is not None:
        # RFC 5627 section 6.1: that device and no other.
        bindings = tuple(binding for binding in bindings if one.destination.gruu.means(binding))
    bindings = tuple(binding for binding in bindings if callee.rings(binding))
    # A party without a usage is a command's: no device has called yet.
    calling = one.party.flow if one.party.usage else None
    devices = preferences.devices(bindings, calling, headers, call.config.fork_targets)
    wrong = handling.unreachable(call, one, Member(callee, bindings), devices)
    if wrong is not None and _may_return(call, callee, bindings, now):
        return _await(call, one, callee)
    if wrong is not None:
        return _fail(call, one, wrong, now)
    one.stages, one.spares = _stages(callee, devices), preferences.spares(bindings, devices)
    if one.follows:
        one.ring_seconds = max(handling.ring_time(call, one, callee.ring_seconds) / len(one.stages), SHORTEST_STAGE)
    return _ring(call, one)


def _outside(call: Call, one: Fork, facts: FactsFound, now: float) -> Effects:
    """Nobody here has that name: a number or a foreign URI goes out, if the dialling endpoint may."""
    uri = one.destination.uri if one.destination is not None else None
    out = call.index.outbound
    if facts.entry is None and one.rights is not None and guests.is_guest(one.rights):
        return _fail(call, one, guests.beyond(one.rights, str(uri)), now)
    if facts.entry is not None:
        begun = handling.begin(call, one, facts.entry, facts, now)
        return _fail(call, one, begun, now) if isinstance(begun, Outcome) else begun
    if out is None or uri is None or not (out.is_foreign(uri) or looks_dialled(dialled_in(uri))):
        return _fail(call, one, _unknown(one), now)
    if one in call.forks:
        call.forks.remove(one)
    way = out.seek(call, one, uri, facts.numbers, facts.permits, now)
    if not isinstance(way, Outcome):
        return way
    told = guards.told(call, one, way)
    if one.callee is not None:
        way = refusal("forward_refused", f"{one.callee.username} forwards to {uri}: {way.text}")
    return [*told, *_fail(call, one, way, now)]


def _unknown(one: Fork) -> Outcome:
    name = one.destination.user if one.destination is not None else ""
    if one.callee is not None:
        return refusal("forward_refused", f"{one.callee.username} forwards to {name}, and nobody here is called so")
    return refusal("destination_unknown", f"Nobody here is called {name}")


def _stages(callee: Account, devices: tuple[Binding, ...]) -> list[tuple[Binding, ...]]:
    """Groups of devices that ring one after the other (CALL-14)."""
    match callee.ring:
        case "serial":
            return [(one,) for one in devices]
        case "q":
            return [tuple(one for one in devices if one.q == q) for q in dict.fromkeys(one.q for one in devices)]
        case _:
            return [devices]


def _ring(call: Call, one: Fork) -> Effects:
    assert one.callee is not None
    devices = one.stages.pop(0)
    one.rung = False
    before = [] if one.party.offer is not None or one.party.request is None else [one.party]
    for leg in before:
        # Before the branches, because they offer the caller's codecs first.
        bridge.prepare_incoming(leg)
    rings = "its device rings" if len(devices) == 1 else f"{len(devices)} devices ring"
    decided = call.explain(f"{one.callee.username} is called: {rings}")
    return [decided, *bridge.open_legs(call, [*before, *fork.start(call, one, one.callee, devices)])]


def _may_return(call: Call, callee: Account, bindings: tuple[Binding, ...], now: float) -> bool:
    return (
        callee.enabled and not callee.do_not_disturb and not bindings and call.index.away.lately(callee.username, now)
    )


def _await(call: Call, one: Fork, callee: Account) -> Effects:
    """LIVE-4: no device is there, but one was a moment ago."""
    one.ring_seconds = handling.ring_time(call, one, callee.ring_seconds)
    fork.start(call, one, callee, ())
    if one.party.offer is not None or one.party.request is None:
        return late.wait(call, one)
    bridge.prepare_incoming(one.party)
    return [*bridge.open_legs(call, [one.party]), *late.wait(call, one)]


def to_built_in(call: Call, one: Fork, now: float) -> Effects:
    """No device rings; the party is connected once it has media."""
    if one.party.offer is None:
        bridge.prepare_incoming(one.party)
        return bridge.open_legs(call, [one.party])
    return fork.opened(call, now)


# ---- on to somebody else


def _fail(call: Call, one: Fork, outcome: Outcome, now: float) -> Effects:
    """Nobody can ring; whoever waits hears of it unless it leads on."""
    if one in call.forks:
        call.forks.remove(one)
    return _go_on(call, one, outcome, now)


def _go_on(call: Call, one: Fork, outcome: Outcome, now: float) -> Effects:
    if call.state is CallState.ENDED:
        return []
    waiter = one.waiter.inner if isinstance(one.waiter, Seeker) else one.waiter
    if outcome.heard >= 600 and outcome.row.code == "callee_declined":
        return waiter.failed(call, one, outcome, now)
    if one.redirects and one.follows:
        return _deflect(call, one, one.redirects.pop(0), now)
    if one.stages:
        return _ring(call, one)
    forward = one.callee.forward if one.callee is not None and one.follows else None
    code = outcome.row.code
    if forward is not None and code in handling.BUSY and forward.busy:
        return _forward(call, one, forward.busy, history.BUSY, now)
    if forward is not None and code in handling.NO_ANSWER and forward.no_answer:
        return _forward(call, one, forward.no_answer, history.NO_ANSWER, now)
    if forward is not None and code in handling.UNREACHABLE and forward.unreachable:
        return _forward(call, one, forward.unreachable, history.UNREACHABLE, now)
    if one.follows and handling.fallback(one, outcome):
        return _fall_back(call, one, outcome, now)
    return waiter.failed(call, one, outcome, now)


def _fall_back(call: Call, one: Fork, outcome: Outcome, now: float) -> Effects:
    """A number whose handler was not reached goes on to its own fallback (API.md 5.2)."""
    waiter = one.waiter.inner if isinstance(one.waiter, Seeker) else one.waiter
    entry = handling.fall_back(one)
    uri = _target(call, entry.fallback, entry.domain, foreign=True)
    if uri is None:
        text = f"{entry.name} falls back to {entry.fallback}, which is not reached from here"
        return _give_up(call, one, refusal("forward_refused", text), now)
    cause = history.BUSY if outcome.row.code in handling.BUSY else history.NO_ANSWER
    one.history = (*one.history, history.Entry(aor_of(qualified(entry.name, entry.domain), call.config.domain), cause))
    decided = call.explain(f"{entry.name} falls back to {entry.fallback}: {outcome.text}")
    return [decided, *waiter.forwarded(call, one), *seek(call, one, uri, now)]


def _deflect(call: Call, one: Fork, way: fork.Redirection, now: float) -> Effects:
    """A 3xx names several: each is tried from where the device stood that sent it, and one that leads nowhere is passed
    over."""
    one.callee, one.history = way.forwarder, way.history
    uri = _target(call, way.target, parted(way.forwarder.username)[1], foreign=False)
    if uri is None:
        return _go_on(call, one, _no_way(way.forwarder, way.target), now)
    return _lead_on(call, one, way.target, uri, history.DEFLECTED, now)


def _no_way(forwarder: Account, target: str) -> Outcome:
    return refusal("forward_refused", f"{forwarder.username} forwards to {target}, which is not reached from here")


def _forward(call: Call, one: Fork, target: str, cause: int, now: float) -> Effects:
    assert one.callee is not None
    uri = _target(call, target, parted(one.callee.username)[1], foreign=True)
    if uri is None:
        return _give_up(call, one, _no_way(one.callee, target), now)
    return _lead_on(call, one, target, uri, cause, now)


def _lead_on(call: Call, one: Fork, target: str, uri: Uri, cause: int, now: float) -> Effects:
    """CALL-16: the forwarding endpoint's rights count from here on."""
    assert one.callee is not None
    forwarder = one.callee
    waiter = one.waiter.inner if isinstance(one.waiter, Seeker) else one.waiter
    if max(len(one.history), one.hops) >= call.config.forward_hops:
        text = f"More than {call.config.forward_hops} forwardings, the limit forward_hops"
        return _give_up(call, one, refusal("forward_refused", text), now)
    one.history = (*one.history, history.Entry(aor_of(forwarder.username, call.config.domain), cause))
    one.hops += 1
    one.rights, one.members, one.stages, one.failures = forwarder, {}, [], []
    decided = call.explain(f"{forwarder.username} forwards to {target}")
    return [decided, *waiter.forwarded(call, one), *seek(call, one, uri, now)]


def _give_up(call: Call, one: Fork, outcome: Outcome, now: float) -> Effects:
    waiter = one.waiter.inner if isinstance(one.waiter, Seeker) else one.waiter
    if one in call.forks:
        call.forks.remove(one)
    return waiter.failed(call, one, outcome, now)


def _target(call: Call, text: str, domain: str, foreign: bool) -> Uri | None:
    """A target of a setting or of a Contact: a name at that domain, a number or a URI; no device may send calls to foreign
    hosts."""
    uri = uri_of(text, domain or call.config.domain)
    if uri is None:
        return None
    ours = uri.scheme == "tel" or uri.host in call.config.hosts
    return uri if ours or (foreign and call.index.outbound is not None) else None
