"""Offers of real clients, the table of directions, and the lines we write."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sdp.description import DIRECTIONS, SdpError
from offhook.sdp.offer_answer import (
    WISHES,
    LocalAudio,
    Origin,
    answer_direction,
    select,
    write_answer,
    write_offer,
)
from offhook.sdp.parse import parse

FINGERPRINT = ":".join(["AB"] * 32)

CHROMIUM = f"""v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS stream
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1 1 udp 2122260223 192.0.2.7 51312 typ host generation 0
a=ice-ufrag:Wk1e
a=ice-pwd:an-ice-password-of-a-browser
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:1234567 cname:abc
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:1
a=rtpmap:96 VP8/90000
"""

BARESIP = """v=0
o=- 123 456 IN IP4 192.0.2.2
s=-
c=IN IP4 192.0.2.2
t=0 0
a=tool:baresip 1.0.0
m=audio 10000 RTP/AVP 96 0 101
a=rtpmap:96 opus/48000/2
a=fmtp:96 stereo=1;sprop-stereo=1
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=rtcp:10001
a=sendrecv
a=ptime:20
"""

LOCAL = LocalAudio(
    formats=(),
    candidates=(("192.0.2.1", 40_000), ("127.0.0.1", 40_000)),
    ufrag="ufrag",
    password="password",
    fingerprint=FINGERPRINT,
    setup="passive",
    ssrc=7,
    cname="cname",
)
ORIGIN = Origin(1, 2, "192.0.2.1")


def test_a_browsers_offer_is_understood() -> None:
    session = parse(CHROMIUM.encode())
    audio = session.audio
    assert audio is not None
    assert audio.webrtc
    assert (audio.direction, audio.setup, audio.ufrag, audio.mid) == ("sendrecv", "actpass", "Wk1e", "0")
    assert audio.fingerprints == (("sha-256", FINGERPRINT),)
    assert (audio.audio_level_id, audio.mid_id, audio.candidates, audio.rtcp_mux) == (1, 4, 1, True)
    chosen = select(audio.formats, ("OPUS", "PCMU"))
    assert [(one.name, one.payload_type, one.clock) for one in chosen] == [
        ("OPUS", 111, 48_000), ("PCMU", 0, 8_000), ("TELEPHONE-EVENT", 110, 48_000), ("TELEPHONE-EVENT", 126, 8_000),
    ]  # fmt: skip


def test_a_phones_offer_is_understood() -> None:
    audio = parse(BARESIP.encode()).audio
    assert audio is not None
    assert not audio.webrtc
    assert (audio.address, audio.port, audio.rtcp_port, audio.ptime) == ("192.0.2.2", 10_000, 10_001, 20)
    # Its only digits are at another clock than Opus, and are taken all the same.
    assert [one.payload_type for one in select(audio.formats, ("OPUS",))] == [96, 101]


def test_an_answer_keeps_the_lines_and_rejects_what_is_not_taken() -> None:
    session = parse(CHROMIUM.encode())
    assert session.audio is not None
    local = LocalAudio(**{**_fields(LOCAL), "formats": select(session.audio.formats, ("OPUS",))})
    answer = parse(write_answer(session, local, ORIGIN))
    assert [(one.kind, one.port, one.mid) for one in answer.media] == [("audio", 40_000, "0"), ("video", 0, "1")]
    assert answer.bundle == ("0",)
    audio = answer.audio
    assert audio is not None
    assert (audio.setup, audio.ufrag, audio.rtcp_mux, audio.candidates) == ("passive", "ufrag", True, 2)
    assert [one.payload_type for one in audio.formats] == [111, 110]
    text = write_answer(session, local, ORIGIN).decode()
    assert "a=ice-lite" in text
    assert "a=end-of-candidates" in text


def test_a_phones_description_is_short() -> None:
    formats = select(parse(CHROMIUM.encode()).audio.formats, ("OPUS", "G722", "PCMU", "PCMA"))  # type: ignore[union-attr]
    local = LocalAudio(formats, (("192.0.2.100", 41_000),), rtcp_port=41_001)
    body = write_offer(False, local, ORIGIN)
    assert len(body) <= 500
    assert b"ice" not in body
    parsed = parse(body).audio
    assert parsed is not None
    assert len(parsed.raw_formats) <= 6


@given(st.sampled_from(DIRECTIONS), st.sampled_from(WISHES))
def test_directions_never_contradict_the_offer(offered: str, wish: str) -> None:
    ours = answer_direction(offered, wish)
    sends, receives = ours in ("sendrecv", "sendonly"), ours in ("sendrecv", "recvonly")
    # RFC 3264 section 6.1: we send only to who receives, and listen only to who sends.
    assert not sends or offered in ("sendrecv", "recvonly")
    assert not receives or offered in ("sendrecv", "sendonly")
    assert not (wish in ("hold", "nothing") and receives)
    assert not (wish in ("listen", "nothing") and sends)


@given(st.sampled_from(DIRECTIONS))
def test_whoever_wants_both_gets_all_the_offer_allows(offered: str) -> None:
    mirror = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
    assert answer_direction(offered, "both") == mirror[offered]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("v=0", "v=1", "v=0 is needed"),
        ("o=- 123 456 IN IP4 192.0.2.2", "o=- 123", "o= line"),
        ("c=IN IP4 192.0.2.2", "c=IN IP4 phone.example", "an IP address is needed"),
        ("c=IN IP4 192.0.2.2\n", "", "no c= line"),
        ("m=audio 10000", "m=audio 70000", "bad port"),
        ("a=rtpmap:0 PCMU/8000", "a=rtpmap:0 PCMU", "name/clock is needed"),
        ("s=-", "what is this", "not type=value"),
        ("a=sendrecv", "a=x\n" * 1001, "limits.max_sdp_lines"),
        ("a=sendrecv", "m=audio 1 RTP/AVP 0\n" * 17, "limits.max_media"),
    ],
)
def test_a_broken_line_is_named(old: str, new: str, words: str) -> None:
    with pytest.raises(SdpError, match=words):
        parse(BARESIP.replace(old, new, 1).encode())


def test_the_old_way_of_hold() -> None:
    audio = parse(BARESIP.replace("c=IN IP4 192.0.2.2", "c=IN IP4 0.0.0.0").encode()).audio
    assert audio is not None
    assert audio.direction == "sendonly"


@given(st.binary(max_size=400))
def test_nothing_but_its_own_error_comes_out_of_the_parser(data: bytes) -> None:
    lines = data.replace(b"\x00", b"\n")
    for body in (data, b"v=0\no=- 1 1 IN IP4 127.0.0.1\n" + lines, BARESIP.encode() + lines):
        with contextlib.suppress(SdpError):
            parse(body)


def _fields(local: LocalAudio) -> dict[str, object]:
    return {name: getattr(local, name) for name in local.__slots__}
