"""From which figures on a leg's sound is a finding (API.md 12.3)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """`quality.*` of the settings: milliseconds, percent, MOS, parts per million."""

    rtt_ms: float = 400.0
    jitter_ms: float = 30.0
    loss_percent: float = 3.0
    mos: float = 3.0
    late_percent: float = 3.0
    drift_ppm: float = 200.0
