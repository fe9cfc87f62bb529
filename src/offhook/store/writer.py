"""Write-behind for the call path: statements queue up, a thread commits them in groups, nobody who rings waits.

A group gathers for `LINGER`, so that a busy node commits some times a second and not for each call. The queue is bounded;
beyond it the oldest statements are dropped and counted, because a dead database must not be heard in a call (DESIGN: the
call path never waits for a database).
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.database import open_for_writing

QUEUE = 50_000
"""Statements kept while the database is slow: a minute of a busy node."""
GROUP = 2_000
"""Statements per commit."""
LINGER = 0.1
"""Seconds in which further statements join a group: what a power cut may cost."""
PAUSE = 1.0
"""Seconds to the next try after the database refused."""

Statement = tuple[Executable, Mapping[str, Any]]
Written = Callable[[], None]


class Writer:
    """Start with `start()`; `put` from anywhere on the loop; `stop()` writes what is left.

    Statements in a row that are the same object are executed as one with many rows: keep them as constants. `dropped` counts
    those that found no room or that the database refuses for good.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = open_for_writing(engine)
        self._thread = ThreadPoolExecutor(1, "store writer")
        self._queue: deque[Statement | Written] = deque(maxlen=QUEUE)
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        self.failures = 0

    def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.create_task(self._run(), name="store writer")

    def put(self, statement: Executable, values: Mapping[str, Any]) -> None:
        """Queues one statement."""
        if len(self._queue) == QUEUE:
            self.dropped += 1
        self._queue.append((statement, values))
        if not self._wake.is_set():
            self._idle.clear()
            self._wake.set()

    def after(self, written: Written) -> None:
        """Calls back, on the loop, once everything queued so far is committed; never, if it is dropped."""
        self._queue.append(written)

    async def drained(self) -> None:
        """Returns once everything queued so far is committed."""
        self._hurry.set()
        await self._idle.wait()

    async def stop(self, patience: float = 5.0) -> None:
        """Writes what is left, for at most `patience` seconds, and ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.drained(), patience)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), LINGER)
            while self._queue:
                await self._write([self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))])
            self._wake.clear()
            self._hurry.clear()
            self._idle.set()

    async def _write(self, queued: list[Statement | Written]) -> None:
        group = [one for one in queued if isinstance(one, tuple)]
        while True:
            try:
                if group:
                    await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, group)
                for one in queued:
                    if not isinstance(one, tuple):
                        one()
                return
            except OperationalError:
                self.failures += 1
                await asyncio.sleep(PAUSE)
            except (SQLAlchemyError, ValueError, OverflowError):
                # One row cannot be written, now or ever; those around it can.
                self.failures += 1
                group = await asyncio.get_running_loop().run_in_executor(self._thread, self._writable, group)

    def _writable(self, group: list[Statement]) -> list[Statement]:
        """Writes each by itself and drops what is refused for good; what the database was not ready for is left."""
        left: list[Statement] = []
        for one in group:
            try:
                self._commit([one])
            except OperationalError:
                left.append(one)
            except (SQLAlchemyError, ValueError, OverflowError):
                self.dropped += 1
        return left

    def _commit(self, group: list[Statement]) -> None:
        with self._engine.begin() as connection:
            for _, same in groupby(group, lambda one: id(one[0])):
                rows = list(same)
                connection.execute(rows[0][0], [values for _, values in rows])
