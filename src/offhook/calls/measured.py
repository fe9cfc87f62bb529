"""What a leg sounds like: a sample every five seconds, and findings where two in a row are over a threshold (API.md 12.3).

Lives here: thresholds and their findings. Never here: silence (heard.py), how the figures are made, which is the engine's.
"""

from offhook.calls import survival
from offhook.calls.call import Call, Effects
from offhook.calls.description import speech_of
from offhook.calls.leg import Leg
from offhook.calls.ports import Quality
from offhook.calls.thresholds import Thresholds

MOST = 720
"""Samples of one leg: an hour of them; beyond that every second one is left out."""


def sampled(call: Call, leg: Leg, quality: Quality, now: float) -> Effects:
    """One sample: kept, and compared with the one before."""
    before = leg.samples[-1][1] if leg.samples else Quality()
    leg.quality = quality
    leg.samples.append((now, quality))
    if len(leg.samples) > MOST:
        del leg.samples[::2]
    effects = _transcoding(call, leg, now)
    if quality.signs_in > before.signs_in:
        effects += survival.still_there(call, leg)
    over = _over(call.config.thresholds, quality, before)
    last, leg.over = leg.over, tuple(over)
    for code in CODES:
        twice = code in over and code in last
        known = leg.has_finding(code)
        if twice and not known:
            leg.add_finding(code, "from_device", "measured", over[code], now)
            effects.append(call.happened("call.finding_raised", leg, code=code, verdict="measured"))
        elif known and code not in over:
            leg.end_finding(code, now)
            effects.append(call.happened("call.finding_cleared", leg, code=code))
    return effects


CODES = ("high_rtt", "high_jitter", "high_loss", "low_mos", "late_packets", "clock_drift")


def _over(limits: Thresholds, quality: Quality, before: Quality) -> dict[str, dict[str, str]]:
    """Codes whose threshold is passed, with the figures; what is counted is compared with the sample before."""
    found: dict[str, dict[str, str]] = {}
    if quality.rtt_ms > limits.rtt_ms:
        found["high_rtt"] = {"rtt_ms": f"{quality.rtt_ms:.0f}", "threshold": f"{limits.rtt_ms:g}"}
    if quality.jitter_ms > limits.jitter_ms:
        found["high_jitter"] = {"jitter_ms": f"{quality.jitter_ms:.1f}", "threshold": f"{limits.jitter_ms:g}"}
    if quality.loss_percent > limits.loss_percent:
        found["high_loss"] = {"loss_percent": f"{quality.loss_percent:.1f}", "threshold": f"{limits.loss_percent:g}"}
        if quality.unread_in:
            found["high_loss"]["dropped_by_server"] = str(quality.unread_in)
    if 0 < quality.mos < limits.mos:
        found["low_mos"] = {"mos": f"{quality.mos:.2f}", "threshold": f"{limits.mos:g}"}
    came, late = quality.packets_in - before.packets_in, quality.late_in - before.late_in
    if came > 0 and late * 100 > limits.late_percent * came:
        share = f"{late * 100 / came:.1f}"
        found["late_packets"] = {"late_percent": share, "threshold": f"{limits.late_percent:g}"}
    if abs(quality.drift_ppm) > limits.drift_ppm:
        found["clock_drift"] = {"drift_ppm": f"{quality.drift_ppm:.0f}", "threshold": f"{limits.drift_ppm:g}"}
    return found


TRANSCODING = "transcoding"


def _transcoding(call: Call, leg: Leg, now: float) -> Effects:
    """The two that talk have no codec in common, and what this leg says is written anew for the other."""
    peer = call.peer_of(leg)
    mine, theirs = speech_of(leg.chosen)[:1], speech_of(peer.chosen)[:1] if peer is not None else ()
    differ = bool(mine and theirs) and mine != theirs
    if differ == leg.has_finding(TRANSCODING):
        return []
    if not differ:
        leg.end_finding(TRANSCODING, now)
        return [call.happened("call.finding_cleared", leg, code=TRANSCODING)]
    leg.add_finding(TRANSCODING, "from_device", "codecs", {"codec": mine[0], "other": theirs[0]}, now)
    return [call.happened("call.finding_raised", leg, code=TRANSCODING, verdict="codecs")]
