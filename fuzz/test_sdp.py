"""Invariant: any octets give a description or the room's own error; what we would answer to it can be written."""

from hypothesis import given

from fuzz.support import fuzzed, mutated
from offhook.sdp.parse import SdpError, parse
from tests.support.messages import SDP

BROWSER = (
    b"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=ice-ufrag:abcd\r\n"
    b"a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 "
    + b":".join([b"AB"] * 32)
    + b"\r\na=setup:actpass\r\n"
    b"m=audio 9 UDP/TLS/RTP/SAVPF 111 0 126\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n"
    b"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=rtpmap:126 telephone-event/8000\r\n"
    b"a=candidate:1 1 udp 2122260223 192.0.2.1 54321 typ host generation 0\r\na=ssrc:1 cname:x\r\n"
    b"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\n"
)
CRYPTO = SDP + b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"A" * 40 + b"|2^31|1:1\r\na=ptime:20\r\n"


@fuzzed
@given(mutated([SDP, BROWSER, CRYPTO]))
def test_description(data: bytes) -> None:
    try:
        session = parse(data)
    except SdpError:
        return
    repr(session)
