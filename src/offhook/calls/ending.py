"""How calls end: refused, given up, hung up, or ended from outside; every leg that is left hears of it."""

from offhook.calls.call import NORMAL, Call, CallState, Effects
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.effects import CloseMedia, CloseMediaLeg, Sip, WriteCallLog
from offhook.calls.fork import cancel
from offhook.calls.leg import Leg, LegState
from offhook.calls.outcome import Outcome
from offhook.sip.commands import HangUp, RespondInvite


def refuse(call: Call, outcome: Outcome, now: float) -> Effects:
    """The final refusal to the caller."""
    call.refused_text = outcome.text
    call.caller.sip_code, call.caller.sip_text = outcome.status, outcome.text
    if call.caller.request is None:
        # Placed by a command: nobody waits for a final response.
        return end(call, outcome.row.code, "server", now)
    respond = Sip(RespondInvite(call.caller.usage, outcome.status, outcome.headers(call.config.domain)))
    call.retire(call.caller, outcome.row.code)
    decided = call.explain(f"refused with {outcome.status}: {outcome.text}")
    return [decided, respond, *end(call, outcome.row.code, "callee", now)]


def canceled(call: Call, leg: Leg, reason: str | None, now: float) -> Effects:
    """The caller gave up; the SIP layer has answered him."""
    return gone(call, leg, "caller_canceled", "caller", now, reason or NORMAL)


def hung_up(call: Call, leg: Leg, reason: str | None, now: float) -> Effects:
    """A BYE came; the other side gets one with the same Reason."""
    return gone(call, leg, "hangup", leg.role, now, reason or NORMAL)


def gone(call: Call, leg: Leg, code: str, by: str, now: float, reason: str) -> Effects:
    """A leg's dialog is no more. The call ends with it, but not if the leg has been replaced or transfers the call: it may
    leave at any time after the 202 (XFER-3); nor if a document goes on for its partner, or a command has parted them."""
    if goes_alone(call, leg):
        call.retire(leg, code)
        return close_leg(leg)
    partner, rest = _left_by(call, leg)
    if partner is None and not rest:
        call.retire(leg, code)
        return end(call, code, by, now, reason)
    stopped = _stop_forks(call, leg, reason, code)
    call.retire(leg, code)
    return [*stopped, *close_leg(leg), *_go_on(call, leg, partner, rest, code, by, now, reason)]


def give_up_leg(call: Call, leg: Leg, code: str, by: str, now: float, reason: str = NORMAL) -> Effects:
    """The same for a leg that is ended by us: it gets BYE, or what its INVITE has waited for."""
    partner, rest = _left_by(call, leg)
    if partner is None and not rest:
        return end(call, code, by, now, reason)
    left = [*_stop_forks(call, leg, reason, code), *dismiss(call, leg, code, reason), *close_leg(leg)]
    return [*left, *_go_on(call, leg, partner, rest, code, by, now, reason)]


def end_leg(call: Call, leg: Leg, code: str, by: str, now: float, reason: str = NORMAL) -> Effects:
    """A leg ends with whoever talks to it; those that a command has parted from them go on."""
    partner = call.peer_of(leg)
    if not [one for one in call.parties if one not in (leg, partner)]:
        return end(call, code, by, now, reason)
    pair = [leg] if partner is None else [leg, partner]
    return [
        effect
        for one in pair
        for effect in (*_stop_forks(call, one, reason, code), *dismiss(call, one, code, reason), *close_leg(one))
    ]


def _left_by(call: Call, leg: Leg) -> tuple[Leg | None, list[Leg]]:
    """The partner for whom a document goes on without this leg, and legs that were parted from it."""
    if not call.programs and call.pairs is None:
        return None, []
    partner = call.peer_of(leg)
    rest = [one for one in call.parties if one not in (leg, partner)]
    return (partner if partner is not None and partner.ref in call.programs else None), rest


def _go_on(
    call: Call, leg: Leg, directed: Leg | None, rest: list[Leg], code: str, by: str, now: float, reason: str
) -> Effects:
    if directed is not None:
        return call.programs[directed.ref].partner_left(call, leg, code, by, now, reason)
    partners = [one for one in call.parties if one not in rest]
    return [effect for one in partners for effect in (*dismiss(call, one, code, reason), *close_leg(one))]


def _stop_forks(call: Call, leg: Leg, reason: str, code: str) -> Effects:
    """What rings for a leg that leaves."""
    effects: Effects = []
    for fork in [one for one in call.forks if one.party is leg]:
        effects += fork.waiter.abandoned(call, fork)
        effects += cancel(call, fork, reason, code)
    return effects


def goes_alone(call: Call, leg: Leg) -> bool:
    """True when the call goes on without this leg."""
    new = any(one.leg is leg for one in call.arrivals)
    return new or leg in call.leaving or any(fork.transferor is leg for fork in call.forks)


def close_leg(leg: Leg) -> Effects:
    """The engine forgets a leg of a call that goes on."""
    return [CloseMediaLeg(leg.media.leg)] if leg.media is not None else []


def dismiss(call: Call, leg: Leg, code: str, reason: str) -> Effects:
    """One leg is ended by us, whatever it has got to: BYE, or a final response to its INVITE."""
    confirmed = leg.confirmed
    call.retire(leg, code)
    if confirmed or leg.request is None:
        return [Sip(HangUp(leg.usage, reason))]
    row = CATALOGUE[code]
    outcome = Outcome(row.sip or 480, row, row.cause)
    return [Sip(RespondInvite(leg.usage, outcome.status, outcome.headers(call.config.domain)))]


def end(call: Call, code: str, by: str, now: float, reason: str = NORMAL) -> Effects:
    """Ends every leg that is left, however far it is."""
    if call.state is CallState.ENDED:
        return []
    call.state = CallState.ENDED
    effects: Effects = []
    for fork in list(call.forks):
        effects += fork.waiter.abandoned(call, fork)
    for leg in [*call.parties, *call.leaving, *(one.leg for one in call.arrivals)]:
        effects += dismiss(call, leg, code, reason)
    for fork in list(call.forks):
        effects += cancel(call, fork, reason, code)
    return [*effects, *_over(call, code, by, now)]


def _over(call: Call, code: str, by: str, now: float) -> Effects:
    call.state, call.end_code, call.ended_by, call.ended_at = CallState.ENDED, code, by, now
    call.index.ended.append(call)
    for leg in call.legs:
        leg.state = LegState.ENDED
    ended = call.happened("call.ended", None, code=code, by=by)
    if call.media_calls:
        return [ended, *(CloseMedia(number) for number in call.media_calls)]
    return [ended, WriteCallLog(call.record())]
