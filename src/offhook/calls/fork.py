"""A fork: the devices that ring for one party of a call (CALL-14, CALL-15).

Lives here: branches, their ringing, the first answer, the losers. What the fork comes to is told to its waiter: the caller's
INVITE (answering.py), or whoever else made it ring. Never here: whom to ring (seeking.py), the words of a failure
(outcome.py).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from offhook.calls import bridge, connected, early, late, passing, video
from offhook.calls.call import SDP, Call, Effects, origin_id
from offhook.calls.description import speech_of, wanted
from offhook.calls.effects import CloseMediaLeg, Sip, StartTimer, StopTimer
from offhook.calls.entry import Entry
from offhook.calls.history import History, history_info
from offhook.calls.leg import Leg, LegState
from offhook.calls.outcome import COMPLETED_ELSEWHERE, Outcome, best, of_branch, refusal, stops_all
from offhook.calls.preferences import breadth, shares
from offhook.calls.routing import Destination
from offhook.record import record
from offhook.sip.commands import CancelInvite, HangUp, SendInvite
from offhook.sip.contacts import quality
from offhook.sip.domains import aor_of
from offhook.sip.envelope import DialogKey, envelope
from offhook.sip.errors import PeerError
from offhook.sip.events import Failure, UsageId
from offhook.sip.fields import NameAddr, parse_name_addr, q850_reason, readable_list, sip_reason
from offhook.sip.location import Account, Binding, ClientCredentials
from offhook.sip.message import Headers, Response
from offhook.sip.replaces import Named

REDIRECTS = 3
"""Contacts of a 3xx that are tried: devices name one."""


if TYPE_CHECKING:
    from offhook.calls.hunt import Hunt


@record
class RingTimer:
    """Nobody has answered for the whole time."""

    call_ref: str
    fork_ref: str


class Waiter(Protocol):
    """Who hears what a fork comes to. The fork has changed its own state before it tells."""

    def ringing(self, call: Call, fork: "Fork", leg: Leg, response: Response, now: float) -> Effects:
        """A branch sent 18x."""
        ...

    def answered(self, call: Call, fork: "Fork", leg: Leg, now: float) -> Effects:
        """A branch was accepted first; its media is complete and it is a party now."""
        ...

    def failed(self, call: Call, fork: "Fork", outcome: Outcome, now: float) -> Effects:
        """Every branch has ended; this is the best of their failures."""
        ...

    def connected(self, call: Call, fork: "Fork", now: float) -> Effects:
        """A built-in destination takes the party (`fork.destination`)."""
        ...

    def forwarded(self, call: Call, fork: "Fork") -> Effects:
        """The name called leads on to another."""
        ...

    def abandoned(self, call: Call, fork: "Fork") -> Effects:
        """The call ends while the fork rings."""
        ...


@record
class Invitation:
    """What every INVITE of a fork says: complete From value without tag, the name called, hops left, fields that cross."""

    from_: str
    to_name: str
    max_forwards: int
    passed: tuple[tuple[str, str], ...] = ()


NOBODY = Invitation("", "", 70)
"""Before the name called is known."""


@record
class Asked:
    """What a command or a document wants of the INVITEs of a fork. `place` is the leg for which its branches ring, `number`
    the one to be shown to the outside, `name` the display name, `from_` a complete From value without tag. `codecs` () and
    `seconds` 0 leave both to the settings; `credentials` are for a foreign host."""

    place: Leg
    from_: str
    number: str | None = None
    name: str = ""
    credentials: ClientCredentials | None = None
    codecs: tuple[str, ...] = ()
    seconds: float = 0.0


@record
class Redirection:
    """Where a device's 3xx sends the call: the endpoint behind it forwards, from where the call was then."""

    target: str
    forwarder: Account
    history: History


