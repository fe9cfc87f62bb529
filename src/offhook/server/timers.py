"""The timers of the core: keys and deadlines in one heap, one wake-up of the event loop for the nearest."""

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Hashable
from itertools import count

LEAST = 64
"""Entries of the heap for which it is not tidied."""


class Timers:
    """Starts and stops timers by key; `fire(key)` is called on the loop when one is due."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fire: Callable[[Hashable], None]) -> None:
        self._loop = loop
        self._fire = fire
        self._due: dict[Hashable, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._order = count()
        self._handle: asyncio.TimerHandle | None = None
        # Whoever starts a timer, a REST request say, has nothing to do with what is logged when one fires.
        self._context = contextvars.copy_context()

    def __len__(self) -> int:
        return len(self._due)

    def start(self, key: Hashable, seconds: float) -> None:
        """A running timer with the same key is replaced."""
        at, order = self._due[key] = self._loop.time() + seconds, next(self._order)
        heapq.heappush(self._heap, (at, order, key))
        if len(self._heap) > 2 * len(self._due) + LEAST:
            self._tidy()
        if self._heap[0][1] == order:
            self._arm()

    def stop(self, key: Hashable) -> None:
        """Unknown keys are ignored. The heap forgets lazily."""
        self._due.pop(key, None)

    def _tidy(self) -> None:
        """An entry that nobody waits for keeps its key alive, and with it texts of messages: as many as live ones may."""
        self._heap = [(*entry, key) for key, entry in self._due.items()]
        heapq.heapify(self._heap)

    def clear(self) -> None:
        """Stops all."""
        self._due.clear()
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(self._heap[0][0], self._wake, context=self._context) if self._heap else None

    def _wake(self) -> None:
        self._handle = None
        now = self._loop.time() + 0.0005  # the loop wakes up to half a millisecond early
        while self._heap and self._heap[0][0] <= now:
            at, order, key = heapq.heappop(self._heap)
            if self._due.get(key) == (at, order):
                del self._due[key]
                self._fire(key)
        self._arm()
