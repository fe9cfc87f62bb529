"""How much one trunk carries: calls at a time, new calls a second and an hour, talking time a day (TRK-11); calls an hour of
one endpoint.

Counted when a try begins and given back when it ends, in one step each, so that two calls never take the same last place.
Where several nodes use a trunk, each has a share of its calls at a time, so that together they never carry more; the rest is
counted by each for itself.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import takewhile

from offhook.calls.trunk import Caps

HOUR, DAY = 3_600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Share:
    """What this node may take of a trunk: calls at a time, None as many as the trunk; and whether it is the one node that
    registers there."""

    channels: int | None = None
    channels_in: int | None = None
    channels_out: int | None = None
    registers: bool = True

    def of(self, caps: Caps) -> Caps:
        """The caps that hold here."""
        if self == WHOLE:
            return caps
        return replace(
            caps,
            channels=caps.channels if self.channels is None else min(caps.channels, self.channels),
            channels_in=_less(caps.channels_in, self.channels_in),
            channels_out=_less(caps.channels_out, self.channels_out),
        )


WHOLE = Share()
"""Of a node that is alone."""
NOTHING = Share(0, 0, 0, registers=False)
"""Of a node that has not yet heard what the others leave it."""


def _less(one: int | None, other: int | None) -> int | None:
    known = [each for each in (one, other) if each is not None]
    return min(known) if known else None


@dataclass(slots=True)
class Usage:
    """What a trunk carries now: its live legs by usage id, when the last calls out began, and for how long was talked today.

    Times are the core's clock.
    """

    legs_in: set[str] = field(default_factory=set)
    legs_out: set[str] = field(default_factory=set)
    full_at: float | None = None
    """When a call had to be refused last for want of a place."""
    _begun: deque[float] = field(default_factory=deque)
    _talked: float = 0.0
    _day_ends: float | None = None

    def took(self, usage: str, inbound: bool) -> None:
        """A leg has a place."""
        (self.legs_in if inbound else self.legs_out).add(usage)

    def gave(self, usage: str) -> None:
        """A leg gives its place back; a second time means nothing."""
        self.legs_in.discard(usage)
        self.legs_out.discard(usage)

    def began(self, now: float) -> None:
        """A call out begins."""
        self._begun.append(now)

    def talked(self, seconds: float) -> None:
        """A call out has ended."""
        self._talked += seconds

    def over(self, caps: Caps, now: float, inbound: bool = False, day_ends: float | None = None) -> str | None:
        """The code of the cap that a further call would pass, None if there is room. `day_ends` is the next midnight UTC."""
        most = caps.channels_in if inbound else caps.channels_out
        full = len(self.legs_in) + len(self.legs_out) >= caps.channels
        if full or (most is not None and len(self.legs_in if inbound else self.legs_out) >= most):
            self.full_at = now
            return "trunk_full"
        if inbound:
            return None
        self._forget(now)
        if self.per_second(now) >= caps.per_second:
            return "trunk_rate_exceeded"
        if caps.per_hour is not None and len(self._begun) >= caps.per_hour:
            return "trunk_rate_exceeded"
        self._turn_day(now, day_ends)
        if caps.daily_minutes is not None and self._talked >= caps.daily_minutes * 60:
            return "trunk_quota_used"
        return None

    def per_second(self, now: float) -> float:
        """New calls out in the last second."""
        # From the end: an hour of calls is not looked through for those of a second.
        return float(sum(1 for _ in takewhile(lambda at: at > now - 1.0, reversed(self._begun))))

    def load(self, weight: int) -> float:
        """Calls now, in relation to the trunk's weight: the least loaded comes first."""
        return (len(self.legs_in) + len(self.legs_out)) / max(weight, 1)

    def _forget(self, now: float) -> None:
        while self._begun and self._begun[0] <= now - HOUR:
            self._begun.popleft()

    def _turn_day(self, now: float, day_ends: float | None) -> None:
        if self._day_ends is None:
            self._day_ends = day_ends if day_ends is not None else now + DAY
        while now >= self._day_ends:
            self._day_ends += DAY
            self._talked = 0.0


class Hourly:
    """How many calls each endpoint placed to trunks in the last hour; only those with a limit are counted, at most `parties`
    of them, so that the longest unheard starts anew."""

    def __init__(self, parties: int) -> None:
        self._parties = parties
        self._begun: dict[str, deque[float]] = {}

    def allow(self, party: str, limit: int, now: float) -> bool:
        """Counts one more call; False, and nothing counted, when there were `limit` in the hour before."""
        begun = self._begun.pop(party, None) or deque()
        while begun and begun[0] <= now - HOUR:
            begun.popleft()
        allowed = len(begun) < limit
        if allowed:
            begun.append(now)
        self._begun[party] = begun
        if len(self._begun) > self._parties:
            del self._begun[next(iter(self._begun))]
        return allowed
