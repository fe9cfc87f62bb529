"""Calls recorded by REST and by the command line, as a foreign phone spoke them (API.md 13.1, 13.3)."""

import asyncio
import io
import json
import wave
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from signalwire.rest import RestClient

from interop.support.audio import level_at, longest_false
from interop.support.baresip import Baresip
from interop.support.server import Offhook
from interop.test_calls_by_rest import command, until_told
from interop.test_command_line import offhook
from interop.test_streams import send
from tests.support.patience import PATIENCE
from tests.support.receiver import Receiver

PATH = "/api/relay/rest/recordings"
REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("calling.record", {"audio": {"format": "mp3"}}, 422, "feature_not_available"),
    ("calling.record", {"audio": {"beep": True}}, 422, "feature_not_available"),
    ("calling.record", {"record": {"audio": {"terminators": "#"}}}, 422, "feature_not_available"),
    ("calling.record", {"audio": "loud"}, 422, "invalid_parameter"),
    ("calling.record", {"audio": {"max_length": -1}}, 422, "invalid_parameter"),
    ("calling.record.pause", {"control_id": "r1", "behavior": "skip"}, 422, "feature_not_available"),
    ("calling.record.stop", {}, 422, "missing_required_parameter"),
    ("calling.record.stop", {"control_id": "nothing"}, 404, "not_found"),
]


def sound(data: bytes) -> tuple[NDArray[np.float64], int]:
    """Frames by channel, and their rate."""
    with wave.open(io.BytesIO(data)) as file:
        raw = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        return raw.astype(np.float64) / 32_768, file.getframerate()


