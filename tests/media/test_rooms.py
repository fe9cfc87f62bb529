"""Rooms of the real engine, heard by WebRTC peers and phones."""

import contextlib

import numpy as np
import pytest
from aiortc import RTCPeerConnection

from tests.media.test_webrtc_aiortc import CODECS, RATE, Tone, described, hear, purity

pytestmark = pytest.mark.real_time
HIGH = 12_000
"""Hz: above what a room of 16 kHz carries."""


@pytest.fixture
async def browsers():
    async with contextlib.AsyncExitStack() as stack:
        pair = [RTCPeerConnection() for _ in range(2)]
        for one in pair:
            stack.push_async_callback(one.close)
        yield pair


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
