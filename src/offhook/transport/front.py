"""One TCP port for page, REST, and SIP over WebSocket: the first byte of a connection decides, then the upgrade does.

0x16 is a TLS handshake, 0x00 and 0x01 a frame of ICE-TCP, anything else HTTP. HTTP is uvicorn's protocol class; a
WebSocket that offers `sip` leaves it for ours. Three uvicorn internals are leaned on (`handle_websocket_upgrade`,
`headers`, `connections`); its version is pinned below the next minor and tests/transport/test_front.py covers the
hand-over.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from offhook.sip.flow import Flow, Transport
from offhook.transport.flow import FlowTable, Receiver, host_port, is_loopback
from offhook.transport.forwarded import Client, client_of
from offhook.transport.frames import valid_key
from offhook.transport.ice_tcp import FIRST_BYTES, HandOver, IceTcp
from offhook.transport.sockets import STREAM, bind_all
from offhook.transport.tls import Tls
from offhook.transport.websocket import SipWebSocket, WebSocketSettings


@dataclass(frozen=True, slots=True)
class FrontSettings:
    """`origins` are the further origins a page may come from (WS-2); `trusted_proxies` are networks whose Forwarded
    fields count (WS-12). Seconds."""

    upgrade: float = 10.0
    """The first byte, and then the whole head of a request, must be there by then (WS-14)."""
    handshake: float = 10.0
    head: int = 65_536
    """Octets of a request's head: proxies send 8 KiB at most, tokens in URLs included."""
    origins: AbstractSet[str] = frozenset()
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)


class FirstByte(asyncio.Protocol):
    """Waits for the first byte of a connection and hands the transport to whom it belongs."""

    __slots__ = ("_front", "_timer", "_transport")

    def __init__(self, front: "Front") -> None:
        self._front = front

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(self._front.settings.upgrade, transport.abort)  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._timer.cancel()
        front = self._front
        protocol: asyncio.Protocol
        if data[0] in FIRST_BYTES and front.hand_over is not None:
            protocol = IceTcp(front.hand_over)
        elif data[0] == 0x16 and front.context is not None:
            context = (front.proof(data) if front.proof is not None else None) or front.context
            protocol = Tls(context, front.http, front.settings.handshake)
        else:
            protocol = front.http()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)