def parts(frames: NDArray[np.float64], rate: int) -> list[NDArray[np.float64]]:
    """A second and a half each, from every half second on: on a busy machine phones leave gaps, but not in all of them."""
    return [frames[at : at + 3 * rate // 2] for at in range(0, len(frames) - 3 * rate // 2, rate // 2)]


async def recordings(server: Offhook, status: str, count: int) -> list[dict[str, Any]]:
    """The list, once so many are so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            rows = [one for one in (await server.http.get(PATH)).json()["data"] if one["status"] == status]
            if len(rows) >= count:
                return rows
            await asyncio.sleep(0.1)  # the end is told by the engine


async def test_a_call_is_recorded_listed_heard_and_deleted(server: Offhook, tmp_path: Path) -> None:
    await server.add_endpoint("carol", "carols-password")
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
        answer = await send(
            server, "calling.record", id_, {"audio": {"stereo": True, "direction": "both"}, "control_id": "r1"}
        )
        assert (answer.status_code, answer.json()["offhook"]["control_id"]) == (200, "r1"), answer.text
        assert (await server.http.get(PATH)).json()["data"] == []
        await carol.answer()
        await carol.expect("CALL_ESTABLISHED")
        client = RestClient(project=server.project, token=server.token, host=server.http_url.split("//")[1].rstrip("/"))
        await asyncio.to_thread(lambda: client.calling.record(id_, control_id="mono", audio={"direction": "both"}))  # type: ignore[call-arg]
        await asyncio.gather(bob.hears(900), carol.hears(700))
        await asyncio.sleep(3.0)  # sound to be recorded
        (running, _) = await recordings(server, "processing", 2)
        assert (await server.http.delete(f"{PATH}/{running['id']}")).status_code == 422
        for name, given, status, code in REFUSED:
            answer = await send(server, name, id_, given)
            first = answer.json().get("errors", [answer.json()])[0]
            assert (answer.status_code, first["code"]) == (status, code), (name, given, answer.text)
        await command(server, "calling.record.pause", id_, control_id="r1")
        await asyncio.sleep(1.0)
        await command(server, "calling.record.resume", id_, control_id="r1")
        await asyncio.sleep(2.0)
        await command(server, "calling.record.stop", id_, control_id="r1")
        # 2. every state is told
        told = [one["params"] for one in await until_told(hooks, "/s", 5)]
        states = [one["state"] for one in told if one["control_id"] == "r1"]
        assert states == ["recording", "paused", "recording", "finished"]
        await bob.hang_up()
    # 3. the list says what there is
    rows = await recordings(server, "completed", 2)
    stereo, mono = (next(one for one in rows if one["stereo"] is wanted) for wanted in (True, False))
    assert (stereo["relay_sip_leg_id"], stereo["format"], stereo["track"], stereo["price"]) == (id_, "wav", "both", 0)
    assert stereo["duration"] >= 4
    # 4. each voice is in its channel, the pause is silent; in one channel both are
    whole = await server.http.get(stereo["url"])
    frames, rate = sound(whole.content)
    assert len(whole.content) == stereo["byte_size"]
    for channel, own, other in ((0, 700, 900), (1, 900, 700)):
        levels = [
            (level_at(part[:, channel], rate, own), level_at(part[:, channel], rate, other))
            for part in parts(frames, rate)
        ]
        assert any(mine > -30 and theirs < -50 for mine, theirs in levels), (channel, levels)
    silent = np.abs(frames[: len(frames) // 80 * 80, 0].reshape(-1, 80)).max(axis=1) == 0
    assert longest_false(~silent) * 80 / rate > 0.8
    assert not silent[-100:].all(), "it goes on after the pause"
    both, rate = sound((await server.http.get(mono["url"])).content)
    assert both.shape[1] == 1
    levels = [(level_at(part[:, 0], rate, 700), level_at(part[:, 0], rate, 900)) for part in parts(both, rate)]
    assert any(min(one) > -30 for one in levels), levels
    # 5. in ranges, by a link for ten minutes, and not without either
    part = await server.http.get(stereo["url"], headers={"Range": "bytes=0-43"})
    assert (part.status_code, part.content) == (206, whole.content[:44])
    link = (await server.http.get(stereo["url"] + "?signed=1")).json()["url"]
    async with httpx.AsyncClient(timeout=PATIENCE) as bare:
        assert (await bare.get(stereo["url"])).status_code == 401
        assert (await bare.get(link)).content == whole.content
        assert (await bare.get(link[:-1] + ("0" if link[-1] != "0" else "1"))).status_code == 401
        await server.http.patch(f"/api/projects/{server.project}", json={"protect_recordings": False})
        assert (await bare.get(stereo["url"])).status_code == 200
    # 6. what is deleted is gone, with its file
    files = list((server.data / "recordings").rglob("*.wav"))
    assert len(files) == 2
    assert (await server.http.delete(f"{PATH}/{stereo['id']}")).status_code == 204
    assert (await server.http.get(f"{PATH}/{stereo['id']}")).status_code == 404
    assert len(list((server.data / "recordings").rglob("*.wav"))) == 1
    # 7. the command line lists and saves
    code, said = await offhook(server.data, "recording", "list")
    assert (code, mono["id"] in said) == (0, True), said
    code, said = await offhook(server.data, "recording", "save", mono["id"], str(tmp_path / "mono.wav"))
    assert code == 0, said
    assert sound((tmp_path / "mono.wav").read_bytes())[0].shape == both.shape
    code, said = await offhook(server.data, "recording", "remove", mono["id"])
    assert (code, (await server.http.get(PATH)).json()["data"]) == (0, [])


async def test_a_recording_goes_on_through_a_restart(server: Offhook, tmp_path: Path) -> None:
    async with Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, tone=700) as bob:
        await bob.registered()
        await bob.dial("echo")
        await bob.expect("CALL_ESTABLISHED")
        id_ = (await server.http.get("/api/calling/calls")).json()["data"][0]["id"]
        code, said = await offhook(server.data, "call", "record", id_, "--json")
        assert code == 0, said
        control = json.loads(said)["offhook"]["control_id"]
        await asyncio.sleep(1.5)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await server.kill()
        await asyncio.sleep(1.0)
        await server.start()
        away = loop.time() - began
        assert [one["id"] for one in await recordings(server, "processing", 1)] == [control]
        await asyncio.sleep(1.0)
        code, said = await offhook(server.data, "call", "record", id_, "--stop", control)
        assert code == 0, said
        (row,) = await recordings(server, "completed", 1)
        # What was said while nobody commanded is there, too.
        frames, rate = sound((await server.http.get(row["url"])).content)
        assert len(frames) >= 3.2 * rate
        loud = np.abs(frames[: len(frames) // 800 * 800, 0].reshape(-1, 800)).max(axis=1) > 0.01
        # A moment may be missing where the phone itself was late, not the seconds in which the server was away.
        assert longest_false(loud[2:-2]) * 0.1 < away / 2
        await bob.hang_up()
