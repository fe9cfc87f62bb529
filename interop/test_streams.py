"""Streams of live calls by REST: a phone's sound at a WebSocket server, the server's at the phone (API.md 13.1, 13.4)."""

import asyncio
import json
from base64 import b64decode, b64encode
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from signalwire.rest import RestClient

from interop.support.audio import level_at
from interop.support.baresip import Baresip
from interop.support.server import Offhook
from interop.test_calls_by_rest import command, told, until_told
from tests.support import opus
from tests.support.receiver import Receiver
from tests.support.rtp_peer import RATE, tone
from tests.support.stream_receiver import StreamReceiver

REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "missing_required_parameter"),
    ({"url": "http://127.0.0.1/"}, 422, "not_an_http_url"),
    ({"url": "ws://a:b@127.0.0.1/"}, 422, "not_an_http_url"),
    ({"url": "ws://nowhere.invalid/"}, 422, "not_an_http_url"),
    ({"url": "ws://169.254.169.254/"}, 422, "url_is_unsafe"),
    ({"url": "wss://10.0.0.1/"}, 422, "url_is_unsafe"),
    ({"codec": "MP3"}, 422, "invalid_parameter_value"),
    ({"codec": "PCMU@16000h"}, 422, "invalid_parameter_value"),
    ({"codec": "OPUS@16000h"}, 422, "invalid_parameter_value"),
    ({"track": "sideways"}, 422, "invalid_parameter_value"),
    ({"control_id": "x" * 129}, 422, "invalid_parameter"),
    ({"custom_parameters": {"a": 1}}, 422, "invalid_parameter"),
    ({"offhook": {"two_way": "yes"}}, 422, "invalid_parameter"),
]


async def send(server: Offhook, name: str, id_: str, params: dict[str, Any]) -> httpx.Response:
    """Any command, whatever becomes of it."""
    return await server.http.post("/api/calling/calls", json={"command": name, "id": id_, "params": params})


def _clean(receiver: StreamReceiver, track: str, own: int, other: int) -> bool:
    """The last second of a track has its own tone and none of the other's; a busy machine may be late with it."""
    samples = receiver.sound(track)[-RATE:].astype(float) / 32_768
    return len(samples) == RATE and level_at(samples, RATE, own) > -30 and level_at(samples, RATE, other) < -50


async def test_a_call_is_streamed_both_ways_and_outlives_its_receiver(server: Offhook, tmp_path: Path) -> None:
    await server.add_endpoint("carol", "carols-password")
    receiver = StreamReceiver()
    await receiver.open()
    async with (
        Receiver() as hooks,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, tone=700) as bob,
        Baresip(tmp_path, "carol", "carols-password", server.domain, server.sip, tone=900) as carol,
    ):
        await bob.registered()
        await carol.registered()
        await bob.dial("carol")
        await carol.expect("CALL_INCOMING")
        legs = (await server.http.get("/api/calling/calls")).json()["data"]
        id_ = next(one["id"] for one in legs if one["direction"] == "inbound")
        await command(server, "update", id=id_, status_url=hooks.url("/s"), status_events=["ended"])
        # 1. what is asked for before the answer begins with it
        url = f"ws://localhost:{receiver.port}/audio"
        params = {"url": url, "track": "both_tracks", "control_id": "s1", "name": "mine"}
        more = {"offhook": {"two_way": True}, "custom_parameters": {"ticket": "17"}}
        more["authorization_bearer_token"] = "the-token"
        answer = await send(server, "calling.stream", id_, {**params, **more})
        assert (answer.status_code, answer.json()["offhook"]["control_id"]) == (200, "s1"), answer.text
        assert receiver.connections == []
        await carol.answer()
        await receiver.until(lambda: all(len(receiver.media(track)) > 150 for track in ("inbound", "outbound")))
        assert receiver.headers["Authorization"] == "Bearer the-token"
        begin = receiver.of("start")[0]["start"]
        assert (begin["accountSid"], begin["callSid"], begin["customParameters"]) == (
            server.project,
            id_,
            {"ticket": "17"},
        )
        # 2. each side is in its track, and none of the other's
        for track, own, other in (("inbound", 700, 900), ("outbound", 900, 700)):
            await receiver.until(partial(_clean, receiver, track, own, other))
        # 3. a press is told
        await bob.press("5")
        await receiver.until(lambda: receiver.of("dtmf"))
        assert receiver.of("dtmf")[0]["dtmf"]["digit"] == "5"
        # 4. what the receiver says is heard in the call, and its mark comes back when it is over
        await receiver.speak(tone(440, 6.0))
        await receiver.say("mark", mark={"name": "said"})
        await bob.hears(440, 1)
        await receiver.until(lambda: receiver.of("mark"))
        assert receiver.of("mark")[0]["mark"]["name"] == "said"
        await bob.hears(900, 1)
        # 5. a second one beside it is refused, an unknown one not found
        for name, given, status in (
            ("calling.stream", params, 422),
            ("calling.stream", {"url": url}, 422),
            ("calling.stream.stop", {"control_id": "nothing"}, 404),
            ("calling.stream.stop", {}, 422),
        ):
            answer = await send(server, name, id_, given)
            assert answer.status_code == status, (name, given, answer.text)
        # 6. its receiver is gone for good: three tries, a finding, and the call goes on
        await receiver.close()
        events = await until_told(hooks, "/s", 2)
        streams = [one["params"] for one in events if one["event_type"] == "calling.call.stream"]
        assert [(one["control_id"], one["state"], one["name"]) for one in streams] == [
            ("s1", "streaming", "mine"), ("s1", "finished", "mine"),
        ]  # fmt: skip
        await server.until(id_, lambda call: "stream_failed" in json.dumps(call))
        await bob.hears(900, 1)
        for given, status, code in REFUSED:
            answer = await send(server, "calling.stream", id_, {"url": url, **given} if given else given)
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code), (given, answer.text)
        await bob.hang_up()
    assert len(told(hooks, "/s")) >= 2


