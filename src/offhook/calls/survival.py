"""Lost flows: a confirmed dialog belongs to its device, not to a connection (SIGNALLING.md section 5).

Lives here: the clocks of a leg without a flow (LIVE-1 to LIVE-3, LIVE-12, LIVE-14) and of one that has just got a flow back
(LIVE-9). Never here: which legs a device takes back (adoption.py), what becomes of media (reopen.py).
"""

from dataclasses import dataclass

from offhook.calls import ending, fork, proposal, reopen
from offhook.calls.call import NORMAL, Call, CallState, Effects
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.effects import Sip, StartTimer, StopTimer
from offhook.calls.leg import Leg, LegState
from offhook.calls.reopen import Settling, StillSilent
from offhook.sip.commands import SettleUsage
from offhook.sip.events import Failure
from offhook.sip.fields import sip_reason
from offhook.sip.flow import Flow


@dataclass(frozen=True, slots=True)
class LateCaller:
    """LIVE-12: the caller's flow went while it rang."""

    call_ref: str


@dataclass(frozen=True, slots=True)
class DetachedSilence:
    """LIVE-2: is a detached leg's media silent?"""

    call_ref: str
    leg_ref: str


@dataclass(frozen=True, slots=True)
class FlowGrace:
    """LIVE-2, LIVE-3: a detached, silent leg has this long to come back."""

    call_ref: str
    leg_ref: str


@dataclass(frozen=True, slots=True)
class DetachedLimit:
    """LIVE-2: media alone keeps a detached leg for one session interval at most."""

    call_ref: str
    leg_ref: str


@dataclass(frozen=True, slots=True)
class MediaTimeout:
    """LIVE-2: an attached leg, not on hold, sends nothing."""

    call_ref: str
    leg_ref: str


LegClock = DetachedSilence | FlowGrace | DetachedLimit | Settling | MediaTimeout | StillSilent
_CLOCKS = (DetachedSilence, FlowGrace, DetachedLimit, Settling, MediaTimeout, StillSilent)


# ---- the flow goes


def flow_lost(call: Call, leg: Leg, left: bool, now: float) -> Effects:
    """The flow of one leg is gone; the leg is not (LIVE-1). `left`: the page said that it leaves (LIVE-3)."""
    if leg.detached or call.state is CallState.ENDED:
        return []
    if leg.confirmed:
        return [*detach(call, leg, left), call.happened("call.detached", leg)]
    if leg.request is not None and leg is not call.caller:
        # It came to replace another, which stands.
        return [*ending.dismiss(call, leg, "flow_lost", NORMAL), *ending.close_leg(leg)]
    leg.detached = True
    if leg is call.caller:
        return [StartTimer(LateCaller(call.ref), call.config.late_caller)]
    return fork.rejected(call, leg, None, Failure.FLOW_FAILED, now)


def detach(call: Call, leg: Leg, left: bool = False) -> Effects:
    """The clocks of LIVE-2 begin; a page that reloads has the shorter grace at once, for its media is gone with it."""
    leg.detached, leg.spoke, leg.clocked = True, False, True
    stops = [StopTimer(clock(call.ref, leg.ref)) for clock in (Settling, MediaTimeout)]
    first = (
        StartTimer(FlowGrace(call.ref, leg.ref), call.config.reload_grace)
        if left
        else StartTimer(DetachedSilence(call.ref, leg.ref), call.config.detached_silence)
    )
    return [*stops, first, StartTimer(DetachedLimit(call.ref, leg.ref), call.config.detached_limit)]


def carried(call: Call, before: Call, leg: Leg) -> Effects:
    """The leg has come from another call by a transfer: its clocks run here now, from their beginning."""
    if not leg.clocked:
        return []
    stops: Effects = [StopTimer(clock(before.ref, leg.ref)) for clock in _CLOCKS]
    return [*stops, *detach(call, leg)] if leg.detached else stops


def late_caller_over(call: Call, now: float) -> Effects:
    """The caller has not come back while it rang."""
    if call.state is CallState.ENDED or not call.caller.detached or call.caller.confirmed:
        return []
    return ending.end(call, "flow_lost", "server", now, sip_reason(487, "The caller's connection is gone"))


# ---- while it is away


def clock_rang(call: Call, leg: Leg, key: LegClock, now: float) -> Effects:
    """One of the leg's clocks."""
    if call.state is CallState.ENDED or leg not in call.live:
        return []
    match key:
        case DetachedSilence():
            return _silence_due(call, leg)
        case FlowGrace() if leg.detached and not leg.silent:
            # The page said that it left, yet its media goes on.
            return [StartTimer(DetachedSilence(call.ref, leg.ref), call.config.detached_silence)]
        case FlowGrace() | DetachedLimit():
            return _gone_for_good(call, leg, now) if leg.detached else []
        case Settling():
            return _settled(call, leg, now)
        case MediaTimeout():
            return _media_timeout(call, leg, now)
        case StillSilent():
            return reopen.still_silent(call, leg, now)


