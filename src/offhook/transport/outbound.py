"""Ways out: a flow to one address, over UDP at once, over TCP or TLS by an open connection or a new one.

Lives here: which connection a hop gets, and the words for why there is none. Never here: names (resolver.py), messages.
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from offhook.sip.address_policy import AddressPolicy
from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.hop import Hop
from offhook.transport.flow import FlowTable, Receiver
from offhook.transport.stream import SipStream, StreamSettings
from offhook.transport.tls_client import TlsClient, TlsRefused

KEPT = 10_000
"""Hops whose connection is remembered before those that are gone are swept out."""


class Unreachable(Exception):
    """There is no way to the address. `code` is a row of the error catalogue, the text a sentence for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class OutboundSettings:
    """Seconds."""

    connect: float = 3.5
    """TCP and TLS together: within the four seconds that a try has (TRK-5)."""
    wildcards: bool = False
    """Whether `*.example.com` in a certificate counts; RFC 5922 section 7.2 says no."""
    stream: StreamSettings = StreamSettings()


class Outbound:
    """Made by the composition root, which says what we listen on: `datagram(address)` is the flow of the UDP socket that
    reaches an address, None without such a socket; `advertised(transport, local, remote)` is what our Via says."""

    def __init__(
        self,
        flows: FlowTable,
        receiver: Receiver,
        policy: AddressPolicy,
        datagram: Callable[[str, int], Flow | None],
        advertised: Callable[[Transport, str, str], str],
        context: ssl.SSLContext,
        settings: OutboundSettings,
    ) -> None:
        self._flows, self._receiver, self._policy = flows, receiver, policy
        self._datagram, self._advertised = datagram, advertised
        self._context, self._settings = context, settings
        self._open: dict[Hop, FlowId] = {}
        self._connecting: dict[Hop, asyncio.Task[Flow]] = {}

    def ready(self, hop: Hop) -> Flow | None:
        """The flow that is there already, or is there at once; None when one has to be connected. Raises Unreachable."""
        refusal = self._policy.refusal(hop.address, named=not hop.foreign)
        if refusal is not None:
            raise Unreachable("trunk_unreachable", f"{hop}: {refusal}")
        if hop.transport is Transport.UDP:
            flow = self._datagram(hop.address, hop.port)
            if flow is None:
                raise Unreachable("trunk_unreachable", f"{hop}: we listen on no UDP address of its IP version")
            return flow
        path = self._flows.get(self._open.get(hop, FlowId("")))
        if path is None:
            self._open.pop(hop, None)
            return None
        return path.flow

    async def connect(self, hop: Hop) -> Flow:
        """A flow to the hop. Raises Unreachable. Those who ask for the same hop at the same time get the same one."""
        flow = self.ready(hop)
        if flow is not None:
            return flow
        task = self._connecting.get(hop)
        if task is None:
            task = self._connecting[hop] = asyncio.get_running_loop().create_task(self._connect(hop))
            task.add_done_callback(lambda done: self._connected(hop, done))
        return await asyncio.shield(task)

    def _connected(self, hop: Hop, task: "asyncio.Task[Flow]") -> None:
        del self._connecting[hop]
        if not task.cancelled() and task.exception() is None:
            self._open[hop] = task.result().id
        if len(self._open) > KEPT:
            self._open = {one: flow for one, flow in self._open.items() if self._flows.get(flow) is not None}

    async def _connect(self, hop: Hop) -> Flow:
        if hop.transport not in (Transport.TCP, Transport.TLS):
            raise Unreachable("trunk_unreachable", f"{hop}: a WebSocket's peer is never dialled")
        deadline = asyncio.get_running_loop().time() + self._settings.connect
        try:
            stream = await (self._tls(hop, deadline) if hop.transport is Transport.TLS else self._tcp(hop, deadline))
        except TimeoutError:
            text = f"no answer to the connection within {self._settings.connect:g} s"
            raise Unreachable("trunk_unreachable", f"{hop}: {text}") from None
        except TlsRefused as error:
            raise Unreachable("trunk_tls_failed", f"{hop}: {error}") from None
        except OSError as error:
            text = os.strerror(error.errno) if error.errno else str(error)
            raise Unreachable("trunk_unreachable", f"{hop}: {text}") from None
        if self._flows.get(stream.flow.id) is None:
            raise Unreachable("trunk_unreachable", f"{hop}: no room for a connection (limits.flows)")
        return stream.flow

    async def _tcp(self, hop: Hop, deadline: float) -> SipStream:
        async with asyncio.timeout_at(deadline):
            _, stream = await asyncio.get_running_loop().create_connection(
                lambda: self._stream(hop), hop.address, hop.port
            )
        return stream

    async def _tls(self, hop: Hop, deadline: float) -> SipStream:
        settings, made = self._settings, []

        def stream() -> SipStream:
            made.append(self._stream(hop))
            return made[0]

        def connection() -> TlsClient:
            return TlsClient(
                self._context, stream, settings.connect, hop.certificate_name or hop.address, settings.wildcards
            )

        async with asyncio.timeout_at(deadline):
            transport, tls = await asyncio.get_running_loop().create_connection(connection, hop.address, hop.port)
        try:
            async with asyncio.timeout_at(deadline):
                await tls.ready
        except TimeoutError:
            raise TlsRefused(f"no TLS handshake within {settings.connect:g} s; does the port speak TLS?") from None
        finally:
            if not made:
                transport.abort()
        return made[0]

    def _stream(self, hop: Hop) -> SipStream:
        kind = hop.transport
        return SipStream(
            self._flows,
            self._receiver,
            self._settings.stream,
            kind,
            lambda local, _, remote: self._advertised(kind, local, remote),
            ours=True,
        )
