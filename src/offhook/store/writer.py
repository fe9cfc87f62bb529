"""Write-behind for the call path: statements queue up, a thread commits them in groups, nobody who rings waits.

A group gathers for `LINGER`, so that a busy node commits some times a second and not for each call. What the database does
not take goes into the spool (store/spool.py), a file of the data directory, and from there into the database once it is
back, in order and each row once: a dead database is not heard in a call and costs no record.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.database import open_for_writing, reason
from offhook.store.spool import Spool, Waiting
from offhook.store.statements import Kept, prepared

QUEUE = 50_000
"""Statements kept in memory: a minute of a busy node, for the time that the database and the disk refuse."""
GROUP = 2_000
"""Statements per commit."""
LINGER = 0.1
"""Seconds in which further statements join a group: what a power cut may cost."""
PAUSE = 1.0
"""Seconds to the next try after the database refused."""

Statement = tuple[Executable | Kept, Mapping[str, Any]]
Written = Callable[[], None]


class Writer:
    """Start with `start()`; `put` from anywhere on the loop; `stop()` writes what is left.

    `put` takes what store/statements.py has, which can wait in the spool, or another constant statement, which is left out
    while the database refuses (a sweep comes again). `dropped` counts rows that found no room or that the database
    refuses for good; `note` is told, on the loop, when an outage begins and ends. Without a spool all waits in memory.
    """

    def __init__(
        self, engine: AsyncEngine, spool: Spool | None = None, note: Callable[[str, dict[str, Any]], None] | None = None
    ) -> None:
        self._engine = open_for_writing(engine)
        self._dialect = engine.dialect.name
        self._spool = spool
        self._note = note
        self._thread = ThreadPoolExecutor(1, "store writer")
        self._queue: deque[Statement | Written] = deque(maxlen=QUEUE)
        self._wake, self._idle, self._hurry = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._dropped = 0
        self._retry_at = 0.0
        self.failures = 0
        self.refused_since: float | None = None
        self.refusal = ""

    @property
    def dropped(self) -> int:
        """Rows that are lost."""
        return self._dropped + (self._spool.dropped if self._spool is not None else 0)

    @property
    def waiting(self) -> int:
        """Rows that wait for the database."""
        return len(self._queue) + (self._spool.length if self._spool is not None else 0)

    @property
    def behind(self) -> bool:
        """True while the database does not have what was handed over: it waits on disk, or is refused."""
        return self.refused_since is not None or (self._spool is not None and self._spool.length > 0)

    @property
    def full(self) -> bool:
        """True while the database takes nothing and further rows push the oldest out."""
        if self.refused_since is None:
            return False
        return len(self._queue) >= QUEUE or (self._spool is not None and self._spool.length >= self._spool.room)

    def warnings(self) -> list[str]:
        """What an operator should know now."""
        found = []
        if self.refused_since is not None:
            since = datetime.fromtimestamp(self.refused_since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            found.append(
                f"the database takes no records since {since} ({self.refusal}): {self.waiting} wait in the data directory"
                " and are written once it is back; calls go on"
            )
        if self.dropped:
            found.append(
                f"{self.dropped} records were lost: the database refused them, or too many waited; see the log"
            )
        return found

    def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.create_task(self._run(), name="store writer")

    def put(self, statement: Executable | Kept, values: Mapping[str, Any]) -> None:
        """Queues one statement."""
        if len(self._queue) == QUEUE:
            self._dropped += 1
        self._queue.append((statement, values))
        if not self._wake.is_set():
            self._idle.clear()
            self._wake.set()

    def after(self, written: Written) -> None:
        """Calls back, on the loop, once everything queued so far is committed, to the database or to the spool; never, if it
        is dropped."""
        self._queue.append(written)

    async def drained(self) -> None:
        """Returns once everything queued so far is committed, to the database or to the spool."""
        self._hurry.set()
        await self._idle.wait()

    async def stop(self, patience: float = 5.0) -> None:
        """Writes what is left, for at most `patience` seconds, and ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.drained()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _close(self) -> None:
        self._engine.dispose()
        if self._spool is not None:
            self._spool.close()

    async def _run(self) -> None:
        while True:
            await self._something_to_do()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    await self._hurry.wait()
            while self._queue:
                await self._write([self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))])
            self._wake.clear()
            self._hurry.clear()
            self._idle.set()

    async def _something_to_do(self) -> None:
        """Returns when something is queued; meanwhile tries to empty the spool now and then."""
        while self._spool is not None and self._spool.length:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._retry_at - time.monotonic())):
                    await self._wake.wait()
                return
            await self._in_thread(self._empty_spool)
        await self._wake.wait()

    async def _write(self, queued: list[Statement | Written]) -> None:
        group = [one for one in queued if isinstance(one, tuple)]
        while group:
            group = await self._in_thread(self._settle, group)
            if group:
                await asyncio.sleep(PAUSE)
        for one in queued:
            if not isinstance(one, tuple):
                one()

    async def _in_thread(self, work: Callable[..., list[Statement]], *arguments: list[Statement]) -> list[Statement]:
        before = self.refused_since
        left = await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        if self._note is not None and (before is None) != (self.refused_since is None):
            if self.refused_since is not None:
                self._note("the database does not take records; they wait", {"reason": self.refusal})
            else:
                self._note("the database takes records again", {"waiting": self.waiting, "lost": self.dropped})
        return left

    # ---- in the thread

    def _settle(self, group: list[Statement]) -> list[Statement]:
        """Into the database, or else into the spool. Returns what must be tried again: neither took it."""
        if self._spool is not None and self._spool.length:
            left = self._to_spool(group)
            self._empty_spool()
            return left
        return self._to_spool(self._to_database(group))

    def _to_database(self, group: list[Statement]) -> list[Statement]:
        """Returns what the database is not ready for; what it will never take is dropped and counted."""
        try:
            self._commit(group)
        except (SQLAlchemyError, ValueError, OverflowError) as error:
            self.failures += 1
            if _is_outage(error):
                return self._refused(error, group)
            # One row cannot be written, now or ever; those around it can.
            return self._one_by_one(group)
        self.refused_since = None
        return []

    def _one_by_one(self, group: list[Statement]) -> list[Statement]:
        for at, one in enumerate(group):
            try:
                self._commit([one])
            except (SQLAlchemyError, ValueError, OverflowError) as error:
                if _is_outage(error):
                    return self._refused(error, group[at:])
                self._dropped += 1
        self.refused_since = None
        return []

    def _refused(self, error: Exception, group: list[Statement]) -> list[Statement]:
        self._retry_at = time.monotonic() + PAUSE
        self.refusal = reason(error) if isinstance(error, SQLAlchemyError) else str(error)
        if self.refused_since is None:
            self.refused_since = time.time()
        return group

    def _to_spool(self, group: list[Statement]) -> list[Statement]:
        if not group or self._spool is None:
            return group
        waiting: list[Waiting] = [(one, values) for one, values in group if isinstance(one, Kept)]
        try:
            self._spool.append(waiting)
        except (sqlite3.Error, OSError) as error:
            self.failures += 1
            self.refusal = f"{self.refusal}; nor does the disk: {error}"
            return group
        return []

    def _empty_spool(self) -> list[Statement]:
        """One group of it, so that what is queued meanwhile finds the thread again soon."""
        if self._spool is None or time.monotonic() < self._retry_at:
            return []
        try:
            group, last = self._spool.first(GROUP)
            if not self._to_database(list(group)):
                self._spool.forget(last)
        except (sqlite3.Error, OSError) as error:
            self._refused(error, [])
        return []

    def _commit(self, group: list[Statement]) -> None:
        if not group:
            return
        ready = [(self._prepared(one), values) for one, values in group]
        with self._engine.begin() as connection:
            for statement, rows in _runs(ready):
                connection.execute(statement, rows)

    def _prepared(self, statement: Executable | Kept) -> Executable:
        return prepared(statement, self._dialect) if isinstance(statement, Kept) else statement


def _runs(ready: list[tuple[Executable, Mapping[str, Any]]]) -> list[tuple[Executable, list[Mapping[str, Any]]]]:
    """Statements with their rows. A table's come in their order; those of different tables are apart, since all are of one
    commit: a call writes three by turns, and a statement costs more than its rows."""
    runs: list[tuple[Executable, list[Mapping[str, Any]]]] = []
    last: dict[object, tuple[Executable, list[Mapping[str, Any]]]] = {}
    for statement, values in ready:
        table = getattr(statement, "table", None)
        if table is None:
            # It may be about any table.
            last.clear()
        run = last.get(table)
        if run is None or run[0] is not statement:
            run = last[table] = statement, []
            runs.append(run)
        run[1].append(values)
    return runs


def _is_outage(error: Exception) -> bool:
    """True while the same statement may be taken later."""
    never = DataError, IntegrityError, NotSupportedError, ProgrammingError
    return isinstance(error, DBAPIError) and not isinstance(error, never)
