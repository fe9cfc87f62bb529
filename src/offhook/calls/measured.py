"""What a leg sounds like: a sample every five seconds, and findings where two in a row are over a threshold (API.md 12.3).

Lives here: thresholds and their findings. Never here: silence (heard.py), how the figures are made, which is the engine's.
"""

from offhook.calls.call import Call, Effects
from offhook.calls.leg import Leg
from offhook.calls.ports import Quality
from offhook.calls.thresholds import Thresholds

MOST = 720
"""Samples of one leg: an hour of them; beyond that every second one is left out."""


def sampled(call: Call, leg: Leg, quality: Quality, now: float) -> Effects:
    """One sample: kept, and compared with the one before."""
    before = leg.samples[-1][1] if leg.samples else None
    leg.quality = quality
    leg.samples.append((now, quality))
    if len(leg.samples) > MOST:
        del leg.samples[::2]
    effects: Effects = []
    over = _over(call.config.thresholds, quality)
    for code in CODES:
        twice = code in over and before is not None and code in _over(call.config.thresholds, before)
        known = leg.has_finding(code)
        if twice and not known:
            leg.add_finding(code, "from_device", "measured", over[code], now)
            effects.append(call.happened("call.finding_raised", leg, code=code, verdict="measured"))
        elif known and code not in over:
            leg.end_finding(code, now)
            effects.append(call.happened("call.finding_cleared", leg, code=code))
    return effects


CODES = ("high_rtt", "high_jitter", "high_loss", "low_mos")


def _over(limits: Thresholds, quality: Quality) -> dict[str, dict[str, str]]:
    """Codes whose threshold is passed, with the figures."""
    found: dict[str, dict[str, str]] = {}
    if quality.rtt_ms > limits.rtt_ms:
        found["high_rtt"] = {"rtt_ms": f"{quality.rtt_ms:.0f}", "threshold": f"{limits.rtt_ms:g}"}
    if quality.jitter_ms > limits.jitter_ms:
        found["high_jitter"] = {"jitter_ms": f"{quality.jitter_ms:.1f}", "threshold": f"{limits.jitter_ms:g}"}
    if quality.loss_percent > limits.loss_percent:
        found["high_loss"] = {"loss_percent": f"{quality.loss_percent:.1f}", "threshold": f"{limits.loss_percent:g}"}
    if 0 < quality.mos < limits.mos:
        found["low_mos"] = {"mos": f"{quality.mos:.2f}", "threshold": f"{limits.mos:g}"}
    return found
