"""Lost flows: a confirmed dialog belongs to its device, not to a connection (SIGNALLING.md section 5).

Served now: LIVE-1 and LIVE-2 (detached legs and their clocks), LIVE-6 (a request in the dialog attaches again), LIVE-12
(before the answer) and LIVE-14 (the end without return).
"""

from dataclasses import dataclass

from offhook.calls import ending, fork
from offhook.calls.call import NORMAL, Call, CallState, Effects
from offhook.calls.effects import StartTimer, StopTimer
from offhook.calls.leg import Leg
from offhook.sip.events import Failure
from offhook.sip.fields import sip_reason


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
    """LIVE-2: a detached, silent leg has this long to come back."""

    call_ref: str
    leg_ref: str


def flow_lost(call: Call, leg: Leg, now: float) -> Effects:
    """The flow of one leg is gone; the leg is not (LIVE-1)."""
    if leg.detached or call.state is CallState.ENDED:
        return []
    leg.detached = True
    if leg.confirmed:
        clock = StartTimer(DetachedSilence(call.ref, leg.ref), call.config.detached_silence)
        return [clock, call.happened("call.detached", leg)]
    if leg.request is not None and leg is not call.caller:
        # It came to replace another, which stands.
        return [*ending.dismiss(call, leg, "flow_lost", NORMAL), *ending.close_leg(leg)]
    if leg is call.caller:
        return [StartTimer(LateCaller(call.ref), call.config.late_caller)]
    return fork.rejected(call, leg, None, Failure.FLOW_FAILED, now)


def late_caller_over(call: Call, now: float) -> Effects:
    """The caller has not come back while it rang."""
    if call.state is CallState.ENDED or not call.caller.detached or call.caller.confirmed:
        return []
    return ending.end(call, "flow_lost", "server", now, sip_reason(487, "The caller's connection is gone"))


def silence_due(call: Call, leg: Leg) -> Effects:
    """While sound still comes the leg lives; look again later."""
    if not leg.detached or call.state is CallState.ENDED:
        return []
    if leg.silent:
        return [StartTimer(FlowGrace(call.ref, leg.ref), call.config.flow_grace)]
    return [StartTimer(DetachedSilence(call.ref, leg.ref), call.config.detached_silence)]


def heard_again(call: Call, leg: Leg) -> Effects:
    """Sound of a detached leg is back: the grace starts anew."""
    if not leg.detached:
        return []
    clock = StartTimer(DetachedSilence(call.ref, leg.ref), call.config.detached_silence)
    return [StopTimer(FlowGrace(call.ref, leg.ref)), clock]


def attached(call: Call, leg: Leg) -> Effects:
    """LIVE-6: a request in the dialog came on a living flow."""
    if not leg.detached:
        return []
    leg.detached = False
    leg.flow_moves += 1
    stops: Effects = [StopTimer(FlowGrace(call.ref, leg.ref)), StopTimer(DetachedSilence(call.ref, leg.ref))]
    return [*stops, call.happened("call.moved", leg)]


def grace_over(call: Call, leg: Leg, now: float) -> Effects:
    """LIVE-14: the peer gets BYE, and the detached side one that may never arrive."""
    if not leg.detached or leg in call.former or call.state is CallState.ENDED:
        return []
    if ending.goes_alone(call, leg):
        return [*ending.dismiss(call, leg, "flow_lost", NORMAL), *ending.close_leg(leg)]
    by = "caller" if leg is call.caller else "callee"
    return ending.end(call, "flow_lost", by, now, sip_reason(480, "peer-connection-lost"))
