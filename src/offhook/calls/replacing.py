"""INVITE with Replaces: a new leg takes the place of one that is here (XFER-7; RFC 3891).

Pickup of a ringing or parked call, a reloaded page (LIVE-13), and PBXs that transfer by themselves. Lives here: who may take
which dialog over, and the exchange. Never here: Replaces inside REFER (consultation.py).
"""

from offhook.calls import adding, answering, bridge, ending, fork, transfer
from offhook.calls.call import NORMAL, Arrival, Call, CallState, Effects
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.description import speech_of
from offhook.calls.effects import Sip
from offhook.calls.leg import Leg, same_endpoint
from offhook.calls.outcome import COMPLETED_ELSEWHERE, Outcome, refusal
from offhook.sip.commands import RespondInvite
from offhook.sip.errors import PeerError
from offhook.sip.location import Account
from offhook.sip.replaces import Named, read_replaces


def _refusal(status: int, text: str) -> Outcome:
    return Outcome(status, CATALOGUE["replaces_refused"], text)


def take(call: Call, now: float) -> Effects | None:
    """The call that an INVITE began, if the INVITE names a dialog to replace: its leg goes over, or it is refused. None for
    an INVITE without Replaces."""
    newcomer = call.caller
    try:
        named = read_replaces(call.request.headers)
    except PeerError as error:
        return ending.refuse(call, _refusal(400, str(error)), now)
    if named is None:
        return None
    found = call.index.named(named)
    if found is None:
        ended = call.index.dialogs.has_ended(named)
        text = "The dialog to take over has ended" if ended else "There is no such dialog here"
        return ending.refuse(call, _refusal(603 if ended else 481, text), now)
    other, place = found
    wrong = _wrong(newcomer, named, other, place)
    if wrong is not None:
        return ending.refuse(call, wrong, now)
    _go_over(call, other)
    other.arrivals.append(Arrival(newcomer, place))
    bridge.prepare_incoming(newcomer)
    return bridge.open_legs(other, [newcomer])


def resume(call: Call, now: float) -> Effects:
    """LIVE-13: the destination `resume` takes the endpoint's newest call back whose page is gone, for clients that cannot
    send Replaces."""
    newcomer = call.caller
    assert newcomer.account is not None
    lost = [
        (other, leg)
        for other in call.index.of_endpoint(newcomer.account.username)
        for leg in other.parties
        if leg.detached and leg.confirmed and same_endpoint(leg, newcomer) and not _busy(other, leg, newcomer)
    ]
    if not lost:
        return ending.refuse(call, refusal("nothing_to_resume"), now)
    other, place = max(lost, key=lambda one: one[0].ref)
    _go_over(call, other)
    other.arrivals.append(Arrival(newcomer, place))
    bridge.prepare_incoming(newcomer)
    return bridge.open_legs(other, [newcomer])


def _busy(other: Call, place: Leg, newcomer: Leg) -> bool:
    """It is being transferred, taken over, or given new media. A page that was loaded anew is no stranger to a transfer."""
    only_transfers = same_endpoint(place, newcomer) and all(transfer.under_way(one) for one in other.forks)
    return bool(other.arrivals or other.reopening or (other.forks and not only_transfers))


def _wrong(newcomer: Leg, named: Named, other: Call, place: Leg) -> Outcome | None:
    """Why a leg may not be replaced."""
    if not _may_take(newcomer.account, other, place):
        return _refusal(403, "Only the same endpoint or one of its pickup group may take a call over")
    if other.reopening:
        return _refusal(491, "The call is getting new media; try again in a moment")
    if place.confirmed:
        if named.early_only:
            return _refusal(486, "The call has been answered already")
        if place not in other.parties:
            return _refusal(481, "There is no such dialog here")
        if _busy(other, place, newcomer):
            return _refusal(491, "The call is being transferred or taken over")
        return None
    if other.fork_of(place) is None or not other.media_calls:
        # RFC 3891 section 3: an early dialog can be taken over only on the side that rings.
        return _refusal(481, "A call that is being placed cannot be taken over")
    return None


