"""Copies of SIP for Homer: HEP version 3, taken apart here chunk by chunk as its specification says."""

import asyncio
import re
import struct
import time

from interop.conftest import ServerMaker
from interop.support.digest import authorization
from tests.support.patience import PATIENCE

Chunks = dict[int, bytes]


class Collector(asyncio.DatagramProtocol):
    """Takes HEP3 packets apart; one that is no whole packet fails the test."""

    def __init__(self) -> None:
        self.packets: list[Chunks] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        mark, length = struct.unpack_from("!4sH", data)
        assert (mark, length) == (b"HEP3", len(data))
        chunks, at = {}, 6
        while at < len(data):
            vendor, kind, size = struct.unpack_from("!HHH", data, at)
            assert vendor == 0
            chunks[kind] = data[at + 6 : at + size]
            at += size
        self.packets.append(chunks)


class Talker(asyncio.DatagramProtocol):
    """Sends one request at a time over UDP."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[str] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.answers.put_nowait(data.decode())


def register(port: int, domain: str, number: int, proof: str = "") -> bytes:
    lines = [
        f"REGISTER sip:{domain} SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-{number};rport",
        f"From: <sip:alice@{domain}>;tag=1",
        f"To: <sip:alice@{domain}>",
        "Call-ID: homer-one",
        f"CSeq: {number} REGISTER",
        f"Contact: <sip:alice@127.0.0.1:{port}>",
        "Expires: 60",
        *([proof] if proof else []),
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_every_message_is_copied_without_its_secrets(serve: ServerMaker) -> None:
    """1 both directions with addresses, ports and time, 2 the Call-ID ties them together, 3 key and agent are there, 4 the
    digest's response is hidden."""
    loop = asyncio.get_running_loop()
    listening, collector = await loop.create_datagram_endpoint(Collector, local_addr=("127.0.0.1", 0))
    where = "{}:{}".format(*listening.get_extra_info("sockname")[:2])
    async with serve(OFFHOOK_HOMER_SERVER=where, OFFHOOK_HOMER_AGENT="7", OFFHOOK_HOMER_KEY="open sesame") as server:
        host, _, sip = server.sip.rpartition(":")
        sending, phone = await loop.create_datagram_endpoint(Talker, remote_addr=(host, int(sip)))
        port = sending.get_extra_info("sockname")[1]
        sending.sendto(register(port, server.domain, 1))
        challenge = await asyncio.wait_for(phone.answers.get(), PATIENCE)
        proof = authorization(challenge, "REGISTER", f"sip:{server.domain}", "alice", server.passwords["alice"])
        sending.sendto(register(port, server.domain, 2, proof))
        assert (await asyncio.wait_for(phone.answers.get(), PATIENCE)).startswith("SIP/2.0 200")
        async with asyncio.timeout(PATIENCE):
            while len(collector.packets) < 4:
                await asyncio.sleep(0.05)  # the copies follow by themselves
    sending.close()
    listening.close()
    way = [(*struct.unpack("!HH", one[7] + one[8]), one[15].split(b"\r\n")[0]) for one in collector.packets]
    asked, told = (port, int(sip)), (int(sip), port)
    assert [one[:2] for one in way] == [asked, told, asked, told], "promise 1"
    assert way[0][2].startswith(b"REGISTER"), "promise 1"
    assert way[3][2].startswith(b"SIP/2.0 200"), "promise 1"
    for one in collector.packets:
        assert (one[1], one[2], one[11]) == (b"\2", b"\x11", b"\1"), "promise 1: IPv4, UDP, SIP"
        assert abs(struct.unpack("!I", one[9])[0] - time.time()) < 60, "promise 1"
        assert (one[17], one[14], one[12]) == (b"homer-one", b"open sesame", b"\0\0\0\7"), "promises 2 and 3"
    response = re.search(r'response="(\w+)"', proof)
    assert response is not None
    assert response.group(1).encode() not in collector.packets[2][15], "promise 4"
