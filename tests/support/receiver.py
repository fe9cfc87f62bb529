"""A real receiver of webhooks: an HTTP server on loopback that notes what it gets and answers as it is told.

async with Receiver() as receiver:
    receiver.url("/x")         # "http://127.0.0.1:PORT/x"
    receiver.got               # [Got(method, target, headers, body), ...]
    receiver.answers = [503]   # for the next requests, then `status`
"""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field

from tests.support.patience import PATIENCE


@dataclass
class Got:
    """One request. Header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Receiver:
    """`silent` takes requests and never answers; `extra` are further header lines of every answer."""

    status: int = 200
    body: bytes = b"ok"
    answers: list[int] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    silent: bool = False
    got: list[Got] = field(default_factory=list)
    pages: dict[str, bytes] = field(default_factory=dict)
    """Bodies of answers by path; any other path is answered with `body`."""
    connections: int = 0
    most_at_once: int = 0
    delay: float = 0.0
    port: int = 0
    context: ssl.SSLContext | None = None
    _busy: int = 0

    async def __aenter__(self) -> "Receiver":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """On the port it had before, if it had one."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._news = asyncio.Condition()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Down: whoever connects is refused."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://{host}:{self.port}{path}"

    async def wait(self, count: int, seconds: float = PATIENCE) -> list[Got]:
        """Until that many requests have come."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: len(self.got) >= count)
        return self.got

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        self._writers.discard(writer)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self._busy += 1
        self.most_at_once = max(self.most_at_once, self._busy)
        await asyncio.sleep(self.delay)
        self._busy -= 1
        async with self._news:
            self.got.append(Got(method, target, headers, body, asyncio.get_running_loop().time()))
            self._news.notify_all()
        if self.silent:
            await reader.read()
            return False
        status = self.answers.pop(0) if self.answers else self.status
        body = self.pages.get(target.partition("?")[0], self.body)
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *self.extra]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        return True
