"""What the engine hears of one leg: sound, silence, digits, its path; findings are opened and closed by it.

Lives here: what each such event means for the leg. Never here: legs that open or close (switchboard.py, bridge.py).
"""

from offhook.calls import digits, ending, measured, reopen, sounding, survival
from offhook.calls.call import Call, Effects
from offhook.calls.catalogue import CATALOGUE, FINDING_OF_VERDICT
from offhook.calls.events import (
    DigitPressed,
    FirstMedia,
    Heard,
    KeyFrameWanted,
    KeysReady,
    LegMediaFailed,
    MediaEvent,
    MediaResumed,
    MediaStopped,
    PathChanged,
    PlayFinished,
    QualityReported,
    SilenceFound,
)
from offhook.calls.leg import Leg

ONE_WAY = "one_way_audio"


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
            return measured.sampled(call, leg, event.quality, now)
        case PathChanged():
            leg.path_changes += leg.path != ("", "")
            leg.path = (event.local, event.remote)
            return _path(call, leg, event, now)
        case KeyFrameWanted():
            return digits.key_frame_wanted(leg)
        case KeysReady():
            leg.suite = event.suite
        case SilenceFound():
            return _silence(call, leg, event, now)
        case Heard():
            cleared = _closed(call, leg, _toward(event.direction), now)
            return [*cleared, *_both_ways_again(call, leg, event.direction, now)]
        case PlayFinished():
            return sounding.played(call, leg, event)
        case LegMediaFailed():
            return ending.end(call, "media_engine_lost", "server", now, reopen.ENGINE_LOST)
    return []


def _path(call: Call, leg: Leg, event: PathChanged, now: float) -> Effects:
    """Media over TCP is heard, but every lost packet delays those behind it: worth a word."""
    leg.over_tcp = event.reason == "ice-tcp"
    if not leg.over_tcp:
        return _closed(call, leg, "path", now)
    return _opened(call, leg, "udp_blocked", "path", "ice-tcp", {"remote": event.remote}, now)


def _silence(call: Call, leg: Leg, event: SilenceFound, now: float) -> Effects:
    code = FINDING_OF_VERDICT.get(event.verdict)
    if code is None:
        return []
    raised = _opened(call, leg, code, _toward(event.direction), event.verdict, dict(event.evidence), now)
    return [*raised, *_one_way(call, leg, event.direction, code, now)]


def _one_way(call: Call, leg: Leg, direction: str, code: str, now: float) -> Effects:
    """One direction between two legs flows, the other does not: both are named (API.md section 14)."""
    peer = call.peer_of(leg)
    if peer is None or peer is leg or CATALOGUE[code].severity == "info" or leg.has_finding(ONE_WAY):
        return []
    speaker, hearer = (leg, peer) if direction == "in" else (peer, leg)
    back = hearer.silent or any(
        one.until is None and one.direction == ("from_device" if one_leg is hearer else "to_device")
        and CATALOGUE[one.code].severity != "info"
        for one_leg in (hearer, speaker)
        for one in one_leg.findings
    )  # fmt: skip
    if back:
        # Nothing flows the other way either.
        return []
    evidence = {"silent": f"{speaker.ref} to {hearer.ref}", "flows": f"{hearer.ref} to {speaker.ref}", "code": code}
    leg.add_finding(ONE_WAY, _toward(direction), code, evidence, now)
    return [call.happened("call.finding_raised", leg, code=ONE_WAY, verdict=code)]


def _both_ways_again(call: Call, leg: Leg, direction: str, now: float) -> Effects:
    ended = [one for one in leg.findings if one.code == ONE_WAY and one.until is None]
    if not ended or ended[0].direction != _toward(direction):
        return []
    leg.end_finding(ONE_WAY, now)
    return [call.happened("call.finding_cleared", leg, code=ONE_WAY)]


def _opened(
    call: Call, leg: Leg, code: str, direction: str, verdict: str, evidence: dict[str, str], now: float
) -> Effects:
    """A finding takes the place of the one that is open in its direction; the same again only brings new evidence."""
    same = code in _open_codes(leg, direction)
    cleared = [] if same else _closed(call, leg, direction, now)
    leg.open_finding(code, direction, verdict, evidence, now)
    if same:
        return []
    return [*cleared, call.happened("call.finding_raised", leg, code=code, verdict=verdict, direction=direction)]


def _closed(call: Call, leg: Leg, direction: str, now: float) -> Effects:
    """What was wrong in a direction is over."""
    codes = _open_codes(leg, direction)
    leg.close_finding(direction, now)
    return [call.happened("call.finding_cleared", leg, code=code, direction=direction) for code in codes]


def _open_codes(leg: Leg, direction: str) -> list[str]:
    return [one.code for one in leg.findings if one.until is None and one.direction == direction and not one.beside]


def _toward(direction: str) -> str:
    return "from_device" if direction == "in" else "to_device"
