"""From which figures on a leg's sound is a finding (API.md 12.3)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """`quality.*` of the settings: milliseconds, percent, MOS."""

    rtt_ms: float = 400.0
    jitter_ms: float = 30.0
    loss_percent: float = 3.0
    mos: float = 3.0
