"""What commands of the API do to a leg (API.md 8.2), and why they cannot.

Lives here: one function per command. Never here: placing calls (placing.py), documents (program.py).
"""

from dataclasses import dataclass

from offhook.calls import bridge, conference, ending, fork, places, pressing, program, reports, seeking, sent_away
from offhook.calls.addresses import uri_of
from offhook.calls.call import NORMAL, Call, CallState, Effects
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.commands import (
    ConnectLeg,
    EndLeg,
    HoldLeg,
    LegCommand,
    Listen,
    NoteReport,
    PartLegs,
    PressDigits,
    ReferLeg,
    TellUserEvent,
)
from offhook.calls.document import DialTarget, Document
from offhook.calls.effects import MuteInRoom, Publish, Sip, StartTimer, StopTimer
from offhook.calls.fork import Fork
from offhook.calls.leg import Leg, LegState
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.ports import SourceKind
from offhook.record import record
from offhook.sip.commands import RespondInvite
from offhook.sip.fields import q850_reason
from offhook.sip.message import Response

REFUSALS = {"hangup": 480, "cancel": 480, "busy": 486, "noAnswer": 480, "decline": 603, "error": 500}
"""What a caller who has not been answered hears, by the reason of `calling.end`."""
CAUSES = {"hangup": 16, "cancel": 16, "busy": 17, "noAnswer": 19, "decline": 21, "error": 41}
TRANSFER_SECONDS = 60.0


@record
class Parked:
    """A leg without partner and document has waited long enough to be taken up again."""

    call_ref: str
    leg_ref: str


def impossible(call: Call, leg: Leg, command: LegCommand) -> tuple[str, str] | None:
    """Why a command cannot be carried out: a code of API.md 8.2 and a sentence."""
    if leg.state is LegState.ENDED or call.state is CallState.ENDED:
        return "call_not_found", "The call has ended"
    match command:
        case EndLeg() | TellUserEvent() | Listen() | NoteReport():
            return None
        case PartLegs() if call.peer_of(leg) is None:
            return "invalid_state", "The leg talks to nobody"
        case ReferLeg() if not leg.takes_refer or leg.detached:
            return "invalid_state", "The leg's device takes no REFER now"
        case ReferLeg() | ConnectLeg() if command.to and uri_of(command.to, call.at) is None:
            return "invalid_sip_destination", f"{command.to} cannot be called"
        case ConnectLeg() if _transferring(call, leg) is not None:
            return "invalid_state", "A transfer of this leg is under way"
        case _ if not leg.confirmed or leg not in call.parties or call.reopening:
            return "invalid_state", "The leg is not answered"
    return None


def perform(call: Call, leg: Leg, command: LegCommand, now: float) -> Effects:
    """Carries it out."""
    if impossible(call, leg, command) is not None:
        return []
    call.index.touched[call.ref] = call
    match command:
        case EndLeg():
            return end(call, leg, command.reason, now)
        case PartLegs():
            return part(call, leg, now)
        case ConnectLeg():
            return connect(call, leg, command, now)
        case ReferLeg():
            return sent_away.send(call, leg, command, now)
        case HoldLeg():
            return hold(call, leg, command)
        case PressDigits():
            return pressing.press(call, leg, command.digits, now, command.milliseconds)
        case TellUserEvent(_, text):
            return [
                call.happened("call.user_event", leg, event=text),
                *reports.said(call, leg, "user_event", now, event=text),
            ]
        case NoteReport(_, code, clear):
            return _reported(call, leg, code, clear, now)
        case Listen(_, wish):
            reports.listen_from_now(call, leg, wish)
            return []


def _reported(call: Call, leg: Leg, code: str, clear: bool, now: float) -> Effects:
    known = leg.has_finding(code)
    if clear and known:
        leg.end_finding(code, now)
        return [call.happened("call.finding_cleared", leg, code=code)]
    if clear or known:
        return []
    leg.add_finding(code, "from_device", "client_report", {}, now)
    return [call.happened("call.finding_raised", leg, code=code, verdict="client_report")]


# ---- the end


def end(call: Call, leg: Leg, reason: str, now: float) -> Effects:
    """Answered: BYE; ours and unanswered: CANCEL; a caller's: a final response."""
    leg.end_reason = reason
    words = f"Ended by a command: {reason}"
    header = q850_reason(CAUSES[reason], words)
    if leg.confirmed:
        return ending.give_up_leg(call, leg, "api_hangup", "api", now, header)
    if leg.request is not None:
        return _refuse(call, leg, reason, now)
    if leg is call.caller:
        call.end_reason = reason
        return ending.end(call, "api_hangup", "api", now, header)
    ringing = call.fork_of(leg) or next((one for one in call.forks if one.asked and one.asked.place is leg), None)
    if ringing is None:
        return []
    leg.end_code = "api_hangup"
    return fork.give_up(call, ringing, refusal("callee_no_answer", words), header, "api_hangup", now)


