"""What a call or a registration costs in which nothing is understood: `python -m bench.signalling --servers offhook,floor`.

The same loop, sockets, engine commands and journal rows as a call of Offhook's, with texts that are cut out of each other:
no grammar, no transactions, no timers, no state but who called whom. What it costs is Python's loop, the kernel and the
engine; what Offhook costs beyond it is Offhook. It only understands the phones of this benchmark.
"""

import asyncio
import json
import os
import re
import signal
import ssl
from pathlib import Path
from typing import cast

import uvloop

from offhook.calls.ports import Codec, KeyKind, LegOffer, LegRemote, PathKind
from offhook.media import messages as media
from offhook.media.client import MediaError
from offhook.media.engine import MediaEngine
from offhook.media.process import MediaOptions, MediaProcess
from offhook.store.journal import Journal
from offhook.transport.frames import FrameReader, Opcode, accept_key, frame
from offhook.transport.tls import Tls

HOST = "127.0.0.1"
COPIED = re.compile(rb"^(?:Via|From|To|Call-ID|CSeq):.*\r\n", re.MULTILINE)
CALL_ID = re.compile(rb"^Call-ID: *(.*)\r\n", re.MULTILINE)
TO = re.compile(rb"^(To:.*)\r\n", re.MULTILINE)
CODECS = Codec("PCMU", 0, 8000), Codec("TELEPHONE-EVENT", 101, 8000)
OFFER = LegOffer(PathKind.PORT, KeyKind.PLAIN, CODECS, HOST, rtcp_mux=False, detect_digits=True)
KEY = re.compile(rb"Sec-WebSocket-Key: *(\S+)\r\n")
KEPT = bytes(1_200)
"""As long as the journal's row of an answered call."""
Address = tuple[str, int]


class Call:
    """The caller's address and INVITE; the engine's numbers; what the callee's messages need."""

    def __init__(self, number: int, caller: Address, invite: bytes) -> None:
        self.number, self.caller, self.invite = number, caller, invite
        self.opened: media.CallOpened | None = None
        self.to = b""


CHALLENGE = b'-Authenticate: Digest realm="offhook.test", nonce="0123456789", algorithm=MD5, qop="auth"\r\n'


class PageFloor(asyncio.Protocol):
    """One page: Offhook's own TLS and frames, and a 200 to every REGISTER once credentials came."""

    def __init__(self) -> None:
        self._reader: FrameReader | None = None
        self._proved = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._reader is None:
            found = KEY.search(data)
            assert found is not None
            self._reader = FrameReader(65_536)
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Accept: "
                + accept_key(found.group(1).decode()).encode()
                + b"\r\n\r\n"
            )
            return
        for one in self._reader.feed(data):
            if one.opcode in (Opcode.TEXT, Opcode.BINARY):
                self._proved = self._proved or b"\nAuthorization:" in one.payload
                self._transport.write(frame(Opcode.TEXT, self._answer(one.payload)))

    def _answer(self, request: bytes) -> bytes:
        copied = b"".join(COPIED.findall(request))
        if not self._proved:
            return b"SIP/2.0 401 Who are you\r\n" + copied + b"WWW" + CHALLENGE + _body(0)
        return (
            b"SIP/2.0 200 OK\r\n" + copied + b"Contact: <sip:floor@127.0.0.1>;expires=600\r\n" + bytes(400) + _body(0)
        )


