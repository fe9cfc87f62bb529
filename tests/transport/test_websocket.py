"""SIP over WebSocket: rules WS-9 to WS-14 on real connections."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import websockets
from websockets.exceptions import ConnectionClosed

from offhook.sip.flow import Transport
from offhook.transport.backpressure import Patience
from offhook.transport.flow import FlowTable
from offhook.transport.front import Front, FrontSettings
from offhook.transport.websocket import SipWebSocket, WebSocketSettings
from tests.support.messages import make_flow
from tests.support.patience import PATIENCE
from tests.support.wire import Wire
from tests.transport.test_frames import masked
from tests.transport.test_front import Ear, Port, page

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n"
)
OK = bytes.fromhex("8282000000006f6b")
"""A client's binary message `ok`."""
PING, CLOSE = 0x89, 0x88


@contextlib.asynccontextmanager
async def listening(settings: WebSocketSettings, **front: object) -> AsyncIterator[Port]:
    flows = FlowTable(1000, 1000)
    ear = Ear(flows)
    server = await Front(page, flows, ear, FrontSettings(websocket=settings, **front)).listen("127.0.0.1", 0)  # type: ignore[arg-type]
    yield Port(server.sockets[0].getsockname()[1], ear)
    server.close()


async def connected(port: Port, fields: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An upgraded connection of which a test sees every octet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
    writer.write(UPGRADE + fields + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def next_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, size = await asyncio.wait_for(reader.readexactly(2), PATIENCE)
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    return first, await asyncio.wait_for(reader.readexactly(size), PATIENCE)


async def lost(port: Port) -> str:
    return (await asyncio.wait_for(port.ear.lost.get(), PATIENCE))[1]


class Clock:
    """A loop of which only the timers are asked: what is due next, and in how many seconds."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> "Clock":
        self.due.append((seconds, call))
        return self

    def cancel(self) -> None: ...
    def time(self) -> float:
        return 0.0

    def run_next(self) -> float:
        seconds, call = self.due.pop()
        call()
        return seconds


async def test_ws_9_pings_keep_their_distance_whether_answered_or_not() -> None:
    """Each ping 20 to 25 s behind the last one: the ten seconds for the pong are part of the distance."""
    flows = FlowTable(10, 10)
    page = SipWebSocket(make_flow("page", Transport.WS), flows, Ear(flows), WebSocketSettings())
    clock = Clock()
    page._loop = clock  # type: ignore[assignment]
    page.start(Wire(), "dGhlIHNhbXBsZSBub25jZQ==")
    page.data_received(masked(1, b"x"))
    for _ in range(50):
        waited = clock.run_next()
        assert 20 <= waited <= 25
        page.data_received(masked(10, b""))
        # The pong is looked for after ten seconds; the next ping takes what is left of its distance.
        assert clock.run_next() == 10
        left, call = clock.due.pop()
        assert 10 <= left <= 15
        clock.due.append((left + 10, call))


async def test_ws_9_one_missed_pong_is_suspect_two_are_dead() -> None:
    async with listening(WebSocketSettings(ping_after=(0.05, 0.06), pong_within=1.0)) as port:
        reader, writer = await connected(port)
        writer.write(OK)
        await next_frame(reader)
        # 1. The first ping is left alone: a second follows and the flow is suspect.
        assert (await next_frame(reader))[0] == PING
        assert (await next_frame(reader))[0] == PING
        assert port.ear.suspected == [True]
        # 2. Any octet takes that back.
        writer.write(bytes.fromhex("8a8000000000"))
        assert (await next_frame(reader))[0] == PING
        assert port.ear.suspected == [True, False]
        # 3. Two in a row are the end.
        assert await lost(port) == "two pings unanswered"
        assert port.ear.suspected == [True, False, True]
        writer.close()


async def test_ws_11_reading_stops_above_the_mark_and_goes_on_below_it() -> None:
    """What a client asks for waits while it does not take what it has got."""
    async with listening(WebSocketSettings(patience=Patience(4096, 10_000_000, 30.0))) as port:
        reader, writer = await connected(port)
        await filled(port, writer)
        before = len(port.ear.messages)
        writer.write(OK)
        await asyncio.sleep(0.1)
        assert len(port.ear.messages) == before, "not read while the queue is above WS_QUEUE_HIGH"
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(PATIENCE):
            while len(port.ear.messages) == before:
                await reader.read(1 << 20)
        writer.close()


async def filled(port: Port, writer: asyncio.StreamWriter) -> None:
    """The client stops reading, and so much is sent that the kernel takes no more."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(PATIENCE):
        while not port.ear.opened:
            await asyncio.sleep(0.01)
    await refilled(port)


async def refilled(port: Port) -> None:
    path = port.ear.flows.get(port.ear.opened[0].id)
    assert path is not None, "closed although it reads"
    transport = path._transport  # type: ignore[attr-defined]
    while transport.get_write_buffer_size() < 100_000:
        assert path.send(b"x" * 60_000)
        await asyncio.sleep(0)


async def test_ws_slow_consumer_closed() -> None:
    """WS-11: above `WS_QUEUE_MAX` with 1013."""
    async with listening(WebSocketSettings(patience=Patience(65_536, 262_144, 30.0))) as port:
        reader, writer = await connected(port)
        await filled(port, writer)
        path = port.ear.flows.get(port.ear.opened[0].id)
        assert path is not None
        while path.send(b"x" * 60_000):
            pass
        # 1. The flow is lost at once, not when the peer has read on.
        assert await lost(port) == "client-too-slow"
        assert port.ear.flows.get(port.ear.opened[0].id) is None
        # 2. A peer that reads again finds the reason at the end.
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        rest = await asyncio.wait_for(reader.read(-1), PATIENCE)
        assert rest.endswith(bytes((CLOSE, 17)) + (1013).to_bytes(2, "big") + b"client-too-slow")
        writer.close()


async def test_ws_11_no_progress_is_closed_and_slow_progress_is_not() -> None:
    async with listening(WebSocketSettings(patience=Patience(4096, 10_000_000, 1.5))) as port:
        reader, writer = await connected(port)
        await filled(port, writer)
        # 1. A little now and then is progress, for longer than WS_STALL.
        for _ in range(8):
            await asyncio.sleep(0.2)  # the little's distance
            with contextlib.suppress(TimeoutError):
                writer.transport.resume_reading()  # type: ignore[attr-defined]
                await asyncio.wait_for(reader.readexactly(300_000), 0.05)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await refilled(port)
        # 2. None at all is not.
        assert await lost(port) == "client-too-slow"
        writer.close()


async def test_ws_11_one_slow_reader_delays_nobody() -> None:
    """200 flows, of which five stop reading; the others get every message (pain 9)."""
    async with listening(WebSocketSettings(patience=Patience(65_536, 262_144, 30.0))) as port:
        url = f"ws://127.0.0.1:{port.number}/"
        slow = [await connected(port) for _ in range(5)]
        for _, writer in slow:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with contextlib.AsyncExitStack() as stack:
            quick = [
                await stack.enter_async_context(websockets.connect(url, subprotocols=["sip"]))  # type: ignore[list-item]
                for _ in range(195)
            ]
            paths = [port.ear.flows.get(flow.id) for flow in port.ear.opened]
            message = b"x" * 8000
            for _ in range(60):
                for path in paths:
                    if path is not None:
                        path.send(message)
                await asyncio.sleep(0)
                got = await asyncio.wait_for(asyncio.gather(*(one.recv() for one in quick)), PATIENCE)
                assert {len(one) for one in got} == {8000}
        for _, writer in slow:
            writer.close()


@pytest.mark.parametrize(
    ("head", "proof", "says"),
    [
        (b"", True, b""),
        (UPGRADE, True, b""),
        (UPGRADE + b"\r\n", True, b"flow-idle"),
        (UPGRADE + b"\r\n" + OK, False, b"flow-idle"),
    ],
    ids=["nothing", "half a head", "no message", "no proof"],
)
async def test_ws_14_who_keeps_silent_is_closed(head: bytes, proof: bool, says: bytes) -> None:
    settings = WebSocketSettings(first_message=0.2, proof=0.4)
    async with listening(settings, upgrade=PATIENCE if says else 0.2) as port:
        port.ear.strangers = not proof
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(head)
        got = await asyncio.wait_for(reader.read(-1), PATIENCE)
        assert says in got
        if says:
            assert (1008).to_bytes(2, "big") + says in got
        writer.close()


async def test_ws_14_who_speaks_and_proves_stays() -> None:
    async with listening(WebSocketSettings(first_message=1.0, proof=1.2), upgrade=1.0) as port:
        reader, writer = await connected(port)
        writer.write(OK)
        await next_frame(reader)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 1.5)
        writer.close()


async def test_ws_14_a_head_without_end_is_refused() -> None:
    async with listening(WebSocketSettings(), head=10_000) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(UPGRADE)
        with contextlib.suppress(ConnectionError):
            for number in range(100):
                writer.write(f"X-{number}: {'x' * 1000}\r\n".encode())
                await writer.drain()
        assert b"431 " in await asyncio.wait_for(reader.read(100), PATIENCE)
        writer.close()


async def test_ws_13_faults_close_with_their_code_and_a_slug() -> None:
    async with listening(WebSocketSettings(max_message=100)) as port:
        for data, code, slug in (
            (b"\x81\x05Hello", 1002, "request-malformed"),
            (bytes.fromhex("818200000000fffe"), 1007, "request-malformed"),
            (b"\x82\xfe\x04\x00\x00\x00\x00\x00" + b"x" * 1024, 1009, "request-too-large"),
        ):
            reader, writer = await connected(port)
            writer.write(data)
            assert await next_frame(reader) == (CLOSE, code.to_bytes(2, "big") + slug.encode())
            writer.close()


async def test_ws_13_the_clients_close_is_answered_and_told() -> None:
    async with listening(WebSocketSettings()) as port:
        reader, writer = await connected(port)
        writer.write(bytes.fromhex("888200000000") + (1001).to_bytes(2, "big"))
        assert await next_frame(reader) == (CLOSE, (1001).to_bytes(2, "big"))
        assert await lost(port) == "page left"
        writer.close()


async def test_a_connection_reset_is_a_lost_flow() -> None:
    async with listening(WebSocketSettings()) as port:
        _, writer = await connected(port)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        assert "peer closed" in await lost(port)


async def test_ws_3_ours_is_text_if_it_can_be(tmp_path: Path) -> None:
    async with listening(WebSocketSettings()) as port:
        async with websockets.connect(f"ws://127.0.0.1:{port.number}/", subprotocols=["sip"]) as client:  # type: ignore[list-item]
            await client.send(b"plain octets")
            assert await client.recv() == "plain octets"
            await client.send(["in ", "two fragments"])
            assert await client.recv() == "in two fragments"
            await client.send(b"\xff\xfe")
            assert await client.recv() == b"\xff\xfe"
            # What we refuse for the future stays refused: nothing after a close frame is heard.
            await client.close()
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert port.ear.messages == [b"plain octets", b"in two fragments", b"\xff\xfe"]
