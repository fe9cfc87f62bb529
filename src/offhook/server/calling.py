"""What the API needs to place, steer and look up calls, put together: the desk, the log, details of calls."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.calls.commands import HangUpCall
from offhook.calls.effects import Happened
from offhook.server.call_desk import ServerCallDesk
from offhook.server.details import Details
from offhook.server.directing import shown
from offhook.server.happenings import Happenings
from offhook.server.recorder import Said
from offhook.server.recordings import Recordings
from offhook.store.call_log import CallLog
from offhook.store.deliveries import Delivery
from offhook.store.recordings import RecordingRows

if TYPE_CHECKING:
    from offhook.server.app import App
    from offhook.server.driver import Driver

LOOK = 30.0
"""Seconds between two looks at how long calls last."""


@dataclass
class Calling:
    """Made once events can be told; `stop` ends what runs."""

    desk: ServerCallDesk
    log: CallLog
    details: Details
    recordings: Recordings
    watch: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, app: "App", engine: AsyncEngine) -> "Calling":
        """Of the parts of a server that is about to start."""
        settings, switchboard, store = app.settings.logs, app.driver.switchboard, app.store
        owner, root = app.telling.happenings.owner, store.space.project_id
        log = CallLog(engine, store.writer, root)
        details = Details(
            log,
            switchboard.call,
            owner,
            settings.details_per_second,
            asyncio.get_running_loop().time,
            switchboard.index.of_call_id,
            app.driver.command,
            lambda ref, said: app.driver.recorder.said(ref, said, app.driver.now()),
        )
        app.telling.deliverer.on_try = lambda delivery, attempt: _tried(app.driver, delivery, attempt)

        def owner_of(ref: str) -> str:
            call = switchboard.by_ref(ref)
            return owner(call) if call is not None else root

        app.book.owner, app.book.ended = owner_of, details.ended
        app.book.device_of = app.store.devices.by_flow
        limit = app.settings.limits.call_seconds
        watch = asyncio.create_task(_watch(app.driver, limit), name="length of calls") if limit else None
        recordings = Recordings(app, RecordingRows(engine, store.writer))
        return cls(ServerCallDesk(app, log, details), log, details, recordings, watch)

    async def hear(self, driver: "Driver", happenings: Happenings) -> None:
        """From now on recordings are kept; events are told as before."""
        await self.recordings.load()

        def told(happened: Happened) -> None:
            self.recordings.told(happened)
            happenings.told(happened)

        driver.use_listener(told)

    def stop(self) -> None:
        """Nothing that waits is placed any more."""
        self.desk.dialler.stop()
        if self.watch is not None:
            self.watch.cancel()


def _tried(driver: "Driver", delivery: Delivery, attempt: Mapping[str, Any]) -> None:
    """A webhook about a call was tried: its trace tells of it, too."""
    if delivery.call_ref:
        answer = attempt["error"] or f"answered {attempt['status']}"
        text = f"{delivery.method} {shown(delivery.url)}: {answer}"
        details = {"delivery_id": delivery.id, "try": delivery.tries + 1, **attempt}
        driver.recorder.said(delivery.call_ref, Said("webhook", "", text, details), driver.now())


async def _watch(driver: "Driver", limit: int) -> None:
    """Ends calls that have lasted as long as `limits.call_seconds` lets them."""
    while True:
        await asyncio.sleep(min(LOOK, max(1.0, limit / 4)))
        now = driver.now()
        for call in driver.switchboard.calls():
            if call.answered_at is not None and now - call.answered_at >= limit:
                driver.command(HangUpCall(call.ref, "max_duration", "server"))
