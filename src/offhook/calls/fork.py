"""A fork: the devices that ring for one party of a call (CALL-14, CALL-15).

Lives here: branches, their ringing, the first answer, the losers. What the fork comes to is told to its waiter: the caller's
INVITE (answering.py), or whoever else made it ring. Never here: whom to ring (routing.py), the words of a failure
(outcome.py).
"""

from dataclasses import dataclass, field
from typing import Protocol

from offhook.calls import bridge
from offhook.calls.call import SDP, Call, Effects, origin_id
from offhook.calls.description import speech_of, wanted
from offhook.calls.effects import CloseMediaLeg, Sip, StartTimer, StopTimer
from offhook.calls.leg import Leg, LegState
from offhook.calls.outcome import COMPLETED_ELSEWHERE, Outcome, best, of_branch, refusal, stops_all
from offhook.sip.commands import CancelInvite, HangUp, SendInvite
from offhook.sip.events import Failure, UsageId
from offhook.sip.fields import parse_name_addr, q850_reason, quote, sip_reason
from offhook.sip.location import Account, Binding
from offhook.sip.message import Headers, Response


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Invitation:
    """What every INVITE of a fork says: complete From value without tag, the name called, hops left, fields that cross."""

    from_: str
    to_name: str
    max_forwards: int
    passed: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, eq=False)
class Fork:
    """`party` waits for an answer, `waiter` tells it. `branches` ring, by leg_ref; `bindings` are where they do."""

    ref: str
    party: Leg
    waiter: Waiter
    invitation: Invitation
    ring_seconds: float
    branches: dict[str, Leg] = field(default_factory=dict)
    bindings: dict[str, Binding] = field(default_factory=dict)
    failures: list[Outcome] = field(default_factory=list)
    rung: bool = False
    ringing_told: bool = False


# ---- set-up


def invitation_of(call: Call, to_name: str) -> Invitation:
    """What the caller's INVITE makes of the INVITEs to devices."""
    hops = int(call.request.headers.get("Max-Forwards") or "70")
    return Invitation(_from(call), to_name, hops - 1, _passed(call))


def _from(call: Call) -> str:
    """Display name and address of the caller, as the callee sees them (CALL-20); nothing else of A's From crosses."""
    given = parse_name_addr(call.request.headers.get("From") or "")
    if given.uri.host == "anonymous.invalid" or given.uri.unescaped_user.casefold() == "anonymous":
        return '"Anonymous" <sip:anonymous@anonymous.invalid>'
    account = call.caller.account
    assert account is not None
    name = account.caller_id or given.display
    return f"{quote(name) + ' ' if name else ''}<sip:{account.username}@{call.config.domain}>"


def _passed(call: Call) -> tuple[tuple[str, str], ...]:
    """Fields that cross inside a space (CALL-20)."""
    names = ("Subject", "Priority", "User-to-User")
    return tuple((name, value) for name, value in call.request.headers if name in names or name.startswith("X-"))


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
        )
        bridge.prepare_outgoing(leg, wanted(callee.codecs, first))
        fork.branches[leg.ref], fork.bindings[leg.ref] = leg, binding
        call.know(leg)
    if fork not in call.forks:
        call.forks.append(fork)
    return list(fork.branches.values())


def ring_time(call: Call, callee: Account) -> float:
    """CALL-18: the endpoint's own time, within the setting."""
    return min(callee.ring_seconds, call.config.ring_seconds)


def opened(call: Call) -> Effects:
    """The engine has opened legs: a fork all of whose branches are there rings."""
    effects: Effects = []
    for fork in call.forks:
        if fork.rung or any(leg.media is None for leg in fork.branches.values()):
            continue
        fork.rung = True
        effects += [Sip(_invite(call, fork, leg)) for leg in fork.branches.values()]
        effects.append(StartTimer(RingTimer(call.ref, fork.ref), fork.ring_seconds))
    return effects


def _invite(call: Call, fork: Fork, leg: Leg) -> SendInvite:
    said = fork.invitation
    return SendInvite(
        usage=leg.usage,
        flow=leg.flow.id,
        request_uri=fork.bindings[leg.ref].contact,
        from_=said.from_,
        to=f"<sip:{said.to_name}@{call.config.domain}>",
        max_forwards=said.max_forwards,
        headers=Headers([SDP, *said.passed]),
        body=leg.describe_offer(),
    )


# ---- what the branches say


def progressed(call: Call, leg: Leg, response: Response, now: float) -> Effects:
    """18x of a branch."""
    fork = call.fork_of(leg)
    if fork is None:
        return []
    leg.state = LegState.RINGING if leg.state is LegState.TRYING else leg.state
    return fork.waiter.ringing(call, fork, leg, response, now)


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
    del fork.branches[leg.ref]
    losers = cancel(call, fork, COMPLETED_ELSEWHERE, "answered_elsewhere")
    leg.state = LegState.ANSWERED
    call.parties.append(leg)
    told = fork.waiter.answered(call, fork, leg, now)
    return [*completed, *told, *losers, call.happened("call.answered", leg)]


def rejected(call: Call, leg: Leg, response: Response | None, failure: Failure | None, now: float) -> Effects:
    """One branch ended; the waiter hears of it when it was the last, or a decline."""
    fork = call.fork_of(leg)
    if fork is None:
        return []
    call.retire(leg, "callee_refused")
    effects: Effects = [CloseMediaLeg(leg.media.leg)] if leg.media is not None else []
    fork.failures.append(of_branch(fork.invitation.to_name, response, failure))
    if stops_all(response):
        fork.failures = fork.failures[-1:]
        reason = sip_reason(603, "Declined on another device")
        return [*effects, *give_up(call, fork, fork.failures[0], reason, "callee_declined", now)]
    if fork.branches:
        return effects
    return [*effects, *give_up(call, fork, best(fork.failures), "", "", now)]


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
    effects: Effects = []
    for leg in list(fork.branches.values()):
        call.retire(leg, code)
        effects.append(Sip(CancelInvite(leg.usage, reason)))
        if leg.media is not None:
            effects.append(CloseMediaLeg(leg.media.leg))
    if fork in call.forks:
        call.forks.remove(fork)
    return [*effects, StopTimer(RingTimer(call.ref, fork.ref))]