@dataclass(slots=True, eq=False)
class Fork:
    """`party` waits for an answer, `waiter` tells it. `branches` ring, by leg_ref; `bindings` are where they do.

    `destination` is what was dialled last, `callee` whom it named, `rights` the endpoint whose rights count for it: the
    dialling one or the last that forwarded. `entry` is the number or address whose handler it is, until that falls back;
    `members` are the endpoints that ring together for it, by folded name, where they are several. `visited` are the names
    sought so far, `history` those left behind, `hops` counts the forwardings, `stages` the devices that ring after the
    present ones, `redirects` what 3xx of devices named, `extra` fields for the devices, `shown` a complete From value
    instead of the party's own. `transferor` is the leg whose REFER made it ring, None if a call did. `follows`: forwardings
    of the callee count. `ear` is the branch that the party hears before the answer, in the early dialog `ear_tag`.
    """

    ref: str
    party: Leg
    waiter: Waiter
    rights: Account | None = None
    invitation: Invitation = NOBODY
    ring_seconds: float = 60.0
    destination: Destination | None = None
    callee: Account | None = None
    entry: Entry | None = None
    members: dict[str, Account] = field(default_factory=dict)
    transferor: Leg | None = None
    follows: bool = True
    visited: list[str] = field(default_factory=list)
    history: History = ()
    stages: list[tuple[Binding, ...]] = field(default_factory=list)
    redirects: list[Redirection] = field(default_factory=list)
    hops: int = 0
    shown: str = ""
    extra: tuple[tuple[str, str], ...] = ()
    branches: dict[str, Leg] = field(default_factory=dict)
    bindings: dict[str, Binding] = field(default_factory=dict)
    failures: list[Outcome] = field(default_factory=list)
    rung: bool = False
    ringing_told: bool = False
    ear: Leg | None = None
    ear_tag: str = ""
    waits: bool = False
    late: set[str] = field(default_factory=set)
    """Whether it waits for a device that may come back, and branches that have joined it while it rang."""
    spares: dict[str, list[Binding]] = field(default_factory=dict)
    """Further flows of the devices that ring, by instance (RFC 5626)."""
    hunt: "Hunt | None" = None
    """The trunks that are tried, where a number or a foreign URI was dialled."""
    asked: Asked | None = None
    """None where a device called."""
    replaces: Named | None = None
    """The dialog of a carrier's that it is to take the place of (XFER-5)."""


# ---- set-up


def invitation_of(call: Call, fork: Fork) -> Invitation:
    """What the INVITEs to the devices of the fork's callee say: who waits, and what of his own INVITE crosses (CALL-20)."""
    assert fork.callee is not None
    return invitation_to(call, fork, fork.callee.username)


def invitation_to(call: Call, fork: Fork, name: str) -> Invitation:
    """The same where the name called is not that of one endpoint."""
    party, domain = fork.party, call.config.domain
    passed: tuple[tuple[str, str], ...] = ()
    if party.request is not None:
        may = party.account.rights if party.account is not None else frozenset[str]()
        passed = passing.crossing(party.request, may, call.config.pass_headers)
    way = history_info(fork.history, aor_of(name, domain))
    return Invitation(fork.shown or passing.identity(party, domain), name, hops_of(party), (*passed, *fork.extra, *way))


def hops_of(party: Leg) -> int:
    """Max-Forwards for whom the party reaches: his own minus one (CALL-17)."""
    text = (party.request.headers.get("Max-Forwards") or "").strip() if party.request is not None else ""
    return (int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 70) - 1


def start(call: Call, fork: Fork, callee: Account, bindings: tuple[Binding, ...]) -> list[Leg]:
    """Makes the fork's branches, one for each device. They ring once the engine has opened them (`opened`)."""
    first = speech_of(fork.party.formats)
    for binding in bindings:
        leg = Leg(
            ref=call.ids.ref(),
            role="callee",
            usage=UsageId(call.ids.token()),
            flow=binding.flow,
            origin_id=origin_id(call.ids),
            account=callee,
            user_agent=binding.user_agent,
            early_media=callee.early_media,
        )
        stands_for(fork, leg)
        names = codecs_for(fork, callee.codecs)
        # API.md 1.8: an address may ask for sound alone.
        seen = () if fork.destination is not None and fork.destination.channel == "audio" else video.known(fork.party)
        shown = tuple(one for one in seen if one.name in names)
        bridge.prepare_outgoing(leg, wanted(names, first), shown)
        fork.branches[leg.ref], fork.bindings[leg.ref] = leg, binding
        call.know(leg)
    if fork not in call.forks:
        call.forks.append(fork)
    return list(fork.branches.values())


def stands_for(fork: Fork, leg: Leg) -> None:
    """A new branch rings for the place of its fork, if that has one."""
    if fork.asked is not None:
        place = fork.asked.place
        leg.behind, leg.dialled = place.ref, place.dialled
        leg.from_name, leg.to_name = place.from_name, place.to_name


