"""Everything that listens, put together from settings, and the ways out beside it."""

import asyncio
import socket
import ssl
from collections.abc import Set as AbstractSet
from dataclasses import fields
from typing import Any

from offhook.sdp.description import SDP_LIMITS
from offhook.server.certificates.keeper import CertificateKeeper
from offhook.server.config import Settings
from offhook.server.driver import Driver
from offhook.server.ears import Ears
from offhook.server.errors import StartError
from offhook.server.peers import OutwardPeers, outward_peers
from offhook.sip.flow import Transport
from offhook.sip.grammar import FIELD_LIMITS
from offhook.sip.grammar import Limits as ParserLimits
from offhook.sip.ids import Ids
from offhook.transport.backpressure import Patience
from offhook.transport.datagram import Datagrams
from offhook.transport.flow import Advertiser, FlowTable, host_port
from offhook.transport.front import Front, FrontSettings
from offhook.transport.ice_tcp import HandOver
from offhook.transport.sockets import DATAGRAM, STREAM
from offhook.transport.stream import StreamListener, StreamSettings
from offhook.transport.tls_client import client_context
from offhook.transport.websocket import WebSocketSettings


class Listeners:
    """`open`, then `close`. `addresses` says what listens where: `http`, `https`, `sip`, `sips`; a number follows the name
    where there is more than one address (`sip.2`)."""

    def __init__(
        self, settings: Settings, flows: FlowTable, driver: Driver, ears: Ears, certificates: CertificateKeeper
    ) -> None:
        self._settings, self._flows, self._driver = settings, flows, driver
        self._ears, self._certificates = ears, certificates
        self._advertise = Advertiser(settings.media.public_address)
        self._servers: list[asyncio.Server] = []
        self.datagrams = Datagrams(driver, self._advertise)
        self.addresses: dict[str, str] = {}

    async def open(self, application: Any, origins: AbstractSet[str], hand_over: HandOver | None = None) -> None:
        """Binds everything; `hand_over` takes ICE-TCP on the port for browsers, whose pages may come from `origins`. Raises
        StartError."""
        settings = self._settings
        self._hosts = self._ears.hosts()
        context = self._certificates.context(phones=False)
        front = Front(application, self._flows, self._driver, front_settings(settings, origins), context, hand_over)
        front.proof = self._certificates.proof
        await self._streams("http", front.serve, "http.port", settings.http.port)
        await self._phones()
        if context is not None:
            await self._streams("https", front.serve, "http.https_port", settings.http.https_port)
            tls = StreamListener(
                self._flows,
                self._driver,
                stream_settings(settings),
                self._certificates.context(phones=True),
                self._advertise,
            )
            await self._streams("sips", tls.serve, "sip.tls_port", settings.sip.tls_port)

    @property
    def browsers(self) -> tuple[int, frozenset[str] | None]:
        """The port for browsers that networks are likeliest to let through, and its addresses (None: all)."""
        port = self.addresses.get("https", self.addresses["http"]).rpartition(":")[2]
        everywhere = {"0.0.0.0", "::"} & set(self._hosts)
        return int(port), None if everywhere else frozenset(self._hosts)

    def close(self) -> None:
        """No new connection and no datagram comes in after this."""
        for server in self._servers:
            server.close()
        self.datagrams.close()

    def ways_out(self, ids: Ids) -> OutwardPeers:
        """Names and connections towards trunks and foreign URIs. Raises StartError."""

        def advertised(transport: Transport, local: str, remote: str) -> str:
            # The port we listen on: a peer that calls back must not meet the connection's own.
            listener = "sips" if transport is Transport.TLS and "sips" in self.addresses else "sip"
            return self._advertise(local, int(self.addresses[listener].rpartition(":")[2]), remote)

        settings, datagrams = self._settings, self.datagrams
        try:
            context = client_context(settings.sip.tls_authorities)
            self._certificates.follow(context)
            return outward_peers(
                settings,
                context,
                ids,
                self._flows,
                self._driver,
                lambda address, port: datagrams.flow_to((address, port)),
                advertised,
                datagrams.families,
                stream_settings(settings),
            )
        except (OSError, ssl.SSLError) as error:
            raise StartError(f"sip.tls_authorities {settings.sip.tls_authorities}: {error}") from error

    async def _phones(self) -> None:
        """UDP and TCP share a number."""
        sip = self._settings.sip
        kinds = [(host, kind) for host in self._hosts for kind in (DATAGRAM, STREAM)]
        bound = self._ears.bound(kinds, "sip.port", sip.port)
        tcp = StreamListener(self._flows, self._driver, stream_settings(self._settings), advertised=self._advertise)
        for one in bound:
            if one.type == DATAGRAM:
                await self.datagrams.serve(one)
            else:
                self._servers.append(await tcp.serve(one))
        self._note("sip", [one for one in bound if one.type == DATAGRAM])

    async def _streams(self, name: str, serve: Any, setting: str, port: int) -> None:
        bound = self._ears.bound([(host, STREAM) for host in self._hosts], setting, port)
        self._note(name, bound)
        for one in bound:
            self._servers.append(await serve(one))

    def _note(self, name: str, bound: list[socket.socket]) -> None:
        for number, one in enumerate(bound, 1):
            self.addresses[name if number == 1 else f"{name}.{number}"] = host_port(*one.getsockname()[:2])


def parser_limits(settings: Settings) -> ParserLimits:
    """What one message may have."""
    limits = settings.limits
    return ParserLimits(
        max_message=limits.max_message,
        max_body=limits.max_body,
        max_header_bytes=limits.max_header_bytes,
        max_header_line=limits.max_header_line,
        max_headers=limits.max_headers,
        max_via=limits.max_via,
        max_routes=limits.max_routes,
        max_call_id=limits.max_call_id,
    )


def settle_parsers(settings: Settings) -> None:
    """The limits that stand once for the process: those of single values, and of session descriptions."""
    for table in (FIELD_LIMITS, SDP_LIMITS):
        for one in fields(table):
            setattr(table, one.name, getattr(settings.limits, one.name))


def stream_settings(settings: Settings) -> StreamSettings:
    """What TCP and TLS connections are held to."""
    limits = settings.limits
    return StreamSettings(
        limits=parser_limits(settings),
        handshake=limits.tls_handshake,
        first_message=limits.first_message,
        idle=limits.stream_idle,
        patience=_patience(settings),
    )


def front_settings(settings: Settings, origins: AbstractSet[str]) -> FrontSettings:
    """What connections of browsers are held to; `origins` may change while we run."""
    http, limits = settings.http, settings.limits
    return FrontSettings(
        origins=origins,
        trusted_proxies=http.trusted_proxies,
        upgrade=limits.upgrade,
        handshake=limits.tls_handshake,
        websocket=WebSocketSettings(
            max_message=limits.max_message,
            patience=_patience(settings),
            first_message=limits.first_message,
            proof=limits.proof,
            ping_after=(limits.ws_ping_after, limits.ws_ping_after * 1.25),
            pong_within=limits.ws_pong_within,
        ),
    )


def _patience(settings: Settings) -> Patience:
    limits = settings.limits
    return Patience(limits.ws_queue_high, limits.ws_queue_max, limits.ws_stall)
