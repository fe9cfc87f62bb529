"""aiortc, a WebRTC peer with full ICE, against the engine: its own sound comes back through a leg bridged with itself."""

import asyncio
import contextlib
import fractions
import re
from collections.abc import AsyncIterator

import numpy as np
import pytest
from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from offhook.calls.ports import Codec, KeyKind, LegLocal, LegOffer, LegRemote, PathKind
from offhook.media import messages as m
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.real_time
RATE = 48_000
FRAME = 960
"""Samples of 20 ms."""
TONE = 1_000
"""Hz."""
CODECS = {
    "opus": Codec("OPUS", 96, 48_000, 2),
    "PCMU": Codec("PCMU", 0, 8_000),
}


class Tone(AudioStreamTrack):
    """A sine at half of full scale, in real time."""

    def __init__(self, hertz: int = TONE) -> None:
        super().__init__()
        self._hertz, self._sent = hertz, 0
        self._began = asyncio.get_running_loop().time()

    async def recv(self) -> AudioFrame:
        due = self._began + self._sent / RATE
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        times = np.arange(self._sent, self._sent + FRAME) / RATE
        samples = (16_384 * np.sin(2 * np.pi * self._hertz * times)).astype(np.int16)
        # In stereo as its Opus encoder wants it: from mono it would make that itself, 3 dB softer.
        frame = AudioFrame.from_ndarray(np.repeat(samples, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.pts, frame.sample_rate, frame.time_base = self._sent, RATE, fractions.Fraction(1, RATE)
        self._sent += FRAME
        return frame


def field(sdp: str, pattern: str) -> str:
    found = re.search(pattern, sdp, re.MULTILINE)
    assert found, f"{pattern} in\n{sdp}"
    return found[1].strip()


def remote(sdp: str, codec: Codec) -> LegRemote:
    fingerprint = field(sdp, r"^a=fingerprint:sha-256 (.*)$")
    return LegRemote(
        (codec,),
        ufrag=field(sdp, "^a=ice-ufrag:(.*)$"),
        password=field(sdp, "^a=ice-pwd:(.*)$"),
        fingerprints=(("sha-256", fingerprint.upper()),),
    )


def answer(leg: LegLocal, codec: Codec, name: str, setup: str) -> str:
    """What call control would say for the engine (RFC 8829)."""
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    candidates = [
        f"a=candidate:{index} 1 udp {2130706431 - index} {address} {port} typ host"
        for index, (address, port) in enumerate(leg.candidates, 1)
    ]
    lines = [
        "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite", "a=group:BUNDLE 0",
        f"m=audio {leg.candidates[0][1]} UDP/TLS/RTP/SAVPF {codec.payload_type}", "c=IN IP4 0.0.0.0", "a=sendrecv",
        "a=mid:0", "a=rtcp-mux", f"a=rtpmap:{codec.payload_type} {name}/{codec.clock}{channels}",
        f"a=ice-ufrag:{leg.ufrag}", f"a=ice-pwd:{leg.password}", f"a=fingerprint:sha-256 {leg.fingerprint}",
        f"a=setup:{setup}", f"a=ssrc:{leg.ssrc} cname:{leg.cname}", *candidates, "a=end-of-candidates",
    ]  # fmt: skip
    return "\r\n".join([*lines, ""])


@pytest.fixture
async def browser() -> AsyncIterator[RTCPeerConnection]:
    peer = RTCPeerConnection()
    yield peer
    await peer.close()


async def connect(host, browser: RTCPeerConnection, name: str, active: bool) -> LegLocal:
    """A leg of the engine joined with aiortc that hears itself; the engine is DTLS client when `active`."""
    leg = await described(host, browser, CODECS[name], Tone(), active)
    await host.engine.bridge(leg.leg, leg.leg)
    return leg


async def described(host, browser: RTCPeerConnection, codec: Codec, tone: Tone, active: bool = False) -> LegLocal:
    """A leg of the engine and an aiortc that says a tone, each with the other's description."""
    name = next(name for name, one in CODECS.items() if one.name == codec.name)
    browser.addTrack(tone)
    await browser.setLocalDescription(await browser.createOffer())
    offer = LegOffer(PathKind.WEBRTC, KeyKind.DTLS, (codec,), dtls_active=active, mid="0")
    opened = await host.engine.open_call((offer,))
    leg = opened.legs[0]
    await host.engine.complete(leg.leg, remote(browser.localDescription.sdp, codec))
    sdp = answer(leg, codec, name, "active" if active else "passive")
    await browser.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
    return leg


async def hear(browser: RTCPeerConnection, seconds: float) -> np.ndarray:
    """The first seconds of sound, from the first frame that is not silence."""
    track, heard = browser.getReceivers()[0].track, np.zeros(0)
    async with asyncio.timeout(PATIENCE):
        while heard.size < seconds * RATE:
            frame = await track.recv()
            samples = frame.to_ndarray().reshape(-1)[:: len(frame.layout.channels)].astype(float) / 32_768
            step = RATE // frame.sample_rate
            if heard.size or np.abs(samples).max() > 0.1:
                heard = np.append(heard, np.repeat(samples, step))
    return heard


def purity(sound: np.ndarray, hertz: int = TONE) -> float:
    """Share of the tone in all that is heard."""
    power = np.abs(np.fft.rfft(sound * np.hanning(sound.size))) ** 2
    near = slice(int((hertz - 100) * sound.size / RATE), int((hertz + 100) * sound.size / RATE))
    return float(power[near].sum() / max(power.sum(), 1e-9))


@pytest.mark.parametrize("active", [False, True], ids=["engine is DTLS server", "engine is DTLS client"])
@pytest.mark.parametrize("name", list(CODECS))
async def test_a_tone_comes_back(hosts, browser, name, active):
    host = await hosts(offer_loopback=True)
    leg = await connect(host, browser, name, active)
    heard = await hear(browser, 2.0)
    # Of many halves of a second the purest: where the machine is late, one of the two ends bridges a gap.
    sound = max((heard[at : at + RATE // 2] for at in range(RATE // 4, RATE * 3 // 2, RATE // 8)), key=purity)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    peak = np.argmax(spectrum) * RATE / sound.size
    assert abs(peak - TONE) < 5
    assert 0.4 < np.abs(sound).max() < 0.6, "the level of half full scale"
    assert purity(sound) > 0.9, "no more than the tone"
    facts = await host.engine.facts(leg.leg)
    assert (facts.path_state, facts.keys_state, facts.verdict_in, facts.verdict_out) == ("connected", "ready", "", "")
    assert not facts.transcoded
    assert [event.suite for event in host.of(m.KeysReady)] == [facts.suite]
    assert {event.leg for event in host.of(m.FirstMedia)} == {leg.leg}
    assert any(event.reason == "ice" for event in host.of(m.PathChanged))


async def test_a_wrong_fingerprint_gets_no_sound(hosts, browser):
    host = await hosts(offer_loopback=True)
    codec = CODECS["opus"]
    browser.addTrack(Tone())
    await browser.setLocalDescription(await browser.createOffer())
    opened = await host.engine.open_call((LegOffer(PathKind.WEBRTC, KeyKind.DTLS, (codec,), mid="0"),))
    leg = opened.legs[0]
    await host.engine.bridge(leg.leg, leg.leg)
    peer = remote(browser.localDescription.sdp, codec)
    stranger = LegRemote(
        peer.audio, ufrag=peer.ufrag, password=peer.password, fingerprints=(("sha-256", ":".join(["AA"] * 32)),)
    )
    await host.engine.complete(leg.leg, stranger)
    await browser.setRemoteDescription(RTCSessionDescription(answer(leg, codec, "opus", "passive"), "answer"))
    await host.until(lambda: host.of(m.SilenceFound))
    facts = await host.engine.facts(leg.leg)
    assert facts.path_state == "connected"
    assert facts.keys_state != "ready"
    assert "fingerprint" in f"{facts.verdict_in} {facts.evidence}"
    assert not host.of(m.FirstMedia)
    with contextlib.suppress(MediaStreamError):
        browser.getReceivers()[0].track.stop()
