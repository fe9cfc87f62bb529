"""Parser: framing by transport, forms of header fields, limits, what is kept of a refused request."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sip.dialog import contact_uri
from offhook.sip.errors import FramingLost, MalformedMessage, PeerError, Silence, TooLarge, UnsupportedVersion
from offhook.sip.grammar import DEFAULT_LIMITS, Limits
from offhook.sip.message import Request, Response
from offhook.sip.parse import _fields, _odd_fields, parse_datagram, parse_stream_message, parse_websocket

FIELDS = {
    "Via": "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
    "From": "<sip:alice@example.com>;tag=1",
    "To": "<sip:bob@example.com>",
    "Call-ID": "call-1",
    "CSeq": "7 OPTIONS",
}


def octets(*extra: str, start: str = "OPTIONS sip:bob@example.com SIP/2.0", body: bytes = b"", **changed: str) -> bytes:
    """A good request with changed fields (`_` for `-`; empty drops one) and further lines."""
    fields = FIELDS | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [start, *(f"{name}: {value}" for name, value in fields.items() if value), *extra, "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def request(data: bytes) -> Request:
    found = parse_datagram(data)
    assert isinstance(found, Request)
    return found


def refusal(data: bytes, limits: Limits = DEFAULT_LIMITS) -> PeerError:
    with pytest.raises(PeerError) as caught:
        parse_datagram(data, limits)
    return caught.value


# ---- the two ways to read fields

NAMES = st.sampled_from(
    ["Via", "v", "From", "To", "CSeq", "Content-Length", "l", "X-Own", "via", "Call-ID ", "", "b\xe9d"]
)
VALUES = st.text(st.sampled_from('az:,;"\t \x00\x7f\xe9\udcff\u2028'), max_size=6)


@given(st.lists(st.tuples(NAMES, st.sampled_from([":", ": ", ""]), VALUES), max_size=6), st.sampled_from([3, 200]))
def test_fields_in_one_step_are_what_they_are_one_by_one(parts: list[tuple[str, str, str]], most: int) -> None:
    lines = ["".join(one) for one in parts] or [""]
    limits = replace(DEFAULT_LIMITS, max_headers=most, max_header_line=20)
    quick, slow = _fields("\r\n".join(lines), limits), _odd_fields(lines, limits)
    # 1. The same fields, and the same fault.
    assert quick[0] == slow[0]
    assert repr(quick[1]) == repr(slow[1])


# ---- forms


def test_compact_forms_and_odd_spellings_have_one_name() -> None:
    data = octets(
        "v: SIP/2.0/TCP 192.0.2.2",
        "m:<sip:alice@192.0.2.1>",
        "k :path",
        "x-own: 1",
        "SUPPORTED: gruu",
        "cAlL-info: <a:b>",
    )
    names = [name for name, _ in request(data).headers]
    assert names == [*FIELDS, "Via", "Contact", "Supported", "x-own", "Supported", "Call-Info"]
    assert request(data).headers.all("Supported") == ("path", "gruu")


def test_folded_lines_are_one() -> None:
    assert request(octets("Subject: one\r\n two\r\n\tthree")).headers.get("Subject") == "one two three"


def test_line_ends_before_the_start_line_are_skipped() -> None:
    assert request(b"\r\n\r\n" + octets()).method == "OPTIONS"


def test_method_is_case_sensitive_and_version_is_not() -> None:
    found = request(octets(start="options sip:bob@example.com sip/2.0", CSeq="1 options"))
    assert found.method == "options"


def test_octets_that_are_not_utf8_stay_where_they_are_echoed_and_nowhere_else() -> None:
    found = request(
        octets("Subject: M\udcfcller", "User-Agent: \udcff", From='"M\udcfcller" <sip:a@example.com>;tag=1')
    )
    assert found.headers.get("From") == '"M\udcfcller" <sip:a@example.com>;tag=1'
    assert found.headers.get("Subject") == "M\ufffdller"
    assert found.headers.get("User-Agent") == "\ufffd"


def test_star_is_a_contact() -> None:
    assert request(octets("Contact: *")).headers.get("Contact") == "*"


def test_response() -> None:
    found = parse_datagram(octets(start="SIP/2.0 486 Busy Here"))
    assert isinstance(found, Response)
    assert (found.status, found.reason) == (486, "Busy Here")


def test_a_response_is_not_lost_for_its_contact() -> None:
    """The flow leads to its sender all the same (CALL-3); a request with such a Contact is told so."""
    line = "Contact: <sip:John Doe@192.0.2.7>"
    found = parse_datagram(octets(line, start="SIP/2.0 200 OK"))
    assert isinstance(found, Response), "1."
    assert contact_uri(found) is None, "2."
    assert "a URI may not hold ' '" in str(refusal(octets(line))), "3."


# ---- where a body ends


def test_datagram_body() -> None:
    assert request(octets(body=b"rest")).body == b"rest"
    assert request(octets("Content-Length: 2", body=b"rest")).body == b"re"
    assert request(octets("l: 4", body=b"rest")).body == b"rest"
    error = refusal(octets("Content-Length: 5", body=b"rest"))
    assert str(error) == "Content-Length says 5, 4 octets came"
    assert error.partial is not None


def test_websocket_body() -> None:
    body = "v=0\r\ns=Jürgen 😀\r\n".encode()
    units = len(body.decode().encode("utf-16-le")) // 2
    assert units < len(body)
    for length in (None, len(body), units):
        fields = () if length is None else (f"Content-Length: {length}",)
        assert parse_websocket(octets(*fields, body=body)).body == body
    assert parse_websocket(octets("Content-Length: 5", body=body)).body == b"v=0\r\n"
    with pytest.raises(MalformedMessage):
        parse_websocket(octets("Content-Length: 100", body=body))


@pytest.mark.parametrize("second", [octets(), b"\r\n" + octets(start="SIP/2.0 200 OK")])
def test_two_messages_in_one_websocket_message(second: bytes) -> None:
    with pytest.raises(FramingLost) as caught:
        parse_websocket(octets("Content-Length: 0") + second)
    assert (caught.value.status, caught.value.slug) == (400, "request-malformed")
    assert caught.value.partial is not None


def test_part_of_a_message() -> None:
    with pytest.raises(FramingLost) as caught:
        parse_websocket(octets()[:-5])
    assert caught.value.partial is not None
    assert caught.value.partial.headers.get("Call-ID") == "call-1"


def test_stream_message_is_taken_as_cut() -> None:
    assert parse_stream_message(octets("Content-Length: 4", body=b"body")).body == b"body"


# ---- refusals


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (octets(Call_ID=""), "missing or empty: Call-ID"),
        (octets(Via=""), "missing or empty: Via"),
        (octets(Via="  ,"), "missing or empty: Via"),
        (octets("Call-ID: call-2"), "more than one Call-ID"),
        (octets("t: <sip:carol@example.com>"), "more than one To"),
        (octets("Max-Forwards: 70", "Max-Forwards: 70"), "more than one Max-Forwards"),
        (octets("Max-Forwards: 256"), "bad Max-Forwards: '256'"),
        (octets("Content-Length: 1_0"), "bad Content-Length: '1_0'"),
        (octets("Content-Length: +1"), "bad Content-Length: '+1'"),
        (octets(CSeq="7 INVITE"), "the method is OPTIONS, CSeq says INVITE"),
        (octets(CSeq="4294967296 OPTIONS"), "bad CSeq: '4294967296'"),
        (octets(CSeq="\u0667 OPTIONS"), "bad CSeq: '\u0667'"),
        (octets(From="<sip:alice@example.com;tag=1"), "'<' without '>'"),
        (octets(Via="SIP/3.0/UDP 192.0.2.1"), "bad Via"),
        (octets("no colon"), "bad header field: 'no colon'"),
        (octets("b\u00e4d: 1"), "bad header field: 'b\u00e4d'"),
        (octets("Subject: a\x00b"), "a control character in Subject"),
        (octets("Subject: a\rRoute: b"), "a control character in Subject"),
        (octets("Record-Route: <sip:a>\n"), "a control character in Record-Route"),
        (octets(Call_ID="call\x01"), "a control character in Call-ID"),
        (octets(From='"\\\n" <sip:alice@example.com>;tag=1'), "a control character in From"),
        (octets(start="OPTIONS sip:bob@example.com?a=b SIP/2.0"), "a Request-URI has no headers part"),
        (octets(start="OPTIONS sip:bob@example.com HTTP/1.1"), "bad request line"),
        (octets(start="OPTIONS  SIP/2.0"), "a URI begins with its scheme"),
    ],
)
def test_bad_request(data: bytes, words: str) -> None:
    error = refusal(data)
    assert words in str(error)
    assert (error.status, error.slug) == (400, "request-malformed")
    assert error.partial is not None
    assert error.partial.method == "OPTIONS"


def test_other_version() -> None:
    error = refusal(octets(start="OPTIONS sip:bob@example.com SIP/3.0"))
    assert isinstance(error, UnsupportedVersion)
    assert error.status == 505


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\x80\x00\x00\x00",
        b"GET\x00 / HTTP/1.1\r\n\r\n",
        octets(start="SIP/2.0 99 Low"),
        octets(start="SIP/2.0 700 High"),
        octets(start="SIP/2.0 200 O\x07K"),
        octets("broken", start="SIP/2.0 200 OK"),
        octets(start="SIP/2.0 200 OK", CSeq="x"),
        octets("Via: SIP/2.0/UDP 192.0.2.9", start="SIP/2.0 200 OK"),
    ],
)
def test_silence(data: bytes) -> None:
    error = refusal(data)
    assert type(error) is Silence
    assert error.partial is None


def test_partial_has_what_could_be_read() -> None:
    error = refusal(octets("no colon", "Subject: later", start="INVITE bad-uri SIP/2.0", CSeq="7 INVITE"))
    assert error.partial is not None
    assert [name for name, _ in error.partial.headers] == [*FIELDS, "Subject"]


# ---- limits

SMALL = Limits(max_message=2000, max_body=50, max_header_bytes=1000, max_header_line=200, max_headers=12, max_via=3,
               max_routes=2, max_call_id=20)  # fmt: skip


@pytest.mark.parametrize(
    ("data", "limit", "status", "kept"),
    [
        (octets(body=b"x" * 2000), "max_message", 513, False),
        (octets(body=b"x" * 51), "max_body", 513, True),
        (octets(*[f"X: {'y' * 150}"] * 6), "max_header_bytes", 513, True),
        (octets("X: " + "y" * 200), "max_header_line", 400, True),
        (octets(*["X: y"] * 8), "max_headers", 400, True),
        (octets("Via: SIP/2.0/UDP a, SIP/2.0/UDP b", "Via: SIP/2.0/UDP c"), "max_via", 400, True),
        (octets("Route: <sip:a>, <sip:b>", "Route: <sip:c>"), "max_routes", 400, True),
        (octets("Record-Route: <sip:a>, <sip:b>, <sip:c>"), "max_routes", 400, True),
        (octets(Call_ID="x" * 21), "max_call_id", 400, True),
    ],
)
def test_limits(data: bytes, limit: str, status: int, kept: bool) -> None:
    error = refusal(data, SMALL)
    assert isinstance(error, TooLarge)
    assert (error.limit, error.status) == (limit, status)
    assert str(error) == f"more than limits.{limit} ({getattr(SMALL, limit)})"
    assert (error.partial is not None) is kept
    parse_datagram(data, replace(SMALL, **{"max_body": 5000, limit: getattr(SMALL, limit) * 2}))


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (octets(start=f"OPTIONS sip:{'a' * 2048}@example.com SIP/2.0"), "max_uri"),
        (octets(From=f"<sip:a@b>{';a=b' * 33}"), "max_field_params"),
        (octets(From='<sip:a@b>;a="b"' + "".join(f";p{n}" for n in range(40))), "max_field_params"),
        (octets(To=f"<sip:a@b{';c' * 33}>"), "max_field_params"),
        (octets(From=f"<sip:a@b>;tag={'x' * 257}"), "max_tag"),
        (octets(Via=f"SIP/2.0/UDP a;branch={'x' * 257}"), "max_branch"),
    ],
)
def test_limits_inside_a_field(data: bytes, limit: str) -> None:
    error = refusal(data)
    assert isinstance(error, TooLarge)
    assert error.limit == limit


def test_at_the_limit() -> None:
    assert len(request(octets(*["X: y"] * (200 - len(FIELDS)))).headers) == 200
    assert request(octets(Call_ID="x" * 256)).headers.get("Call-ID") == "x" * 256
    via = ", ".join(["SIP/2.0/UDP a"] * 69)
    assert request(octets(f"Via: {via}")).method == "OPTIONS"
