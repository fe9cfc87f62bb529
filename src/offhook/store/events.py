"""The events table: what happened, in the order of cursors (API.md 12.5).

A cursor is the time in microseconds with eight bits of whose it is, so it ascends over restarts and differs between nodes.
It is shown once its event is committed, and a node's rows are committed in the order of their cursors: who reads on after
the last one he saw misses nothing. Where several nodes may write, the last moments are not shown yet (`SETTLED`).
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable
from dataclasses import field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, delete, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.record import record
from offhook.store.statements import Stated
from offhook.store.tables import events
from offhook.store.writer import Writer

AT_ONCE = 500
"""Calls asked about in one statement: below every database's limit of parameters."""
READERS = 4
"""Readings at a time: a hundred streams that hear of one event leave connections to the database for everybody else."""
WINDOW = 10_000
"""Rows looked through in one statement: some ten milliseconds."""
PATIENCE = 1.0
"""Seconds that one reading may look for rare events; what was looked through need not be looked at again."""
SETTLED = 1.5
"""Seconds within which every node has committed what it tells of, clocks of machines included."""
SWEPT = 5_000
"""Rows taken away at once, so that nobody waits long for the writer."""

_INSERT = Stated("event", lambda insert: insert(events).on_conflict_do_nothing())


def cursor_at(seconds: float) -> int:
    """The first cursor of a moment, in Unix seconds."""
    return int(seconds * 1_000_000) << 8


@record
class Event:
    """One event. `sequence` counts within its call from 1, None for what belongs to no call; `endpoints` are the ids of
    the endpoints it is about; `data` is plain JSON."""

    cursor: int
    id: str
    at: datetime
    type: str
    project_id: str
    call_ref: str = ""
    leg_ref: str = ""
    sequence: int | None = None
    request_id: str = ""
    endpoints: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict, hash=False)

    def view(self) -> dict[str, Any]:
        """As the API shows it."""
        at = self.at.astimezone(UTC)
        return {
            "id": self.id,
            "cursor": str(self.cursor),
            "at": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z",
            "type": self.type,
            "project_id": self.project_id,
            "call_ref": self.call_ref or None,
            "leg_ref": self.leg_ref or None,
            "sequence": self.sequence,
            "request_id": self.request_id or None,
            "data": self.data,
        }


@record
class Wanted:
    """Which events somebody wants: of one project, and of these types (none: all), of one call, about one endpoint."""

    project_id: str
    types: tuple[str, ...] = ()
    call_ref: str = ""
    endpoint_id: str = ""

    def clause(self) -> ColumnElement[bool]:
        """As the database reads it."""
        clauses = [events.c.project_id == self.project_id]
        if self.types:
            clauses.append(events.c.type.in_(self.types))
        if self.call_ref:
            clauses.append(events.c.call_ref == self.call_ref)
        if self.endpoint_id:
            clauses.append(cast(events.c.endpoints, Text).contains(f'"{self.endpoint_id}"', autoescape=True))
        return and_(*clauses)


@record
class Reading:
    """What was read: the events, the cursor to go on after, and whether there may be more behind it now."""

    events: tuple[Event, ...]
    cursor: int
    more: bool