class Floor(asyncio.DatagramProtocol):
    """One UDP socket."""

    def __init__(self, engine: MediaEngine, journal: Journal) -> None:
        self._engine, self._journal = engine, journal
        self._calls: dict[bytes, Call] = {}
        self._callee: Address = (HOST, 9)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        word = data[: data.index(b" ")]
        proved = b"\nAuthorization:" in data or b"\nProxy-Authorization:" in data
        if word in (b"INVITE", b"REGISTER") and not proved:
            status, name = (b"407", b"Proxy") if word == b"INVITE" else (b"401", b"WWW")
            self._answer(status + b" Who are you", data, addr, name + CHALLENGE)
        elif word == b"REGISTER":
            self._callee = addr
            self._answer(b"200 OK", data, addr)
        elif word == b"INVITE":
            self._invite(data, addr)
        elif word == b"BYE":
            self._bye(data, addr)
        elif word == b"SIP/2.0":
            self._response(data)

    def _invite(self, data: bytes, addr: Address) -> None:
        found = CALL_ID.search(data)
        assert found is not None
        call = Call(len(self._calls), addr, data)
        self._calls[found.group(1)] = self._calls[b"b-" + found.group(1)] = call
        self._journal.put(str(call.number), KEPT)

        def opened(reply: media.Reply | MediaError) -> None:
            assert isinstance(reply, media.CallOpened), reply
            call.opened = reply
            self._send(b"INVITE", found.group(1), reply.legs[1].candidates[0][1])

        self._engine.send(opened, media.OpenCall, offers=(OFFER, OFFER))

    def _response(self, data: bytes) -> None:
        found, to = CALL_ID.search(data), TO.search(data)
        assert found is not None
        assert to is not None
        call = self._calls[found.group(1)]
        if data.startswith(b"SIP/2.0 180"):
            self._answer(b"180 Ringing", call.invite, call.caller)
        elif b" INVITE\r\n" in data and call.opened is not None:
            call.to = to.group(1)
            self._send(b"ACK", found.group(1)[2:])
            for leg in call.opened.legs:
                self._engine.send(_done, media.Complete, leg=leg.leg, remote=LegRemote(CODECS, HOST, 31_000, 31_001))
            self._engine.send(_done, media.Bridge, a=call.opened.legs[0].leg, b=call.opened.legs[1].leg)
            self._answer(b"200 OK", call.invite, call.caller, port=call.opened.legs[0].candidates[0][1])
            self._journal.put(str(call.number), KEPT)
        elif b" BYE\r\n" in data:
            del self._calls[found.group(1)]

    def _bye(self, data: bytes, addr: Address) -> None:
        found = CALL_ID.search(data)
        assert found is not None
        self._answer(b"200 OK", data, addr)
        call = self._calls.pop(found.group(1), None)
        if call is None or call.opened is None:
            return
        self._send(b"BYE", found.group(1), to=call.to)
        self._engine.send(_done, media.CloseCall, call=call.opened.call)
        self._journal.put(str(call.number), KEPT)
        self._journal.drop(str(call.number))

    def _answer(self, status: bytes, request: bytes, to: Address, more: bytes = b"", port: int = 0) -> None:
        contact = b"Contact: <sip:floor@127.0.0.1:%d>\r\n" % self.port
        head = b"SIP/2.0 " + status + b"\r\n" + b"".join(COPIED.findall(request)) + more + contact
        self._transport.sendto(head + _body(port), to)

    def _send(self, method: bytes, call_id: bytes, port: int = 0, to: bytes = b"") -> None:
        number = b"2" if method == b"BYE" else b"1"
        head = (
            method + b" sip:callee@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK" % self.port
            + call_id + method + b"\r\nMax-Forwards: 70\r\nFrom: <sip:u@offhook.test>;tag=b\r\n"
            + (to or b"To: <sip:callee@offhook.test>") + b"\r\nCall-ID: b-" + call_id
            + b"\r\nCSeq: " + number + b" " + method + b"\r\nContact: <sip:floor@127.0.0.1:%d>\r\n" % self.port
        )  # fmt: skip
        self._transport.sendto(head + _body(port), self._callee)


def _done(_: media.Reply | MediaError) -> None:
    pass


def _body(port: int) -> bytes:
    if not port:
        return b"Content-Length: 0\r\n\r\n"
    text = (
        b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 0 101\r\n"
        b"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n" % port
    )
    return b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


async def main() -> None:
    """Serves until SIGTERM; `running.json` says where, as Offhook's does."""
    data = Path(os.environ["OFFHOOK_DATA"])
    journal = Journal(data / "journal.sqlite")
    journal.load()
    journal.start()
    first, _, last = os.environ["OFFHOOK_RTP_PORTS"].partition("-")
    options = MediaOptions(data / "media.sock", 0, (int(first), int(last)), shards=1)
    process = MediaProcess(options, lambda _: None, lambda: None, lambda: None)
    await process.start()
    loop = asyncio.get_running_loop()
    floor = Floor(process.engine, journal)
    await loop.create_datagram_endpoint(lambda: floor, local_addr=(HOST, 0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["OFFHOOK_HTTP_CERTIFICATE"], os.environ["OFFHOOK_HTTP_KEY"])
    pages = await loop.create_server(lambda: Tls(context, PageFloor, 10.0), HOST, 0, backlog=4_096)
    secure = f"wss://{HOST}:{pages.sockets[0].getsockname()[1]}/"
    running = {"pid": os.getpid(), "engine_pid": process.engine.pid, "sip": f"{HOST}:{floor.port}", "wss_url": secure}
    partial = data / "running.part"
    partial.write_text(json.dumps(running))
    partial.rename(data / "running.json")
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await process.stop()
    journal.stop()


if __name__ == "__main__":
    uvloop.run(main())
