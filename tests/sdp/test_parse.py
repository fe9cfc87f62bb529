"""The reader of descriptions: what a line means, bad lines named, limits, and nothing but SdpError."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sdp.description import SDP_LIMITS, SdpError
from offhook.sdp.parse import parse
from tests.sdp.samples import HEAD, NAMES, offer_of

AUDIO = b"m=audio 4000 RTP/AVP 0\r\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "v=0"),
        (b"\xff\xfe", "UTF-8"),
        (b"s=-\r\nv=0\r\n", "line 1: v=0"),
        (b"v=0\r\ns=-\r\n", "o= line with six parts"),
        (HEAD.replace(b" IN IP4 192.0.2.9\r\ns", b"\r\ns"), "o= line with six parts"),
        (HEAD + b"nonsense\r\n", "line 6: 'nonsense' is not type=value"),
        (HEAD + b"m=audio 4000 RTP/AVP\r\n", "m=audio 4000 RTP/AVP: kind, port"),
        (HEAD + b"m=audio x RTP/AVP 0\r\n", "m=audio x RTP/AVP 0: bad port"),
        (HEAD + b"m=audio 65536 RTP/AVP 0\r\n", "bad port"),
        (HEAD + b"m=audio -1 RTP/AVP 0\r\n", "bad port"),
        (HEAD + b"m=audio " + b"1" * 5000 + b" RTP/AVP 0\r\n", "bad port"),
        (HEAD + "m=audio ² RTP/AVP 0\r\n".encode(), "bad port"),
        (HEAD + AUDIO + b"a=rtpmap:96\r\n", "a=rtpmap:96 : name/clock"),
        (HEAD + AUDIO + b"a=rtpmap:128 X/8000\r\n", "a=rtpmap:128 X/8000"),
        (HEAD + AUDIO + b"a=rtpmap:96 X/fast\r\n", "a=rtpmap:96 X/fast"),
        (HEAD + AUDIO + b"a=rtpmap:96 X/0\r\n", "a=rtpmap:96 X/0"),
        (HEAD + AUDIO + b"a=rtpmap:96 X/" + b"8" * 5000 + b"\r\n", "a=rtpmap:96 X/888"),
        (HEAD + AUDIO + "a=rtpmap:² X/8000\r\n".encode(), "a=rtpmap:² X/8000"),
        (HEAD + AUDIO + "a=rtpmap:96 X/8000/²\r\n".encode(), "a=rtpmap:96"),
        (HEAD + b"c=IN IP4\r\n" + AUDIO, "c=IN IP4: IN, IP4 or IP6"),
        (HEAD + AUDIO + b"c=IN IP4 phone.example.com\r\n", "names are not resolved"),
        (HEAD.replace(b"c=IN IP4 192.0.2.9\r\n", b"") + AUDIO, "no c= line"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_line_is_named(body: bytes, words: str) -> None:
    with pytest.raises(SdpError) as caught:
        parse(body)
    assert words in str(caught.value)
    # Nothing of unbounded length is quoted into an answer.
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("line", "most", "name"),
    [
        (b"a=x\r\n", SDP_LIMITS.max_sdp_lines - HEAD.count(b"\n") - 1, "max_sdp_lines"),
        (AUDIO, SDP_LIMITS.max_media - 1, "max_media"),
        (b"a=candidate:1 1 udp 1 192.0.2.9 4000 typ host\r\n", SDP_LIMITS.max_candidates, "max_candidates"),
    ],
)
def test_limits(line: bytes, most: int, name: str) -> None:
    assert parse(HEAD + AUDIO + line * most).audio is not None
    with pytest.raises(SdpError, match=f"limits.{name} "):
        parse(HEAD + AUDIO + line * (most + 1))


def test_the_media_level_wins_over_the_session_level() -> None:
    shared = b"a=sendonly\r\na=fingerprint:SHA-256 aa:bb\r\na=setup:active\r\n"
    own = AUDIO + b"c=IN IP6 2001:db8::1\r\na=recvonly\r\na=fingerprint:sha-256 cc:dd\r\n"
    first, second = parse(HEAD + shared + AUDIO + own).media
    assert (first.address, first.direction, first.setup) == ("192.0.2.9", "sendonly", "active")
    assert first.fingerprints == (("sha-256", "AA:BB"),)
    assert (second.address, second.direction, second.setup) == ("2001:db8::1", "recvonly", "active")
    assert second.fingerprints == (("sha-256", "CC:DD"),)


def test_static_payload_types_need_no_rtpmap_and_unknown_ones_are_passed_over() -> None:
    audio = parse(HEAD + b"m=audio 4000 RTP/AVP 9 96 0\r\n").audio
    assert audio is not None
    assert [(one.name, one.clock) for one in audio.formats] == [("G722", 8000), ("PCMU", 8000)]
    assert audio.raw_formats == ("9", "96", "0")


def test_line_ends_and_unknown_lines() -> None:
    text = HEAD + b"b=AS:99\r\nk=clear:x\r\nz=0 0\r\n" + AUDIO + b"i=me\r\na=nobody-knows:this\r\n"
    whole = parse(text)
    assert parse(text.replace(b"\r\n", b"\n")) == whole
    assert parse(text.replace(b"\r\n", b"\r")) == whole
    assert parse(text + b"\r\n\r\n") == whole


def test_an_attribute_out_of_range_is_as_if_absent() -> None:
    odd = b"a=ptime:0\na=ptime:500\na=rtcp:70000\na=ssrc:99999999999 cname:x\na=extmap:15 urn:x\na=extmap:0 urn:y\n"
    audio = parse(HEAD + AUDIO + odd).audio
    assert audio is not None
    assert (audio.ptime, audio.rtcp_port, audio.ssrc, audio.extensions) == (20, 4001, 0, {})


def test_the_last_port_has_no_next_one_for_rtcp() -> None:
    audio = parse(HEAD + b"m=audio 65535 RTP/AVP 0\r\n").audio
    assert audio is not None
    assert audio.rtcp_port == 65_535


def test_a_rejected_line_needs_no_address_and_is_not_the_audio() -> None:
    offer = parse(HEAD + b"m=audio 0 RTP/AVP 0\r\nm=audio 4002 RTP/AVP 8\r\n")
    assert offer.audio is offer.media[1]
    assert parse(HEAD + b"m=audio 0 RTP/AVP 0\r\n").audio is None


@pytest.mark.parametrize("name", NAMES)
def test_single_octet_mutations_raise_nothing_else(name: str) -> None:
    data = offer_of(name)
    # Every fifth octet, another fifth in each text.
    for at in range(len(name) % 5, len(data), 5):
        for new in (b"", data[at : at + 1] * 2, b"\x00", b"\xff", b"\r", b"\n", "²".encode()):
            with suppress(SdpError):
                parse(data[:at] + new + data[at + 1 :])


@given(st.lists(st.text(max_size=20) | st.sampled_from(["m=audio 1 RTP/AVP 0", "a=rtpmap:0 ", "c=IN IP4 ", "a=ssrc:"])))
def test_any_text_is_a_session_or_an_sdp_error(lines: list[str]) -> None:
    with suppress(SdpError):
        parse(HEAD + "\r\n".join(lines).encode("utf-8", "replace"))
