"""What the engine hears of one leg: sound, silence, digits, its path; findings are opened and closed by it.

Lives here: what each such event means for the leg. Never here: legs that open or close (switchboard.py, bridge.py).
"""

from offhook.calls import destinations, digits, ending, measured, signs, sounding, survival
from offhook.calls.call import Call, Effects
from offhook.calls.catalogue import CATALOGUE, FINDING_OF_VERDICT
from offhook.calls.events import (
    DescriptionRefused,
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
from offhook.sip.fields import sip_reason

MEDIA_FAILED = sip_reason(500, "The media engine failed in this call")
"""Reason of the BYEs to both."""
ONE_WAY, PATH_CHANGED, UDP_BLOCKED = "one_way_audio", "path_changed", "udp_blocked"
REPORTS_MISSING = "reports_missing"
MEDIA_REFUSED = "media_refused"


def of_leg(call: Call, leg: Leg, event: MediaEvent, now: float) -> Effects:
    """One event of the engine about one leg."""
    match event:
        case FirstMedia() | MediaResumed():
            leg.was_heard_once = True
            accepted = _no_more(call, leg, MEDIA_REFUSED, now)
            return [*accepted, *survival.heard_again(call, leg), *_other_way(call, leg, "in", now)]
        case MediaStopped():
            return survival.fell_silent(call, leg, event.silent_ms)
        case DigitPressed():
            return digits.heard(call, leg, event.digit, event.duration_ms, event.method, now)
        case QualityReported():
            return [*_no_more(call, leg, PATH_CHANGED, now), *measured.sampled(call, leg, event.quality, now)]
        case PathChanged():
            leg.path_changes += leg.path != ("", "")
            return _path(call, leg, event, now)
        case KeyFrameWanted():
            return digits.key_frame_wanted(leg)
        case KeysReady():
            leg.suite = event.suite
        case SilenceFound(direction="reports") | Heard(direction="reports"):
            return _reports(call, leg, event, now)
        case SilenceFound():
            return _silence(call, leg, event, now)
        case Heard():
            cleared = _closed(call, leg, _toward(event.direction), now)
            again = _both_ways_again(call, leg, event.direction, now)
            return [*cleared, *again, *_other_way(call, leg, event.direction, now)]
        case PlayFinished():
            return sounding.played(call, leg, event)
        case DescriptionRefused():
            again = _no_more(call, leg, MEDIA_REFUSED, now)
            return [*again, *_beside(call, leg, MEDIA_REFUSED, event.code, {"reason": event.text}, now)]
        case LegMediaFailed():
            return ending.end(call, "media_failed", "server", now, MEDIA_FAILED)
    return []


def _path(call: Call, leg: Leg, event: PathChanged, now: float) -> Effects:
    """Media over TCP is heard, but every lost packet delays those behind it: worth a word. So is a device that has moved;
    that its media followed ends the finding, at the next sample of its sound."""
    leg.over_tcp = event.reason == "ice-tcp"
    moved = leg.path[1] not in ("", event.remote) and leg.was_heard_once
    leg.path = (event.local, event.remote)
    told: Effects = []
    if moved and not leg.has_finding(PATH_CHANGED):
        told += _beside(call, leg, PATH_CHANGED, event.reason, {"remote": event.remote}, now)
    if leg.over_tcp and not leg.has_finding(UDP_BLOCKED):
        told += _beside(call, leg, UDP_BLOCKED, event.reason, {"remote": event.remote}, now)
    return [*told, *([] if leg.over_tcp else _no_more(call, leg, UDP_BLOCKED, now))]


def _beside(call: Call, leg: Leg, code: str, verdict: str, evidence: dict[str, str], now: float) -> Effects:
    """A finding about the device that does not take the place of another."""
    leg.add_finding(code, "from_device", verdict, evidence, now)
    return [call.happened("call.finding_raised", leg, code=code, verdict=verdict, direction="from_device")]


def _no_more(call: Call, leg: Leg, code: str, now: float) -> Effects:
    if not leg.has_finding(code):
        return []
    leg.end_finding(code, now)
    return [call.happened("call.finding_cleared", leg, code=code, direction="from_device")]


def _reports(call: Call, leg: Leg, event: SilenceFound | Heard, now: float) -> Effects:
    """Sound is heard without reports all the same: no silence, and no call ends of it."""
    if isinstance(event, SilenceFound) and FINDING_OF_VERDICT.get(event.verdict) != REPORTS_MISSING:
        return []
    ended = _no_more(call, leg, REPORTS_MISSING, now)
    if isinstance(event, Heard):
        return ended
    return [*ended, *_beside(call, leg, REPORTS_MISSING, event.verdict, dict(event.evidence), now)]


def _silence(call: Call, leg: Leg, event: SilenceFound, now: float) -> Effects:
    code = FINDING_OF_VERDICT.get(event.verdict)
    if code is None:
        return []
    evidence = dict(event.evidence)
    sign = _sign(leg, event.verdict)
    if sign is not None:
        code, evidence = sign[0], evidence | sign[1]
    first = event.direction == "in" and leg.silent and not _open_codes(leg, "from_device")
    raised = _opened(call, leg, code, _toward(event.direction), event.verdict, evidence, now)
    # One that was never heard has the same time as one that fell silent.
    clock = survival.fell_silent(call, leg, 0) if first and CATALOGUE[code].severity != "info" else []
    return [*raised, *_one_way(call, leg, event.direction, code, now), *clock]


def _sign(leg: Leg, verdict: str) -> tuple[str, dict[str, str]] | None:
    """What signalling tells beside the verdict: a better code, and facts."""
    if verdict in ("no_packets", "dtls_no_hello") and (wants := signs.of_ice(leg)):
        return wants
    if verdict == "no_packets":
        return signs.of_handshake(leg) or signs.of_silence(leg)
    facts = destinations.of_refusal(leg) if verdict == "no_address" else {}
    return ("sdp_address_private", facts) if facts else None


def _one_way(call: Call, leg: Leg, direction: str, code: str, now: float) -> Effects:
    """One direction between two legs flows, the other does not: both are named (API.md section 14)."""
    peer = call.peer_of(leg)
    if peer is None or peer is leg or CATALOGUE[code].severity == "info":
        return []
    speaker, hearer = (leg, peer) if direction == "in" else (peer, leg)
    back = hearer.silent or any(
        one.until is None and not one.beside and one.direction == ("from_device" if one_leg is hearer else "to_device")
        and CATALOGUE[one.code].severity != "info"
        for one_leg in (hearer, speaker)
        for one in one_leg.findings
    )  # fmt: skip
    if back:
        # Nothing flows the other way either.
        return [told for one in (speaker, hearer) for told in _not_one_way(call, one, now)]
    if leg.has_finding(ONE_WAY):
        return []
    evidence = {"silent": f"{speaker.ref} to {hearer.ref}", "flows": f"{hearer.ref} to {speaker.ref}", "code": code}
    leg.add_finding(ONE_WAY, _toward(direction), code, evidence, now)
    return [call.happened("call.finding_raised", leg, code=ONE_WAY, verdict=code)]


def _other_way(call: Call, leg: Leg, direction: str, now: float) -> Effects:
    """A direction flows: where the other one is silent still, it is that alone from now on."""
    peer = call.peer_of(leg)
    if peer is None or peer is leg:
        return []
    speaker, hearer = (peer, leg) if direction == "in" else (leg, peer)
    for one, way in ((speaker, "in"), (hearer, "out")):
        for code in _open_codes(one, _toward(way)):
            if told := _one_way(call, one, way, code, now):
                return told
    return []


def _both_ways_again(call: Call, leg: Leg, direction: str, now: float) -> Effects:
    ended = [one for one in leg.findings if one.code == ONE_WAY and one.until is None]
    if not ended or ended[0].direction != _toward(direction):
        return []
    return _not_one_way(call, leg, now)


def _not_one_way(call: Call, leg: Leg, now: float) -> Effects:
    if not leg.has_finding(ONE_WAY):
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
