"""One port: page, REST, SIP over WebSocket, plain and over TLS; the first byte decides, then the upgrade does."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from interop.support.certificate import write_certificate
from offhook.sip.flow import Flow, Transport
from offhook.transport.backpressure import Patience
from offhook.transport.flow import FlowTable
from offhook.transport.front import Front, FrontSettings
from offhook.transport.stream import StreamListener, StreamSettings
from offhook.transport.websocket import WebSocketSettings
from tests.support.messages import make_flow
from tests.support.patience import PATIENCE


class Ear:
    """Notes what arrives and echoes it down the flow."""

    def __init__(self, flows: FlowTable) -> None:
        self.flows = flows
        self.opened: list[Flow] = []
        self.messages: list[bytes] = []
        self.faults: list[str] = []
        self.lost: asyncio.Queue[tuple[Flow, str]] = asyncio.Queue()
        self.busy = False
        self.suspected: list[bool] = []
        self.heard = asyncio.Event()
        self.tokens: list[tuple[str, str]] = []
        self.strangers = False

    def flow_opened(self, flow: Flow) -> None:
        self.opened.append(flow)

    def received(self, data: bytes, flow: Flow) -> None:
        self.messages.append(data)
        if len(self.messages) == 2:
            self.heard.set()
        path = self.flows.get(flow.id)
        assert path is not None
        assert path.send(data)

    def refused(self, reason: str, data: bytes, flow: Flow) -> None:
        self.faults.append(reason)

    def flow_lost(self, flow: Flow, reason: str) -> None:
        self.lost.put_nowait((flow, reason))

    def flow_suspected(self, flow: Flow, suspected: bool) -> None:
        self.suspected.append(suspected)

    def presented(self, token: str, flow: Flow) -> str | None:
        self.tokens.append((token, flow.origin))
        return None if token == "good one" else "token-wrong-key The token is not signed by a key of this server"

    def in_use(self, flow: Flow) -> bool:
        return self.busy

    def proven(self, flow: Flow) -> bool:
        return not self.strangers

    def knows(self, flow: Flow) -> bool:
        return not self.strangers


async def page(scope: Any, receive: Any, send: Any) -> None:
    body = f"hello {scope['path']}".encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


QUICK = WebSocketSettings(first_message=0.3)
PATIENT = WebSocketSettings(max_message=2000)


class Port:
    """A front on a free port."""

    def __init__(self, number: int, ear: Ear) -> None:
        self.number, self.ear = number, ear


@contextlib.asynccontextmanager
async def listening(folder: Path, settings: WebSocketSettings = PATIENT, **more: Any) -> AsyncIterator[Port]:
    flows = FlowTable(100, 100)
    ear = Ear(flows)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_certificate(folder))
    front = Front(page, flows, ear, FrontSettings(websocket=settings, **more), context)
    server = await front.listen("127.0.0.1", 0)
    yield Port(server.sockets[0].getsockname()[1], ear)
    server.close()


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def test_one_port_serves_everything(tmp_path: Path) -> None:
    async with listening(tmp_path) as port:
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            for scheme in ("http", "https"):
                answer = await client.get(f"{scheme}://127.0.0.1:{port.number}/x")
                assert answer.text == "hello /x"
        for scheme, path in (("ws", "/"), ("ws", "/any/path"), ("wss", "/")):
            tls = trusting() if scheme == "wss" else None
            url = f"{scheme}://127.0.0.1:{port.number}{path}"
            async with websockets.connect(url, subprotocols=["sip"], ssl=tls, compression="deflate") as socket:
                assert socket.subprotocol == "sip"
                assert socket.response is not None
                assert "Sec-WebSocket-Extensions" not in socket.response.headers
                await socket.send("OPTIONS text")
                assert await socket.recv() == "OPTIONS text"
                await socket.send(b"OPTIONS \xff")
                assert await socket.recv() == b"OPTIONS \xff"
        assert [flow.transport.value for flow in port.ear.opened] == ["WS", "WS", "WSS"]
        assert [flow.secure for flow in port.ear.opened] == [False, False, True]


async def test_a_head_sent_byte_by_byte(tmp_path: Path) -> None:
    async with listening(tmp_path) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        head = (
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, SIP\r\n\r\n"
        )
        for byte in head.encode():
            writer.write(bytes((byte,)))
            await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b"101 Switching" in answer
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
        writer.close()


@pytest.mark.parametrize(
    ("headers", "protocols", "status", "words"),
    [
        ({}, None, 400, b"sub-protocol 'sip'"),
        ({}, ["chat"], 400, b"sub-protocol 'sip'"),
        ({"Origin": "https://evil.example"}, ["sip"], 403, b"https://evil.example"),
        ({"Origin": "null"}, ["sip"], 403, b"null"),
        ({"Origin": "http://[x"}, ["sip"], 403, b"http://[x"),
    ],
)
async def test_upgrades_that_are_refused(
    tmp_path: Path, headers: dict[str, str], protocols: Any, status: int, words: bytes
) -> None:
    async with listening(tmp_path) as port:
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(
                f"ws://127.0.0.1:{port.number}/", subprotocols=protocols, additional_headers=headers
            )
        assert refused.value.response.status_code == status
        assert words in (refused.value.response.body or b"")


async def test_a_proxy_is_believed_only_where_it_is_trusted(tmp_path: Path) -> None:
    headers = {"X-Forwarded-For": "10.9.9.9, 203.0.113.9", "X-Forwarded-Proto": "https"}
    for proxies, expected in ((("127.0.0.0/8",), ("203.0.113.9", True)), (("10.0.0.0/8",), ("127.0.0.1", False))):
        async with listening(tmp_path, trusted_proxies=proxies) as port:
            url = f"ws://127.0.0.1:{port.number}/"
            async with websockets.connect(url, subprotocols=["sip"], additional_headers=headers):
                flow = port.ear.opened[0]
                assert (flow.remote[0], flow.secure) == expected


async def test_keepalives(tmp_path: Path) -> None:
    async with listening(tmp_path) as port:
        async with websockets.connect(f"ws://127.0.0.1:{port.number}/", subprotocols=["sip"]) as socket:
            await socket.send("\r\n\r\n")
            assert await socket.recv() == "\r\n"
            await socket.ping()
        flow, reason = await asyncio.wait_for(port.ear.lost.get(), PATIENCE)
        assert flow == port.ear.opened[0]
        assert reason == "closed by the client (1000)"
        assert port.ear.messages == []


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_auth_10_a_token_in_the_url_is_presented_with_its_origin(tmp_path: Path, scheme: str) -> None:
    async with listening(tmp_path) as port:
        url = f"{scheme}://127.0.0.1:{port.number}/any?x=1&access_token=good%20one"
        tls = trusting() if scheme == "wss" else None
        origin: Any = f"http://127.0.0.1:{port.number}"
        async with websockets.connect(url, subprotocols=["sip"], ssl=tls, origin=origin):
            assert port.ear.tokens == [("good one", origin)]
            assert [flow.origin for flow in port.ear.opened] == [origin]


async def test_auth_10_a_token_that_is_not_good_refuses_the_upgrade_in_words(tmp_path: Path) -> None:
    async with listening(tmp_path) as port:
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(f"ws://127.0.0.1:{port.number}/?access_token=bad", subprotocols=["sip"])
        assert refused.value.response.status_code == 401
        assert b"token-wrong-key" in (refused.value.response.body or b"")
        assert port.ear.opened == []


async def test_a_url_with_too_many_fields_is_refused_in_words(tmp_path: Path) -> None:
    async with listening(tmp_path) as port:
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(f"ws://127.0.0.1:{port.number}/?{'a=1&' * 30}", subprotocols=["sip"])
        assert refused.value.response.status_code == 400
        assert b"too many fields" in (refused.value.response.body or b"")


class Quiet:
    """A path that nobody speaks on."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    def send(self, data: bytes) -> bool:
        return True

    def close(self, code: int, slug: str) -> None: ...

    def ping(self) -> None: ...

    def answered(self, since: float) -> bool:
        return True


