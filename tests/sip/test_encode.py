"""Encoder, and the round trip with the parser."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sip.encode import encode
from offhook.sip.errors import Misuse, PeerError
from offhook.sip.message import Headers, Message, Request, Response
from offhook.sip.parse import parse_datagram, parse_stream_message, parse_websocket
from offhook.sip.uri import parse_uri
from tests.support.messages import SDP, make_request, make_response


def with_field(name: str, value: str) -> Request:
    request = make_request("OPTIONS")
    return replace(request, headers=request.headers.with_field(name, value))


def test_request() -> None:
    assert (
        encode(make_request("INVITE", body=SDP, cseq=7))
        == (
            b"INVITE sip:bob@example.com SIP/2.0\r\n"
            b"Via: SIP/2.0/UDP 127.0.0.2:5070;branch=z9hG4bKpeer1\r\n"
            b"Max-Forwards: 70\r\n"
            b"From: <sip:alice@example.com>;tag=peer\r\n"
            b"To: <sip:bob@example.com>\r\n"
            b"Call-ID: call-1\r\n"
            b"CSeq: 7 INVITE\r\n"
            b"Contact: <sip:alice@127.0.0.2:5070>\r\n"
            b"Content-Type: application/sdp\r\n"
            b"Content-Length: %d\r\n\r\n" % len(SDP)
        )
        + SDP
    )


def test_content_length_is_ours() -> None:
    lines = encode(with_field("Content-Length", "99")).split(b"\r\n")
    assert [line for line in lines if line.startswith(b"Content-Length")] == [b"Content-Length: 0"]


@pytest.mark.parametrize(
    "message",
    [
        with_field("Reason", "a\r\nX: y"),
        with_field("Reason", "a\nb"),
        with_field("Reason", "a\x00"),
        with_field("Reason", "a\x7f"),
        with_field("From", '"\\\r\nX: y" <sip:a@b>'),
        with_field("X: y\r\nReason", "a"),
        with_field("", "a"),
        replace(make_request("OPTIONS"), method="OPTIONS sip:a SIP/2.0\r\nX:"),
        replace(make_request("OPTIONS"), uri=replace(parse_uri("sip:a@b"), headers="x\r\nX: y")),
        replace(make_response(make_request("OPTIONS"), 200), reason="OK\r\nX: y"),
    ],
)
def test_nothing_of_ours_breaks_a_line(message: Message) -> None:
    with pytest.raises(Misuse):
        encode(message)


def test_tabs_and_escaped_controls_of_the_peer_pass() -> None:
    assert b"X-Note: a\tb\r\n" in encode(with_field("X-Note", "a\tb"))
    assert b'From: "\\\x07" <sip:a@b>\r\n' in encode(with_field("From", '"\\\x07" <sip:a@b>'))


def test_octets_come_back() -> None:
    data = encode(with_field("X-A", "ü")).replace(b"<sip:alice", b'"M\xfcller" <sip:alice')
    assert encode(parse_datagram(data)) == data


TOKENS = st.text("abcXYZ019-.!%*_+`'~", min_size=1, max_size=12)
WORDS = st.text("abcXYZ019-.!%*_+'~", min_size=1, max_size=12)
PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30).map(str.strip)
QUOTED = PRINTABLE.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '" ')
OWN = TOKENS.map(lambda token: f"X-{token}")


@st.composite
def headers(draw: st.DrawFn, method: str) -> Headers:
    fields = [
        ("Via", f"SIP/2.0/{draw(st.sampled_from(['UDP', 'WSS']))} host.invalid;branch={draw(TOKENS)}"),
        ("From", f"{draw(QUOTED)}<sip:alice@example.com>;tag={draw(TOKENS)}"),
        ("To", f"<sip:bob@example.com;x={draw(WORDS)}>"),
        ("Call-ID", draw(TOKENS)),
        ("CSeq", f"{draw(st.integers(0, 2**32 - 1))} {method}"),
    ]
    fields += draw(st.lists(st.tuples(OWN, PRINTABLE), max_size=5))
    return Headers(draw(st.permutations(fields)))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    method, body = draw(TOKENS), draw(st.binary(max_size=50))
    if draw(st.booleans()):
        uri = parse_uri(f"sip:{draw(st.text('abc019;?/', min_size=1, max_size=9))}@example.com;p={draw(st.just('q'))}")
        return Request(method, uri, draw(headers(method)), body)
    return Response(draw(st.integers(100, 699)), draw(PRINTABLE), draw(headers(method)), body)


@given(messages())
def test_round_trip(message: Message) -> None:
    data = encode(message)
    for parse in (parse_datagram, parse_websocket, parse_stream_message):
        found = parse(data)
        assert found.headers.get("Content-Length") == str(len(message.body))
        assert replace(found, headers=found.headers.without("Content-Length")) == message
        assert encode(found) == data


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_any_octets_are_a_message_or_a_peer_error(data: bytes, tail: bytes) -> None:
    for octets in (data, encode(make_request("OPTIONS"))[: len(data) * 2] + tail):
        with suppress(PeerError):
            encode(parse_datagram(octets))


def test_compact_form_is_shorter_and_means_the_same() -> None:
    """RFC 3261 7.3.3."""
    request = Request(
        "INVITE",
        parse_uri("sip:bob@example.com"),
        Headers(
            [
                ("Via", "SIP/2.0/UDP a.example;branch=z9hG4bK1"),
                ("Via", "SIP/2.0/UDP b.example;branch=z9hG4bK2"),
                ("From", "<sip:a@example.com>;tag=1"),
                ("To", '"From: x" <sip:b@example.com>'),
                ("Call-ID", "c"),
                ("CSeq", "1 INVITE"),
                ("Contact", "<sip:a@a.example>"),
                ("Max-Forwards", "70"),
                ("Content-Type", "text/plain"),
                ("Supported", "timer"),
                ("Session-Expires", "1800"),
            ]
        ),
        b"From: body\r\n\r\nVia: body",
    )
    long, short = encode(request), encode(request, compact=True)
    assert len(short) < len(long)
    assert b"\r\nv:SIP/2.0/UDP a.example" in short
    assert b"\r\nl:23\r\n\r\n" in short
    assert parse_datagram(short) == parse_datagram(long)


@pytest.mark.parametrize("name", ["X-Own", "Content-Length"])
def test_an_unusual_field_changes_nothing_in_the_others(name: str) -> None:
    plain = make_request("INVITE", body=SDP)
    odd = replace(plain, headers=Headers([*plain.headers, (name, "1")]))
    written = encode(odd).replace(b"X-Own: 1\r\n", b"")
    # 1. Its line is there, or ours is in its place; the rest is as without it.
    assert written == encode(plain)
