"""A stranger over UDP, whose address may be forged: he makes us send at most three times what he sent, and leaves nothing.

CALL-24, REG-1, TRK-10, RFC 3261 section 8.2.7.
"""

import asyncio
import socket

from interop.conftest import DOMAIN, ServerMaker
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from interop.test_transports import port_of
from offhook.transport.keepalive import binding_answer

WATCHED = 3.0
"""Seconds in which a retransmission of ours would come: 0.5, 1.5 and 3.5 s after the first."""

BOGUS = f'Digest username="alice",realm="{DOMAIN}",nonce="x",uri="sip:{DOMAIN}",response="{"0" * 32}",algorithm=MD5'


def short(method: str, uri: str, extra: str = "", to_tag: str = "") -> bytes:
    """As few octets as a scanner needs."""
    return (
        f"{method} {uri} SIP/2.0\r\nv:SIP/2.0/UDP a;branch=z9hG4bK{method}{len(extra)};rport\r\nf:<sip:a@b>;tag=1\r\n"
        f"t:<sip:a@b>{to_tag}\r\ni:{method}{len(extra)}\r\nCSeq:1 {method}\r\n{extra}\r\n"
    ).encode()


ATTACKS = {
    "OPTIONS": short("OPTIONS", f"sip:{DOMAIN}"),
    "OPTIONS elsewhere": short("OPTIONS", "sip:elsewhere.example"),
    "REGISTER": short("REGISTER", f"sip:{DOMAIN}"),
    "REGISTER elsewhere": short("REGISTER", "sip:elsewhere.example"),
    "REGISTER bogus": short("REGISTER", f"sip:{DOMAIN}", f"Authorization:{BOGUS}\r\n"),
    "INVITE": short("INVITE", f"sip:alice@{DOMAIN}", "m:<sip:a@b>\r\n"),
    "INVITE number": short("INVITE", f"sip:+15550100@{DOMAIN}", "m:<sip:a@b>\r\n"),
    "INVITE bogus": short("INVITE", f"sip:alice@{DOMAIN}", f"m:<sip:a@b>\r\nProxy-Authorization:{BOGUS}\r\n"),
    "INVITE refused": short("INVITE", f"sip:alice@{DOMAIN}", "m:<sip:a@b>\r\nRequire:x\r\n"),
    "INVITE last hop": short("INVITE", f"sip:alice@{DOMAIN}", "m:<sip:a@b>\r\nMax-Forwards:0\r\n"),
    "SUBSCRIBE": short("SUBSCRIBE", f"sip:alice@{DOMAIN}", "m:<sip:a@b>\r\nEvent:presence\r\n"),
    "MESSAGE": short("MESSAGE", f"sip:alice@{DOMAIN}"),
    "PUBLISH": short("PUBLISH", f"sip:alice@{DOMAIN}"),
    "BYE": short("BYE", f"sip:alice@{DOMAIN}", to_tag=";tag=2"),
    "CANCEL": short("CANCEL", f"sip:alice@{DOMAIN}"),
    "ACK": short("ACK", f"sip:alice@{DOMAIN}", to_tag=";tag=2"),
    "REFER": short("REFER", f"sip:alice@{DOMAIN}", "r:<sip:x@y>\r\nm:<sip:a@b>\r\n"),
    "unknown": short("DANCE", f"sip:{DOMAIN}"),
    "malformed": short("OPTIONS", f"sip:{DOMAIN}").replace(b"CSeq:1 OPTIONS", b"CSeq:x"),
    "version": short("OPTIONS", f"sip:{DOMAIN}").replace(b"SIP/2.0\r\nv", b"SIP/7.0\r\nv"),
    "noise": b"\xff" * 200,
    "response": b"SIP/2.0 200 OK\r\nv:SIP/2.0/UDP a;branch=z9hG4bKx\r\n\r\n",
    "STUN": bytes.fromhex("000100002112a442b7e7a701bc34d686fa87dfae"),
    "CRLF": b"\r\n\r\n",
}


class Stranger:
    """One forged address."""

    def __init__(self, server: Offhook) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect(("127.0.0.1", port_of(server, "sip")))
        self.got: list[bytes] = []

    async def attack(self, data: bytes) -> int:
        """Octets that came back for it."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.socket, data)
        try:
            async with asyncio.timeout(WATCHED):
                while True:
                    self.got.append(await loop.sock_recv(self.socket, 65_535))
        except TimeoutError:
            return sum(len(one) for one in self.got)


async def test_at_most_three_times_and_nothing_stored(serve: ServerMaker) -> None:
    async with serve(OFFHOOK_SIP_FORCE_RPORT="true", OFFHOOK_LIMITS_UNAUTH_RATE="1000") as server:
        before = (await server.status())["counts"]
        strangers = {name: Stranger(server) for name in ATTACKS}
        came = await asyncio.gather(*(strangers[name].attack(data) for name, data in ATTACKS.items()))
        ratios = {name: octets / len(ATTACKS[name]) for name, octets in zip(ATTACKS, came, strict=True)}
        shown = {name: (round(ratio, 2), [one[:30] for one in strangers[name].got]) for name, ratio in ratios.items()}
        # 1. No more than three times, retransmissions included.
        assert max(ratios.values()) <= 3.0, shown
        # 2. Nothing at all for what names no domain of ours, is no request, or asks for a keepalive.
        silent = (
            "OPTIONS elsewhere",
            "REGISTER elsewhere",
            "ACK",
            "noise",
            "response",
            "STUN",
            "CRLF",
            "INVITE number",
        )
        assert {name: ratios[name] for name in silent} == dict.fromkeys(silent, 0.0), shown
        # 3. Nothing is kept.
        after = (await server.status())["counts"]
        kept = ("transactions", "dialogs", "calls", "legs", "registrations", "flows")
        assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


async def test_a_flood_is_answered_at_its_rate(serve: ServerMaker) -> None:
    """UNAUTH_RATE: of a thousand requests forty are answered and twenty more each second; the log says it in a few lines."""
    async with serve(OFFHOOK_SIP_FORCE_RPORT="true") as server:
        stranger = Stranger(server)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(1000):
            message = short("OPTIONS", f"sip:{DOMAIN}").replace(b"z9hG4bK", b"z9hG4bK%d-" % number)
            await loop.sock_sendall(stranger.socket, message)
        await stranger.attack(b"\r\n\r\n")
        most = 40 + 20 * (loop.time() - began + 1)
        assert 20 <= len(stranger.got) <= most, (len(stranger.got), most)
        assert server.log().count("requests-too-often") <= 10
        assert (await server.status())["counts"]["transactions"] == 0


async def test_stun_is_answered_to_a_registered_phone_alone(serve: ServerMaker) -> None:
    """RFC 5626 section 5.4 on a real socket: the phone learns where it comes from, a stranger learns nothing."""
    async with serve() as server:
        phone = PlainPhone("bob", server.passwords["bob"], server.domain, server.sip)
        request = ATTACKS["STUN"]
        assert await Stranger(server).attack(request) == 0
        await phone.register()
        answer = await phone.ask(request)
        assert answer == binding_answer(request, phone.address)
        phone.close()
