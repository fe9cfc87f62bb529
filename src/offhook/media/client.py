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


Then = Callable[[Reply | MediaError], None]
"""Who hears of an answer."""


def _framed(message: Hello | Command) -> bytes:
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


class MediaClient(asyncio.Protocol):
    """One connection. `deliver` gets events in order; `lost` is called once when the connection ends."""

    def __init__(self, deliver: Callable[[Event], None], lost: Callable[[], None]) -> None:
        self._deliver, self._lost = deliver, lost
        self._buffer = b""
        self._waiting: dict[int, Then] = {}
        self._frames: list[bytes] = []
        self._next = 0
        self.hello: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self.connected = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.connected = True
        self._transport.write(_framed(Hello(PROTOCOL_VERSION)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.connected = False
        gone = MediaError("engine_lost", "the connection to the media engine is gone")
        if not self.hello.done():
            self.hello.set_exception(gone)
        if not self.hello.cancelled():
            self.hello.exception()  # looked at, so that nobody warns of it
        waiting, self._waiting = self._waiting, {}
        for then in waiting.values():
            then(gone)
        self._lost()

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        at, end = 0, len(data)
        while end - at >= 4:
            size = int.from_bytes(data[at : at + 4], "big")
            if size > MAX_FRAME:
                self._transport.abort()
                return
            if end - at < 4 + size:
                break
            frame, at = data[at + 4 : at + 4 + size], at + 4 + size
            self._take(_decoder.decode(frame))
        self._buffer = data[at:]

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
        then = self._waiting.pop(number, None)
        if then is not None:
            then(MediaError(message.code, message.text) if isinstance(message, Refused) else cast(Reply, message))

    def send(self, then: Then, kind: type[Command], **fields: Any) -> None:
        """Sends a command; `then` is called once, with its reply or with why there is none, at once if the engine is gone.

        Commands of one turn of the loop go out in one write: a write for each would wake the engine for each.
        """
        if not self.connected:
            then(MediaError("engine_lost", "the media engine is not connected"))
            return
        self._next += 1
        self._waiting[self._next] = then
        if not self._frames:
            asyncio.get_running_loop().call_soon(self._flush)
        self._frames.append(_framed(kind(n=self._next, **fields)))

    async def call(self, kind: type[Command], **fields: Any) -> Reply:
        """As `send`; returns the reply. Raises MediaError."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def then(reply: Reply | MediaError) -> None:
            if future.done():
                return
            if isinstance(reply, MediaError):
                future.set_exception(reply)
            else:
                future.set_result(reply)

        self.send(then, kind, **fields)
        return await future

    def _flush(self) -> None:
        frames, self._frames = self._frames, []
        if frames and self.connected:
            self._transport.write(b"".join(frames))

    def close(self) -> None:
        """Closes the connection; the engine keeps its legs for its grace time."""
        self._flush()
        self._transport.close()
