"""What the API needs to place, steer and look up calls, put together: the desk, the log, details of calls."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.server.call_desk import ServerCallDesk
from offhook.server.details import Details
from offhook.store.call_log import CallLog

if TYPE_CHECKING:
    from offhook.server.app import App


@dataclass
class Calling:
    """Made once events can be told; `stop` ends what runs."""

    desk: ServerCallDesk
    log: CallLog
    details: Details

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
        )

        def owner_of(ref: str) -> str:
            call = switchboard.by_ref(ref)
            return owner(call) if call is not None else root

        app.book.owner, app.book.ended = owner_of, details.ended
        return cls(ServerCallDesk(app, log, details), log, details)

    def stop(self) -> None:
        """Nothing that waits is placed any more."""
        self.desk.dialler.stop()
