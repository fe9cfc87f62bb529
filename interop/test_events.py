"""Events and webhooks of a real server (API.md 12.5, 10.3; 15.2 item 5): streams, dead receivers, restarts, kill -9."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from signalwire.core.security.webhook_validator import validate_webhook_signature, validate_webhook_signature_sha256
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from interop.conftest import ServerMaker
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from interop.test_command_line import COMMAND, offhook
from tests.support.patience import PATIENCE, PATIENTLY
from tests.support.receiver import Receiver

EVENTS, WEBHOOKS = "/api/offhook/events", "/api/offhook/webhooks"
QUICK = {"OFFHOOK_LIMITS_CALL_RATE": "500", "OFFHOOK_LIMITS_UNAUTH_RATE": "1000"}
"""One phone calls as fast as it can."""


async def one_call(server: Offhook) -> None:
    """Alice calls the echo and hangs up."""
    phone = PlainPhone("alice", server.passwords["alice"], server.domain, server.sip)
    try:
        await phone.call("echo")
        await phone.hang_up()
    finally:
        phone.close()


async def subscribe(server: Offhook, url: str, *types: str) -> dict[str, Any]:
    made = await server.http.post(WEBHOOKS, json={"name": "test", "url": url, "types": list(types)})
    assert made.status_code == 201, made.text
    return dict(made.json())


async def every_event(server: Offhook, **query: str) -> list[dict[str, Any]]:
    """All events that are kept."""
    rows: list[dict[str, Any]] = []
    while True:
        answer = (await server.http.get(EVENTS, params={"limit": "1000", **query})).json()
        rows += answer["data"]
        query["after"] = answer["next_cursor"]
        if not answer["has_more"]:
            return rows


class Stream:
    """`async with Stream(server) as stream`; `await stream.next()` is (cursor, event)."""

    def __init__(self, server: Offhook, after: str = "", **query: str) -> None:
        self._server, self._query = server, query
        self._headers = {"Last-Event-ID": after} if after else {}
        self.said: list[str] = []

    async def __aenter__(self) -> "Stream":
        self._stack = contextlib.AsyncExitStack()
        request = self._server.http.stream(
            "GET", EVENTS + "/stream", params=self._query, headers=self._headers, timeout=PATIENCE
        )
        self.response = await self._stack.enter_async_context(request)
        self._lines = self.response.aiter_lines()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def begun(self) -> None:
        assert self.response.status_code == 200, await self.response.aread()
        await self._block()

    async def _block(self) -> list[str]:
        lines = []
        async for line in self._lines:
            if not line:
                return lines
            lines.append(line)
        raise EOFError

    async def next(self) -> tuple[str, dict[str, Any]]:
        while True:
            async with asyncio.timeout(PATIENCE):
                block = await self._block()
            fields = dict(line.split(": ", 1) for line in block if ": " in line and not line.startswith(":"))
            if "data" in fields:
                return fields["id"], json.loads(fields["data"])


@contextlib.asynccontextmanager
async def free_place(server: Offhook, **query: str) -> AsyncIterator[Stream]:
    """A stream, once there is a place for it: the server sees a moment later than its client that one has ended."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with contextlib.AsyncExitStack() as stack:
                stream = await stack.enter_async_context(Stream(server, **query))
                if stream.response.status_code == 200:
                    kept = stack.pop_all()
                    break
            await asyncio.sleep(0.05)
    async with kept:
        yield stream


async def test_a_stream_tells_of_calls_and_goes_on_where_it_was(server: Offhook) -> None:
    async with Stream(server, types="call.*") as stream:
        await stream.begun()
        await one_call(server)
        got = [await stream.next() for _ in range(3)]
    # 1. in order, numbered within the call
    shown = [(event["type"], event["sequence"]) for _, event in got]
    assert shown == [("call.created", 1), ("call.answered", 2), ("call.ended", 3)]
    ended = got[2][1]["data"]
    assert (ended["from"], ended["to"], ended["end_code"], ended["ended_by"]) == ("alice", "echo", "hangup", "caller")
    # 2. Last-Event-ID: what followed, and nothing before
    async with Stream(server, after=got[0][0], types="call.*") as again:
        await again.begun()
        assert [(await again.next())[1]["id"] for _ in range(2)] == [one["id"] for _, one in got[1:]]
    # 3. the server told of its start
    first = (await every_event(server))[0]
    assert (first["type"], first["data"]["version"]) == ("node.started", (await server.status())["version"])


