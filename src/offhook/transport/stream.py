"""SIP over TCP and TLS: one connection is one flow (RFC 3261 section 18, RFC 5626)."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from offhook.sip.errors import PeerError
from offhook.sip.flow import Flow, Transport
from offhook.sip.framing import KeepAlive, StreamFramer
from offhook.sip.grammar import Limits
from offhook.transport.flow import Advertiser, FlowTable, Receiver, is_loopback
from offhook.transport.identity import identities
from offhook.transport.sockets import STREAM, bind_all
from offhook.transport.tls import Tls

Advertised = Callable[[str, int, str], str]


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Seconds and octets, rows of the limits table."""

    limits: Limits = Limits()
    handshake: float = 10.0
    idle: float = 180.0
    queue_high: int = 65_536
    queue_max: int = 262_144
    stall: float = 10.0


class SipStream(asyncio.Protocol):
    """One connection, accepted or ours. `advertised(address, port, remote)` is what Via and Contact say for our end."""

    def __init__(
        self,
        flows: FlowTable,
        receiver: Receiver,
        settings: StreamSettings,
        transport: Transport,
        advertised: Advertised,
    ) -> None:
        self._flows, self._receiver, self._settings, self._kind = flows, receiver, settings, transport
        self._advertised = advertised
        self._framer = StreamFramer(settings.limits)
        self._loop = asyncio.get_running_loop()
        self._reason = "peer closed the connection"
        self._stall: asyncio.TimerHandle | None = None
        self._heard_at = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        host, port = transport.get_extra_info("peername")[:2]
        local = transport.get_extra_info("sockname")[:2]
        self.flow = Flow(
            id=self._flows.new_id(self._kind),
            transport=self._kind,
            remote=(host, port),
            local=local,
            advertised=self._advertised(local[0], local[1], host),
            secure=self._kind is Transport.TLS,
            loopback=is_loopback(host),
            identities=_identities(transport),
        )
        self._transport.set_write_buffer_limits(high=self._settings.queue_high)
        self._idle = self._loop.call_later(self._settings.idle, self._went_quiet)
        if not self._flows.room_for(host):
            self._transport.abort()
            return
        self._flows.add(self)
        self._receiver.flow_opened(self.flow)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            for one in self._framer.feed(data):
                if isinstance(one, KeepAlive):
                    self._transport.write(b"\r\n")
                elif not self._transport.is_closing():
                    self._receiver.received(one, self.flow)
        except PeerError as error:
            self._receiver.refused(str(error), self._framer.pending, self.flow)
            self._reason = str(error)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._idle.cancel()
        if self._stall is not None:
            self._stall.cancel()
        if self._flows.remove(self):
            self._receiver.flow_lost(self.flow, self._reason if exc is None else f"{self._reason}: {exc}")

    def send(self, data: bytes) -> bool:
        """One message; False if the connection is gone."""
        if self._transport.is_closing():
            return False
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > self._settings.queue_max:
            self._too_slow()
        return True

    def close(self, code: int, slug: str) -> None:
        """Closes the connection; `code` is for WebSockets."""
        self._reason = slug
        self._transport.close()

    def pause_writing(self) -> None:
        self._transport.pause_reading()
        self._stall = self._loop.call_later(self._settings.stall, self._too_slow)

    def resume_writing(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._transport.resume_reading()

    def _too_slow(self) -> None:
        self._reason = "client-too-slow"
        self._transport.abort()

    def _went_quiet(self) -> None:
        quiet = self._loop.time() - self._heard_at
        if quiet < self._settings.idle or self._receiver.in_use(self.flow):
            wait = max(self._settings.idle - quiet, self._settings.idle / 4)
            self._idle = self._loop.call_later(wait, self._went_quiet)
            return
        self._reason = "flow-idle"
        self._transport.close()


def _identities(transport: asyncio.BaseTransport) -> tuple[str, ...]:
    secured = transport.get_extra_info("ssl_object")
    certificate = secured.getpeercert() if secured is not None else None
    return tuple(identities(certificate)) if certificate else ()


class StreamListener:
    """Listens for phones over TCP, or over TLS with a context."""

    def __init__(
        self,
        flows: FlowTable,
        receiver: Receiver,
        settings: StreamSettings,
        context: ssl.SSLContext | None = None,
        advertised: Advertised | None = None,
    ) -> None:
        self._flows, self._receiver, self._settings, self._context = flows, receiver, settings, context
        self._advertised = advertised or Advertiser()

    def _connection(self) -> asyncio.Protocol:
        if self._context is None:
            return self._stream(Transport.TCP)
        return Tls(self._context, lambda: self._stream(Transport.TLS), self._settings.handshake)

    def _stream(self, transport: Transport) -> SipStream:
        return SipStream(self._flows, self._receiver, self._settings, transport, self._advertised)

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Binds; raises OSError."""
        return await self.serve(bind_all([(host, STREAM)], port)[0])

    async def serve(self, bound: socket.socket) -> asyncio.Server:
        """Takes a bound socket over."""
        return await asyncio.get_running_loop().create_server(self._connection, sock=bound, backlog=1024)
