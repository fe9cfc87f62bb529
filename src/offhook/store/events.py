"""The events table: what happened, in the order of cursors, which count up without end (API.md 12.5).

A cursor is shown once its event is committed, and rows are committed in the order of their cursors: who reads on after the
last one he saw misses nothing.
"""

from collections.abc import Iterable
from dataclasses import field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.record import record
from offhook.store.statements import Stated
from offhook.store.tables import events
from offhook.store.writer import Writer

AT_ONCE = 500
"""Calls asked about in one statement: below every database's limit of parameters."""

_INSERT = Stated("event", lambda insert: insert(events).on_conflict_do_nothing())


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


class EventRows:
    """Writes behind; `load` first."""

    def __init__(self, engine: AsyncEngine, writer: Writer) -> None:
        self._engine = engine
        self._writer = writer
        self.newest = 0
        """Cursor of the last event that was ever written."""

    async def load(self) -> None:
        """Where the cursors go on."""
        async with self._engine.connect() as connection:
            self.newest = (await connection.execute(select(func.max(events.c.cursor)))).scalar() or 0

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
