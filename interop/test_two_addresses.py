"""A machine with two addresses, `http.host` naming all of them: a phone that asks one hears from that one, because phones
drop what comes from another (RFC 3581 section 4)."""

import asyncio
import os
import re
import socket
import subprocess
from pathlib import Path

from interop.conftest import ServerMaker
from interop.support.namespace import INSIDE, passes_inside
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from offhook.transport.sockets import DATAGRAM, bind_all
from offhook.transport.wildcard import WildcardSocket, source_from
from tests.support.patience import PATIENCE

PHONE, SECOND = "192.0.2.1", "192.0.2.2"
PHONE_6, SECOND_6 = "2001:db8::1", "2001:db8::2"
"""The phone is on the same machine, so that its first address is where the route to it begins."""


def test_two_addresses_in_a_namespace() -> None:
    passes_inside(__file__, "second_address or takes_none", ())


class FussyPhone(PlainPhone):
    """It hears only from where it asked."""

    def __init__(self, username: str, server: Offhook) -> None:
        self._only = (SECOND, int(server.sip.rpartition(":")[2]))
        super().__init__(username, server.passwords[username], server.domain, f"{SECOND}:{self._only[1]}", "", PHONE)
        self._sip.connect(self._only)


if INSIDE in os.environ:

    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, timeout=60)

    def _two_addresses() -> None:
        _ip("address", "add", f"{SECOND}/24", "dev", "outside")
        for address in (PHONE_6, SECOND_6):
            _ip("address", "add", f"{address}/64", "dev", "outside", "nodad")

    async def test_by_the_second_address(serve: ServerMaker) -> None:
        _two_addresses()
        async with serve(OFFHOOK_HOST="::", OFFHOOK_SIP_PORT="5060") as server:
            alice, bob = FussyPhone("alice", server), FussyPhone("bob", server)
            await alice.register()
            await bob.register()
            # 1. a call to the room: our Contact names the address that was asked
            await alice.call("echo")
            assert alice._contact.endswith(f"@{SECOND}:5060")
            await alice.hang_up()
            await rung(server, bob)
            # 2. the same after a restart, before the phone has said anything
            await server.stop()
            await server.start()
            await rung(server, bob)
            # 3. the other IP version
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as phone:
                phone.setblocking(False)
                phone.bind((PHONE_6, 0))
                phone.connect((SECOND_6, 5060))
                host, port = phone.getsockname()[:2]
                phone.send(REGISTER.format(domain=server.domain, host=host, port=port).encode())
                answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(phone, 65_535), PATIENCE)
                assert answer.startswith(b"SIP/2.0 401 ")
            alice.close()
            bob.close()

    async def rung(server: Offhook, callee: PlainPhone) -> None:
        """The callee hears an INVITE, whose Via names the address that it had asked."""
        caller = FussyPhone("alice", server)
        calling = asyncio.create_task(caller.invite("bob"))
        while not (invite := await callee.heard()).startswith("INVITE "):
            pass
        assert re.search(rf"(?m)^Via: SIP/2\.0/UDP {re.escape(SECOND)}:5060;", invite), invite
        # Refused, so that nothing of it is heard again.
        copied = "".join(re.findall(r"(?m)^(?:Via|From|To|Call-ID|CSeq): .*\n", invite))
        copied = re.sub(r"(?m)^(To: .*)\r$", r"\1;tag=b\r", copied)
        await callee._send(f"SIP/2.0 486 Busy Here\r\n{copied}Content-Length: 0\r\n\r\n")
        assert (await calling).startswith("SIP/2.0 486")
        caller.close()

    async def test_what_the_kernel_takes_none_of_waits_in_order() -> None:
        """Datagrams to a neighbour that has not answered ARP yet fill the socket's buffer; the rest waits here."""
        peer, count, outside = "192.0.2.9", 50, socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        # As many questions as it takes until it is told: the kernel drops what waits for an answer after three.
        Path("/proc/sys/net/ipv4/neigh/outside/mcast_solicit").write_text("100")
        outside.bind(("beyond", 0))
        outside.setblocking(False)
        (bound,) = bind_all([("0.0.0.0", DATAGRAM)], 0)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        wildcard = WildcardSocket(bound, lambda *_: None)
        for number in range(count):
            wildcard.send(b"%04d" % number + bytes(1000), (peer, 5060), source_from(PHONE))
        assert len(wildcard._waiting) > count // 2
        _ip("neighbour", "replace", peer, "lladdr", "02:00:00:00:00:09", "dev", "outside")
        came: list[bytes] = []
        while len(came) < count:
            packet = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(outside, 2000), PATIENCE)
            # Ethernet, IP and UDP take 42 octets; what is shorter is none of ours.
            came += [packet[42:46]] if len(packet) > 1000 else []
        assert came == [b"%04d" % number for number in range(count)]
        wildcard.close()
        outside.close()


REGISTER = (
    "REGISTER sip:{domain} SIP/2.0\r\nVia: SIP/2.0/UDP [{host}]:{port};branch=z9hG4bKsix;rport\r\nMax-Forwards: 70\r\n"
    "From: <sip:alice@{domain}>;tag=six\r\nTo: <sip:alice@{domain}>\r\nCall-ID: six\r\nCSeq: 1 REGISTER\r\n"
    "Contact: <sip:alice@[{host}]:{port}>\r\nContent-Length: 0\r\n\r\n"
)
