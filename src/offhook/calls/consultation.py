"""Attended transfer: a REFER that names another dialog of the same endpoint joins the far ends of two calls (XFER-4)."""

from offhook.calls import adding, bridge, ending, fork, survival
from offhook.calls.call import NORMAL, Call, CallState, Effects
from offhook.calls.effects import Note, StartTimer, StopTimer
from offhook.calls.hunt import CallLimit, time_limit
from offhook.calls.leg import Leg, same_endpoint
from offhook.calls.ports import SourceKind
from offhook.calls.seeking import Seeker
from offhook.calls.transfer import Transfer
from offhook.sip.replaces import Named


def attended(call: Call, transfer: Transfer, named: Named, now: float) -> Effects:
    """Joins the transferee with the far end of the dialog named; the transferor hears how it went."""
    found = call.index.named(named)
    if found is None or not same_endpoint(found[1], transfer.transferor) or found[0] is call:
        return _refused(call, transfer, 481, "The dialog to replace is not one of the same endpoint here")
    other, consulted = found
    if other.reopening:
        return _refused(call, transfer, 491, "The call to be joined is getting new media; try again in a moment")
    ringing = next((one for one in other.forks if one.party is consulted), None)
    if ringing is not None and not _movable(ringing):
        return _refused(call, transfer, 491, "The consulted party does not ring yet")
    far = other.peer_of(consulted)
    if ringing is not None and not consulted.confirmed:
        return _still_ringing(call, transfer, other, consulted, ringing, now)
    if not consulted.confirmed or consulted not in other.parties:
        return _refused(call, transfer, 481, "The dialog to replace is not one that can be")
    if far is not None:
        return _join(call, transfer, other, consulted, far, now)
    if other.destination.built_in and not other.forks:
        fed = bridge.feed(call, transfer.transferee, other.destination)
        call.destination, call.parked_by = other.destination, transfer.transferor.account
        done = transfer.succeeded(call, other.destination.user)
        return [*fed, *done, *ending.end(other, "transferred", "caller", now)]
    return _refused(call, transfer, 481, "Nobody is at the other end of the dialog to replace")


def _movable(ringing: fork.Fork) -> bool:
    """Only what rings can go over: look-ups, engine legs and connections under way would come back to the other call."""
    opened = all(leg.media is not None for leg in ringing.branches.values())
    return ringing.rung and opened and not ringing.waits and (ringing.hunt is None or ringing.hunt.rang)


def _refused(call: Call, transfer: Transfer, status: int, text: str) -> Effects:
    """Nothing has changed; the transferor is told the status, the log the words."""
    note = Note("transfer-failed", {"call_ref": call.ref, "status": str(status), "text": text})
    return [*transfer.tell(status, last=True), note]


def _join(call: Call, transfer: Transfer, other: Call, consulted: Leg, far: Leg, now: float) -> Effects:
    """Both far ends are confirmed: no new INVITE, they hear each other at once."""
    name = other.to_name if consulted is other.caller else _name(far)
    other.parties.remove(far)
    if far is other.caller:
        # What is left of that call is the transferor's leg alone.
        other.caller = consulted
    call.parties.append(far)
    call.know(far)
    _take_media(call, other)
    clocks = [*_limit_goes_on(call, other, far), *survival.carried(call, other, far)]
    joined = [*clocks, *bridge.join(transfer.transferee, far), *adding.align(call, transfer.transferee, far)]
    done = transfer.succeeded(call, name)
    return [*joined, *done, *_over(other, consulted, now)]


def _limit_goes_on(call: Call, other: Call, far: Leg) -> Effects:
    """A trunk's time limit is its leg's: it begins anew in the call to which the leg goes."""
    limit = time_limit(call, far)
    return [StopTimer(CallLimit(other.ref)), *limit] if limit else []


def _name(leg: Leg) -> str:
    return leg.account.username if leg.account is not None else ""


def _still_ringing(
    call: Call, transfer: Transfer, other: Call, consulted: Leg, ringing: fork.Fork, now: float
) -> Effects:
    """The consulted party has not answered: it goes on ringing, for the transferee now."""
    other.forks.remove(ringing)
    ringing.party, ringing.waiter, ringing.transferor = transfer.transferee, Seeker(transfer), transfer.transferor
    call.forks.append(ringing)
    for leg in ringing.branches.values():
        call.know(leg)
    _take_media(call, other)
    transfer.ringback = True
    clocks: Effects = [
        StopTimer(fork.RingTimer(other.ref, ringing.ref)),
        StartTimer(fork.RingTimer(call.ref, ringing.ref), ringing.ring_seconds),
    ]
    heard = bridge.play(transfer.transferee, SourceKind.RINGBACK)
    return [*transfer.tell(180), *heard, *clocks, *_over(other, consulted, now)]


def _take_media(call: Call, other: Call) -> None:
    """The engine's calls of the other one belong here now, with what is left of its legs."""
    for number in other.media_calls:
        call.media_calls.append(number)
        call.index.media[number] = call
    other.media_calls = []


def _over(other: Call, consulted: Leg, now: float) -> Effects:
    """The transferor's second leg and its call are done; only that leg is left of it."""
    assert other.state is not CallState.ENDED
    return [*ending.end(other, "transferred", "caller", now, NORMAL), *ending.close_leg(consulted)]
