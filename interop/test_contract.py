"""One call between two foreign phones that a document has joined, read by every path that tells of calls (API.md 10.4, 12.3,
12.4, 12.5): each field is there and filled, each kind of trace and each event was made by what really happened."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from interop.conftest import ServerMaker
from interop.support.baresip import Baresip
from interop.support.server import Offhook
from interop.test_calls_by_rest import command
from interop.test_events import every_event, subscribe, until_told
from tests.support.patience import PATIENCE
from tests.support.receiver import Receiver

CONNECT = b"sections:\n  main:\n    - connect: {to: bob, timeout: 20}\n"
QUALITY = {
    "mos", "mos_min", "packets_in", "lost_in", "late_in", "reordered", "duplicates", "loss_percent", "loss_percent_max",
    "jitter_ms", "jitter_ms_max", "rtt_ms", "rtt_ms_max", "packets_out", "remote_loss_percent", "remote_jitter_ms",
    "buffer_ms", "concealed_ms", "first_packet_ms", "silent_ms", "dtmf_in", "dtmf_out",
}  # fmt: skip
FILLED = {"mos", "mos_min", "packets_in", "packets_out", "jitter_ms_max", "buffer_ms", "first_packet_ms", "rtt_ms_max"}
"""Those that no call in order leaves at nothing; the others count what went wrong."""
ROW = {"at", "seq", "kind", "leg_ref", "direction", "summary", "details"}


@dataclass
class Talk:
    """Alice (PCMU) and Bob (G722) talk; `asked` is what the document was asked for with."""

    server: Offhook
    receiver: Receiver
    alice: Baresip
    bob: Baresip
    ref: str
    asked: dict[str, Any]


@pytest.fixture
async def talk(serve: ServerMaker, tmp_path: Path) -> AsyncIterator[Talk]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve())
        receiver = await stack.enter_async_context(Receiver(pages={"/swml": CONNECT}))
        await subscribe(server, receiver.url("/events"), "call.*")
        rows = (await server.http.get("/api/relay/rest/endpoints/sip?filter_username=alice")).json()["data"]
        handler = {"call_handler": "relay_script", "call_relay_script_url": receiver.url("/swml")}
        answer = await server.http.put(f"/api/relay/rest/endpoints/sip/{rows[0]['id']}", json=handler)
        assert answer.status_code == 200, answer.text
        phones = [
            await stack.enter_async_context(
                Baresip(tmp_path, name, server.passwords[name], server.domain, server.sip, codec=codec)
            )
            for name, codec in (("alice", "PCMU/8000/1"), ("bob", "G722/16000/1"))
        ]
        for phone in phones:
            await phone.registered()
        alice, bob = phones
        await alice.dial("anything")
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await alice.expect("CALL_ESTABLISHED")
        ref = (await server.calls())[0]["call_ref"]
        asked = next(json.loads(one.body) for one in receiver.got if one.target == "/swml")
        yield Talk(server, receiver, alice, bob, ref, asked)


async def test_a_call_is_told_of_in_full(talk: Talk) -> None:
    server, ref = talk.server, talk.ref
    # 1. the document was asked for with all that its leg is (10.4)
    call = talk.asked["call"]
    assert {name: call[name] for name in ("call_id", "direction", "type", "from", "to")} == {
        "call_id": ref, "direction": "inbound", "type": "sip", "from": "alice", "to": "anything",
    }  # fmt: skip
    assert {one for one in talk.asked if one != "call"} == {"vars", "envs", "params"}
    data = call["sip_data"]
    assert {f"sip_{side}_{part}" for side in ("req", "from", "to", "contact") for part in ("uri", "user", "host")} <= {
        *data
    }
    assert (data["sip_from_user"], data["sip_req_user"], data["sip_to_host"]) == ("alice", "anything", server.domain)
    assert data["sip_contact_host"] == "127.0.0.1"
    # 2. commands that steer it
    legs = {leg["role"]: leg for leg in (await server.call(ref))["legs"]}
    bobs = legs["callee"]["leg_ref"]
    for name, params in (
        ("calling.hold", {}), ("calling.unhold", {}), ("calling.send_digits", {"digits": "5"}),
        ("calling.user_event", {"event": {"hello": 1}}),
    ):  # fmt: skip
        await command(server, name, bobs, **params)
    await report(server, ref)
    # 3. every figure of every leg, from packets and RTCP of both phones (12.3)
    shown = await server.until(ref, lambda one: all(_measured(leg) for leg in one["legs"]))
    for leg in shown["legs"]:
        assert {*leg["quality"]} >= QUALITY
        assert leg["media"]["transcoded"] is True
        assert {*leg} >= {
            "role",
            "type",
            "user_agent",
            "flow",
            "held_by",
            "muted",
            "media",
            "end_code",
            "device_id",
            "trunk_id",
        }
    assert {leg["media"]["codec"] for leg in shown["legs"]} == {"PCMU", "G722"}
    samples = (await server.http.get(f"/api/offhook/calls/{ref}/quality")).json()["data"]
    assert {one["leg_ref"] for one in samples} == {leg["leg_ref"] for leg in shown["legs"]}
    # 4. different codecs are told of, and are no fault (14)
    async with asyncio.timeout(PATIENCE):
        while True:
            diagnosis = (await server.http.get(f"/api/offhook/calls/{ref}/diagnosis")).json()
            infos = {one["code"] for one in diagnosis["findings"] if one["severity"] == "info"}
            if "transcoding" in infos and [one["state"] for one in diagnosis["paths"]] == ["flowing", "flowing"]:
                break
            await asyncio.sleep(0.1)  # the API is asked, as a dashboard asks
    assert diagnosis["verdict"] in ("ok", "degraded")
    await talk.bob.hang_up()
    await talk.alice.expect("CALL_CLOSED")
    # 5. the events of the call, numbered without gaps (12.5), and each as a webhook
    [ended] = await until_told(server, "", "call.ended", 1)
    told = await every_event(server, call_ref=ref)
    assert [one["sequence"] for one in told] == list(range(1, len(told) + 1))
    types = [one["type"] for one in told]
    assert (types[0], types[-1]) == ("call.created", "call.ended")
    wanted = {"call.ringing", "call.answered", "call.held", "call.resumed", "call.user_event"}
    assert wanted | {"call.finding_raised", "call.finding_cleared"} <= {*types}, types
    assert json.loads(next(one["data"]["event"] for one in told if one["type"] == "call.user_event")) == {"hello": 1}
    assert ended["data"]["end_code"] == "hangup"
    await talk.receiver.wait(len(told) + 1)
    # 6. the trace has a row for each kind of thing (12.4), and no digit
    trace = (await server.http.get(f"/api/offhook/calls/{ref}/trace")).json()["data"]
    kinds = {one["kind"] for one in trace}
    assert {"sip", "sdp", "media", "route", "command", "webhook", "client"} <= kinds, kinds
    assert all({*one} == ROW and one["at"].endswith("Z") for one in trace)
    commands = [one["summary"] for one in trace if one["kind"] == "command"]
    assert commands == ["hold", "unhold", "send 1 digits", "user event"]


def _measured(leg: dict[str, Any]) -> bool:
    return all(leg["quality"][name] for name in FILLED)


async def report(server: Offhook, ref: str) -> None:
    """Alice's page says that it may not play sound, and then that it may."""
    made = await server.http.post("/api/offhook/provision", json={"endpoint": "alice"})
    bearer = {"Authorization": f"Bearer {made.json()['token']['value']}"}
    async with httpx.AsyncClient(
        base_url=server.http_url.rstrip("/"), timeout=PATIENCE, trust_env=False, headers=bearer
    ) as page:
        for kind in ("warning", "sample"):
            body = {"kind": kind, "code": "playback_blocked"}
            answer = await page.post(f"/api/offhook/calls/{ref}/client_reports", json=body)
            assert answer.status_code == 202, answer.text
            await asyncio.sleep(0.1)
