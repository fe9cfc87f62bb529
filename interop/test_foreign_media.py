"""Foreign programs at the media engine: H264 by libavcodec, rtpengine's DTLS-SRTP and SDES without ICE, rtpengine as a relay
in the middle, aiortc with full ICE through a call."""

import asyncio
import itertools
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from bench.ng import Value
from interop.support.audio import Tone as Sound
from interop.support.audio import tone_in, until_tone
from interop.support.baresip import Baresip
from interop.support.browser import Browser
from interop.support.parties import signed_in, talk
from interop.support.plain_phone import PlainPhone
from interop.support.rtpengine import RelayedPhone, Rtpengine
from interop.support.server import Offhook
from interop.test_phone_calls import PHONE_TONE
from interop.test_video import moves
from tests.media.test_webrtc_aiortc import RATE, TONE, Tone, hear
from tests.support.patience import PATIENCE


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Rtpengine]:
    async with Rtpengine(tmp_path) as one:
        yield one


HANDSHAKE: dict[str, Value] = {"transport_protocol": "UDP/TLS/RTP/SAVP", "SDES": "off"}
KINDS: dict[str, tuple[str, str, dict[str, Value]]] = {
    "plain": ("", "", {"transport_protocol": "RTP/AVP"}),
    "SDES": ("", "", {"transport_protocol": "RTP/SAVP", "DTLS": "off"}),
    "DTLS, the choice is ours": ("actpass", "passive", HANDSHAKE),
    "DTLS, it begins": ("active", "passive", HANDSHAKE),
    "DTLS, on one port": ("active", "passive", HANDSHAKE | {"rtcp_mux": ["offer"]}),
}
"""What is offered as the role in the handshake, and answered; how the relay is told to describe itself."""


@pytest.mark.parametrize("kind", list(KINDS))
async def test_a_relay_in_the_middle(server: Offhook, relay: Rtpengine, kind: str) -> None:
    """rtpengine between a plain phone and the echo: what is said comes back whole, encrypted on our side of it or not."""
    setup, role, words = KINDS[kind]
    phone = RelayedPhone(relay, "alice", server.passwords["alice"], server.domain, server.sip, setup, **words)
    listening = asyncio.create_task(phone.listen())
    try:
        await phone.call("echo")
        speaking = asyncio.create_task(phone.rtp(0, 10_000))
        async with asyncio.timeout(PATIENCE):
            while len(phone.heard_back) < 130:
                await asyncio.sleep(0.1)  # nothing comes back while the handshake goes on
        speaking.cancel()
        call = await server.call((await server.calls())[0]["call_ref"])
        leg = call["legs"][0]
        secured = bool(leg["media"]["encryption"])
        # 1: encrypted as it was offered
        assert secured == (kind != "plain"), (leg, phone.described)
        if role:
            assert f"a=setup:{role}" in phone.answered
            assert ("a=rtcp-mux" in phone.answered) == ("one port" in kind)
        # 2: the sound comes back as it was sent
        assert {packet[12:] for packet in phone.heard_back} == {bytes(range(160))}
        # 3: one stream, in order
        numbers = [struct.unpack(">H", packet[2:4])[0] for packet in phone.heard_back]
        assert [(b - a) % 65_536 for a, b in itertools.pairwise(numbers)] == [1] * (len(numbers) - 1)
        await phone.hang_up()
    finally:
        listening.cancel()
        phone.close()
    await server.until_idle()


class AiortcPhone(PlainPhone):
    """SIP over UDP, and the media of a WebRTC peer that checks every pair (full ICE)."""

    def __init__(self, peer: RTCPeerConnection, username: str, password: str, domain: str, server: str) -> None:
        super().__init__(username, password, domain, server)
        self._peer = peer
        self.answer = ""

    def _offer(self) -> str:
        return str(self._peer.localDescription.sdp)

    def _answered(self, description: str) -> None:
        self.answer = description


async def test_aiortc_and_a_phone_hear_each_other(server: Offhook, tmp_path: Path) -> None:
    peer = RTCPeerConnection()
    caller = AiortcPhone(peer, "alice", server.passwords["alice"], server.domain, server.sip)
    async with Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone:
        await phone.registered()
        try:
            peer.addTrack(Tone())
            await peer.setLocalDescription(await peer.createOffer())
            calling = asyncio.create_task(caller.call("bob"))
            await phone.expect("CALL_INCOMING")
            await phone.answer()
            await calling
            await peer.setRemoteDescription(RTCSessionDescription(caller.answer, "answer"))

            # 1: aiortc hears the phone
            async def listen(seconds: float) -> Sound:
                return tone_in(await hear(peer, seconds), RATE)

            await until_tone(listen, PHONE_TONE, 2.0)
            # 2: by ICE and DTLS-SRTP, and nothing is silent
            ref = (await server.calls())[0]["call_ref"]
            well = ("connected", "", "")
            call = await server.until(ref, lambda one: path_and_verdicts(one["legs"][0]["facts"]) == well)
            assert call["legs"][0]["media"]["encryption"].startswith("dtls-srtp AEAD_AES")
            # 3: the phone hears aiortc, whose sound has gaps on a busy machine
            async with asyncio.timeout(PATIENCE):
                while (await phone.heard_now()).frequency != pytest.approx(TONE, rel=0.01):
                    pass
            await caller.hang_up()
            await phone.expect("CALL_CLOSED")
        finally:
            await peer.close()
            caller.close()


def path_and_verdicts(facts: dict[str, Any]) -> tuple[str, str, str]:
    """Of one leg: how its path is, and what is wrong with the sound from it and to it."""
    return facts["path_state"], facts["verdict_in"], facts["verdict_out"]


async def test_h264_of_a_phone_and_a_page(server: Offhook, tmp_path: Path) -> None:
    """libavcodec at the one end, Chromium's codec at the other: each decodes the other's picture."""
    phone = Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, video="H264")
    async with Browser("chromium", tmp_path) as browser, phone:
        await phone.registered()
        alice = await signed_in(browser, server, "alice")
        await alice.run("agent.camera(true)")
        await talk(alice, server, phone)
        # 1: the page sees the phone's picture move
        seen = await moves(alice)
        assert (seen["codec"], seen["frameWidth"]) == ("video/H264", 352)
        # 2: the phone has decoded the page's: its snapshot is a picture of many colours
        assert differences(await phone.snapshot()) > 50
        await alice.hang_up()


@pytest.mark.long
async def test_h264_between_phones(server: Offhook, tmp_path: Path) -> None:
    one, other = (
        Baresip(tmp_path, name, server.passwords[name], server.domain, server.sip, video="H264")
        for name in ("alice", "bob")
    )
    async with one as alice, other as bob:
        await alice.registered()
        await bob.registered()
        await alice.dial("bob")
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await alice.expect("CALL_ESTABLISHED")
        for phone in (alice, bob):
            assert differences(await phone.snapshot()) > 6, "the stripes of its camera"
        await alice.hang_up()


def differences(png: bytes) -> int:
    """How many values the differences between neighbours of a PNG file's pixels take: one colour has a handful."""
    data, at = b"", 8
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == b"IDAT":
            data += png[at + 8 : at + 8 + size]
        at += size + 12
    return len(set(zlib.decompress(data)))
