"""Addresses that failed, set aside for a while: tried last, not never (TRK-6)."""

from offhook.sip.hop import Hop

FIRST = 30.0
"""Seconds for a first failure: a restart takes that long."""
MOST = 300.0
"""Doubling ends here: a repaired address is found again within five minutes."""
KEPT = 10_000
"""Addresses remembered; the one that failed longest ago is forgotten first."""

Place = tuple[str, str, int]


class SetAside:
    """Which addresses to try last. `now` is monotonic."""

    def __init__(self) -> None:
        self._until: dict[Place, tuple[float, float]] = {}

    def failed(self, hop: Hop, now: float) -> None:
        """The address did not answer, or refused."""
        until, wait = self._until.get(_place(hop), (0.0, 0.0))
        if now < until:
            return  # calls that were already under way tell nothing new
        wait = min(2 * wait, MOST) if wait and now < until + MOST else FIRST
        self._until.pop(_place(hop), None)
        self._until[_place(hop)] = (now + wait, wait)
        if len(self._until) > KEPT:
            del self._until[next(iter(self._until))]

    def worked(self, hop: Hop) -> None:
        """The address answered."""
        self._until.pop(_place(hop), None)

    def holds(self, hop: Hop, now: float) -> bool:
        """True while the address is to be tried after all others."""
        return now < self._until.get(_place(hop), (0.0, 0.0))[0]


def _place(hop: Hop) -> Place:
    return hop.transport, hop.address, hop.port