async def test_the_official_sdk_begins_and_ends_a_stream(server: Offhook, tmp_path: Path) -> None:
    receiver = StreamReceiver()
    await receiver.open()
    client = RestClient(project=server.project, token=server.token, host=server.http_url.split("//")[1].rstrip("/"))
    async with Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, tone=700) as bob:
        await bob.registered()
        await bob.dial("echo")
        await bob.expect("CALL_ESTABLISHED")
        id_ = (await server.http.get("/api/calling/calls")).json()["data"][0]["id"]
        url = f"ws://127.0.0.1:{receiver.port}/"
        refused = await send(server, "calling.stream", id_, {"url": url, "codec": "opus@48000h@20i"})
        assert refused.status_code == 422
        assert "The leg speaks PCMU" in refused.text
        wanted = {"url": url, "codec": "L16@16000h", "track": "inbound_track", "control_id": "sdk"}
        await asyncio.to_thread(lambda: client.calling.stream(id_, **wanted))  # type: ignore[arg-type]

        def whole() -> bool:
            """The last second is the phone's tone: a busy machine is late with it, and what is late is silence."""
            samples = receiver.sound("inbound", "audio/x-L16")[-16_000:].astype(float)
            return len(samples) == 16_000 and level_at(samples / 32_768, 16_000, 700) > -30

        await receiver.until(whole)
        await asyncio.to_thread(lambda: client.calling.stream_stop(id_, control_id="sdk"))
        await receiver.until(lambda: receiver.of("stop"))
        await bob.hang_up()
    await receiver.close()


async def test_packets_of_opus_are_streamed_as_they_come_and_heard_as_they_go(server: Offhook, tmp_path: Path) -> None:
    receiver = StreamReceiver()
    await receiver.open()
    password, codec = server.passwords["bob"], "opus/48000/2"
    async with Baresip(tmp_path, "bob", password, server.domain, server.sip, codec=codec, tone=700) as bob:
        await bob.registered()
        await bob.dial("echo")
        await bob.expect("CALL_ESTABLISHED")
        id_ = (await server.http.get("/api/calling/calls")).json()["data"][0]["id"]
        params = {
            "url": f"ws://127.0.0.1:{receiver.port}/",
            "codec": "OPUS",
            "control_id": "o",
            "offhook": {"two_way": True},
        }
        answer = await send(server, "calling.stream", id_, params)
        assert answer.status_code == 200, answer.text
        # 1. what the phone encoded is decoded here by libopus, whole: the numbers have no gap
        await receiver.until(lambda: len(receiver.media("inbound")) > 100)
        media = receiver.media("inbound")
        samples = opus.sound(b64decode(one["payload"]) for one in media)
        assert level_at(samples[opus.CLOCK // 2 :] / 32_768, opus.CLOCK, 700) > -30
        numbers = [int(one["rtp"]["sequenceNumber"]) for one in media]
        assert numbers == list(range(1, len(numbers) + 1))
        # 2. what libopus encodes here is decoded by the phone
        for payload in opus.packets(opus.tone(440, 6.0)):
            await receiver.say("media", media={"payload": b64encode(payload).decode()})
        await receiver.say("mark", mark={"name": "said"})
        await bob.hears(440, 1)
        await receiver.until(lambda: receiver.of("mark"))
        # 3. no packet is no sound, and that is said
        await receiver.say("media", media={"payload": b64encode(b"").decode()})
        await receiver.until(lambda: receiver.of("error"))
        assert receiver.of("error")[0]["error"]["code"] == "bad_frame"
        await bob.hears(700, 1)
        await bob.hang_up()
    await receiver.close()
