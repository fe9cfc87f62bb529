"""Listeners: several addresses and both IP versions on one port, certificates of clients, what Via says for our end."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from offhook.sip.flow import Flow
from offhook.transport.datagram import Datagrams
from offhook.transport.flow import Advertiser, FlowTable
from offhook.transport.sockets import DATAGRAM, STREAM, TCP_USER_TIMEOUT, addresses_of, bind_all
from offhook.transport.stream import StreamListener, StreamSettings
from tests.support.authority import Authority
from tests.support.patience import PATIENCE
from tests.transport.test_front import Ear


class Echo:
    """Notes datagrams and sends them back down their flow."""

    def __init__(self) -> None:
        self.datagrams = Datagrams(self)
        self.heard: list[tuple[bytes, Flow]] = []

    def flow_opened(self, flow: Flow) -> None: ...
    def refused(self, reason: str, data: bytes, flow: Flow) -> None: ...
    def flow_lost(self, flow: Flow, reason: str) -> None: ...
    def flow_suspected(self, flow: Flow, suspected: bool) -> None: ...
    def presented(self, token: str, flow: Flow) -> str | None: ...
    def in_use(self, flow: Flow) -> bool:
        return False

    proven = knows = in_use

    def received(self, data: bytes, flow: Flow) -> None:
        self.heard.append((data, flow))
        assert self.datagrams.send(flow.id, data)


def test_what_a_host_setting_means() -> None:
    assert addresses_of("127.0.0.1") == ("127.0.0.1",)
    assert addresses_of("::") == ("::", "0.0.0.0")
    assert addresses_of("127.0.0.2, [::1]") == ("127.0.0.2", "::1")
    assert "127.0.0.1" in addresses_of("localhost")
    with pytest.raises(OSError, match=r"."):
        addresses_of("no.such.host.invalid")


def test_one_port_for_everything() -> None:
    wanted = [(host, kind) for host in ("0.0.0.0", "::") for kind in (DATAGRAM, STREAM)]
    bound = bind_all(wanted, 0)
    ports = {one.getsockname()[1] for one in bound}
    assert len(ports) == 1
    # A port that is taken is said, and nothing of the attempt stays bound.
    with pytest.raises(OSError, match="in use"):
        bind_all([("127.0.0.2", DATAGRAM), ("0.0.0.0", DATAGRAM)], ports.pop())
    for one in bound:
        one.close()


async def test_every_socket_answers_from_where_it_was_asked() -> None:
    echo = Echo()
    for one in bind_all([("127.0.0.1", DATAGRAM), ("127.0.0.2", DATAGRAM), ("::1", DATAGRAM)], 0):
        await echo.datagrams.serve(one)
    loop = asyncio.get_running_loop()
    for number, path in enumerate(echo.datagrams.paths):
        family = socket.AF_INET6 if path.family == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as phone:
            phone.setblocking(False)
            phone.connect(path.bound)  # a connected socket hears only from there
            await loop.sock_sendall(phone, b"OPTIONS x")
            assert await asyncio.wait_for(loop.sock_recv(phone, 100), PATIENCE) == b"OPTIONS x"
            flow = echo.heard[-1][1]
            assert flow.local == path.bound
            assert flow.remote == phone.getsockname()[:2]
            # An equal flow is found again from the peer's address alone, as after a restart.
            if number != 1:
                assert echo.datagrams.flow_to(flow.remote) == flow
    assert echo.datagrams.families() == (6, 4)
    assert len({flow.id for _, flow in echo.heard}) == 3
    echo.datagrams.close()


async def test_nothing_is_sent_to_an_ip_version_without_socket() -> None:
    echo = Echo()
    await echo.datagrams.serve(bind_all([("127.0.0.1", DATAGRAM)], 0)[0])
    assert echo.datagrams.flow_to(("::1", 5060)) is None
    assert echo.datagrams.families() == (4,)
    echo.datagrams.close()


async def test_unacknowledged_data_ends_a_connection_in_thirty_seconds() -> None:
    """WS-9: the kernel's own limit, on connections that are accepted."""
    flows = FlowTable(10, 10)
    server = await StreamListener(flows, Ear(flows), StreamSettings()).listen("127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    async with asyncio.timeout(PATIENCE):
        while not len(flows):
            await asyncio.sleep(0.005)
    path = next(iter(flows))
    accepted = path._transport.get_extra_info("socket")  # type: ignore[attr-defined]
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == TCP_USER_TIMEOUT
    writer.close()
    server.close()


@pytest.mark.parametrize(
    ("mode", "shows", "outcome"),
    [
        (ssl.CERT_NONE, "ours", ()),
        (ssl.CERT_OPTIONAL, "ours", ("carrier.example",)),
        (ssl.CERT_OPTIONAL, None, ()),
        (ssl.CERT_REQUIRED, "ours", ("carrier.example",)),
        (ssl.CERT_REQUIRED, None, None),
        (ssl.CERT_OPTIONAL, "stranger", None),
    ],
)
async def test_certificates_of_clients(
    tmp_path: Path, mode: ssl.VerifyMode, shows: str | None, outcome: tuple[str, ...] | None
) -> None:
    """TRK-10: a verified client certificate names its flow; None means that no flow comes to be."""
    ours, stranger = Authority(tmp_path / "a"), Authority(tmp_path / "b", "Stranger")
    context = ours.server("dns:localhost")
    context.load_verify_locations(ours.file)
    context.verify_mode = mode
    flows = FlowTable(10, 10)
    ear = Ear(flows)
    server = await StreamListener(flows, ear, StreamSettings(), context).listen("127.0.0.1", 0)
    client = ssl.create_default_context(cafile=str(ours.file))
    client.check_hostname = False
    if shows is not None:
        authority = ours if shows == "ours" else stranger
        client.load_cert_chain(*authority.issue("uri:sip:carrier.example", "dns:other.example"))
    message = b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n"
    answer = b""
    try:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2], ssl=client)
        writer.write(message)
        answer = await asyncio.wait_for(reader.read(1000), PATIENCE)
        writer.close()
    except (ssl.SSLError, ConnectionError):
        pass
    if outcome is None:
        assert (answer, ear.opened) == (b"", [])
    else:
        assert answer == message
        assert [flow.identities for flow in ear.opened] == [outcome]
    server.close()


def test_the_outside_of_a_nat_is_told_to_the_public_network_only() -> None:
    advertise = Advertiser(("203.0.113.5", "198.41.0.9", "2001:500:2::9"))
    assert advertise("192.168.1.2", 5060, "192.168.1.77") == "192.168.1.2:5060"
    assert advertise("192.168.1.2", 5060, "198.41.0.4") == "203.0.113.5:5060"
    assert advertise("198.41.0.1", 5060, "198.41.0.4") == "198.41.0.1:5060"
    assert advertise("fd00::2", 5061, "2001:500:2::c") == "[2001:500:2::9]:5061"
    assert Advertiser()("192.168.1.2", 5060, "198.41.0.4") == "192.168.1.2:5060"