class EventRows:
    """Writes behind, reads at once; `load` first. `node` is who we are, `days` how long an event is kept."""

    def __init__(self, engine: AsyncEngine, writer: Writer, node: str = "", days: int = 30) -> None:
        self._engine = engine
        self._writer = writer
        self._days = days
        self._mark = blake2b(node.encode(), digest_size=1).digest()[0]
        self.alone = engine.dialect.name == "sqlite"
        self.newest = 0
        """Cursor of the last event, so far as this node knows."""
        self.oldest = 0
        """Every event behind this cursor is kept."""
        self._places = asyncio.Semaphore(READERS)
        self._reading = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def load(self) -> None:
        """Where the cursors go on."""
        async with self._engine.connect() as connection:
            self.newest = (await connection.execute(select(func.max(events.c.cursor)))).scalar() or 0
        self.oldest = self._horizon()

    def _horizon(self) -> int:
        return cursor_at(time.time() - timedelta(days=self._days).total_seconds())

    async def sequences(self, call_refs: Iterable[str]) -> dict[str, int]:
        """How far the events of these calls are numbered."""
        wanted, found = list(call_refs), dict[str, int]()
        async with self._engine.connect() as connection:
            for at in range(0, len(wanted), AT_ONCE):
                some = events.c.call_ref.in_(wanted[at : at + AT_ONCE])
                counted = select(events.c.call_ref, func.max(events.c.sequence)).where(some)
                for call_ref, last in await connection.execute(counted.group_by(events.c.call_ref)):
                    found[call_ref] = last or 0
        return found

    async def types(self, call_refs: Iterable[str]) -> dict[str, set[str]]:
        """What has been told of these calls."""
        wanted, found = list(call_refs), dict[str, set[str]]()
        async with self._engine.connect() as connection:
            for at in range(0, len(wanted), AT_ONCE):
                some = events.c.call_ref.in_(wanted[at : at + AT_ONCE])
                for call_ref, type_ in await connection.execute(select(events.c.call_ref, events.c.type).where(some)):
                    found.setdefault(call_ref, set()).add(type_)
        return found

    def cursor(self) -> int:
        """A new one, greater than all before."""
        now = time.time_ns() // 1000
        self.newest = max(now, (self.newest >> 8) + 1) << 8 | self._mark
        return self.newest

    def put(self, event: Event) -> None:
        """Queues one event."""
        self._writer.put(
            _INSERT,
            {
                "cursor": event.cursor,
                "id": event.id,
                "at": event.at,
                "type": event.type,
                "project_id": event.project_id,
                "call_ref": event.call_ref,
                "leg_ref": event.leg_ref,
                "sequence": event.sequence,
                "request_id": event.request_id,
                "endpoints": list(event.endpoints),
                "data": event.data,
            },
        )

    def settled(self) -> int | None:
        """The cursor up to which everything is there; None for all that is committed."""
        return None if self.alone else cursor_at(time.time() - SETTLED)

    async def last(self) -> int:
        """The cursor after which only what is yet to come follows."""
        until = self.settled()
        if until is not None:
            return until
        async with self._engine.connect() as connection:
            return (await connection.execute(select(func.max(events.c.cursor)))).scalar() or self.oldest

    async def quiet(self, patience: float) -> None:
        """Returns once nobody reads, after `patience` seconds at the latest: before the database is closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._quiet.wait()

    async def read(self, wanted: Wanted, after: int, most: int) -> Reading:
        """The first `most` events behind a cursor, in order."""
        self._reading += 1
        self._quiet.clear()
        try:
            async with self._places:
                return await self._read(wanted, after, most)
        finally:
            self._reading -= 1
            if not self._reading:
                self._quiet.set()

    async def _read(self, wanted: Wanted, after: int, most: int) -> Reading:
        until, found, deadline = self.settled(), list[Event](), time.monotonic() + PATIENCE
        async with self._engine.connect() as connection:
            while True:
                behind = select(events.c.cursor).where(events.c.cursor > after)
                if until is not None:
                    behind = behind.where(events.c.cursor <= until)
                ends = select(func.max(behind.order_by(events.c.cursor).limit(WINDOW).subquery().c.cursor))
                end = (await connection.execute(ends)).scalar()
                if end is None:
                    return Reading(tuple(found), after, more=False)
                some = select(events).where(events.c.cursor > after, events.c.cursor <= end, wanted.clause())
                rows = await connection.execute(some.order_by(events.c.cursor).limit(most - len(found)))
                found += [_event(row) for row in rows]
                if len(found) == most:
                    return Reading(tuple(found), found[-1].cursor, more=True)
                after = end
                if time.monotonic() > deadline:
                    return Reading(tuple(found), after, more=True)

    async def sweep(self) -> None:
        """Takes away what is too old, a bounded number of rows at once."""
        horizon = self._horizon()
        self.oldest = max(self.oldest, horizon)
        old = select(events.c.cursor).where(events.c.cursor <= horizon).order_by(events.c.cursor).limit(SWEPT)
        while True:
            async with self._engine.begin() as connection:
                gone = await connection.execute(delete(events).where(events.c.cursor.in_(old)))
            if gone.rowcount < SWEPT:
                return


def _event(row: Any) -> Event:
    at = row.at if row.at.tzinfo is not None else row.at.replace(tzinfo=UTC)
    names = ("cursor", "id", "type", "project_id", "call_ref", "leg_ref", "sequence", "request_id", "data")
    return Event(**{name: getattr(row, name) for name in names}, at=at, endpoints=tuple(row.endpoints))
