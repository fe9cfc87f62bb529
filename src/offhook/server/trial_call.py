"""The ten-second call of a trunk's test, waited for (API.md 12.1)."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offhook.calls.call import Call, CallState
from offhook.calls.commands import TryTrunk
from offhook.calls.entry import Permits
from offhook.server.ids import SystemIds
from offhook.server.trunk_test import Failed

if TYPE_CHECKING:
    from offhook.api.ports import TrunkRow
    from offhook.server.app import App

TALK, RING = 10.0, 20.0
"""Seconds that the number is talked to, and that it may ring."""
MARGIN = 5.0
"""Seconds beyond both in which the call must have ended."""
LOOK = 0.1


@dataclass
class TrialCall:
    """One call to `number` by one trunk; whoever answers is let go after ten seconds."""

    app: "App"
    row: "TrunkRow"
    number: str | None

    async def run(self) -> int:
        """The status of the answer. Raises Failed."""
        ref, project = SystemIds().ref(), self.row.project_id
        profile = self.app.profiles.of(project)
        own = next((one.number for one in self.app.store.numbers if one.project_id == project), None)
        permits = Permits(True, profile.pstn_enabled, profile.external_sip)
        command = TryTrunk(ref, self.row.id, self.number or "", own, permits, project, TALK, RING)
        self.app.driver.command(command)
        call = await self._ended(ref)
        if call is None or call.answered_at is None:
            code = call.end_code if call is not None and call.end_code else "trunk_timeout"
            status = next((leg.sip_code for leg in call.legs if leg.sip_code), None) if call is not None else None
            raise Failed(code, call.refused_text if call is not None else "The call never ended", status)
        return 200

    async def _ended(self, ref: str) -> Call | None:
        """The call once it is over: it is asked after, because whoever tests waits for it anyway."""
        for _ in range(int((TALK + RING + MARGIN) / LOOK)):
            call = self.app.driver.switchboard.by_ref(ref)
            if call is not None and call.state is CallState.ENDED:
                return call
            await asyncio.sleep(LOOK)
        return None
