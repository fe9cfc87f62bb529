"""Write-behind for the call path: statements queue up, one task commits them in groups, nobody who rings waits.

The queue is bounded; beyond it the oldest statements are dropped and counted, because a dead database must not be heard
in a call (DESIGN: the call path never waits for a database).
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

QUEUE = 50_000
"""Statements kept while the database is slow: a minute of a busy node."""
GROUP = 500
"""Statements per commit."""
PAUSE = 1.0
"""Seconds to the next try after the database refused."""

Statement = tuple[Executable, Mapping[str, Any] | None]


class Writer:
    """Start with `start()`; `put` from anywhere on the loop; `stop()` writes what is left."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._queue: deque[Statement] = deque(maxlen=QUEUE)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        self.failures = 0

    def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.create_task(self._run(), name="store writer")

    def put(self, statement: Executable, values: Mapping[str, Any] | None = None) -> None:
        """Queues one statement."""
        if len(self._queue) == QUEUE:
            self.dropped += 1
        self._queue.append((statement, values))
        self._idle.clear()
        self._wake.set()

    async def drained(self) -> None:
        """Returns once everything queued so far is committed."""
        await self._idle.wait()

    async def stop(self, patience: float = 5.0) -> None:
        """Writes what is left, for at most `patience` seconds, and ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.drained(), patience)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._write([self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))])
            self._idle.set()

    async def _write(self, group: list[Statement]) -> None:
        while True:
            try:
                async with self._engine.begin() as connection:
                    for statement, values in group:
                        await connection.execute(statement, values or {})
                return
            except SQLAlchemyError:
                self.failures += 1
                await asyncio.sleep(PAUSE)
