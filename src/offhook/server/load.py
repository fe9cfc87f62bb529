"""Is the loop late? Overload is seen by its lag, and refused from the outside in (CALL-25).

Lives here: when to refuse which methods. Never here: how a request is refused (offhook.sip.throttle).
"""

import asyncio
from collections.abc import Callable

TICK = 0.1
"""Seconds between looks: an overload is seen within two of them."""
RECOVERY = 2.0
"""Seconds without lag until the next step back: shorter would swing."""
WORSE = 1.0
"""Seconds of unbroken lag until registrations are refused too."""

SERVE: frozenset[str] = frozenset()
NO_NEW_CALLS = frozenset({"INVITE", "SUBSCRIBE", "OPTIONS"})
NOTHING_NEW = NO_NEW_CALLS | {"REGISTER"}
STEPS = (SERVE, NO_NEW_CALLS, NOTHING_NEW)


class Load:
    """Steps up while the lag is there and down, one by one, when it has gone. Seconds; `now` is the loop's clock."""

    def __init__(self, limit: float, now: float) -> None:
        self._limit = limit
        self._step = 0
        self._since = now
        self._last_bad = now
        self._was_late = False

    def measured(self, lag: float, now: float) -> frozenset[str]:
        """The methods to refuse after this measurement. One late moment alone is a hiccup of the machine, no overload."""
        late, self._was_late = self._was_late, lag > self._limit
        if self._was_late and (late or self._step):
            self._last_bad = now
            if self._step == 0:
                self._step, self._since = 1, now
            elif now - self._since >= WORSE:
                self._step = 2
        elif self._step and now - self._last_bad >= RECOVERY:
            self._step -= 1
            self._last_bad = self._since = now
        return STEPS[self._step]


class LoadWatch:
    """Measures, and calls `changed(methods)` whenever what is to be refused changes."""

    def __init__(self, limit: float, changed: Callable[[frozenset[str]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._load = Load(limit, self._loop.time())
        self._changed = changed
        self.lag = 0.0
        """Seconds that the last look was late."""
        self._refused = SERVE
        self._due = self._loop.time() + TICK
        self._timer = self._loop.call_at(self._due, self._look)

    def stop(self) -> None:
        """Ends the measuring."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        self.lag = max(0.0, now - self._due)
        refused = self._load.measured(now - self._due, now)
        if refused != self._refused:
            self._refused = refused
            self._changed(refused)
        self._due = now + TICK
        self._timer = self._loop.call_at(self._due, self._look)