def _may_take(account: Account | None, other: Call, place: Leg) -> bool:
    """XFER-7: the endpoint itself, or one of its pickup group; of a parked call, also those of who parked it."""
    owners = [place.account, other.parked_by]
    return account is not None and any(
        owner is not None
        and (owner.id == account.id or (account.pickup_group != "" and owner.pickup_group == account.pickup_group))
        for owner in owners
    )


def _go_over(call: Call, other: Call) -> None:
    """The new leg belongs to the other call; nothing is left of its own, which has never been one."""
    newcomer = call.caller
    key = newcomer.dialog
    call.parties.remove(newcomer)
    call.index.forget(call)
    # The ref was the call's too, and the log has each leg once.
    newcomer.ref = call.ids.ref()
    other.know(newcomer)
    if key is not None:
        call.index.dialogs.name(newcomer, key)


def arrived(call: Call, leg: Leg, now: float) -> Effects:
    """The engine has opened the new leg: now the places are exchanged, if the old one is still there."""
    arrival = next((one for one in call.arrivals if one.leg is leg), None)
    if arrival is None:
        return []
    call.arrivals.remove(arrival)
    place = arrival.place
    ringing = call.fork_of(place)
    if ringing is not None:
        return _pick_up(call, ringing, leg, now)
    if place not in call.parties or call.state is not CallState.TALKING:
        return turn_away(call, leg, _refusal(481, "The dialog to take over has ended meanwhile"))
    peer = call.peer_of(place)
    if peer is None and not same_endpoint(place, leg):
        return _retrieve(call, place, leg)
    return _exchange(call, place, leg, peer)


def _pick_up(call: Call, ringing: fork.Fork, leg: Leg, now: float) -> Effects:
    """RFC 5359 2.16: everything that rings stops, and who waits is connected with the newcomer. Where a command or document
    placed the leg that rings, the newcomer is that leg."""
    losers = fork.cancel(call, ringing, COMPLETED_ELSEWHERE, "answered_elsewhere")
    leg.role = "callee"
    call.parties.append(leg)
    fork.stands_for(ringing, leg)
    if ringing.asked is not None:
        call.take_place(ringing.asked.place, leg)
    accept = answering.accept_incoming(call, leg, (), ringing.party)
    told = ringing.waiter.answered(call, ringing, leg, now)
    return [*accept[:-1], *told, accept[-1], *losers, call.happened("call.answered", leg)]


def _retrieve(call: Call, parked: Leg, leg: Leg) -> Effects:
    """RFC 5359 2.15: who heard music alone talks to the newcomer."""
    leg.role = "callee" if parked.role == "caller" else "caller"
    call.parties.append(leg)
    call.parked_by = None
    accept = answering.accept_incoming(call, leg, speech_of(parked.chosen), parked)
    return [*accept[:-1], *bridge.join(parked, leg), accept[-1], call.happened("call.answered", leg)]


def _exchange(call: Call, place: Leg, leg: Leg, peer: Leg | None) -> Effects:
    """The peer gets no message; the old leg gets BYE."""
    leg.role = place.role
    call.parties[call.parties.index(place)] = leg
    call.leaving.append(place)
    if place is call.caller:
        call.caller = leg
    accept = answering.accept_incoming(call, leg, speech_of(peer.chosen) if peer is not None else (), peer)
    heard = transfer.stand_in(call, place, leg)
    if heard is None and peer is not None:
        heard = [*bridge.join(leg, peer), *adding.align(call, leg, peer)]
    elif heard is None:
        heard = bridge.feed(call, leg, call.destination)
    old = [*ending.dismiss(call, place, "replaced", NORMAL), *ending.close_leg(place)]
    return [*accept[:-1], *heard, accept[-1], *old, call.happened("call.moved", leg)]


def turn_away(call: Call, leg: Leg, outcome: Outcome) -> Effects:
    """A newcomer that cannot be let in after all."""
    call.arrivals = [one for one in call.arrivals if one.leg is not leg]
    call.retire(leg, outcome.row.code)
    fields = outcome.headers(call.config.domain)
    return [Sip(RespondInvite(leg.usage, outcome.status, fields)), *ending.close_leg(leg)]