def _refuse(call: Call, leg: Leg, reason: str, now: float) -> Effects:
    call.end_reason = reason
    outcome = Outcome(REFUSALS[reason], CATALOGUE["api_hangup"], f"Ended by a command: {reason}")
    leg.sip_code, leg.sip_text = outcome.status, outcome.text
    answer = Sip(RespondInvite(leg.usage, outcome.status, outcome.headers(call.config.domain)))
    call.retire(leg, "api_hangup")
    return [answer, *ending.end(call, "api_hangup", "api", now)]


# ---- apart


def part(call: Call, leg: Leg, now: float) -> Effects:
    """Each of the two goes on with its document; one without waits a while in silence."""
    partner = call.peer_of(leg)
    assert partner is not None
    call.pairs = {one: other for one, other in (call.pairs or {}).items() if one not in (leg.ref, partner.ref)}
    return [*_alone(call, leg, partner, now), *_alone(call, partner, leg, now)]


def _alone(call: Call, leg: Leg, partner: Leg, now: float) -> Effects:
    director = call.programs.get(leg.ref)
    silence = bridge.hush(leg)
    if director is not None:
        return [*silence, *director.partner_left(call, partner, "api_hangup", "api", now, NORMAL)]
    return [*silence, StartTimer(Parked(call.ref, leg.ref), call.config.parked_seconds)]


def stopped(call: Call) -> Effects:
    """The call is over, and so are the clocks of its parted legs."""
    if call.pairs is None:
        return []
    return [StopTimer(Parked(call.ref, leg.ref)) for leg in call.legs]


def clock_rang(call: Call, key: "Parked | program.PauseOver | pressing.PressMore", now: float) -> Effects:
    """One of the clocks of commands and documents."""
    leg = call.by_ref(key.leg_ref)
    if leg is None:
        return []
    match key:
        case Parked():
            return parked_too_long(call, leg, now)
        case program.PauseOver():
            return program.pause_over(call, key.leg_ref, now)
        case pressing.PressMore():
            return pressing.press(call, leg, key.digits, now, key.milliseconds)


def parked_too_long(call: Call, leg: Leg, now: float) -> Effects:
    """Nobody has taken the leg up again."""
    if leg not in call.parties or call.peer_of(leg) is not None or leg.ref in call.programs:
        return []
    return ending.end_leg(call, leg, "hangup", "server", now)


# ---- to somebody else


@dataclass(slots=True, eq=False)
class Transferring:
    """Waiter of the fork that rings a new partner for a leg; the old one hears nothing of it until that answers."""

    leg: Leg

    def ringing(self, call: Call, fork: Fork, leg: Leg, response: Response, now: float) -> Effects:
        """The two talk on."""
        places.rang(fork)
        return []

    def answered(self, call: Call, fork: Fork, leg: Leg, now: float) -> Effects:
        """The new partner takes the old one's place."""
        name, stopped = leg.to_name, program.stop(call, self.leg)
        released = release(call, self.leg, leg, now)
        return [*stopped, *released, *bridge.join(self.leg, leg), call.happened("call.transferred", self.leg, to=name)]

    def connected(self, call: Call, fork: Fork, now: float) -> Effects:
        """A built-in destination does."""
        assert fork.destination is not None
        places.drop(call, fork)
        released = release(call, self.leg, None, now)
        told = call.happened("call.transferred", self.leg, to=fork.destination.user)
        return [*released, *bridge.feed(call, self.leg, fork.destination), told]

    def failed(self, call: Call, fork: Fork, outcome: Outcome, now: float) -> Effects:
        """Everything stays."""
        places.failed(call, fork, outcome)
        return [_not_transferred(call, self.leg, outcome)]

    def forwarded(self, call: Call, fork: Fork) -> Effects:
        """See Waiter."""
        return []

    def abandoned(self, call: Call, fork: Fork) -> Effects:
        """The leg has gone meanwhile."""
        places.gone(call, fork, "caller_canceled")
        return []


def _not_transferred(call: Call, leg: Leg, outcome: Outcome) -> Publish:
    why = {"verdict": outcome.row.code, "text": outcome.text}
    return call.happened("call.finding_raised", leg, code="transfer_failed", **why)


