"""Recordings of calls: one row each, whose file lies below the directory of recordings (API.md 13.3)."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Select, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.statements import Upsert
from offhook.store.tables import recordings
from offhook.store.writer import Writer

RUNNING, COMPLETED, FAILED = "processing", "completed", "failed"
AT_ONCE = 200
"""Old recordings that go in one look: their files are deleted one by one."""
_WRITE = Upsert(recordings)


class RecordingRows:
    """Reads at once; what happens to a recording is written behind."""

    def __init__(self, engine: AsyncEngine, writer: Writer) -> None:
        self._engine, self._writer = engine, writer

    def keep(self, values: dict[str, Any]) -> None:
        """A whole row."""
        self._writer.put(_WRITE, values)

    async def running(self) -> list[dict[str, Any]]:
        """Rows that no end was told of."""
        return await self._rows(select(recordings).where(recordings.c.status == RUNNING))

    async def page(self, project: str, below: str, above: str, limit: int) -> list[Mapping[str, Any]]:
        """Rows of a project, newest first."""
        wanted = select(recordings).where(recordings.c.project_id == project)
        if above:
            found = await self._rows(wanted.where(recordings.c.id > above).order_by(recordings.c.id).limit(limit))
            return [*found[::-1]]
        if below:
            wanted = wanted.where(recordings.c.id < below)
        return [*await self._rows(wanted.order_by(recordings.c.id.desc()).limit(limit))]

    async def get(self, id_: str) -> dict[str, Any] | None:
        """One row."""
        if not 0 < len(id_) <= 36 or "\0" in id_:
            return None
        rows = await self._rows(select(recordings).where(recordings.c.id == id_))
        return rows[0] if rows else None

    async def remove(self, id_: str) -> None:
        """A row goes."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(recordings).where(recordings.c.id == id_))

    async def _rows(self, wanted: Select[Any]) -> list[dict[str, Any]]:
        async with self._engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(wanted)).mappings()]


async def remove_old(engine: AsyncEngine, directory: Path, before: datetime) -> int:
    """Recordings from before a moment go with their files; returns how many there were."""
    old = select(recordings.c.id, recordings.c.file).where(
        recordings.c.created_at < before, recordings.c.status != RUNNING
    )
    total = 0
    while True:
        async with engine.connect() as connection:
            rows = (await connection.execute(old.limit(AT_ONCE))).all()
        for _, file in rows:
            (directory / file).unlink(missing_ok=True)
        async with engine.begin() as connection:
            await connection.execute(delete(recordings).where(recordings.c.id.in_([id_ for id_, _ in rows])))
        total += len(rows)
        if len(rows) < AT_ONCE:
            return total