async def test_streams_end_with_their_clients_and_with_the_server(serve: ServerMaker) -> None:
    async with serve(OFFHOOK_EVENTS_STREAMS="1") as server:
        # 1. a place is free again when its client is gone, however that went
        for _ in range(3):
            async with free_place(server) as stream:
                await stream.begun()
                assert (await server.http.get(EVENTS + "/stream")).status_code == 429
        # 2. a server that drains tells of it, and ends the stream when it stops
        phone = PlainPhone("alice", server.passwords["alice"], server.domain, server.sip)
        await phone.call("echo")
        async with free_place(server, types="node.*,call.*") as stream:
            await stream.begun()
            os.kill(server.pid, 15)
            while (await stream.next())[1]["type"] != "node.draining":
                pass
            await phone.hang_up()
            assert (await stream.next())[1]["type"] == "call.ended"
            with pytest.raises((EOFError, httpx.RemoteProtocolError)):
                await stream.next()
        phone.close()
        assert await asyncio.wait_for(server.ended(), PATIENCE) == 0


class SocketPhone(PlainPhone):
    """The same over a WebSocket, which can be made to hear nothing for a while."""

    async def register(self) -> None:
        url = self.url
        self.socket = await connect(url, subprotocols=[Subprotocol("sip")], **PATIENTLY)
        await super().register()

    url = ""

    async def _send(self, text: str) -> None:
        text = text.replace("SIP/2.0/UDP", "SIP/2.0/WS").replace(
            ">\r\nContent", ";transport=ws>;expires=600\r\nContent"
        )
        await self.socket.send(text)

    async def _received(self) -> str:
        return str(await self.socket.recv())


async def until_told(server: Offhook, after: str, types: str, many: int) -> list[dict[str, Any]]:
    """So many events of these types, once they are there."""
    told: list[dict[str, Any]] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while len(told := await every_event(server, after=after, types=types)) < many:
                await asyncio.sleep(0.1)
            return told
    raise AssertionError(f"not told: {told}")


async def test_a_device_that_answers_no_ping(serve: ServerMaker) -> None:
    async with serve(OFFHOOK_LIMITS_WS_PING_AFTER="0.3", OFFHOOK_LIMITS_WS_PONG_WITHIN="7") as server:
        phone = SocketPhone("alice", server.passwords["alice"], server.domain, server.sip)
        phone.url = server.websocket_url
        await phone.register()
        # 1. it hears nothing, and is told to be suspect
        phone.socket.transport.pause_reading()
        [told] = await until_told(server, "", "registration.state_changed", 1)
        assert (told["data"]["username"], told["data"]["before"], told["data"]["state"]) == (
            "alice",
            "reachable",
            "suspect",
        )
        assert told["data"]["registration_id"]
        # 2. it is back in time
        phone.socket.transport.resume_reading()
        told = (await until_told(server, "", "registration.state_changed", 2))[1]
        assert (told["data"]["before"], told["data"]["state"]) == ("suspect", "reachable")
        # 3. the next time it is not
        phone.socket.transport.pause_reading()
        gone = (await until_told(server, "", "registration.removed", 1))[0]
        assert gone["data"]["reason"] == "flow_lost"
        phone.socket.transport.abort()
        phone.close()