def codecs_for(fork: Fork, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """What may be offered to the callee: what it takes, as far as whoever placed the call wants it."""
    if fork.asked is None or not fork.asked.codecs:
        return allowed
    return tuple(name for name in fork.asked.codecs if name in allowed) or allowed


def opened(call: Call, now: float) -> Effects:
    """The engine has opened legs: a fork all of whose branches are there rings, and a built-in destination answers."""
    effects: Effects = []
    for fork in list(call.forks):
        if fork.destination is not None and fork.destination.built_in and fork.party.media is not None:
            call.forks.remove(fork)
            effects += fork.waiter.connected(call, fork, now)
        elif fork.hunt is not None:
            effects += fork.hunt.invite(call, fork)
        elif fork.branches and not fork.rung and all(leg.media is not None for leg in fork.branches.values()):
            effects += _ring(call, fork)
        elif fork.late:
            effects += _ring_late(call, fork)
    return effects


def _ring_late(call: Call, fork: Fork) -> Effects:
    """Devices that have come while the others rang."""
    there = [leg for ref, leg in fork.branches.items() if ref in fork.late and leg.media is not None]
    fork.late -= {leg.ref for leg in there}
    return [effect for leg in there for effect in (Sip(_invite(call, fork, leg, 1)), *late.invited(call, leg))]


def _ring(call: Call, fork: Fork) -> Effects:
    fork.rung = True
    branches = list(fork.branches.values())
    most = call.config.max_breadth
    total = breadth(fork.party.request.headers, most) if fork.party.request is not None else most
    invites: Effects = [
        Sip(_invite(call, fork, leg, share))
        for leg, share in zip(branches, shares(total, len(branches)), strict=True)
    ]  # fmt: skip
    checks = [effect for leg in branches for effect in late.invited(call, leg)]
    return [*invites, *checks, StartTimer(RingTimer(call.ref, fork.ref), fork.ring_seconds)]


def _invite(call: Call, fork: Fork, leg: Leg, share: int) -> SendInvite:
    said, binding = fork.invitation, fork.bindings[leg.ref]
    return SendInvite(
        usage=leg.usage,
        flow=leg.flow.id,
        request_uri=binding.contact,
        from_=said.from_,
        to=f"<{aor_of(said.to_name, call.config.domain)}>",
        max_forwards=said.max_forwards,
        headers=Headers([SDP, ("Max-Breadth", str(share)), *said.passed]),
        body=leg.describe_offer(),
        routes=binding.path,
    )


# ---- what the branches say


def progressed(call: Call, leg: Leg, response: Response, now: float) -> Effects:
    """18x of a branch."""
    fork = call.fork_of(leg)
    if fork is None:
        return []
    leg.state = LegState.RINGING if leg.state is LegState.TRYING else leg.state
    heard = fork.hunt.heard(call, leg, True, now) if fork.hunt is not None else late.heard(call, fork, leg)
    name_dialog(call, leg, response)
    return [*heard, *fork.waiter.ringing(call, fork, leg, response, now)]


def trying(call: Call, leg: Leg, now: float) -> Effects:
    """100 of a branch: a hunt waits on, and a page is awake."""
    fork = call.fork_of(leg)
    if fork is None:
        return []
    return fork.hunt.heard(call, leg, False, now) if fork.hunt is not None else late.heard(call, fork, leg)


def accepted(call: Call, leg: Leg, response: Response, now: float) -> Effects:
    """The first 200 wins (CALL-14)."""
    fork = call.fork_of(leg)
    if fork is None:
        return [Sip(HangUp(leg.usage, COMPLETED_ELSEWHERE))]
    completed = bridge.complete_branch(leg, response)
    if completed is None:
        return [
            Sip(HangUp(leg.usage, sip_reason(488, "No usable session description"))),
            *rejected(call, leg, None, Failure.BAD_ANSWER, now),
        ]
    heard = fork.hunt.answered(call, leg, now) if fork.hunt is not None else late.heard(call, fork, leg)
    del fork.branches[leg.ref]
    name_dialog(call, leg, response)
    losers = cancel(call, fork, COMPLETED_ELSEWHERE, "answered_elsewhere")
    bridge.settle(leg)
    call.parties.append(leg)
    leg.sip_code = response.status
    if fork.asked is not None:
        call.take_place(fork.asked.place, leg)
    named = connected.read(call, leg, response)
    answered = call.happened("call.answered", leg)
    told = fork.waiter.answered(call, fork, leg, now)
    return [*heard, *completed, *named, answered, *told, *losers]


def rejected(call: Call, leg: Leg, response: Response | None, failure: Failure | None, now: float) -> Effects:
    """One branch ended; the waiter hears of it when it was the last, or a decline."""
    fork = call.fork_of(leg)
    if fork is None:
        return []
    if fork.hunt is not None:
        return fork.hunt.rejected(call, fork, leg, response, failure, now)
    if response is not None and 300 <= response.status < 400 and leg.account is not None:
        fork.redirects += [Redirection(one, leg.account, fork.history) for one in redirections(response)]
    effects: Effects = late.heard(call, fork, leg)
    spare = _spare(fork, leg, response, failure)
    if response is not None:
        leg.sip_code, leg.sip_text = response.status, response.reason
    call.retire(leg, "callee_refused")
    effects += [CloseMediaLeg(leg.media.leg)] if leg.media is not None else []
    effects += early.branch_ended(fork, leg)
    if spare is not None and leg.account is not None:
        return [*effects, *_by_another_flow(call, fork, leg.account, spare)]
    fork.failures.append(of_branch(fork.invitation.to_name, response, failure))
    if stops_all(response):
        fork.failures = fork.failures[-1:]
        reason = sip_reason(603, "Declined on another device")
        return [*effects, *give_up(call, fork, fork.failures[0], reason, "callee_declined", now)]
    if fork.branches:
        return effects
    if failure is Failure.FLOW_FAILED and fork.callee is not None and not fork.stages and fork.rung:
        # LIVE-4: its page is perhaps only reloading. Whatever comes back rings anew, with a ring time of its own.
        fork.rung = False
        return [*effects, StopTimer(RingTimer(call.ref, fork.ref)), *late.wait(call, fork)]
    return [*effects, *give_up(call, fork, best(fork.failures), "", "", now)]


FLOW_LOST = frozenset({408, 430})
"""Answers of a proxy that has not reached the device by the flow it was given (RFC 5626 section 5.3)."""


def _spare(fork: Fork, leg: Leg, response: Response | None, failure: Failure | None) -> Binding | None:
    """Another flow of a device that was not reached; each is tried once."""
    binding = fork.bindings.get(leg.ref)
    unreached = (
        failure in (Failure.FLOW_FAILED, Failure.NO_RESPONSE) if response is None else response.status in FLOW_LOST
    )
    if binding is None or binding.instance is None or not unreached or leg.state is not LegState.TRYING:
        return None
    left = fork.spares.get(binding.instance)
    return left.pop() if left else None


def _by_another_flow(call: Call, fork: Fork, callee: Account, spare: Binding) -> Effects:
    """RFC 5626 section 6: the same device, by the next of the flows that it keeps."""
    leg = next(one for one in start(call, fork, callee, (spare,)) if fork.bindings[one.ref] is spare)
    if fork.rung:
        fork.late.add(leg.ref)
    decided = call.explain(f"{callee.username}'s device is tried by another of its connections", leg)
    return [decided, *bridge.open_legs(call, [leg])]


def ring_time_over(call: Call, fork: Fork, now: float) -> Effects:
    """CALL-18."""
    outcome = refusal("callee_no_answer", f"{fork.invitation.to_name} did not answer")
    return give_up(call, fork, outcome, q850_reason(19, "No answer"), outcome.row.code, now)


def give_up(call: Call, fork: Fork, outcome: Outcome, reason: str, code: str, now: float) -> Effects:
    """The fork ends without an answer: what still rings is cancelled, and the waiter told."""
    cancels = cancel(call, fork, reason, code)
    return [*cancels, *fork.waiter.failed(call, fork, outcome, now)]


def cancel(call: Call, fork: Fork, reason: str, code: str) -> Effects:
    """Ends every branch that still rings, and with them the fork; nobody is told."""
    effects: Effects = late.waits_no_more(call, fork)
    for leg in list(fork.branches.values()):
        effects += late.heard(call, fork, leg)
        call.retire(leg, code)
        effects.append(Sip(CancelInvite(leg.usage, reason)))
        if leg.media is not None:
            effects.append(CloseMediaLeg(leg.media.leg))
    if fork in call.forks:
        call.forks.remove(fork)
    return [*effects, StopTimer(RingTimer(call.ref, fork.ref))]


def name_dialog(call: Call, leg: Leg, response: Response) -> None:
    """The dialog of a branch as its response names it."""
    told = envelope(response)
    if told.to_tag:
        call.index.dialogs.name(leg, DialogKey(told.call_id, told.from_tag, told.to_tag))


def redirections(response: Response) -> list[str]:
    """Where a 3xx sends the call, by q, the best first (RFC 3261 section 8.1.3.4); Contacts that cannot be read are left
    out."""
    found = [one for value in _contacts(response) if (one := _read(value)) is not None]
    found.sort(key=lambda one: quality(one.params.get("q")), reverse=True)
    return [str(one.uri) for one in found[:REDIRECTS]]


def _contacts(response: Response) -> list[str]:
    return [value for line in response.headers.all("Contact") for value in readable_list(line)]


def _read(value: str) -> NameAddr | None:
    try:
        return parse_name_addr(value)
    except PeerError:
        return None