def test_the_cap_of_a_source_counts_an_ipv6_network_as_one() -> None:
    flows = FlowTable(10, 2)
    for number in range(2):
        flow = replace(make_flow(f"six{number}", Transport.TCP), remote=(f"2001:db8::{number}", 5060))
        assert flows.room_for(flow.remote[0])
        flows.add(Quiet(flow))
    assert not flows.room_for("2001:db8::ffff")
    assert flows.room_for("2001:db8:0:1::1")
    for path in flows:
        flows.remove(path)
    assert flows.room_for("2001:db8::ffff")


async def test_a_silent_connection_and_an_endless_message_are_closed(tmp_path: Path) -> None:
    async with listening(tmp_path, QUICK) as port:
        url = f"ws://127.0.0.1:{port.number}/"
        async with websockets.connect(url, subprotocols=["sip"]) as socket:
            with pytest.raises(ConnectionClosed) as silent:
                await asyncio.wait_for(socket.recv(), PATIENCE)
        assert silent.value.rcvd is not None
        assert (silent.value.rcvd.code, silent.value.rcvd.reason) == (1008, "flow-idle")
    async with (
        listening(tmp_path) as port,
        websockets.connect(f"ws://127.0.0.1:{port.number}/", subprotocols=["sip"]) as socket,
    ):
        await socket.send("x" * 3000)
        with pytest.raises(ConnectionClosed) as long:
            await asyncio.wait_for(socket.recv(), PATIENCE)
        assert long.value.rcvd is not None
        assert (long.value.rcvd.code, long.value.rcvd.reason) == (1009, "request-too-large")
        assert "limits.max_message" in port.ear.faults[-1]


async def test_a_peer_that_reads_nothing_is_given_up(tmp_path: Path) -> None:
    async with listening(tmp_path, WebSocketSettings(patience=Patience(stall=0.3))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number, limit=2**10)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        path = port.ear.flows.get(port.ear.opened[0].id)
        assert path is not None
        while path.send(b"x" * 60_000):
            await asyncio.sleep(0)
        _, reason = await asyncio.wait_for(port.ear.lost.get(), PATIENCE)
        assert reason == "client-too-slow"
        writer.close()


async def test_streams_are_cut_into_messages_and_garbage_ends_them() -> None:
    flows = FlowTable(10, 10)
    ear = Ear(flows)
    server = await StreamListener(flows, ear, StreamSettings()).listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    one = b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 3\r\n\r\nabc"
    writer.write(b"\r\n\r\n" + one + one[:20])
    assert await reader.readexactly(2) == b"\r\n"
    writer.write(one[20:])
    assert await reader.readexactly(2 * len(one)) == one + one
    writer.write(b"GARBAGE\r\n\r\n")
    assert await reader.read() == b""
    assert ear.faults
    await asyncio.wait_for(ear.lost.get(), PATIENCE)
    server.close()


async def test_a_quiet_stream_is_closed_unless_a_call_uses_it() -> None:
    flows = FlowTable(10, 10)
    ear = Ear(flows)
    ear.busy = True
    server = await StreamListener(flows, ear, StreamSettings(first_message=0.05, idle=0.05)).listen("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.3)
    ear.busy = False
    assert await asyncio.wait_for(reader.read(1), PATIENCE) == b""
    _, reason = await asyncio.wait_for(ear.lost.get(), PATIENCE)
    assert reason == "flow-idle"
    writer.close()
    server.close()
