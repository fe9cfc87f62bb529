"""Traces of calls that ended, beside the call log: compressed documents. How many and how long: server/sweeping.py."""

import json
import zlib
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.statements import Upsert
from offhook.store.tables import call_log, call_traces
from offhook.store.writer import Writer

_WRITE = Upsert(call_traces)


class Traces:
    """Writes behind, reads at once."""

    def __init__(self, engine: AsyncEngine, writer: Writer) -> None:
        self._engine = engine
        self._writer = writer

    def put(self, document: dict[str, Any]) -> None:
        """Keeps one; a later one of the same call replaces it."""
        packed = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 1)
        values = {"call_ref": document["call_ref"], "kept_at": datetime.now(UTC), "document": packed}
        self._writer.put(_WRITE, values)

    async def get(self, ref: str) -> dict[str, Any] | None:
        """By the ref of the call or of any of its legs."""
        of_leg = select(call_log.c.call_ref).where(call_log.c.leg_ref == ref)
        wanted = (call_traces.c.call_ref == ref) | call_traces.c.call_ref.in_(of_leg)
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(call_traces.c.document).where(wanted))).first()
        if row is None:
            return None
        document: dict[str, Any] = json.loads(zlib.decompress(row.document))
        return document
