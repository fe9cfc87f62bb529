"""A receiver of streams: a real WebSocket server of Python's `websockets` that keeps what it is told (API.md 13.4)."""

import asyncio
import contextlib
import json
import ssl
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import numpy as np
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed

from tests.support.patience import PATIENCE
from tests.support.rtp_peer import Samples, linear, ulaw

HERE = "127.0.0.1"
SMALL = 4_096
"""Octets that the kernel keeps for a receiver that does not read."""


class StreamReceiver:
    """`messages` of all connections in order, `connections` as they came; `headers` of the last handshake. A receiver that
    is `deaf` reads nothing."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.connections: list[ServerConnection] = []
        self.headers: Headers = Headers()
        self.port = 0
        self._server: Server | None = None
        self._hears = asyncio.Event()
        self._hears.set()
        self._told = asyncio.Condition()

    async def open(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        """Listens; a port that was left is taken again."""
        self._server = await serve(
            self._serve, HERE, port, ssl=tls, ping_interval=None, compression=None, max_queue=1, close_timeout=0.2
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        assert connection.request is not None
        self.headers = connection.request.headers
        with contextlib.suppress(ConnectionClosed):
            async for text in connection:
                self.messages.append(json.loads(text))
                async with self._told:
                    self._told.notify_all()
                await self._hears.wait()

    def listen(self, hears: bool) -> None:
        """Reads, or reads no more."""
        if hears:
            self._hears.set()
        else:
            self._hears.clear()

    async def until(self, what: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Waits until `what()` is true; looked at after every message."""
        async with asyncio.timeout(seconds), self._told:
            await self._told.wait_for(what)

    def of(self, event: str) -> list[dict[str, Any]]:
        """Messages of one kind."""
        return [one for one in self.messages if one["event"] == event]

    def media(self, track: str) -> list[dict[str, Any]]:
        """What came of one track."""
        return [one["media"] for one in self.of("media") if one["media"]["track"] == track]

    def sound(self, track: str, encoding: str = "audio/x-mulaw") -> Samples:
        """The same as samples."""
        data = b"".join(b64decode(one["payload"]) for one in self.media(track))
        return linear(data) if encoding == "audio/x-mulaw" else np.frombuffer(data, "<i2").astype(np.int16)

    async def say(self, event: str, **content: Any) -> None:
        """A message to the engine, on the last connection."""
        await self.connections[-1].send(json.dumps({"event": event, **content}))

    async def speak(self, samples: Samples, encoding: str = "audio/x-mulaw", size: int = 160) -> None:
        """Sound, all at once, in messages of so many samples."""
        for start in range(0, len(samples), size):
            piece = samples[start : start + size]
            data = ulaw(piece) if encoding == "audio/x-mulaw" else piece.astype("<i2").tobytes()
            await self.say("media", media={"payload": b64encode(data).decode()})

    def break_off(self) -> None:
        """The connection is lost without a word."""
        self.connections[-1].transport.abort()

    async def close(self) -> None:
        """Hears no more; everybody is turned away."""
        self._hears.set()
        if self._server is not None:
            for one in self.connections:
                one.transport.abort()
            self._server.close()
            await self._server.wait_closed()
            self._server = None
