"""The connection to the media engine: frames, numbers, futures (asyncio.Protocol over the Unix socket)."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec

from offhook.media.messages import MAX_FRAME, PROTOCOL_VERSION, Command, Event, Hello, Refused, Reply

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Hello | Reply | Event] = msgspec.msgpack.Decoder(Hello | Reply | Event)


class MediaError(Exception):
    """The engine refused, or is gone. `code` is one of Refused's, or `engine_lost`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


class MediaClient(asyncio.Protocol):
    """One connection. `deliver` gets events in order; `lost` is called once when the connection ends."""

    def __init__(self, deliver: Callable[[Event], None], lost: Callable[[], None]) -> None:
        self._deliver, self._lost = deliver, lost
        self._buffer = bytearray()
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._next = 0
        self.hello: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self.connected = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.connected = True
        self._write(Hello(PROTOCOL_VERSION))

    def connection_lost(self, exc: Exception | None) -> None:
        self.connected = False
        gone = MediaError("engine_lost", "the connection to the media engine is gone")
        if not self.hello.done():
            self.hello.set_exception(gone)
        if not self.hello.cancelled():
            self.hello.exception()  # looked at, so that nobody warns of it
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(gone)
        self._lost()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if size > MAX_FRAME:
                self._transport.abort()
                return
            if len(self._buffer) < 4 + size:
                return
            frame = bytes(self._buffer[4 : 4 + size])
            del self._buffer[: 4 + size]
            self._take(_decoder.decode(frame))

    def _take(self, message: Hello | Reply | Event) -> None:
        if isinstance(message, Hello):
            if not self.hello.done():
                self.hello.set_result(message)
            return
        number = getattr(message, "n", None)
        if number is None:
            self._deliver(cast(Event, message))
            return
        if number == 0 and isinstance(message, Refused) and not self.hello.done():
            # The connection itself is refused: another one commands.
            self.hello.set_exception(MediaError(message.code, message.text))
            return
        future = self._waiting.pop(number, None)
        if future is None or future.done():
            return
        if isinstance(message, Refused):
            future.set_exception(MediaError(message.code, message.text))
        else:
            future.set_result(cast(Reply, message))

    async def call(self, kind: type[Command], **fields: Any) -> Reply:
        """Sends a command, whose frame is written before the first suspension; its reply. Raises MediaError."""
        if not self.connected:
            raise MediaError("engine_lost", "the media engine is not connected")
        self._next += 1
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[self._next] = future
        self._write(kind(n=self._next, **fields))
        return await future

    def _write(self, message: Hello | Command) -> None:
        frame = _encoder.encode(message)
        self._transport.write(len(frame).to_bytes(4, "big") + frame)

    def close(self) -> None:
        """Closes the connection; the engine keeps its legs for its grace time."""
        self._transport.close()
