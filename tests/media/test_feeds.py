"""Feeds by the real engine to a real WebSocket server: sound both ways, marks, slow and lost receivers (API.md 13.4)."""

import asyncio
import ssl
from pathlib import Path

import numpy as np
import pytest

from interop.support.certificate import write_certificate
from offhook.calls.ports import Feed, FeedEncoding, FeedTrack
from offhook.media import messages as m
from offhook.media.client import MediaError
from tests.media.test_recordings import bridged, level, peers  # noqa: F401 - a fixture
from tests.support.patience import PATIENCE
from tests.support.rtp_peer import RATE, linear, silence, tone
from tests.support.stream_receiver import StreamReceiver

pytestmark = pytest.mark.real_time
SAID, HEARD, BACK = 1_000.0, 625.0, 440.0


@pytest.fixture
async def receiver():
    one = StreamReceiver()
    await one.open()
    yield one
    await one.close()


def feed(receiver: StreamReceiver, name: str = "s1", **changes) -> Feed:
    address = f"127.0.0.1:{receiver.port}"
    fields = {
        "url": f"ws://{address}/audio?x=1",
        "address": address,
        "track": FeedTrack.BOTH,
        "account": "a",
        "call": "c",
    }
    return Feed(name, **fields | changes)


def states(host, name: str = "s1") -> list[str]:
    return [one.state for one in host.of(m.FeedChanged) if one.feed == name]


def last(host) -> m.FeedChanged:
    return host.of(m.FeedChanged)[-1]


async def over(host, seconds: float = PATIENCE) -> m.FeedChanged:
    await host.until(lambda: "finished" in states(host), seconds)
    return last(host)


def clicks(samples: np.ndarray, hertz: float, rate: int = RATE) -> float:
    """The largest step beside a sine's own, as a part of full scale; in half of all packets there is none larger.

    What we would add by mistake is in all of them, where a machine is late in some.
    """
    size = 2 * np.pi * hertz / rate * np.abs(samples).max()
    step = rate // 50 + 1
    largest = [
        np.abs(np.diff(samples[at : at + step].astype(float))).max() for at in range(0, len(samples) - step, step - 1)
    ]
    return max(0.0, float(np.median(largest) - size)) / 32_768