async def test_devices_and_strangers(server: Offhook) -> None:
    # 1. a phone registers and is put out
    after = (await server.http.get(EVENTS, params={"after": "latest"})).json()["next_cursor"]
    phone = PlainPhone("bob", server.passwords["bob"], server.domain, server.sip)
    await phone.register()
    rows = (await server.http.get("/api/offhook/registrations")).json()["data"]
    assert (await server.http.delete(f"/api/offhook/registrations/{rows[0]['id']}")).status_code == 204
    phone.close()
    async with asyncio.timeout(PATIENCE):
        while len(told := await every_event(server, after=after, types="registration.*")) < 2:
            await asyncio.sleep(0.1)
    assert [one["type"] for one in told] == ["registration.added", "registration.removed"]
    assert (told[0]["data"]["username"], told[1]["data"]["reason"]) == ("bob", "kicked")
    assert told[0]["data"]["endpoint_id"] == rows[0]["endpoint_id"]
    assert await every_event(server, after=after, endpoint_id=rows[0]["endpoint_id"]) == told
    # 2. a lock is told of, with the endpoint that was attacked
    for _ in range(12):
        phone = PlainPhone("alice", "wrong", server.domain, server.sip)
        with contextlib.suppress(AssertionError):
            await phone.register()
        phone.close()
    [locked] = await until_told(server, "", "security.login_locked", 1)
    assert (locked["data"]["source"], locked["data"]["user"]) == ("127.0.0.1", "alice")
    # 3. a call to a number from an address that is no trunk's
    stranger = PlainPhone("+15125550100", "x", "elsewhere.example", server.sip)
    await stranger._send(
        stranger._request("INVITE", f"sip:+15125550199@{server.domain}", 1, f"<sip:+15125550199@{server.domain}>")
    )
    [refused] = await until_told(server, "", "security.source_refused", 1)
    assert refused["data"]["source"] == "127.0.0.1"
    assert refused["data"]["text"]
    stranger.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as one:
        yield one


def complete(got: list[dict[str, Any]]) -> dict[str, list[str]]:
    """What arrived of each call, repetitions left out; each must be whole and in order."""
    calls: dict[str, list[tuple[int, str]]] = {}
    for event in got:
        row = calls.setdefault(event["call_ref"], [])
        if (event["sequence"], event["type"]) not in row:
            row.append((event["sequence"], event["type"]))
    for ref, row in calls.items():
        assert [number for number, _ in row] == list(range(1, len(row) + 1)), (ref, row)
    return {ref: [type_ for _, type_ in row] for ref, row in calls.items()}


WHOLE = ["call.created", "call.answered", "call.ended"]


async def outage(serve: ServerMaker, receiver: Receiver, down: float, **settings: str) -> None:
    """The receiver is down while 100 calls are made and the server is started anew."""
    async with serve(**QUICK, **settings) as server:
        await subscribe(server, receiver.url("/hook"), "call.*")
        began = asyncio.get_running_loop().time()
        await receiver.stop()
        for number in range(100):
            if number == 50:
                await server.stop()
                await server.start(**server.same_ports())
            await one_call(server)
        await asyncio.sleep(max(0.0, began + down - asyncio.get_running_loop().time()))
        await receiver.start()
        await receiver.wait(300)
        got = [json.loads(one.body) for one in receiver.got]
        # 1. every event of every call, in order
        calls = complete(got)
        assert len(calls) == 100
        assert set(map(tuple, calls.values())) == {tuple(WHOLE)}
        # 2. signed with the project's key, whichever process sent it
        key = (await server.http.post(f"/api/projects/{server.project}/signing-key/rotate")).json()["signing_key"]
        receiver.got.clear()
        await one_call(server)
        one = (await receiver.wait(1))[0]
        url, body = receiver.url("/hook"), one.body.decode()
        assert validate_webhook_signature(key, one.headers["x-signalwire-signature"], url, body)
        assert validate_webhook_signature_sha256(key, one.headers["x-signalwire-sha256-signature"], url, body)


async def test_a_receiver_that_is_down_and_a_restart_lose_nothing(serve: ServerMaker, receiver: Receiver) -> None:
    await outage(serve, receiver, 0.0, OFFHOOK_WEBHOOKS_FIRST_RETRY="0.1")


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_receiver_that_is_down_for_90_seconds(serve: ServerMaker, receiver: Receiver) -> None:
    await outage(serve, receiver, 90.0)


