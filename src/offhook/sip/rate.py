"""How often a named party may do something: token buckets, bounded in number."""

ENDPOINTS = 50_000
"""Endpoints whose rate of one thing is remembered; the longest unheard is forgotten first."""


class Rates:
    """`per_second` on average, `burst` at once, for each of the `parties` heard last; a forgotten party starts full."""

    def __init__(self, per_second: float, burst: float, parties: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._parties = parties
        self._buckets: dict[str, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def allow(self, party: str, now: float) -> bool:
        """Takes one token; False when there is none."""
        tokens, since = self._buckets.pop(party, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        allowed = tokens >= 1
        self._buckets[party] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > self._parties:
            del self._buckets[next(iter(self._buckets))]
        return allowed

    def has(self, party: str, now: float) -> bool:
        """True while `allow` would be; takes nothing."""
        tokens, since = self._buckets.get(party, (self._burst, now))
        return min(self._burst, tokens + (now - since) * self._per_second) >= 1

    def wait(self, party: str) -> float:
        """Seconds until the next token, at least one."""
        tokens = self._buckets.get(party, (self._burst, 0.0))[0]
        return max(1.0, (1 - tokens) / self._per_second)
