"""A server that stops: idle connections are told to come back, a few at a time; those with calls stay (WS-15).

Lives here: which connection is closed when. Never here: signals (lifecycle.py), calls.
"""

import asyncio
import random
from collections.abc import Callable

from offhook.sip.flow import Flow
from offhook.transport.flow import FlowTable

PER_SECOND = 100
"""So many may be closed in a second even if the spread would be over sooner; a handful is then closed at once."""

LOOK = 0.5
"""Seconds between looks for calls that have ended."""

RESTART = 1012
"""RFC 6455's registry: the service restarts, come back after a random while."""


class Drain:
    """`run` returns when no connection and, as `calls()` says, no call is left. `spread` in seconds."""

    def __init__(
        self, flows: FlowTable, in_use: Callable[[Flow], bool], calls: Callable[[], bool], spread: float
    ) -> None:
        self._flows, self._in_use, self._calls, self._spread = flows, in_use, calls, spread

    async def run(self) -> None:
        """Closes what is idle, spread at random, then whatever becomes idle."""
        loop = asyncio.get_running_loop()
        window = min(self._spread, len(self._flows) / PER_SECOND)
        started = loop.time()
        for after, path in sorted(((random.uniform(0, window), path) for path in self._flows), key=lambda one: one[0]):
            await asyncio.sleep(max(0.0, started + after - loop.time()))
            if not self._in_use(path.flow):
                path.close(RESTART, "node-draining")
        while len(self._flows) or self._calls():
            await asyncio.sleep(LOOK)
            for path in self._flows:
                if not self._in_use(path.flow):
                    path.close(RESTART, "node-draining")