def _silence_due(call: Call, leg: Leg) -> Effects:
    """While sound still comes the leg lives; look again later."""
    if not leg.detached:
        return []
    if leg.silent:
        return [StartTimer(FlowGrace(call.ref, leg.ref), call.config.flow_grace)]
    return [StartTimer(DetachedSilence(call.ref, leg.ref), call.config.detached_silence)]


def _gone_for_good(call: Call, leg: Leg, now: float) -> Effects:
    """LIVE-14: the peer gets BYE, and the detached side one that may never arrive."""
    if ending.goes_alone(call, leg):
        return [*ending.dismiss(call, leg, "peer_connection_lost", NORMAL), *ending.close_leg(leg)]
    return ending.give_up_leg(call, leg, "peer_connection_lost", leg.role, now, sip_reason(480, "peer-connection-lost"))


def heard_again(call: Call, leg: Leg) -> Effects:
    """Sound of a leg is back: a detached one's grace starts anew."""
    leg.silent = False
    if not leg.detached:
        return [StopTimer(MediaTimeout(call.ref, leg.ref))]
    clock = StartTimer(DetachedSilence(call.ref, leg.ref), call.config.detached_silence)
    return [StopTimer(FlowGrace(call.ref, leg.ref)), clock]


def fell_silent(call: Call, leg: Leg, silent_ms: int) -> Effects:
    """Nothing has come for `silent_ms`."""
    leg.silent = True
    limit = call.config.media_timeout
    if leg.detached or not limit:
        return []
    leg.clocked = True
    return [StartTimer(MediaTimeout(call.ref, leg.ref), max(0.0, limit - silent_ms / 1000))]


def still_there(call: Call, leg: Leg) -> Effects:
    """No sound, but RTCP or checks of ICE: the device is there, and has its time anew, unless a fault keeps it silent."""
    if leg.detached or not leg.silent or not leg.clocked or not call.config.media_timeout or _fault(leg):
        return []
    return [StartTimer(MediaTimeout(call.ref, leg.ref), call.config.media_timeout)]


def _fault(leg: Leg) -> str:
    """The code of an open finding that ends calls, "" if there is none."""
    return next((one.code for one in leg.findings if one.until is None and CATALOGUE[one.code].end), "")


def _media_timeout(call: Call, leg: Leg, now: float) -> Effects:
    if leg.detached or not leg.silent or not leg.confirmed or leg.media is None:
        return []
    if leg.state is LegState.HELD or (leg.audio is not None and leg.audio.direction in ("recvonly", "inactive")):
        # On hold silence is what was agreed; look again, for it may be resumed and stay silent.
        return [StartTimer(MediaTimeout(call.ref, leg.ref), call.config.media_timeout)]
    code = _fault(leg) or "media_timeout"
    return ending.give_up_leg(call, leg, code, leg.role, now, sip_reason(408, CATALOGUE[code].slug))


# ---- it comes back


def moved(call: Call, leg: Leg, flow: Flow) -> Effects:
    """The leg's dialog is on another flow (LIVE-5, LIVE-6)."""
    was, leg.flow, leg.detached = leg.detached, flow, False
    leg.flow_moves += 1
    leg.spoke, leg.clocked = False, True
    told = call.happened("call.moved", leg)
    if not leg.confirmed:
        return [StopTimer(LateCaller(call.ref)), told] if was and leg is call.caller else [told]
    clocks = (FlowGrace, DetachedSilence, DetachedLimit) if was else ()
    stops = [StopTimer(clock(call.ref, leg.ref)) for clock in clocks]
    return [*stops, StartTimer(Settling(call.ref, leg.ref), call.config.settle), told]


def stopped(call: Call) -> Effects:
    """The call is over, and so are the clocks of its legs."""
    legs = [leg for leg in call.legs if leg.clocked]
    stops: Effects = [StopTimer(clock(call.ref, leg.ref)) for leg in legs for clock in _CLOCKS]
    return [*stops, StopTimer(reopen.ReopenLimit(call.ref))] if call.reopening else stops


def spoke(leg: Leg, method: str) -> None:
    """LIVE-9: the client has renegotiated by itself."""
    if method in ("INVITE", "UPDATE"):
        leg.spoke = True


def _settled(call: Call, leg: Leg, now: float) -> Effects:
    """LIVE-9: the client has not spoken by itself: a dead path is restarted, a living one only asked after."""
    if leg.detached or not leg.confirmed:
        return []
    if leg.reoffer or (leg.webrtc and leg.silent and not leg.spoke and leg.state is not LegState.HELD):
        return [*reopen.reinvite(call, leg), *proposal.returned(call, leg)]
    return [Sip(SettleUsage(leg.usage, probe=not leg.spoke)), *proposal.returned(call, leg)]
