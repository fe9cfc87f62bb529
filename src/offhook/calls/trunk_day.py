"""What a trunk did in the last 24 hours (API.md 12.1 `last_24h`), by the hour, so that the past falls off by itself."""

from dataclasses import dataclass, field

HOUR = 3_600.0
HOURS = 24


@dataclass(slots=True)
class _Hour:
    attempts: int = 0
    answered: int = 0
    ended: int = 0
    seconds: float = 0.0
    heard: int = 0
    delay: float = 0.0
    scored: int = 0
    score: float = 0.0


@dataclass(slots=True)
class Day:
    """Times are the core's clock, in seconds."""

    _hours: dict[int, _Hour] = field(default_factory=dict)

    def _at(self, now: float) -> _Hour:
        number = int(now // HOUR)
        for old in [one for one in self._hours if one <= number - HOURS]:
            del self._hours[old]
        return self._hours.setdefault(number, _Hour())

    def tried(self, now: float) -> None:
        """An INVITE went out."""
        self._at(now).attempts += 1

    def rang(self, now: float, delay: float) -> None:
        """The first word of the callee came `delay` seconds after the INVITE (post-dial delay)."""
        hour = self._at(now)
        hour.heard, hour.delay = hour.heard + 1, hour.delay + delay

    def answered(self, now: float) -> None:
        """The callee answered."""
        self._at(now).answered += 1

    def ended(self, now: float, seconds: float) -> None:
        """An answered call out ended."""
        hour = self._at(now)
        hour.ended, hour.seconds = hour.ended + 1, hour.seconds + seconds

    def sounded(self, now: float, mos: float) -> None:
        """How good the sound of an ended call was, as the engine saw it."""
        hour = self._at(now)
        hour.scored, hour.score = hour.scored + 1, hour.score + mos

    def sums(self, now: float) -> dict[str, float | int | None]:
        """The numbers of the API; None where nothing can be said."""
        self._at(now)
        hours = list(self._hours.values())
        attempts, answered = sum(one.attempts for one in hours), sum(one.answered for one in hours)
        ended, heard, scored = (sum(getattr(one, name) for one in hours) for name in ("ended", "heard", "scored"))
        return {
            "attempts": attempts,
            "answered": answered,
            "answer_seizure_percent": round(100 * answered / attempts, 1) if attempts else None,
            "average_seconds": round(sum((one.seconds for one in hours), 0.0) / ended) if ended else None,
            "post_dial_ms": round(1000 * sum((one.delay for one in hours), 0.0) / heard) if heard else None,
            "mos": round(sum((one.score for one in hours), 0.0) / scored, 1) if scored else None,
        }
