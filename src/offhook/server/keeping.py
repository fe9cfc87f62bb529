"""Traces of ended calls go to the store: failed calls first, a few a second, so that a busy node does not pay for it."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from offhook.calls.call import Call
from offhook.calls.explanation import explanation
from offhook.server.recorder import Recorder, Trail
from offhook.server.trace import document

TURN = 1.0
"""Seconds between two looks at what has ended."""
STRANGERS = 10
"""Turns between two looks for INVITEs that became no call."""


class Shelf(Protocol):
    """Where documents are kept."""

    def put(self, document: dict[str, Any]) -> None: ...


class TraceKeeper:
    """`call_of` finds a call by its ref, live or among the last that ended; `is_call` is true for live ones."""

    def __init__(
        self,
        recorder: Recorder,
        call_of: Callable[[str], Call | None],
        is_call: Callable[[str], bool],
        shelf: Shelf,
        per_turn: int,
        epoch: float,
    ) -> None:
        self._recorder = recorder
        self._call_of = call_of
        self._is_call = is_call
        self._shelf = shelf
        self._per_turn = per_turn
        self.epoch = epoch

    async def run(self) -> None:
        """Until it is cancelled."""
        turn = 0
        while True:
            await asyncio.sleep(TURN)
            turn += 1
            await self.keep(asyncio.get_running_loop().time())
            if turn % STRANGERS == 0:
                self._recorder.forget_strangers(self._is_call)

    async def keep(self, now: float, patience: float = 5.0) -> None:
        """One turn."""
        done = [(trail, self._call_of(trail.call_ref)) for trail in self._recorder.finished(now, patience)]
        done.sort(key=lambda one: one[1] is None or not explanation(one[1]))
        for trail, call in done[: self._per_turn]:
            self._shelf.put(document(trail, call, self.epoch))
            # Calls go on between two documents.
            await asyncio.sleep(0)

    def document(self, trail: Trail, call: Call | None) -> dict[str, Any]:
        """The document of a trail as it is now."""
        return document(trail, call, self.epoch)
