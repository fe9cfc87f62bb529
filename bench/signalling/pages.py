"""Pages: clients that keep one WebSocket over TLS each, register with digest over it and refresh."""

import asyncio
import base64
import hashlib
import os
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar, cast
from urllib.parse import urlsplit

from bench.signalling.servers import DOMAIN, password, user

Item = TypeVar("Item")
PATIENCE = 10.0
"""Seconds for one answer."""
_NONCE = re.compile(rb'nonce="([^"]+)"')
_URI = f"sip:{DOMAIN}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


class Page(asyncio.Protocol):
    """One client. `register()` is told how many requests it took, 0 when it failed."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = user(number)
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False
        self._answer: asyncio.Future[bytes] | None = None
        self._buffer = b""
        self._upgraded = False
        self._sequence = 0
        self._nonce = ""
        self._count = 0
        self._call_id = os.urandom(8).hex()
        self._secret = _md5(f"{self.name}:{DOMAIN}:{password(self.name)}")

    # ---- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        transport = self._transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        for waiting in (self.open, self._answer):
            if waiting is not None and not waiting.done():
                waiting.set_exception(ConnectionResetError("the server closed the connection"))
                waiting.exception()  # looked at, so that nobody warns of it

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded and not self._take_upgrade():
            return
        while (cut := _cut(self._buffer)) is not None:
            opcode, payload, self._buffer = cut
            if opcode == 9:
                self._transport.write(_frame(10, payload))
            elif opcode in (1, 2) and self._answer is not None and not self._answer.done():
                self._answer.set_result(payload)

    def _take_upgrade(self) -> bool:
        head, gap, rest = self._buffer.partition(b"\r\n\r\n")
        if not gap:
            return False
        self._upgraded, self._buffer = True, rest
        if head.startswith(b"HTTP/1.1 101"):
            self.open.set_result(None)
        else:
            self.open.set_exception(ConnectionRefusedError(head[:60].decode("latin-1")))
        return True

    def close(self) -> None:
        """Leaves as a page does that is closed."""
        if not self.lost:
            self._transport.write(_frame(8, b"\x03\xe9"))
            self._transport.close()

    # ---- registration

    async def register(self, credentials: bool = True) -> int:
        """Registers or refreshes. Without `credentials` the first request carries none, as JsSIP sends it."""
        if not credentials:
            self._nonce = ""
        for requests in (1, 2, 3):
            answer = await self._ask()
            if answer.startswith(b"SIP/2.0 200"):
                return requests
            found = _NONCE.search(answer)
            if not answer.startswith(b"SIP/2.0 401") or found is None:
                return 0
            self._nonce, self._count = found[1].decode(), 0
        return 0

    async def _ask(self) -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        if self.lost:
            return b""
        self._transport.write(_frame(1, self._request().encode()))
        try:
            return await asyncio.wait_for(self._answer, PATIENCE)
        except (TimeoutError, ConnectionResetError):
            return b""

    def _request(self) -> str:
        self._sequence += 1
        host = f"p{self.number}.invalid"
        return (
            f"REGISTER {_URI} SIP/2.0\r\nVia: SIP/2.0/WSS {host};branch=z9hG4bK{self.number}x{self._sequence}\r\n"
            f"Max-Forwards: 69\r\nTo: <sip:{self.name}@{DOMAIN}>\r\nFrom: <sip:{self.name}@{DOMAIN}>;tag=t{self.number}\r\n"
            f"Call-ID: {self._call_id}\r\nCSeq: {self._sequence} REGISTER\r\n{self._authorization()}"
            f"Contact: <sip:c{self.number}@{host};transport=ws>;+sip.ice;reg-id=1;"
            f'+sip.instance="<urn:uuid:00000000-0000-4000-8000-{self.number:012x}>";expires=600\r\nExpires: 600\r\n'
            "Allow: INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY\r\nSupported: path,gruu,outbound\r\n"
            "User-Agent: bench\r\nContent-Length: 0\r\n\r\n"
        )

    def _authorization(self) -> str:
        if not self._nonce:
            return ""
        self._count += 1
        middle = f"{self._nonce}:{self._count:08x}:0a4f113b:auth"
        response = _md5(f"{self._secret}:{middle}:" + _md5(f"REGISTER:{_URI}"))
        return (
            f'Authorization: Digest algorithm=MD5, username="{self.name}", realm="{DOMAIN}", nonce="{self._nonce}", '
            f'uri="{_URI}", response="{response}", qop=auth, cnonce="0a4f113b", nc={self._count:08x}\r\n'
        )


def _frame(opcode: int, payload: bytes) -> bytes:
    """A masked frame; the mask is zero, which spares the generator the work and the server none."""
    size = len(payload)
    head = bytes((0x80 | opcode, 0x80 | size)) if size < 126 else bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    return head + bytes(4) + payload


def _cut(data: bytes) -> tuple[int, bytes, bytes] | None:
    """(opcode, payload, rest) of the first frame, None while it is incomplete."""
    if len(data) < 2:
        return None
    size, at = data[1], 2
    if size == 126:
        size, at = int.from_bytes(data[2:4], "big"), 4
    if len(data) < at + size:
        return None
    return data[0] & 15, data[at : at + size], data[at + size :]


@dataclass
class Crowd:
    """Many pages at one server; at most `window` of them do something at once."""

    url: str
    window: int = 64
    pages: list[Page] = field(default_factory=list)
    faults: int = 0

    async def connect(self, count: int) -> int:
        """Opens that many more connections; returns how many stand."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        place = urlsplit(self.url)

        async def one(number: int) -> None:
            page = Page(number)
            try:
                async with asyncio.timeout(3 * PATIENCE):
                    loop = asyncio.get_running_loop()
                    await loop.create_connection(lambda: page, place.hostname, place.port, ssl=context)
                    await page.open
            except OSError:
                self.faults += 1
            else:
                self.pages.append(page)

        before, there = len(self.pages), {page.number for page in self.pages}
        await self._each([number for number in range(before + count) if number not in there], one)
        return len(self.pages) - before

    async def register(self, credentials: bool = True, rounds: int = 1, per_second: float = 0.0) -> int:
        """Every page registers `rounds` times, `per_second` in all if given; returns how often it went well."""
        done = 0
        start, begun = time.monotonic(), 0

        async def one(page: Page) -> None:
            nonlocal done, begun
            begun += 1
            wait = start + begun / per_second - time.monotonic() if per_second else 0
            if wait > 0.001:
                await asyncio.sleep(wait)
            if await page.register(credentials):
                done += 1
            else:
                self.faults += 1

        await self._each((page for _ in range(rounds) for page in self.pages), one)
        return done

    async def _each(self, items: Iterable[Item], work: Callable[[Item], Awaitable[None]]) -> None:
        iterator = iter(items)

        async def worker() -> None:
            for item in iterator:
                await work(item)

        await asyncio.gather(*(worker() for _ in range(self.window)))

    async def leave(self) -> None:
        """Closes every page."""
        for page in self.pages:
            page.close()
        await asyncio.sleep(0.5)
        self.pages.clear()