class Front:
    """Listens for browsers and REST clients. `context` None serves plain HTTP and WS only; `hand_over` takes ICE-TCP."""

    def __init__(
        self,
        application: Any,
        flows: FlowTable,
        receiver: Receiver,
        settings: FrontSettings,
        context: ssl.SSLContext | None = None,
        hand_over: HandOver | None = None,
    ) -> None:
        self.hand_over = hand_over
        self.flows = flows
        self.receiver = receiver
        self.settings = settings
        self.context = context
        self.proof: Callable[[bytes], ssl.SSLContext | None] | None = None
        """The context for a client hello by which an authority looks whether a name is ours; None for everybody else's."""
        self._networks = [ipaddress.ip_network(one) for one in settings.trusted_proxies]
        config = uvicorn.Config(
            application,
            http="httptools",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
        )
        config.load()
        server = uvicorn.Server(config)
        self.http: Callable[[], asyncio.Protocol] = lambda: _Http(
            config=config, server_state=server.server_state, app_state={}, front=self
        )

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Binds; `port` 0 takes any free one. Raises OSError."""
        return await self.serve(bind_all([(host, STREAM)], port)[0])

    async def serve(self, bound: socket.socket) -> asyncio.Server:
        """Takes a bound socket over."""
        return await asyncio.get_running_loop().create_server(lambda: FirstByte(self), sock=bound, backlog=2048)

    def trusts(self, address: str) -> bool:
        """True for a peer whose Forwarded fields count."""
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in self._networks)


class _Refused(Exception):
    """The upgrade is refused with an HTTP status and one sentence."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Http(HttpToolsProtocol):
    """uvicorn's HTTP protocol; a WebSocket on `/` or with the sub-protocol `sip` is served here."""

    def __init__(self, *, front: Front, **rest: Any) -> None:
        super().__init__(**rest)
        self._front = front
        self._awaiting: asyncio.TimerHandle | None = None

    # ---- a head that never ends (WS-14)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._awaiting is None:
            return
        self._head += len(data)
        if self._head > self._front.settings.head and not self.transport.is_closing():
            self._refuse(_Refused("431 Request Header Fields Too Large", "The head of the request is too long."))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._awaiting is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        # Behind a proxy that is trusted, who asks is who the proxy says (WS-12): logins are counted by him.
        peer, client = self._peer(), self._client()
        if client.address != peer[0]:
            self.scope["client"] = (client.address, 0)
        secure = client.secure or self.transport.get_extra_info("ssl_object") is not None
        self.scope["scheme"] = "https" if secure else "http"
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head = 0
        self._awaiting = self.loop.call_later(self._front.settings.upgrade, self.transport.abort)

    def _head_came(self) -> None:
        if self._awaiting is not None:
            self._awaiting.cancel()
            self._awaiting = None

    # ---- the upgrade

    def handle_websocket_upgrade(self) -> None:
        fields = {name: value.decode("latin-1") for name, value in self.headers}
        offered = [
            one.strip()
            for name, value in self.headers
            if name == b"sec-websocket-protocol"
            for one in value.decode("latin-1").lower().split(",")
        ]
        path, _, query = (self.url or b"/").partition(b"?")
        if "sip" not in offered and path.startswith(b"/api/"):
            super().handle_websocket_upgrade()
            return
        try:
            self._check(fields, offered)
            flow = self._flow(fields)
            self._prove(query, flow)
        except _Refused as refusal:
            self._refuse(refusal)
            return
        self.connections.discard(self)
        self._unset_keepalive_if_required()
        transport = self.transport
        socket = SipWebSocket(flow, self._front.flows, self._front.receiver, self._front.settings.websocket)
        transport.set_protocol(socket)
        socket.start(transport, fields[b"sec-websocket-key"])
        self.parser = None  # type: ignore[assignment]  # it leads back here, and no `connection_lost` will come

    def _check(self, fields: dict[bytes, str], offered: list[str]) -> None:
        if "sip" not in offered:
            # RFC 7118 section 4.2: the sub-protocol is how both sides know that SIP follows.
            raise _Refused("400 Bad Request", "This WebSocket speaks SIP: offer the sub-protocol 'sip' (RFC 7118).")
        if fields.get(b"sec-websocket-version") != "13":
            raise _Refused("426 Upgrade Required", "Only WebSocket version 13 is spoken here (RFC 6455).")
        if not valid_key(fields.get(b"sec-websocket-key", "")):
            raise _Refused("400 Bad Request", "Sec-WebSocket-Key must be 16 octets in base64 (RFC 6455 section 4.1).")
        origin = fields.get(b"origin")
        if origin is not None and not self._origin_allowed(origin, fields):
            text = f"Pages from {_printable(origin)} may not connect; add the origin to http.origins."
            raise _Refused("403 Forbidden", text)

    def _origin_allowed(self, origin: str, fields: dict[bytes, str]) -> bool:
        if origin in self._front.settings.origins:
            return True
        try:
            page = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        # `null`, which is what sandboxed frames and local files say, names no host and so is never the same one.
        return bool(page) and page in {fields.get(b"host", "").lower(), self._client().host}

    def _flow(self, fields: dict[bytes, str]) -> Flow:
        peer, client = self._peer(), self._client()
        secure = self.transport.get_extra_info("ssl_object") is not None or client.secure
        if not self._front.flows.room_for(client.address):
            raise _Refused("503 Service Unavailable", "Too many connections (limits.flows, limits.flows_per_source).")
        local = self.transport.get_extra_info("sockname")[:2]
        transport = Transport.WSS if secure else Transport.WS
        return Flow(
            id=self._front.flows.new_id(transport),
            transport=transport,
            remote=peer if client.address == peer[0] else (client.address, 0),
            local=local,
            advertised=client.host or host_port(*local),
            secure=secure,
            loopback=is_loopback(client.address),
            origin=_printable(fields.get(b"origin", "")),
        )

    def _prove(self, query: bytes, flow: Flow) -> None:
        """AUTH-10: a page that can set no header presents its token in the URL, which is written down nowhere."""
        try:
            values = parse_qs(query.decode("latin-1"), max_num_fields=20).get("access_token")
        except ValueError:
            raise _Refused("400 Bad Request", "The query of the URL has too many fields.") from None
        if values:
            wrong = self._front.receiver.presented(values[0], flow)
            if wrong is not None:
                raise _Refused("401 Unauthorized", wrong)

    def _client(self) -> Client:
        return client_of(self.headers, self._peer()[0], self._front.trusts)

    def _peer(self) -> tuple[str, int]:
        host, port = (self.transport.get_extra_info("peername") or ("", 0))[:2]
        return str(host), int(port)

    def _refuse(self, refusal: _Refused) -> None:
        body = f"{refusal}\n".encode()
        extra = "Sec-WebSocket-Version: 13\r\n" if refusal.status.startswith("426") else ""
        head = f"HTTP/1.1 {refusal.status}\r\nContent-Type: text/plain; charset=utf-8\r\n{extra}"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        self.transport.close()


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)[:200]
