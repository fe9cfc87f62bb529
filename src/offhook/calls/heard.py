"""What the engine hears of one leg: sound, silence, digits, its path; findings are opened and closed by it.

Lives here: what each such event means for the leg. Never here: legs that open or close (switchboard.py, bridge.py).
"""

from offhook.calls import digits, ending, reopen, survival
from offhook.calls.call import Call, Effects
from offhook.calls.catalogue import FINDING_OF_VERDICT
from offhook.calls.events import (
    DigitPressed,
    FirstMedia,
    Heard,
    KeysReady,
    LegMediaFailed,
    MediaEvent,
    MediaResumed,
    MediaStopped,
    PathChanged,
    QualityReported,
    SilenceFound,
)
from offhook.calls.leg import Leg


def of_leg(call: Call, leg: Leg, event: MediaEvent, now: float) -> Effects:
    """One event of the engine about one leg."""
    match event:
        case FirstMedia() | MediaResumed():
            return survival.heard_again(call, leg)
        case MediaStopped():
            return survival.fell_silent(call, leg, event.silent_ms)
        case DigitPressed():
            return digits.heard(call, leg, event.digit, event.duration_ms, event.method, now)
        case QualityReported():
            leg.quality = event.quality
        case PathChanged():
            leg.path_changes += leg.path != ("", "")
            leg.path = (event.local, event.remote)
            return _path(call, leg, event, now)
        case KeysReady():
            leg.suite = event.suite
        case SilenceFound():
            return _silence(call, leg, event, now)
        case Heard():
            leg.close_finding(_toward(event.direction), now)
            return [call.happened("call.finding_cleared", leg, direction=event.direction)]
        case LegMediaFailed():
            return ending.end(call, "media_engine_lost", "server", now, reopen.ENGINE_LOST)
    return []


def _path(call: Call, leg: Leg, event: PathChanged, now: float) -> Effects:
    """Media over TCP is heard, but every lost packet delays those behind it: worth a word."""
    leg.over_tcp = event.reason == "ice-tcp"
    if not leg.over_tcp:
        leg.close_finding("path", now)
        return []
    leg.open_finding("udp_blocked", "path", "ice-tcp", {"remote": event.remote}, now)
    return [call.happened("call.finding_raised", leg, code="udp_blocked", verdict="ice-tcp")]


def _silence(call: Call, leg: Leg, event: SilenceFound, now: float) -> Effects:
    code = FINDING_OF_VERDICT.get(event.verdict)
    if code is None:
        return []
    leg.open_finding(code, _toward(event.direction), event.verdict, dict(event.evidence), now)
    return [call.happened("call.finding_raised", leg, code=code, verdict=event.verdict)]


def _toward(direction: str) -> str:
    return "from_device" if direction == "in" else "to_device"
