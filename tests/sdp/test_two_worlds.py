"""Browsers get one multiplexed, bundled path; phones the short description that every phone knows. Neither leaks."""

import re

import pytest

from offhook.calls.description import SPEECH, local_audio, our_formats
from offhook.calls.encryption import SHAKEN
from offhook.calls.ports import KeyKind, LegLocal, LegOffer, PathKind
from offhook.sdp.offer_answer import Origin, select, write_answer, write_offer
from offhook.sdp.parse import parse
from tests.sdp.samples import offer_of

BROWSERS = ("chromium", "firefox", "jssip", "sipjs_hold")
PHONES = ("baresip", "desk_phone_hold_2543")
LOCAL = LegLocal(1, (("192.0.2.1", 40_000),), 0, "abcd", "a" * 24, "AA:BB", 7, "cname", (), (("192.0.2.1", 443),))
PORT = LegLocal(1, (("192.0.2.1", 41_000),), 41_001, "", "", "", 7, "cname")
ORIGIN = Origin(1, 1, "192.0.2.1")


def answer_to(name: str, text: bytes | None = None) -> str:
    offer = parse(text or offer_of(name))
    audio = offer.audio
    assert audio is not None
    chosen = select(audio.formats, SPEECH)
    webrtc = audio.webrtc
    leg = LegOffer(
        PathKind.WEBRTC if webrtc else PathKind.PORT, SHAKEN.keys if webrtc else KeyKind.PLAIN, (), mid=audio.mid
    )
    local = local_audio(LOCAL if webrtc else PORT, leg, chosen, "sendrecv", "passive" if webrtc else "", "RTP/AVP")
    return write_answer(offer, local, ORIGIN).decode()


@pytest.mark.parametrize("name", BROWSERS)
def test_browsers_get_mux_bundle_and_ice_lite(name: str) -> None:
    answer = answer_to(name)
    mid = parse(offer_of(name)).audio.mid  # type: ignore[union-attr]
    assert "a=ice-lite\r\n" in answer
    assert f"a=group:BUNDLE {mid}\r\n" in answer
    # RFC 5761: one port for RTP and RTCP, and no other is named.
    assert answer.count("a=rtcp-mux\r\n") == 1
    assert "a=rtcp:" not in answer
    assert re.search(r"a=candidate:1 1 udp \d+ 192\.0\.2\.1 40000 typ host\r\n", answer)
    assert re.search(r"a=candidate:2 1 tcp \d+ 192\.0\.2\.1 443 typ host tcptype passive\r\n", answer)
    # Lines that we do not take keep their place with port 0.
    offered = [one.kind for one in parse(offer_of(name)).media]
    ports = [(one.kind, bool(one.port)) for one in parse(answer.encode()).media]
    assert [kind for kind, _ in ports] == offered
    assert sum(active for _, active in ports) == 1


@pytest.mark.parametrize("name", PHONES)
def test_phones_get_split_rtcp_and_nothing_of_webrtc(name: str) -> None:
    answer = answer_to(name)
    for word in ("ice", "candidate", "fingerprint", "setup", "BUNDLE", "rtcp-mux", "mid:", "msid", "ssrc", "extmap"):
        assert word not in answer, word
    assert "m=audio 41000 RTP/AVP" in answer


def test_our_offer_to_a_phone_is_short() -> None:
    leg = LegOffer(PathKind.PORT, KeyKind.PLAIN, ())
    offer = write_offer(False, local_audio(PORT, leg, our_formats(False, SPEECH), "sendrecv", "", "RTP/AVP"), ORIGIN)
    # CALL-21: at most 500 octets and six payload types.
    assert len(offer) <= 500
    line = next(one for one in offer.decode().split("\r\n") if one.startswith("m="))
    assert len(line.split()) - 3 <= 6
    assert "mux" not in offer.decode()


@pytest.mark.parametrize("name", BROWSERS)
def test_candidates_by_names_of_this_link_are_counted_and_never_resolved(name: str) -> None:
    text = re.sub(rb"a=candidate:[^\r\n]*\r\n", b"", offer_of(name))
    hidden = b"a=candidate:1 1 udp 2122260223 4ce87a9c-1b2c-4f3e-9a55-0d2b4c2f7c11.local 51234 typ host\r\n"
    audio = parse(text.replace(b"a=ice-ufrag", hidden + b"a=ice-ufrag", 1)).audio
    assert audio is not None
    assert audio.candidates == 1
    assert "51234" not in answer_to(name, text.replace(b"a=ice-ufrag", hidden + b"a=ice-ufrag", 1))
