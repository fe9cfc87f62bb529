"""The call log: one row per leg that has ended, and the details of calls beside it (API.md sections 9 and 12.3)."""

import json
import zlib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.statements import Upsert
from offhook.store.tables import call_details, call_log, events
from offhook.store.writer import Writer

_WRITE = Upsert(call_details)
ASKED_AT_ONCE = 500
"""Ids of one question: databases bound the values of a statement."""
MOST_EVENTS = 1_000
"""Events of one leg that are shown: a call with an hour of holds has a hundred."""


class CallLog:
    """Reads at once; details are written behind. `root` owns the rows that no project is named in."""

    def __init__(self, engine: AsyncEngine, writer: Writer, root: str) -> None:
        self._engine, self._writer, self._root = engine, writer, root

    # ---- legs

    async def page(
        self, project: str, filters: Mapping[str, Any], below: str, above: str, limit: int
    ) -> list[Mapping[str, Any]]:
        """Rows newest first; `filters` are those of `clauses`."""
        wanted = select(call_log).where(self._of(project), *clauses(filters))
        if above:
            rows = await self._rows(wanted.where(call_log.c.leg_ref > above).order_by(call_log.c.leg_ref).limit(limit))
            return rows[::-1]
        if below:
            wanted = wanted.where(call_log.c.leg_ref < below)
        return await self._rows(wanted.order_by(call_log.c.leg_ref.desc()).limit(limit))

    async def get(self, project: str, leg_ref: str) -> Mapping[str, Any] | None:
        """One row."""
        if not _is_ref(leg_ref):
            return None
        rows = await self._rows(select(call_log).where(call_log.c.leg_ref == leg_ref, self._of(project)))
        return rows[0] if rows else None

    def _of(self, project: str) -> ColumnElement[bool]:
        mine = call_log.c.project_id == project
        return (
            or_(mine, call_log.c.project_id.is_(None), call_log.c.project_id == "") if project == self._root else mine
        )

    async def _rows(self, wanted: Select[Any]) -> list[Mapping[str, Any]]:
        async with self._engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(wanted)).mappings()]

    async def events(self, call_ref: str, leg_ref: str) -> list[Mapping[str, Any]]:
        """What was told of a leg, and of its call as a whole, in order."""
        mine = and_(events.c.call_ref == call_ref, events.c.leg_ref.in_((leg_ref, "")))
        return await self._rows(select(events).where(mine).order_by(events.c.cursor).limit(MOST_EVENTS))

    async def by_device(self, since: datetime, ids: Collection[str]) -> dict[str, tuple[int, float | None]]:
        """Legs of each of these devices since then, and the mean of their scores."""
        found: dict[str, tuple[int, float | None]] = {}
        every = list(ids)
        for first in range(0, len(every), ASKED_AT_ONCE):
            some = every[first : first + ASKED_AT_ONCE]
            wanted = (
                select(call_log.c.device_id, func.count(), func.avg(call_log.c.mos))
                .where(call_log.c.device_id.in_(some), call_log.c.started_at >= since)
                .group_by(call_log.c.device_id)
            )
            async with self._engine.connect() as connection:
                for device, count, mos in await connection.execute(wanted):
                    found[device] = count, round(mos, 2) if mos is not None else None
        return found

    # ---- details

    def keep(self, call_ref: str, project: str, document: dict[str, Any]) -> None:
        """What a call was like when it ended."""
        packed = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 1)
        kept = {"call_ref": call_ref, "project_id": project, "kept_at": datetime.now(UTC), "document": packed}
        self._writer.put(_WRITE, kept)

    async def details(self, ref: str) -> dict[str, Any] | None:
        """By the ref of the call or of any of its legs."""
        if not _is_ref(ref):
            return None
        of_leg = select(call_log.c.call_ref).where(call_log.c.leg_ref == ref)
        wanted = or_(call_details.c.call_ref == ref, call_details.c.call_ref.in_(of_leg))
        rows = await self._rows(select(call_details.c.document, call_details.c.project_id).where(wanted))
        if not rows:
            return None
        document: dict[str, Any] = json.loads(zlib.decompress(rows[0]["document"]))
        return {**document, "project_id": rows[0]["project_id"]}


def clauses(filters: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """`from`, `to` match a part without regard to case; `created_*` are times; the rest are equal."""
    made: list[ColumnElement[bool]] = []
    if not filters.get("include_deleted"):
        made.append(call_log.c.discarded_at.is_(None))
    for name, column in (("from", call_log.c.sender), ("to", call_log.c.recipient)):
        if filters.get(name):
            made.append(column.icontains(str(filters[name]), autoescape=True))
    for name in ("direction", "status", "endpoint_id", "trunk_id", "end_code"):
        if filters.get(name):
            made.append(call_log.c[name] == filters[name])
    if filters.get("min_mos") is not None:
        made.append(call_log.c.mos >= filters["min_mos"])
    if filters.get("max_mos") is not None:
        made.append(call_log.c.mos <= filters["max_mos"])
    if filters.get("created_after") is not None:
        made.append(call_log.c.started_at >= filters["created_after"])
    if filters.get("created_before") is not None:
        made.append(call_log.c.started_at < filters["created_before"])
    return made


def _is_ref(text: str) -> bool:
    """What may be asked for: longer text names no row, and U+0000 is no text to PostgreSQL."""
    return 0 < len(text) <= 36 and "\0" not in text