async def test_a_killed_server_loses_nothing(serve: ServerMaker, receiver: Receiver) -> None:
    receiver.delay = 0.05
    # The journal loses the last 10 to 50 ms with the process: a call whose end was among them is taken back, and ends by its
    # silence.
    silent = {"OFFHOOK_LIMITS_MEDIA_TIMEOUT": "5"}
    async with serve(**QUICK, **silent, OFFHOOK_WEBHOOKS_FIRST_RETRY="0.05") as server:
        await subscribe(server, receiver.url("/hook"), "call.*")
        for number in range(30):
            await one_call(server)
            if number == 15:
                # In the middle of deliveries, with a call that was hung up this very moment, but is known to have been.
                await receiver.wait(15)
                async with asyncio.timeout(PATIENCE):
                    while len(await every_event(server, types="call.created")) <= number:
                        await asyncio.sleep(0.02)  # the API is asked, as a program asks
                await server.kill()
                await server.start(**server.same_ports())
        await server.until_idle()
        async with asyncio.timeout(PATIENCE):
            while True:
                kept = await every_event(server, types="call.*")
                got = [json.loads(one.body) for one in list(receiver.got)]
                if {one["id"] for one in kept} == {one["id"] for one in got}:
                    break
                await asyncio.sleep(0.2)
        calls = complete(got)
        # 1. all calls, each with its end: what the first process did not live to commit was told by the second
        assert len(calls) == 30
        assert set(map(tuple, calls.values())) == {tuple(WHOLE)}


async def test_the_command_line(server: Offhook, receiver: Receiver, tmp_path: Path) -> None:
    async def said(*arguments: str, code: int = 0) -> str:
        exit_code, text = await offhook(server.data, *arguments)
        assert exit_code == code, text
        return text

    # 1. a webhook is made, tried, looked at and removed
    assert "made webhook calls" in await said("webhook", "add", "calls", receiver.url("/cli"), "--type", "call.*")
    assert "must not point to 10.0.0.1" in await said("webhook", "add", "inner", "http://10.0.0.1/", code=1)
    assert ["calls", "on", "call.*", receiver.url("/cli")] in [
        one.split() for one in (await said("webhook", "list")).splitlines()
    ]
    await said("webhook", "ping", "calls")
    await receiver.wait(1)
    async with asyncio.timeout(PATIENCE):
        while json.loads(rows := await said("webhook", "deliveries", "--json"))[0]["state"] != "delivered":
            await asyncio.sleep(0.1)
    delivery = json.loads(rows)[0]["id"]
    assert "200" in await said("webhook", "deliveries", delivery)
    assert "pending" in await said("webhook", "retry", delivery)
    await receiver.wait(2)
    # 2. events are followed over a restart, and listed
    after = (await server.http.get(EVENTS, params={"after": "latest"})).json()["next_cursor"]
    await one_call(server)
    arguments = ("event", "follow", "--type", "call.*", "--after", after, "--count", "6", "--json")
    environment = {**os.environ, "OFFHOOK_DATA": str(server.data)}
    follows = await asyncio.create_subprocess_exec(COMMAND, *arguments, stdout=asyncio.subprocess.PIPE, env=environment)
    assert follows.stdout is not None
    assert [json.loads(await follows.stdout.readline())["type"] for _ in range(3)] == WHOLE
    await server.stop()
    await server.start(**server.same_ports())
    await one_call(server)
    assert [json.loads(await follows.stdout.readline())["type"] for _ in range(3)] == WHOLE
    assert await follows.wait() == 0
    listed = await said("event", "list", "--type", "call.ended")
    assert [line.split()[1] for line in listed.splitlines()] == ["call.ended"] * 2
    assert "removed webhook calls" in await said("webhook", "remove", "calls")
    assert "No webhook is named calls" in await said("webhook", "ping", "calls", code=1)