def _transferring(call: Call, leg: Leg) -> Fork | None:
    for one in call.forks:
        waiter = one.waiter.inner if isinstance(one.waiter, seeking.Seeker) else one.waiter
        if isinstance(waiter, Transferring) and waiter.leg is leg:
            return one
    return None


def connect(call: Call, leg: Leg, command: ConnectLeg, now: float) -> Effects:
    """A callable address rings; a document takes the leg over once it is there."""
    if command.document is not None:
        return _take(call, program.Program(leg), command.document, now)
    if command.link is not None:
        waiting = program.Program(leg)
        waiting.switched = program.Switched(_take, _not_there)
        call.programs[f"{leg.ref}/next"] = waiting
        return program.fetch(call, waiting, command.link, now, key=f"{leg.ref}/next")
    target = DialTarget(command.to)
    one, uri = places.target_fork(call, leg, target, TRANSFER_SECONDS, seeking.Seeker(Transferring(leg)))
    if uri is None:
        return one.waiter.failed(call, one, refusal("destination_unknown", f"{command.to} cannot be called"), now)
    return seeking.seek(call, one, uri, now)


def _take(call: Call, waiting: program.Program, document: Document, now: float) -> Effects:
    leg = waiting.leg
    call.programs.pop(f"{leg.ref}/next", None)
    if leg not in call.parties:
        return []
    stopped = program.stop(call, leg)
    call.programs.pop(leg.ref, None)
    released = release(call, leg, None, now)
    told = call.happened("call.transferred", leg, to="document")
    return [*stopped, *released, *bridge.hush(leg), told, *program.run(call, leg, document, now)]


def _not_there(call: Call, waiting: program.Program, outcome: Outcome, now: float) -> Effects:
    call.programs.pop(f"{waiting.leg.ref}/next", None)
    return [_not_transferred(call, waiting.leg, outcome)]


def release(call: Call, leg: Leg, new: Leg | None, now: float) -> Effects:
    """The old partner goes on with its document, or gets BYE; `new` talks to the leg from here on."""
    old = call.peer_of(leg) if new is None or call.pairs is not None else _third(call, leg, new)
    effects: Effects = [StopTimer(Parked(call.ref, leg.ref))]
    director = call.programs.get(old.ref) if old is not None else None
    if old is None or director is None:
        effects += (
            [*ending.dismiss(call, old, "transferred", NORMAL), *ending.close_leg(old)] if old is not None else []
        )
        _pair(call, leg, new)
        return effects
    call.pairs = {one: other for one, other in (call.pairs or {}).items() if one not in (leg.ref, old.ref)}
    _pair(call, leg, new)
    return [*effects, *bridge.hush(old), *director.partner_left(call, leg, "transferred", "api", now, NORMAL)]


def _third(call: Call, leg: Leg, new: Leg) -> Leg | None:
    return next((one for one in call.parties if one not in (leg, new)), None)


def _pair(call: Call, leg: Leg, new: Leg | None) -> None:
    if call.pairs is not None and new is not None:
        call.pairs |= {leg.ref: new.ref, new.ref: leg.ref}


# ---- what is heard


def hold(call: Call, leg: Leg, command: HoldLeg) -> Effects:
    """The sources are set anew by what holds and mutes now."""
    before = (leg.held_by_api, leg.muted)
    leg.held_by_api = leg.held_by_api if command.held is None else command.held
    leg.muted = leg.muted if command.muted is None else command.muted
    if before == (leg.held_by_api, leg.muted):
        return []
    in_room = leg.room is not None and not (before[0] or leg.held_by_api)
    if in_room and leg.media is not None:
        # Joining again would end what else he hears.
        return [MuteInRoom(leg.media.leg, leg.muted)]
    told = [] if command.held is None else [call.happened("call.held" if leg.held_by_api else "call.resumed", leg)]
    return [*_heard_now(call, leg), *told]


def _heard_now(call: Call, leg: Leg) -> Effects:
    peer = call.peer_of(leg)
    if peer is not None:
        return [] if call.in_transfer(leg) else bridge.join(leg, peer)
    if leg.room is not None and leg.media is not None and not leg.held_by_api:
        joined = conference.hears(call, leg.media.leg, call.index.rooms[leg.room], leg.muted)
        return [joined, *conference.alone(call, leg)]
    if leg.held_by_api:
        return bridge.play(leg, SourceKind.MUSIC)
    return bridge.feed(call, leg, leg.fed) if leg.fed is not None else bridge.hush(leg)
