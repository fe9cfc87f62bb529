"""Trunks that take no new calls and are deleted after their last one (API.md 12.1, `?drain=true`)."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offhook.server.app import App

LOOK = 0.5
"""Seconds between looks at a trunk that drains: nothing tells of a trunk's last leg, and nobody waits for this."""


class Draining:
    """`watch` a trunk whose row says that it drains; it goes with its last call, over restarts too."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def watch(self, id_: str) -> None:
        """Deletes the trunk once it carries no call; a second time does nothing."""
        if id_ not in self._tasks:
            self._tasks[id_] = asyncio.create_task(self._run(id_), name=f"trunk {id_} drains")

    def stop(self) -> None:
        """The server ends; the next start goes on."""
        for task in self._tasks.values():
            task.cancel()

    async def _run(self, id_: str) -> None:
        while self._drains(id_) and self._carries(id_):  # noqa: ASYNC110 - see LOOK
            await asyncio.sleep(LOOK)
        if self._drains(id_):
            await self._app.platform.remove_trunk(id_)
        self._tasks.pop(id_, None)

    def _drains(self, id_: str) -> bool:
        row = self._app.store.trunks.get(id_)
        return row is not None and bool(row.settings.get("draining"))

    def _carries(self, id_: str) -> bool:
        legs = (leg for call in self._app.driver.switchboard.calls() for leg in call.live)
        return any(leg.trunk is not None and leg.trunk.id == id_ for leg in legs)
