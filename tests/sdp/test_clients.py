"""What is read in the offers of real clients."""

import pytest

from offhook.sdp.description import Media
from offhook.sdp.offer_answer import select
from offhook.sdp.parse import parse
from tests.sdp.samples import NAMES, offer_of

SPEECH = ("OPUS", "G722", "PCMU", "PCMA")
WEBRTC = ("chromium", "firefox", "jssip", "sipjs_hold")


def audio_of(name: str) -> Media:
    audio = parse(offer_of(name)).audio
    assert audio is not None
    return audio


@pytest.mark.parametrize(
    ("name", "payload_types"),
    [
        ("chromium", {"OPUS": 111, "G722": 9, "PCMU": 0, "PCMA": 8}),
        ("firefox", {"OPUS": 109, "G722": 9, "PCMU": 0, "PCMA": 8}),
        ("jssip", {"OPUS": 111, "G722": 9, "PCMU": 0, "PCMA": 8}),
        ("sipjs_hold", {"OPUS": 111, "G722": 9, "PCMU": 0, "PCMA": 8}),
        ("baresip", {"OPUS": 96, "G722": 9, "PCMU": 0, "PCMA": 8}),
        ("desk_phone_hold_2543", {"PCMU": 0, "PCMA": 8}),
    ],
)
def test_speech_codecs_keep_the_offers_payload_types(name: str, payload_types: dict[str, int]) -> None:
    chosen = select(audio_of(name).formats, SPEECH)
    assert {one.name: one.payload_type for one in chosen if one.name in SPEECH} == payload_types
    assert [one.clock for one in chosen if one.name == "OPUS"] in ([], [48_000])


@pytest.mark.parametrize("name", NAMES)
def test_browsers_want_ice_and_dtls_and_phones_do_not(name: str) -> None:
    audio = audio_of(name)
    assert audio.webrtc is audio.secure is audio.rtcp_mux is (name in WEBRTC)
    if audio.webrtc:
        assert audio.setup == "actpass"
        assert audio.mid == "0"
        assert [algorithm for algorithm, _ in audio.fingerprints] == ["sha-256"]
        assert audio.audio_level_id == 1


def test_chromium() -> None:
    offer = parse(offer_of("chromium"))
    assert [(one.kind, one.port) for one in offer.media] == [("audio", 9), ("video", 9), ("application", 9)]
    assert offer.bundle == ("0", "1", "2")
    assert (offer.session_id, offer.version) == ("4611731400430051336", "2")
    audio = audio_of("chromium")
    assert (audio.ufrag, audio.password) == ("4ZcD", "2/1muCWoOi3uLifh0NuRHlJ6")
    assert (audio.candidates, audio.ssrc, audio.mid_id) == (2, 3735928559, 4)
    assert "2/1muCWoOi3uLifh0NuRHlJ6" not in repr(audio)
    # ICE decides: a placeholder address is no hold.
    assert (audio.address, audio.direction) == ("0.0.0.0", "sendrecv")


def test_firefox_says_its_fingerprint_once_for_all_lines() -> None:
    audio = audio_of("firefox")
    assert audio.fingerprints[0][1].startswith("7B:8B:F0")
    assert (audio.candidates, audio.mid_id, audio.port) == (3, 3, 51372)
    # a=extmap:2/recvonly has an id too
    assert audio.extensions["urn:ietf:params:rtp-hdrext:csrc-audio-level"] == 2


def test_a_hold_of_sipjs_over_ipv6() -> None:
    audio = audio_of("sipjs_hold")
    assert (audio.direction, audio.address) == ("sendonly", "2001:db8::80")


def test_baresip() -> None:
    audio = audio_of("baresip")
    assert (audio.address, audio.port, audio.rtcp_port) == ("192.0.2.55", 10024, 10025)
    assert audio.formats[0].fmtp == "stereo=1;sprop-stereo=1;useinbandfec=1"
    assert audio.formats[-1].fmtp == "0-15"


def test_a_phone_that_holds_with_an_address_of_zeros() -> None:
    audio = audio_of("desk_phone_hold_2543")
    assert audio.direction == "sendonly"
    assert (audio.ptime, audio.rtcp_port) == (30, 16385)
