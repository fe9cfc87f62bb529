"""What is kept for a while goes when its time is over: call log, details, recordings, traces, texts, bindings
of nodes that are gone.

Lives here: how long each is kept, and when it is looked at. Never here: how rows are taken away (store/retention.py); events
and deliveries, which have readers' cursors to mind (telling.py).
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.server.config import Settings
from offhook.server.observe import log
from offhook.store import tables
from offhook.store.recordings import remove_old
from offhook.store.retention import delete_old, empty_old, keep_newest
from offhook.store.texts import Texts

FIRST = 60.0
"""Seconds after a start before the first sweep: whoever comes back then goes first."""
EVERY = 600.0
"""Seconds between two sweeps."""
BINDINGS_KEPT = timedelta(days=1)
"""How long bindings that ran out are kept whose node does not come back to say so."""
DISCARDED: dict[str, Any] = {
    "record": {},
    **dict.fromkeys(
        ("direction", "status", "sender", "recipient", "endpoint_id", "device_id", "trunk_id", "end_code", "mos")
    ),
}
"""What of a leg is not left when it is discarded: all but ids and times."""
DISCARDED_KEPT = timedelta(days=30)
"""How long such a row is left, so that who copies the log learns of it."""


class Sweeps:
    """`start`, then `stop`."""

    def __init__(self, settings: Settings, engine: AsyncEngine, texts: Texts) -> None:
        self._settings, self._engine, self._texts = settings, engine, texts
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins."""
        self._task = asyncio.create_task(self._run(), name="sweep of old rows")

    async def stop(self) -> None:
        """Ends; what is left is swept after the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        await asyncio.sleep(FIRST)
        while True:
            try:
                gone = await self.sweep(datetime.now(UTC))
                if any(gone.values()):
                    log.info("old rows taken away", **{name: count for name, count in gone.items() if count})
            except (SQLAlchemyError, OSError) as error:
                log.warning("old rows stay for now", text=str(error).partition("\n")[0][:200])
            await asyncio.sleep(EVERY)

    async def sweep(self, now: datetime) -> dict[str, int]:
        """One look at everything; returns what went, by table."""
        trace, logs, engine = self._settings.trace, self._settings.logs, self._engine
        over = now - timedelta(days=logs.retention_days)
        started, done = tables.call_log.c.started_at, tables.call_log.c.discarded_at
        discarded = await empty_old(engine, started, over, done, {**DISCARDED, "discarded_at": now})
        call_log = await delete_old(engine, started, over - DISCARDED_KEPT)
        traces = await delete_old(engine, tables.call_traces.c.kept_at, now - timedelta(days=trace.retention_days))
        traces += await keep_newest(engine, tables.call_traces.c.kept_at, trace.stored)
        kept = timedelta(days=self._settings.recordings.retention_days)
        return {
            "recordings": await remove_old(engine, self._settings.data / "recordings", now - kept),
            "call_log": call_log,
            "call_log_discarded": discarded,
            "call_details": await delete_old(
                engine, tables.call_details.c.kept_at, now - timedelta(days=logs.call_detail_days)
            ),
            "call_traces": traces,
            "texts": self._texts.expire(now),
            "bindings": await delete_old(engine, tables.bindings.c.expires_at, now - BINDINGS_KEPT),
        }
