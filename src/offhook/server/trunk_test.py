"""`POST /trunks/ID/test`: each step of reaching a trunk by itself, with what to mend (API.md 12.1)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from offhook.calls.catalogue import CATALOGUE
from offhook.calls.effects import Connect, Locate
from offhook.calls.trunk import Trunk
from offhook.calls.trunks import TrunkState, first_hop, proxy_route
from offhook.server.ports import Peers
from offhook.sip.commands import SendRequest
from offhook.sip.events import RequestSettled
from offhook.sip.flow import Flow
from offhook.sip.hop import Hop
from offhook.sip.message import Headers
from offhook.sip.registration import LineState
from offhook.sip.uri import Uri

Ask = Callable[[SendRequest], Awaitable[RequestSettled]]


class _Token:
    """Each question its own."""


@dataclass
class TrunkTest:
    """One test of one trunk. `ask` sends a request and waits for its end."""

    trunk: Trunk
    state: TrunkState | None
    domain: str
    peers: Peers
    ask: Ask
    opened: Callable[[Flow], None]
    call: Callable[[], Awaitable[int]] | None = None

    async def run(self) -> dict[str, Any]:
        """Every step for the first target that is enabled; after a failed one the later ones are not tried."""
        steps: list[dict[str, Any]] = []
        hops = await self._timed(steps, "dns", self._dns)
        flow = await self._timed(steps, "connect", lambda: self._connect(hops)) if hops else None
        if flow is not None:
            await self._timed(steps, "options", lambda: self._options(flow))
        if flow is not None and self.trunk.register:
            await self._timed(steps, "register", self._registration)
        if self.call is not None and all(step["ok"] for step in steps):
            await self._timed(steps, "call", self.call)
        return {"ok": all(step["ok"] for step in steps), "steps": steps}

    async def _timed(self, steps: list[dict[str, Any]], name: str, step: Callable[[], Awaitable[Any]]) -> Any:
        began = time.monotonic()
        step_facts: dict[str, Any] = {
            "name": name,
            "ok": False,
            "ms": 0,
            "sip_code": None,
            "code": None,
            "remedy": None,
        }
        result = None
        try:
            result = await step()
            step_facts["ok"] = True
        except Failed as failed:
            step_facts |= {"code": failed.code, "remedy": CATALOGUE[failed.code].remedy, "text": str(failed)}
            step_facts["sip_code"] = failed.status
        if isinstance(result, int):
            step_facts["sip_code"] = result
        step_facts["ms"] = round((time.monotonic() - began) * 1000)
        steps.append(step_facts)
        return result

    async def _dns(self) -> tuple[Hop, ...]:
        target = next((one for one in self.trunk.targets if one.enabled), self.trunk.targets[0])
        located = await self.peers.locate(Locate(_Token(), first_hop(self.trunk, target)))
        if not located.hops:
            raise Failed("trunk_dns_failed", located.error)
        return located.hops

    async def _connect(self, hops: tuple[Hop, ...]) -> Flow:
        effect = Connect(_Token(), hops[0])
        connected = self.peers.at_once(effect) or await self.peers.connect(effect)
        if connected.flow is None:
            raise Failed(connected.code or "trunk_unreachable", connected.error)
        if not connected.flow.transport.reliable:
            self.opened(connected.flow)
        return connected.flow

    async def _options(self, flow: Flow) -> int:
        trunk = self.trunk
        uri = Uri("sip", None, trunk.targets[0].uri.host, trunk.targets[0].uri.port)
        request = SendRequest(
            _Token(),
            "OPTIONS",
            flow.id,
            uri,
            f"<sip:ping@{self.domain}>",
            f"<{uri}>",
            Headers([("Accept", "application/sdp")]),
            routes=proxy_route(trunk),
            credentials=trunk.credentials,
        )
        try:
            async with asyncio.timeout(trunk.health.timeout):
                settled = await self.ask(request)
        except TimeoutError:
            raise Failed("trunk_timeout", f"no answer to OPTIONS within {trunk.health.timeout:g} s") from None
        if settled.response is None:
            raise Failed("trunk_unreachable", "no answer to OPTIONS")
        if settled.response.status == 503:
            raise Failed("trunk_unreachable", f"503 {settled.response.reason}", 503)
        # TRK-4: any other final answer is alive.
        return settled.response.status

    async def _registration(self) -> int:
        line = self.state.line if self.state is not None else None
        for _ in range(50):
            if line is not None and line.state in (LineState.REGISTERED, LineState.FAILED):
                break
            await asyncio.sleep(0.1)
        if line is None or line.state is not LineState.REGISTERED:
            code = line.code if line is not None and line.code else "trunk_registration_failed"
            said = "not in service"
            if line is not None:
                said = f"{line.status} {line.reason}" if line.status else line.reason or "no answer to REGISTER yet"
            raise Failed(code, said, line.status or None if line is not None else None)
        return line.status


class Failed(Exception):
    """A step did not succeed: a code of the catalogue, a sentence, and the SIP status if there was one."""

    def __init__(self, code: str, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.code, self.status = code, status
