"""Rooms of the real engine, heard by WebRTC peers and phones."""

import asyncio
import contextlib

import numpy as np
import pytest
from aiortc import RTCPeerConnection

from offhook.media import messages as m
from offhook.media.client import MediaError
from tests.media.test_webrtc_aiortc import CODECS, RATE, Tone, described, hear, purity
from tests.support.rtp_peer import PACKET, RtpPeer, linear, offer, tone

HIGH = 12_000
"""Hz: above what a room of 16 kHz carries."""


@pytest.fixture
async def browsers():
    async with contextlib.AsyncExitStack() as stack:
        pair = [RTCPeerConnection() for _ in range(2)]
        for one in pair:
            stack.push_async_callback(one.close)
        yield pair


@pytest.mark.real_time
async def test_twelve_kilohertz_cross_a_room_of_full_band(hosts, browsers):
    host = await hosts(offer_loopback=True)
    opus = CODECS["opus"]
    legs = [await described(host, one, opus, Tone(hertz)) for one, hertz in zip(browsers, (HIGH, 1_000), strict=True)]
    for leg in legs:
        await host.engine.join(leg.leg, legs[0].leg, full_band=True)
    heard = await hear(browsers[1], 2.0)
    # Of many halves of a second the purest: where the machine is late, somebody bridges a gap.
    pieces = [heard[at : at + RATE // 2] for at in range(RATE // 4, RATE * 3 // 2, RATE // 8)]
    sound = max(pieces, key=lambda piece: purity(piece, HIGH))
    assert purity(sound, HIGH) > 0.9, "no more than the tone"
    assert 0.35 < np.abs(sound).max() < 0.65, "the level of half full scale"


@pytest.fixture
async def phones():
    pair = RtpPeer(1), RtpPeer(2)
    yield pair
    for one in pair:
        one.close()


@contextlib.asynccontextmanager
async def speaking(peer: RtpPeer):
    """It says a tone all the time."""

    async def speak() -> None:
        while True:
            await peer.speak(tone(500, 0.2))

    task = asyncio.create_task(speak())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def in_room(host, phones: tuple[RtpPeer, ...]) -> list[int]:
    """A leg of each, all in one room."""
    legs = []
    for one in phones:
        leg = (await host.engine.open_call((offer(),))).legs[0]
        one.meets(leg)
        await host.engine.complete(leg.leg, one.remote)
        legs.append(leg.leg)
        await host.engine.join(leg.leg, legs[0])
    return legs


def loudest(peer: RtpPeer) -> int:
    """The peak of the last 100 ms that it heard."""
    last = linear(b"".join(peer.heard[-5:])).astype(int)
    return int(np.abs(last).max()) if last.size == 5 * PACKET else -1


async def test_a_member_is_muted_and_made_louder(host, phones):
    speaker, listener = phones
    leg, _ = await in_room(host, phones)
    async with speaking(speaker):
        await listener.until(lambda: 7_000 < loudest(listener) < 9_000)
        # 1. softer by 12 dB is a quarter, 2. and muted is nothing at all
        await host.engine.gain(leg, -12)
        await listener.until(lambda: 1_700 < loudest(listener) < 2_300)
        await host.engine.mute(leg, True)
        await listener.until(lambda: 0 <= loudest(listener) < 50)
        # 3. unmuted he is as loud as he was; louder by 6 dB is twice
        await host.engine.mute(leg, False)
        await listener.until(lambda: 1_700 < loudest(listener) < 2_300)
        await host.engine.gain(leg, 6)
        await listener.until(lambda: 14_000 < loudest(listener) < 18_000)
    with pytest.raises(MediaError, match="-40 to 12 dB"):
        await host.engine.gain(leg, 13)
    await host.engine.stop(leg)
    with pytest.raises(MediaError, match="in no room"):
        await host.engine.mute(leg, True)


async def test_who_speaks_is_told(host, phones):
    speaker, _ = phones
    leg, other = await in_room(host, phones)
    await host.engine.watch_voice(leg)
    # 1. the room's loudest, and that the watched peer speaks
    async with speaking(speaker):
        await host.until(lambda: host.of(m.RoomSpeaker) and host.of(m.VoiceActivity))
    # 2. and that nobody does any more
    await host.until(lambda: host.of(m.RoomSpeaker)[-1].leg == 0 and not host.of(m.VoiceActivity)[-1].active)
    assert host.of(m.RoomSpeaker)[0] == m.RoomSpeaker(leg, leg)
    assert host.of(m.VoiceActivity)[0] == m.VoiceActivity(leg, True)
    assert {one.leg for one in host.of(m.RoomSpeaker)} == {leg, 0}
    assert other not in {one.leg for one in host.of(m.VoiceActivity)}
