"""Feeds of untouched Opus by the real engine to a real WebSocket server, and back (API.md 13.4)."""

import asyncio
from base64 import b64decode, b64encode
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from offhook.calls.ports import Feed, FeedEncoding, FeedTrack
from offhook.media import messages as m
from offhook.media.client import MediaError
from tests.media.test_feeds import feed, over, receiver  # noqa: F401 - a fixture
from tests.support.opus import CLOCK, FRAME, packets, sound, tone
from tests.support.opus_peer import EVENT, OPUS, OpusPeer, offer
from tests.support.rtp_peer import PCMU
from tests.support.stream_receiver import StreamReceiver

pytestmark = pytest.mark.real_time
SAID, HEARD, BACK = 1_000.0, 625.0, 440.0


@pytest.fixture
async def peers():
    pair = (OpusPeer(1), OpusPeer(2))
    yield pair
    for peer in pair:
        peer.close()


async def bridged(host, peers, *audio) -> list[int]:
    opened = await host.engine.open_call((offer(*audio), offer(*audio)))
    for leg, peer in zip(opened.legs, peers, strict=True):
        peer.meets(leg)
        await host.engine.complete(leg.leg, peer.remote())
    await host.engine.bridge(opened.legs[0].leg, opened.legs[1].leg)
    return [leg.leg for leg in opened.legs]


def opus_feed(receiver: StreamReceiver, **changes: Any) -> Feed:  # noqa: F811
    return feed(receiver, encoding=FeedEncoding.OPUS, rate=CLOCK, **changes)


def payloads(receiver: StreamReceiver, track: str) -> list[bytes]:  # noqa: F811
    return [b64decode(one["payload"]) for one in receiver.media(track)]


def places(receiver: StreamReceiver, track: str) -> list[tuple[int, int]]:  # noqa: F811
    """Numbers and times of packets."""
    numbers = [one["rtp"] for one in receiver.media(track)]
    return [(int(one["sequenceNumber"]), int(one["timestamp"])) for one in numbers]


