"""a=crypto (RFC 4568 section 9): what is read, what is refused, what is written."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sdp.crypto import SUITES, CryptoLine, read
from offhook.sdp.parse import parse

KEY30 = base64.b64encode(bytes(range(30))).decode()
EVERYBODYS = "AES_CM_128_HMAC_SHA1_80"


@pytest.mark.parametrize(
    "value",
    [
        f"1 {EVERYBODYS} inline:{KEY30}",
        f"1 {EVERYBODYS} inline:{KEY30}|2^20",
        f"1 {EVERYBODYS} inline:{KEY30}|1048576 WSH=128",
        f"1  {EVERYBODYS}  INLINE:{KEY30}",
    ],
)
def test_lines_that_are_taken(value: str) -> None:
    assert read(value) == CryptoLine(1, EVERYBODYS, bytes(range(30)).hex())


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"1 {EVERYBODYS}",
        f"x {EVERYBODYS} inline:{KEY30}",
        f"1234567890 {EVERYBODYS} inline:{KEY30}",
        f"1 F8_128_HMAC_SHA1_80 inline:{KEY30}",
        f"1 {EVERYBODYS} inline:{KEY30}|2^20|1:4",
        f"1 {EVERYBODYS} inline:{KEY30}|1:4",
        f"1 {EVERYBODYS} inline:{KEY30};inline:{KEY30}",
        f"1 {EVERYBODYS} inline:{KEY30} UNENCRYPTED_SRTCP",
        f"1 {EVERYBODYS} inline:{KEY30} KDR=1",
        f"1 {EVERYBODYS} inline:{KEY30} FEC_ORDER=FEC_SRTP",
        f"1 {EVERYBODYS} uri:{KEY30}",
        f"1 {EVERYBODYS} inline:{KEY30[:-4]}",
        f"1 {EVERYBODYS} inline:ärger",
    ],
)
def test_lines_that_must_not_be_taken(value: str) -> None:
    assert read(value) is None


def test_a_line_never_shows_its_key() -> None:
    line = read(f"1 {EVERYBODYS} inline:{KEY30}")
    assert line is not None
    assert line.key not in repr(line)


@given(st.sampled_from(sorted(SUITES)), st.integers(1, 999_999_999), st.data())
def test_written_and_read_again(suite: str, tag: int, data: st.DataObject) -> None:
    line = CryptoLine(tag, suite, data.draw(st.binary(min_size=SUITES[suite], max_size=SUITES[suite])).hex())
    assert read(line.write().removeprefix("crypto:")) == line


def test_a_description_keeps_the_usable_lines_in_order() -> None:
    body = (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n"
        f"a=crypto:1 {EVERYBODYS} inline:{KEY30}|1:4\r\na=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:{KEY30}\r\n"
        f"a=crypto:3 {EVERYBODYS} inline:{KEY30}\r\n"
    )
    audio = parse(body.encode()).audio
    assert audio is not None
    assert [(line.tag, line.suite) for line in audio.crypto] == [(2, "AES_CM_128_HMAC_SHA1_32"), (3, EVERYBODYS)]
    assert (audio.secure, audio.handshake, audio.webrtc) == (True, False, False)
