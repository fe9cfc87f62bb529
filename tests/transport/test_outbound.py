"""Ways out: connections are shared, TLS peers must prove their name (RFC 5922), and every failure has a code and words."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from offhook.sip.address_policy import AddressPolicy
from offhook.sip.flow import Flow, Transport
from offhook.sip.hop import Hop
from offhook.transport.datagram import DatagramPath
from offhook.transport.flow import FlowTable
from offhook.transport.identity import identities, proves
from offhook.transport.outbound import Outbound, OutboundSettings, Unreachable
from offhook.transport.sockets import TCP_USER_TIMEOUT
from offhook.transport.stream import StreamListener, StreamSettings
from offhook.transport.tls_client import client_context
from tests.support.authority import Authority
from tests.support.patience import PATIENCE
from tests.transport.test_front import Ear


class Ways:
    """An `Outbound` with its own flow table and ears."""

    def __init__(self, authorities: Path | None = None, connect: float = PATIENCE, wildcards: bool = False) -> None:
        self.flows = FlowTable(100, 100)
        self.ear = Ear(self.flows)
        self.datagram = DatagramPath(self.ear)
        self.outbound = Outbound(
            self.flows,
            self.ear,
            AddressPolicy(),
            lambda address, port: self.datagram.flow((address, port)) if ":" not in address else None,
            lambda transport, local, _: f"{local}:{5061 if transport is Transport.TLS else 5060}",
            client_context(authorities),
            OutboundSettings(connect=connect, wildcards=wildcards),
        )

    async def refused(self, hop: Hop) -> Unreachable:
        with pytest.raises(Unreachable) as caught:
            await self.outbound.connect(hop)
        return caught.value


@contextlib.asynccontextmanager
async def peer(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, Ear]]:
    """A listening phone."""
    flows = FlowTable(100, 100)
    ear = Ear(flows)
    server = await StreamListener(flows, ear, StreamSettings(), context).listen("127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], ear
    server.close()


def hop(transport: Transport, port: int, name: str = "", address: str = "127.0.0.1", foreign: bool = False) -> Hop:
    return Hop(transport, address, port, name, foreign)


async def heard(ear: Ear) -> bytes:
    async with asyncio.timeout(PATIENCE):
        while not ear.messages:
            await asyncio.sleep(0.005)
    return ear.messages[0]


async def test_udp_is_there_at_once() -> None:
    ways = Ways()
    await ways.datagram.listen("127.0.0.1", 0)
    flow = ways.outbound.ready(hop(Transport.UDP, 5099))
    assert flow is not None
    assert (flow.transport, flow.remote) == (Transport.UDP, ("127.0.0.1", 5099))
    with pytest.raises(Unreachable, match="IP version"):
        ways.outbound.ready(hop(Transport.UDP, 5060, address="::1"))
    ways.datagram.close()


async def test_connections_are_shared_and_made_anew_when_lost() -> None:
    ways = Ways()
    async with peer() as (port, ear):
        # 1. Ten at the same time share one connection, and so do later ones.
        flows = await asyncio.gather(*(ways.outbound.connect(hop(Transport.TCP, port)) for _ in range(10)))
        assert len({flow.id for flow in flows}) == 1
        assert ways.outbound.ready(hop(Transport.TCP, port)) == flows[0]
        assert len(ear.opened) == 1
        # 2. Via and Contact name the port we listen on, not the connection's own.
        assert flows[0].advertised == "127.0.0.1:5060"
        path = ways.flows.get(flows[0].id)
        assert path is not None
        path.send(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n")
        assert (await heard(ear)).startswith(b"OPTIONS")
        # 3. Data that stays unacknowledged ends it (WS-9).
        ours = path._transport.get_extra_info("socket")  # type: ignore[attr-defined]
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == TCP_USER_TIMEOUT
        # 4. A lost one is not used again.
        path.close(1001, "test")
        await ways.ear.lost.get()
        assert ways.outbound.ready(hop(Transport.TCP, port)) is None
        assert (await ways.outbound.connect(hop(Transport.TCP, port))).id != flows[0].id


async def test_tls_peers_prove_the_name_of_the_settings(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ways = Ways(authority.file)
    async with peer(authority.server("uri:sip:carrier.example", "dns:other.example")) as (port, ear):
        flow = await ways.outbound.connect(hop(Transport.TLS, port, "carrier.example"))
        assert (flow.secure, flow.advertised) == (True, "127.0.0.1:5061")
        path = ways.flows.get(flow.id)
        assert path is not None
        path.send(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n")
        assert (await heard(ear)).startswith(b"OPTIONS")
        # RFC 5922 7.1: with a sip: URI the DNS names do not count.
        error = await ways.refused(hop(Transport.TLS, port, "other.example"))
        assert error.code == "trunk_tls_failed"
        assert "its certificate is for carrier.example, not for other.example" in str(error)
        # Another name is another connection.
        assert ways.outbound.ready(hop(Transport.TLS, port, "other.example")) is None


async def test_wildcards_count_by_setting_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with peer(authority.server("dns:*.carrier.example")) as (port, _):
        error = await Ways(authority.file).refused(hop(Transport.TLS, port, "sip.carrier.example"))
        assert "sip.tls_wildcards" in str(error)
        assert (
            await Ways(authority.file, wildcards=True).outbound.connect(hop(Transport.TLS, port, "sip.carrier.example"))
        ).secure


async def test_every_failure_of_tls_has_words(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs", "Stranger")
    ways, hasty = Ways(authority.file), Ways(authority.file, connect=1.0)
    cases = [
        (stranger.server("dns:carrier.example"), "certificate is refused: unable to get local issuer"),
        (authority.server("dns:carrier.example", days=-1), "certificate is refused: certificate has expired"),
    ]
    for context, words in cases:
        async with peer(context) as (port, _):
            error = await ways.refused(hop(Transport.TLS, port, "carrier.example"))
            assert (error.code, words in str(error)) == ("trunk_tls_failed", True), str(error)
    async with peer() as (port, _):  # no TLS there at all
        error = await hasty.refused(hop(Transport.TLS, port, "carrier.example"))
        assert error.code == "trunk_tls_failed"


async def test_a_closed_port_a_silent_one_and_a_forbidden_address() -> None:
    ways, hasty = Ways(), Ways(connect=0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        # 1. Nobody listens.
        error = await ways.refused(hop(Transport.TCP, port))
        assert error.code == "trunk_unreachable"
        assert "refused" in str(error).lower()
        # 2. Somebody listens and never says a word: TLS is given up in time.
        taken.listen()
        error = await hasty.refused(hop(Transport.TLS, port, "x.example"))
        assert error.code == "trunk_tls_failed"
        assert "does the port speak TLS" in str(error)
    # 3. TRK-13: a foreign target at a private address is not even tried.
    error = await ways.refused(hop(Transport.TCP, port, foreign=True))
    assert "private address" in str(error)
    # 4. WS-6: a WebSocket's peer is never dialled.
    error = await ways.refused(hop(Transport.WSS, port))
    assert "never dialled" in str(error)


async def test_a_flow_that_ends_is_told() -> None:
    ways = Ways()
    async with peer() as (port, ear):
        flow = await ways.outbound.connect(hop(Transport.TCP, port))
        path = ear.flows.get(ear.opened[0].id)
        assert path is not None
        path.close(1001, "test")
        lost, _ = await asyncio.wait_for(ways.ear.lost.get(), PATIENCE)
        assert isinstance(lost, Flow)
        assert lost.id == flow.id


CERTIFICATES = [
    # RFC 5922 7.1: sip: URIs first, those with a user part never; DNS names and addresses without them; CN without any SAN
    ({"subjectAltName": (("URI", "sip:a.example"), ("DNS", "b.example"))}, ["a.example"]),
    ({"subjectAltName": (("URI", "sip:bob@a.example"), ("DNS", "b.example"))}, ["b.example"]),
    ({"subjectAltName": (("URI", "https://a.example"), ("DNS", "B.example"))}, ["b.example"]),
    ({"subjectAltName": (("IP Address", "192.0.2.1"),)}, ["192.0.2.1"]),
    ({"subject": ((("commonName", "c.example"),),)}, ["c.example"]),
    ({"subject": ((("commonName", "c.example"),),), "subjectAltName": (("email", "x@y"),)}, []),
    ({}, []),
]


@pytest.mark.parametrize(("certificate", "names"), CERTIFICATES)
def test_identities_of_a_certificate(certificate: dict[str, object], names: list[str]) -> None:
    assert identities(certificate) == names


def test_names_are_compared_whole() -> None:
    certificate = {
        "subjectAltName": (("DNS", "Sip.Example.com"), ("DNS", "*.w.example"), ("IP Address", "2001:DB8:0:0:0:0:0:1"))
    }
    assert proves(certificate, "sip.example.COM.")
    assert proves(certificate, "2001:db8::1")
    assert not proves(certificate, "example.com")
    assert not proves(certificate, "a.w.example")
    assert proves(certificate, "a.w.example", wildcards=True)
    assert not proves(certificate, "b.a.w.example", wildcards=True)
    assert not proves(certificate, "w.example", wildcards=True)
