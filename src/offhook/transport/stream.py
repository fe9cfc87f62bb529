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
from offhook.transport.backpressure import Backpressure, Patience
from offhook.transport.flow import Advertiser, FlowTable, Receiver, is_loopback
from offhook.transport.identity import identities
from offhook.transport.keepalive import Keepalive
from offhook.transport.probe import acknowledged
from offhook.transport.sockets import STREAM, bind_all, time_out
from offhook.transport.tls import Tls

Advertised = Callable[[str, int, str], str]


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Seconds and octets, rows of the limits table."""

    limits: Limits = Limits()
    handshake: float = 10.0
    first_message: float = 30.0
    idle: float = 180.0
    patience: Patience = Patience()
    ping_after: tuple[float, float] = (95.0, 120.0)
    """How long after the last ping of ours the next one goes out, on connections that we made (RFC 5626 section 4.4.1)."""
    pong_within: float = 10.0


class SipStream(asyncio.Protocol):
    """One connection, accepted or `ours`. `advertised(address, port, remote)` is what Via and Contact say for our end."""

    def __init__(
        self,
        flows: FlowTable,
        receiver: Receiver,
        settings: StreamSettings,
        transport: Transport,
        advertised: Advertised,
        ours: bool = False,
    ) -> None:
        self._flows, self._receiver, self._settings, self._kind = flows, receiver, settings, transport
        self._advertised, self._ours = advertised, ours
        self._framer = StreamFramer(settings.limits)
        self._loop = asyncio.get_running_loop()
        self._reason = "peer closed the connection"
        self._opened_at = self._heard_at = self._loop.time()
        self._keepalive: Keepalive | None = None

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
        self._pressure = Backpressure(self._transport, self._settings.patience, self._too_slow)
        self._idle = self._loop.call_later(self._settings.first_message, self._went_quiet)
        if not self._flows.room_for(host):
            self._transport.abort()
            return
        self._flows.add(self)
        if self._ours:
            self._keepalive = Keepalive(self)
            time_out(transport.get_extra_info("socket"))
        self._receiver.flow_opened(self.flow)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if self._keepalive is not None:
            self._keepalive.heard(data)
        try:
            for one in self._framer.feed(data):
                if isinstance(one, KeepAlive):
                    self._pressure.write(b"\r\n")
                elif not self._transport.is_closing():
                    self._receiver.received(one, self.flow)
        except PeerError as error:
            self._receiver.refused(str(error), self._framer.pending, self.flow)
            self.close(1002, str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self._idle.cancel()
        self._pressure.end()
        if self._keepalive is not None:
            self._keepalive.stop()
        if self._flows.remove(self):
            self._receiver.flow_lost(self.flow, self._reason if exc is None else f"{self._reason}: {exc}")

    def send(self, data: bytes) -> bool:
        """One message; False if the connection is gone."""
        if self._transport.is_closing():
            return False
        self._pressure.write(data)
        return True

    def close(self, code: int, slug: str) -> None:
        """Closes the connection; `code` is for WebSockets."""
        self._reason = slug
        self._transport.close()
        # A peer that reads nothing would keep a closing connection open for ever.
        self._loop.call_later(self._settings.patience.stall, self._transport.abort)

    def suspected(self, suspect: bool) -> None:
        """A keepalive of ours was left unanswered, or the peer was heard again."""
        self._receiver.flow_suspected(self.flow, suspect)

    def give_up(self, reason: str) -> None:
        """Ends the connection at once, unsent octets included."""
        self._reason = reason
        self._transport.abort()

    @property
    def settings(self) -> StreamSettings:
        """What the connection is held to."""
        return self._settings

    def ping(self) -> None:
        """An empty line, which every parser skips (RFC 3261 section 7.5): nothing answers it but the peer's kernel."""
        self._transport.write(b"\r\n")

    def answered(self, since: float) -> bool:
        """Something was heard, or what we wrote has arrived."""
        return self._heard_at > since or acknowledged(self._transport)

    def pause_writing(self) -> None:
        self._pressure.pause()

    def resume_writing(self) -> None:
        self._pressure.resume()

    def _too_slow(self) -> None:
        self.give_up("client-too-slow")

    def _went_quiet(self) -> None:
        """FIRST_MESSAGE, then STREAM_IDLE: a connection that says nothing is closed, one that carries a call never."""
        spoke = self._ours or self._heard_at > self._opened_at
        quiet = self._loop.time() - self._heard_at
        if (spoke and quiet < self._settings.idle) or self._receiver.in_use(self.flow):
            wait = max(self._settings.idle - quiet, self._settings.idle / 4)
            self._idle = self._loop.call_later(wait, self._went_quiet)
            return
        self.close(1008, "flow-idle")


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
