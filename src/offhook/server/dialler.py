"""Calls that the API places, at the pace of the settings: those beyond it wait, in order, as `queued` (API.md 1.6)."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from offhook.calls.commands import Place


@dataclass
class _Line:
    """One project: calls that may be placed now, and those that wait."""

    tokens: float
    at: float
    waiting: deque[Place] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None


class Dialler:
    """`place` hands a call on at once or later; `rate` per second and project, `backlog` may wait."""

    def __init__(self, place: Callable[[Place], None], rate: float, backlog: int) -> None:
        self._place, self._rate, self._backlog = place, rate, backlog
        self._lines: dict[str, _Line] = {}
        self._loop = asyncio.get_running_loop()

    def dial(self, command: Place) -> bool:
        """False when too many wait already."""
        now = self._loop.time()
        line = self._lines.setdefault(command.project, _Line(max(1.0, self._rate), now))
        if not line.waiting and self._may(line, now):
            self._place(command)
            return True
        if len(line.waiting) >= self._backlog:
            return False
        line.waiting.append(command)
        self._wake(line)
        return True

    def waiting(self, project: str) -> list[Place]:
        """Those that are not placed yet."""
        line = self._lines.get(project)
        return list(line.waiting) if line is not None else []

    def find(self, call_ref: str) -> Place | None:
        """One that waits."""
        return next((one for line in self._lines.values() for one in line.waiting if one.call_ref == call_ref), None)

    def drop(self, call_ref: str) -> bool:
        """One that waits is not wanted any more."""
        for line in self._lines.values():
            found = next((one for one in line.waiting if one.call_ref == call_ref), None)
            if found is not None:
                line.waiting.remove(found)
                return True
        return False

    def stop(self) -> None:
        """Nothing that waits is placed any more."""
        for line in self._lines.values():
            line.waiting.clear()
            if line.timer is not None:
                line.timer.cancel()

    def _may(self, line: _Line, now: float) -> bool:
        most = max(1.0, self._rate)
        line.tokens, line.at = min(most, line.tokens + (now - line.at) * self._rate), now
        if line.tokens < 1:
            return False
        line.tokens -= 1
        return True

    def _wake(self, line: _Line) -> None:
        if line.timer is None:
            line.timer = self._loop.call_later(max(0.001, (1 - line.tokens) / self._rate), self._go_on, line)

    def _go_on(self, line: _Line) -> None:
        line.timer = None
        while line.waiting and self._may(line, self._loop.time()):
            self._place(line.waiting.popleft())
        if line.waiting:
            self._wake(line)