async def test_what_is_said_and_heard_is_in_its_track_at_every_rate(host, peers, receiver):  # noqa: F811
    legs = await bridged(host, peers)
    await host.engine.feed(legs[0], feed(receiver, bearer="the-token", parameters=(("caller", "alice"),)))
    for rate in (8_000, 16_000, 24_000):
        spec = feed(receiver, f"l{rate}", encoding=FeedEncoding.L16, rate=rate, track=FeedTrack.INBOUND)
        await host.engine.feed(legs[0], spec)
    await host.until(lambda: len(host.of(m.FeedChanged)) == 4)
    await asyncio.gather(peers[0].speak(tone(SAID, 1.5)), peers[1].speak(tone(HEARD, 1.5)))
    for name in ("s1", "l8000", "l16000", "l24000"):
        await host.engine.stop_feed(legs[0], name)
    await host.until(lambda: len(host.of(m.FeedChanged)) == 8)
    await receiver.until(lambda: len(receiver.of("stop")) == 4)
    # 1. The messages begin and end as the format says, and the token is in the handshake alone.
    mine = [one for one in receiver.messages if one["streamSid"] == "s1"]
    assert [one["event"] for one in mine[:2]] == ["connected", "start"]
    assert (mine[0]["protocol"], mine[1]["start"]["customParameters"]) == ("Call", {"caller": "alice"})
    assert (mine[1]["start"]["callSid"], mine[1]["start"]["tracks"]) == ("c", ["inbound", "outbound"])
    assert mine[-1]["event"] == "stop"
    assert [int(one["sequenceNumber"]) for one in mine] == list(range(1, len(mine) + 1))
    # 2. Each track has its tone alone, as loud as it was, without clicks.
    media = [one["media"] for one in mine if one["event"] == "media"]
    receiver.messages = mine
    for track, own, other in (("inbound", SAID, HEARD), ("outbound", HEARD, SAID)):
        samples = receiver.sound(track)
        middle = samples[3_200:10_400]
        assert level(middle, own) == pytest.approx(8_000, rel=0.04)
        assert level(middle, other) < 100
        assert clicks(middle, own) < 0.03
        # 3. Every 20 ms, with numbers and times that show it.
        chunks = [int(one["chunk"]) for one in media if one["track"] == track]
        assert chunks == list(range(1, len(chunks) + 1))
        times = [int(one["timestamp"]) for one in media if one["track"] == track]
        assert min(np.diff(times)) >= 19
        assert np.median(np.diff(times)) == 20, "more only where the machine stood still"
    finished = [one for one in host.of(m.FeedChanged) if one.state == "finished"]
    assert {(one.reason, one.dropped) for one in finished} == {("stopped", 0)}


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000])
async def test_wide_samples_are_as_loud_as_they_were(host, peers, receiver, rate):  # noqa: F811
    legs = await bridged(host, peers)
    spec = feed(receiver, encoding=FeedEncoding.L16, rate=rate, track=FeedTrack.INBOUND)
    await host.engine.feed(legs[0], spec)
    await peers[0].speak(tone(SAID, 1.0))
    await receiver.until(lambda: len(receiver.media("inbound")) >= 45)
    samples = receiver.sound("inbound", "audio/x-L16")[: rate * 8 // 10][rate * 4 // 10 :]
    assert receiver.of("start")[0]["start"]["mediaFormat"] == {
        "encoding": "audio/x-L16", "sampleRate": rate, "channels": 1,
    }  # fmt: skip
    assert level(samples, SAID, rate) == pytest.approx(8_000, rel=0.05)
    assert clicks(samples, SAID, rate) < 0.03


def loud(peer) -> np.ndarray:
    """Where in what it heard there is sound."""
    found = np.flatnonzero(np.abs(peer.listened().astype(float)) > 500)
    return found if len(found) else np.zeros(1, int)


async def test_what_comes_back_is_heard_its_mark_is_echoed_and_clear_ends_it(host, peers, receiver):  # noqa: F811
    legs = await bridged(host, peers)
    await host.engine.feed(legs[0], feed(receiver, two_way=True, track=FeedTrack.INBOUND))
    await receiver.until(lambda: receiver.of("start"))
    # 1. A sentence sent at once is heard as long as it is, as loud, without clicks; its mark comes when it is over.
    peers[0].heard.clear()
    begin = asyncio.get_running_loop().time()
    await receiver.speak(tone(BACK, 1.0))
    await receiver.say("mark", mark={"name": "spoken"})
    await receiver.until(lambda: receiver.of("mark"))
    assert receiver.of("mark")[0]["mark"] == {"name": "spoken"}
    assert asyncio.get_running_loop().time() - begin >= 0.95
    await peers[0].until(lambda: np.ptp(loud(peers[0])) > RATE - 200)
    samples, at = peers[0].listened().astype(float), loud(peers[0])
    assert np.ptp(at) < RATE + 200
    middle = samples[at[0] + 400 : at[-1] - 400]
    assert level(middle, BACK) == pytest.approx(8_000, rel=0.04)
    assert clicks(middle, BACK) < 0.03
    # 2. What is cleared is not heard; its marks are echoed at once.
    peers[0].heard.clear()
    await receiver.speak(tone(BACK, 5.0))
    await receiver.say("mark", mark={"name": "never"})
    await peers[0].until(lambda: len(loud(peers[0])) > RATE // 5)
    await receiver.say("clear")
    await receiver.until(lambda: len(receiver.of("mark")) == 2)
    # 3. The other party is heard again when the receiver is silent.
    speaking = asyncio.create_task(peers[1].speak(tone(HEARD, PATIENCE)))
    await peers[0].until(lambda: level(peers[0].listened()[-RATE // 5 :], HEARD) > 7_000)
    speaking.cancel()
    # What came before: what was cleared is not among it, except what left until the engine heard of it.
    heard = [level(linear(b"".join(peers[0].heard[at : at + 2])), BACK) for at in range(0, len(peers[0].heard) - 1, 2)]
    assert sum(one > 7_000 for one in heard) * 0.04 < 4.0


async def test_a_slow_receiver_loses_the_oldest_and_the_call_nothing(host, peers, receiver):  # noqa: F811
    legs = await bridged(host, peers)
    spec = feed(receiver, encoding=FeedEncoding.L16, rate=24_000)
    await host.engine.feed(legs[0], spec)
    await receiver.until(lambda: receiver.of("start"))
    receiver.listen(False)
    peers[1].heard.clear()
    await asyncio.gather(peers[0].speak(tone(SAID, 8.0)), peers[1].speak(silence(8.0)))
    # 1. The call did not hear of it.
    await peers[1].hears(398)
    assert level(peers[1].listened()[800:], SAID) > 7_700
    # 2. It gets what is new, with gaps in the numbers as large as what was dropped.
    receiver.listen(True)
    await host.engine.stop_feed(legs[0], "s1")
    told = await over(host)
    await receiver.until(lambda: receiver.of("stop"))
    assert told.dropped > 50
    chunks = [int(one["chunk"]) for track in ("inbound", "outbound") for one in receiver.media(track)]
    missing = sum(int(receiver.media(track)[-1]["chunk"]) for track in ("inbound", "outbound")) - len(chunks)
    assert missing == told.dropped
    assert int(receiver.of("media")[-1]["media"]["timestamp"]) > 7_500


async def test_a_lost_receiver_is_found_again_and_a_gone_one_is_tried_three_times(host, peers, receiver):  # noqa: F811
    legs = await bridged(host, peers)
    await host.engine.feed(legs[0], feed(receiver))
    await receiver.until(lambda: receiver.of("start"))
    speaking = asyncio.create_task(peers[0].speak(tone(SAID, 9.0)))
    await receiver.until(lambda: len(receiver.media("inbound")) > 10)
    # 1. Another socket begins anew, its numbers go on.
    receiver.break_off()
    await receiver.until(lambda: len(receiver.of("start")) == 2)
    await receiver.until(lambda: receiver.messages[-1]["event"] == "media")
    numbers = [int(one["sequenceNumber"]) for one in receiver.messages]
    starts = [int(one["sequenceNumber"]) for one in receiver.of("start")]
    assert starts[1] > max(numbers[: numbers.index(starts[1])][:-60] or [0])
    await host.until(lambda: states(host) == ["streaming", "lost", "streaming"])
    # 2. A receiver that is gone is tried three times, and then it is said.
    await receiver.close()
    told = await over(host)
    assert told.reason == "failed"
    assert "three tries" in told.text
    # 3. The call goes on.
    peers[1].heard.clear()
    await speaking
    peers[1].heard.clear()
    await peers[0].speak(tone(SAID, 0.5))
    await peers[1].hears(20)
    assert level(peers[1].listened()[800:], SAID) > 7_000


async def test_who_closes_in_order_is_not_tried_again(host, peers, receiver):  # noqa: F811
    legs = await bridged(host, peers)
    await host.engine.feed(legs[0], feed(receiver))
    await receiver.until(lambda: receiver.of("start"))
    await receiver.connections[0].close()
    told = await over(host)
    assert (told.reason, len(receiver.connections)) == ("closed", 1)
    with pytest.raises(MediaError) as refusal:
        await host.engine.stop_feed(legs[0], "s1")
    assert refusal.value.code == "unknown_feed"


async def test_presses_and_the_end_of_the_leg_are_told(host, peers, receiver):  # noqa: F811
    legs = await bridged(host, peers)
    await host.engine.feed(legs[0], feed(receiver, track=FeedTrack.OUTBOUND))
    await receiver.until(lambda: receiver.of("start"))
    await host.engine.close_leg(legs[0])
    told = await over(host)
    await receiver.until(lambda: receiver.of("stop"))
    assert (told.reason, receiver.of("stop")[0]["stop"]) == ("ended", {"accountSid": "a", "callSid": "c"})


async def test_secured_sockets_need_a_name_that_is_certified(hosts, peers, tmp_path: Path, monkeypatch):  # noqa: F811
    certificate, key = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    host = await hosts()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    receiver = StreamReceiver()
    await receiver.open(context)
    legs = await bridged(host, peers)
    spec = feed(receiver, url=f"wss://localhost:{receiver.port}/", bearer="the-token")
    await host.engine.feed(legs[0], spec)
    await receiver.until(lambda: receiver.of("start"))
    assert receiver.headers["Authorization"] == "Bearer the-token"
    await host.engine.stop_feed(legs[0], "s1")
    await over(host)
    # Another name is not believed.
    await host.engine.feed(legs[0], feed(receiver, "other", url=f"wss://elsewhere.test:{receiver.port}/"))
    await host.until(lambda: "finished" in states(host, "other"))
    assert last(host).reason == "failed"
    assert "certificate" in last(host).text
    await receiver.close()