def loudest(samples: np.ndarray) -> float:
    """The frequency that most of the sound has, Hz."""
    part = samples[CLOCK // 5 :].astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(part * np.hanning(len(part))))) * CLOCK / len(part))


async def say(receiver: StreamReceiver, made: list[bytes]) -> None:  # noqa: F811
    """Packets of the receiver's own, all at once."""
    for payload in made:
        await receiver.say("media", media={"payload": b64encode(payload).decode()})


async def test_packets_are_carried_as_they_came_with_losses_and_silence_to_be_seen(host, peers, receiver):  # noqa: F811
    legs = await bridged(host, peers)
    await host.engine.feed(legs[0], opus_feed(receiver))
    await receiver.until(lambda: receiver.of("start"))
    said, heard = packets(tone(SAID, 1.0)), packets(tone(HEARD, 0.6))
    caller, callee = peers
    await caller.speak(said[:10])
    caller.lose()
    await asyncio.gather(caller.speak(said[11:30]), callee.speak(heard))
    caller.rest(7)
    await caller.speak(said[30:])
    # A press between them, by packets that have numbers of the same row.
    for duration, flags in ((960, 0x0A), (4_800, 0x8A), (4_800, 0x8A), (4_800, 0x8A)):
        caller.send(bytes((5, flags)) + duration.to_bytes(2, "big"), EVENT.payload_type)
    caller.rest(10)
    await caller.speak(said[:5])
    await receiver.until(lambda: len(receiver.media("inbound")) >= len(said) + 4)
    await receiver.until(lambda: len(receiver.media("outbound")) >= len(heard))
    # 1. The same octets, in both directions; a foreign decoder makes the tones of them.
    mine = [*said[:10], *said[11:], *said[:5]]
    assert payloads(receiver, "inbound") == mine
    assert payloads(receiver, "outbound") == heard
    assert loudest(sound(said[11:])) == pytest.approx(SAID, abs=5)
    assert loudest(sound(payloads(receiver, "outbound"))) == pytest.approx(HEARD, abs=5)
    # 2. What was lost is a gap in the numbers; silence is one in the times alone, and a press one in neither row.
    numbers = [*range(1, 11), *range(12, len(said) + 6)]
    times = [number - 1 + (7 if number > 30 else 0) + (10 if number > len(said) else 0) for number in numbers]
    assert places(receiver, "inbound") == [(number, at * FRAME) for number, at in zip(numbers, times, strict=True)]
    assert places(receiver, "outbound") == [(at + 1, at * FRAME) for at in range(len(heard))]
    assert [one["dtmf"]["digit"] for one in receiver.of("dtmf")] == ["5"]
    # 3. The messages say what they hold, and have a row of their own.
    assert receiver.of("start")[0]["start"]["mediaFormat"] == {
        "encoding": "audio/opus", "sampleRate": 48_000, "channels": 2,
    }  # fmt: skip
    chunks = [int(one["chunk"]) for one in receiver.media("inbound")]
    assert chunks == list(range(1, len(mine) + 1))
    assert (await stopped(host, legs[0])).dropped == 0


async def stopped(host, leg: int) -> m.FeedChanged:
    await host.engine.stop_feed(leg, "s1")
    return await over(host)


async def test_packets_that_come_back_are_heard_as_they_are_and_wrong_ones_are_refused(host, peers, receiver):  # noqa: F811
    legs = await bridged(host, peers)
    await host.engine.feed(legs[0], opus_feed(receiver, two_way=True, track=FeedTrack.INBOUND))
    await receiver.until(lambda: receiver.of("start"))
    phone, other = peers
    await other.speak(packets(tone(HEARD, 0.2)))
    await phone.until(lambda: len(phone.heard) == 10)
    before = phone.heard[-1]
    # 1. What is no packet is answered in words, and nothing of it is heard.
    wrong = [b"", b"\x0a\x05", b"\x1b\x03\x01\x01\x01", b"\x78" + bytes(1_275)]
    await say(receiver, wrong[:1])
    await receiver.until(lambda: receiver.of("error"))
    assert receiver.of("error")[0]["error"] == {
        "code": "bad_frame",
        "text": "this is no Opus packet (RFC 6716 section 3.4), or longer than 120 ms",
    }
    # 2. A sentence sent at once, wrong packets among it: the same octets, one row of numbers and times, its mark behind it.
    back = packets(tone(BACK, 1.0))
    await say(receiver, back[:20] + wrong + back[20:])
    await receiver.say("mark", mark={"name": "spoken"})
    await receiver.until(lambda: receiver.of("mark"))
    await phone.until(lambda: len(phone.heard) == 10 + len(back))
    mine = phone.heard[10:]
    assert [one.payload for one in mine] == back
    assert loudest(sound(one.payload for one in mine)) == pytest.approx(BACK, abs=5)
    assert [(one.sequence - before.sequence) & 0xFFFF for one in mine] == list(range(1, len(back) + 1))
    steps = {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(mine)}
    assert steps == {FRAME}
    assert receiver.of("mark")[0]["mark"] == {"name": "spoken"}
    # 3. What is cleared is not heard, its mark comes at once.
    await say(receiver, packets(tone(BACK, 5.0)))
    await receiver.say("mark", mark={"name": "never"})
    await phone.until(lambda: len(phone.heard) > 65)
    await receiver.say("clear")
    await receiver.until(lambda: len(receiver.of("mark")) == 2)
    # 4. The other party is heard again when the receiver is silent, in the same row.
    last = packets(tone(HEARD, 0.4))
    sources = asyncio.create_task(speak_until(other, last, lambda: last[-1] in [one.payload for one in phone.heard]))
    await sources
    assert len(phone.heard) < 60 + 250, "what left until the engine heard of it is less than all"
    numbers = [one.sequence for one in phone.heard[10:]]
    assert {(b - a) & 0xFFFF for a, b in pairwise(numbers)} == {1}


async def speak_until(peer: OpusPeer, made: list[bytes], heard) -> None:
    async with asyncio.timeout(60):
        while not heard():
            await peer.speak(made)


async def test_a_leg_that_speaks_no_opus_is_refused_and_one_that_ceases_ends_its_feed(host, peers, receiver):  # noqa: F811
    legs = await bridged(host, peers, OPUS, EVENT, PCMU)
    await host.engine.feed(legs[0], opus_feed(receiver))
    await receiver.until(lambda: receiver.of("start"))
    await peers[0].speak(packets(tone(SAID, 0.2)))
    await receiver.until(lambda: len(receiver.media("inbound")) == 10)
    # 1. Another codec is agreed in mid-call: said to the receiver and to us, and the stream is over.
    await host.engine.complete(legs[0], peers[0].remote(PCMU))
    told = await over(host)
    words = "the leg went over to another codec, and this stream carries Opus as it comes"
    assert (told.reason, told.text, told.sent) == ("codec", words, 10)
    await receiver.until(lambda: receiver.of("stop"))
    assert receiver.of("error")[0]["error"] == {"code": "other_codec", "text": words}
    # 2. It cannot begin again.
    with pytest.raises(MediaError) as refusal:
        await host.engine.feed(legs[0], opus_feed(receiver, track=FeedTrack.OUTBOUND))
    assert refusal.value.code == "other_codec"
    assert refusal.value.text == "the leg speaks PCMU, and a feed of Opus carries packets as they come"
    # 3. A peer that goes over by itself, within what was agreed, ends a feed of what it says too.
    await host.engine.feed(legs[1], opus_feed(receiver, track=FeedTrack.INBOUND))
    await receiver.until(lambda: len(receiver.of("start")) == 2)
    peers[1].send(bytes(160), PCMU.payload_type)
    await host.until(lambda: len([one for one in host.of(m.FeedChanged) if one.state == "finished"]) == 2)
    told = host.of(m.FeedChanged)[-1]
    assert (told.reason, told.text) == ("codec", words.replace("another codec", "PCMU"))


async def test_a_slow_receiver_loses_the_oldest_packets_and_the_numbers_show_it(host, peers, receiver):  # noqa: F811
    legs = await bridged(host, peers)
    await host.engine.feed(legs[0], opus_feed(receiver, track=FeedTrack.INBOUND))
    await receiver.until(lambda: receiver.of("start"))
    receiver.listen(False)
    # Packets as large as they may be, so that little of them fits what the kernel keeps.
    said = [bytes((0x78, at)) + bytes(1_200) for at in range(250)]
    await peers[0].speak(said)
    await peers[1].until(lambda: len(peers[1].heard) == len(said))
    receiver.listen(True)
    told = await stopped(host, legs[0])
    await receiver.until(lambda: receiver.of("stop"))
    numbers = [number for number, _ in places(receiver, "inbound")]
    assert told.dropped > 0
    # What came is what was sent under that number, the newest is there, and what was dropped is missing.
    assert payloads(receiver, "inbound") == [said[number - 1] for number in numbers]
    assert numbers[-50:] == list(range(201, 251))
    assert len(numbers) + told.dropped == len(said)
