"""Keepalives: STUN on UDP for known flows only, CRLF both ways on streams (RFC 5626 sections 4.4, 5.4, 8)."""

import asyncio
import json
from pathlib import Path

import pytest

from offhook.sip.flow import Transport
from offhook.transport.datagram import DatagramPath
from offhook.transport.flow import FlowTable
from offhook.transport.keepalive import binding_answer, is_stun
from offhook.transport.stream import SipStream, StreamListener, StreamSettings
from tests.support.patience import PATIENCE
from tests.transport.test_front import Ear

VECTORS = {
    one["name"]: bytes.fromhex(one["hex"])
    for one in json.loads((Path(__file__).parents[1] / "vectors" / "stun" / "vectors.json").read_text())
}
OPTIONS = b"OPTIONS sip:x SIP/2.0\r\n\r\n"
REQUEST = bytes.fromhex("000100002112a442b7e7a701bc34d686fa87dfae")
"""A Binding request without attributes, with the transaction id of RFC 5769."""


def test_the_mapped_address_of_the_rfcs_vectors() -> None:
    for name, source in (
        ("rfc5769-2.2-response-ipv4", ("192.0.2.1", 32853)),
        ("rfc5769-2.3-response-ipv6", ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
    ):
        published = VECTORS[name]
        answer = binding_answer(REQUEST, source)
        assert answer is not None
        assert answer[:2] == published[:2]
        assert answer[4:20] == published[4:20], "cookie and transaction"
        assert answer[20:] in published, "XOR-MAPPED-ADDRESS, octet for octet"
        assert is_stun(answer)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        REQUEST[:19],
        REQUEST + b"\0",
        REQUEST[:4] + b"\x21\x12\xa4\x43" + REQUEST[8:],
        b"\x00\x11" + REQUEST[2:],
        b"\x01\x01" + REQUEST[2:],
        b"\x00\x01\x00\x04" + REQUEST[4:],
        VECTORS["rfc5769-2.1-request"],
        b"\x00\x01\x00\x08" + REQUEST[4:] + bytes.fromhex("8022000861626364"),
    ],
    ids=["empty", "short", "odd", "cookie", "indication", "response", "length", "credentials", "attribute cut"],
)
def test_what_is_no_keepalive_is_not_answered(data: bytes) -> None:
    assert binding_answer(data, ("192.0.2.1", 1)) is None


def test_software_and_fingerprint_may_be_there() -> None:
    request = b"\x00\x01\x00\x10" + REQUEST[4:] + bytes.fromhex("8022000361626300" + "8028000412345678")
    assert binding_answer(request, ("192.0.2.1", 1)) is not None


async def test_stun_over_udp_is_answered_for_known_flows_only() -> None:
    flows = FlowTable(10, 10)
    ear = Ear(flows)
    path = DatagramPath(ear)
    bound = await path.listen("127.0.0.1", 0)
    got: asyncio.Queue[bytes] = asyncio.Queue()

    class Phone(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            got.put_nowait(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Phone, remote_addr=bound)
    # 1. A known flow: where it comes from, as we see it; nothing reaches the parser.
    transport.sendto(REQUEST)
    assert await asyncio.wait_for(got.get(), PATIENCE) == binding_answer(REQUEST, transport.get_extra_info("sockname"))
    # 2. A stranger gets nothing, and neither do blanks, NULs and CRLF from anybody.
    ear.strangers = True
    for data in (REQUEST, b"\r\n\r\n", b"\0\0\0\0", b"", b"hi", b"\0" * 40):
        transport.sendto(data)
    heard = asyncio.Event()
    ear.received = lambda data, flow: heard.set()  # type: ignore[method-assign]
    transport.sendto(OPTIONS)
    # What came before it has been seen by now.
    await asyncio.wait_for(heard.wait(), PATIENCE)
    ear.strangers = False
    transport.sendto(REQUEST)
    assert await asyncio.wait_for(got.get(), PATIENCE) == binding_answer(REQUEST, transport.get_extra_info("sockname"))
    assert got.empty()
    assert ear.messages == []
    transport.close()
    path.close()


class Trunk:
    """A peer of a connection of ours: notes pings, and answers them or not."""

    def __init__(self) -> None:
        self.pings: asyncio.Queue[float] = asyncio.Queue()
        self.answers = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readexactly(4)
                self.pings.put_nowait(asyncio.get_running_loop().time())
                if self.answers:
                    writer.write(b"\r\n")
        except asyncio.IncompleteReadError:
            writer.close()


async def ours(trunk: Trunk, settings: StreamSettings) -> tuple[Ear, asyncio.Server]:
    flows = FlowTable(10, 10)
    ear = Ear(flows)
    server = await asyncio.start_server(trunk.serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    kind = Transport.TCP

    def stream() -> SipStream:
        return SipStream(flows, ear, settings, kind, lambda *_: "x", ours=True)

    await asyncio.get_running_loop().create_connection(stream, *address)
    return ear, server


async def test_our_connections_are_kept_open_by_double_crlf() -> None:
    trunk = Trunk()
    ear, server = await ours(trunk, StreamSettings(ping_after=(0.6, 0.61), pong_within=0.5))
    for _ in range(3):
        await asyncio.wait_for(trunk.pings.get(), PATIENCE)
    # 1. A peer that has answered before and stops is suspect, then dead.
    trunk.answers = False
    _, reason = await asyncio.wait_for(ear.lost.get(), PATIENCE)
    assert reason == "two pings unanswered"
    assert ear.suspected == [True]
    server.close()


async def test_a_peer_that_never_answers_empty_lines_is_not_suspected() -> None:
    trunk = Trunk()
    trunk.answers = False
    ear, server = await ours(trunk, StreamSettings(ping_after=(0.02, 0.03), pong_within=0.01))
    for _ in range(6):
        await asyncio.wait_for(trunk.pings.get(), PATIENCE)
    assert ear.suspected == []
    assert ear.lost.empty()
    server.close()


async def test_a_connection_that_says_nothing_at_all_is_closed_early() -> None:
    """FIRST_MESSAGE; an empty line is enough to be counted as a phone."""
    flows = FlowTable(10, 10)
    server = await StreamListener(flows, Ear(flows), StreamSettings(first_message=1.0, idle=5)).listen("127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    silent, _ = await asyncio.open_connection(*address)
    phone, writer = await asyncio.open_connection(*address)
    writer.write(b"\r\n\r\n")
    assert await asyncio.wait_for(silent.read(), PATIENCE) == b""
    assert await asyncio.wait_for(phone.readexactly(2), PATIENCE) == b"\r\n"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(phone.read(1), 1.5)
    writer.close()
    server.close()
