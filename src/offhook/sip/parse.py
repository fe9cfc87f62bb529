"""Bytes to messages, for datagrams, WebSocket messages and streams.

A malformed request raises a PeerError whose `partial` holds what could be read of it; a malformed response raises Silence.
Fast path: one split of the head, one dictionary look-up per field name; folding and odd names are handled when they occur.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from offhook.sip.envelope import read
from offhook.sip.errors import FramingLost, MalformedMessage, PeerError, Silence, TooLarge, UnsupportedVersion
from offhook.sip.fields import parse_cseq, parse_name_addr, parse_number, presentable, split_list
from offhook.sip.grammar import CANONICAL, CONTROL, DEFAULT_LIMITS, ECHOED, SINGLE, TOKEN, Limits
from offhook.sip.message import Headers, Message, Request, Response
from offhook.sip.uri import Uri, parse_uri

_FOLD: Final = re.compile(rb"\r\n[ \t]++")
_STATUS: Final = re.compile(r"SIP/2\.0 (\d{3})(?: (.*+))?", re.IGNORECASE | re.DOTALL)
_VERSION: Final = re.compile(r"SIP/\d++\.\d++", re.IGNORECASE)
_START: Final = re.compile(rb"[\r\n]*+(?:SIP/2\.0 |[^\r\n]*+(?<= SIP/2\.0)\r\n)", re.IGNORECASE)
_QUOTED_PAIR: Final = re.compile(r"\\[^\r\n]")
_NOBODY: Final = Uri("sip", None, "invalid")
_NAMES: Final = {**{name: name for name in CANONICAL.values()}, **CANONICAL}
_LISTS: Final = ("Via", "Contact", "Route", "Record-Route")

RELAYED: Final = ";of="
"""Stands in the Via of a request that was passed on for another node (relay.py)."""
MUST_HAVE: Final = ("Via", "From", "To", "Call-ID", "CSeq")

_Body = Callable[[bytes, int | None], bytes]
"""What of the octets behind the head is the body, given Content-Length. Raises MalformedMessage."""

_LENGTH_FIELD: Final = re.compile(rb"(?:content-length|l)[ \t]*+:", re.IGNORECASE)


def parse_datagram(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """One UDP datagram: octets behind Content-Length are dropped, too few are an error (RFC 3261 section 18.3)."""
    return _parse(data, limits, _datagram_body)


def parse_websocket(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """One WebSocket message (WS-3, WS-4): Content-Length may be absent, or count UTF-16 units as one client does.

    FramingLost where a second message follows in it, or where it is only a part of one.
    """
    return _with_text(_parse(data, limits, _websocket_body), data)


def parse_stream_message(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """One message that framing.py cut from a stream; its length is right already."""
    return _with_text(_parse(data, limits, _stream_body), data)


def _with_text(message: Message, data: bytes) -> Message:
    """A REGISTER by a connection is remembered by its text (refresh.py)."""
    envelope = message.headers.envelope
    if envelope is not None and isinstance(message, Request) and message.method == "REGISTER":
        message.headers.envelope = replace(envelope, text=data)
    return message


def _datagram_body(body: bytes, length: int | None) -> bytes:
    if length is None or length == len(body):
        return body
    if length > len(body):
        raise MalformedMessage(f"Content-Length says {length}, {len(body)} octets came")
    return body[:length]


def _websocket_body(body: bytes, length: int | None) -> bytes:
    if length is None or length >= len(body):
        return _datagram_body(body, length)
    if length == len(body.decode("utf-8", "replace").encode("utf-16-le")) // 2:
        return body
    if _START.match(body, length):
        raise FramingLost("two SIP messages in one WebSocket message")
    return body[:length]


def _stream_body(body: bytes, length: int | None) -> bytes:
    return body


def unframed(data: bytes, reason: str, limits: Limits = DEFAULT_LIMITS) -> FramingLost:
    """The fault of a stream that cannot be cut into messages; it carries the request whose head came whole, if one did."""
    head, blank, _ = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    partial: Request | None = None
    if blank:
        lines = [line for line in head.split(b"\r\n") if not _LENGTH_FIELD.match(line)]
        try:
            read = parse_datagram(b"\r\n".join(lines) + blank, limits)
            partial = read if isinstance(read, Request) else None
        except PeerError as error:
            partial = error.partial
    return FramingLost(reason, partial)


def _parse(data: bytes, limits: Limits, cut: _Body) -> Message:
    if len(data) > limits.max_message:
        raise TooLarge("max_message", limits.max_message, status=513)
    head, gap, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    fault: PeerError | None = None
    if not gap and not head.endswith(b"\r\n"):
        fault = FramingLost("no empty line behind the header fields")
    if len(head) > limits.max_header_bytes:
        fault = TooLarge("max_header_bytes", limits.max_header_bytes, status=513)
        head = head[: limits.max_header_bytes].rpartition(b"\r\n")[0]
    if b"\r\n " in head or b"\r\n\t" in head:
        head = _FOLD.sub(b" ", head)
    line, _, rest = head.decode("utf-8", "surrogateescape").partition("\r\n")
    fields, bad = _fields(rest, limits)
    read = _response if line[:4].upper() == "SIP/" else _request
    return read(line, Headers(fields), fault or bad, limits, lambda length: _limited(cut(body, length), limits))


def _limited(body: bytes, limits: Limits) -> bytes:
    if len(body) > limits.max_body:
        raise TooLarge("max_body", limits.max_body, status=513)
    return body


# ---- header fields


def _fields(text: str, limits: Limits) -> tuple[list[tuple[str, str]], PeerError | None]:
    """The fields that could be read, and what was wrong with the first other one."""
    lines = text.split("\r\n")
    if len(text) <= limits.max_header_line and len(lines) <= limits.max_headers and "".join(lines).isprintable():
        try:
            return [(_NAMES[name], value.strip(" \t")) for name, value in [line.split(":", 1) for line in lines]], None
        except (KeyError, ValueError):
            # A name that is not in the table, or a line that is no field.
            pass
    return _odd_fields(lines, limits)


def _odd_fields(lines: list[str], limits: Limits) -> tuple[list[tuple[str, str]], PeerError | None]:
    fault: PeerError | None = None
    if len(lines) > limits.max_headers:
        fault, lines = TooLarge("max_headers", limits.max_headers), lines[: limits.max_headers]
    fields: list[tuple[str, str]] = []
    longest = limits.max_header_line
    for line in lines:
        name, colon, value = line.partition(":")
        known = _NAMES.get(name)
        if known is None or not colon or len(line) > longest or not value.isprintable():
            if not line:
                continue
            try:
                known, value = _odd_field(name, colon, value, longest)
            except PeerError as error:
                fault = fault or error
                continue
        fields.append((known, value.strip(" \t")))
    return fields, fault


def _odd_field(name: str, colon: str, value: str, longest: int) -> tuple[str, str]:
    """A field with an unusual name or value, as (canonical name, value)."""
    if len(name) + len(value) >= longest:
        raise TooLarge("max_header_line", longest)
    name = name.rstrip(" \t")
    known = CANONICAL.get(name.lower(), name)
    if not colon or not TOKEN.fullmatch(name):
        raise MalformedMessage(f"bad header field: {name[:60]!r}")
    # RFC 4475 section 3.1.1.2: the quoted name of an address may hold an escaped control character; nothing else may.
    if CONTROL.search(_QUOTED_PAIR.sub("", value) if known in ("From", "To") else value):
        raise MalformedMessage(f"a control character in {known}")
    return known, value if known in ECHOED else presentable(value)


# ---- start line


def _response(
    line: str, headers: Headers, fault: PeerError | None, limits: Limits, cut: Callable[[int | None], bytes]
) -> Response:
    status = _STATUS.fullmatch(line)
    if not status or CONTROL.search(line) or not 100 <= int(status.group(1)) <= 699:
        raise Silence(f"bad response: {line[:60]!r}")
    try:
        if fault:
            raise fault
        vias, length = _checked(headers, None, limits)
        body = cut(length)
    except PeerError as error:
        raise Silence(str(error)) from None
    if vias > 1 and RELAYED not in (headers.get("Via") or ""):
        # 8.1.3.3: a response that is ours has one Via; more means it was sent to us by mistake, or that we passed its
        # request on to a flow of this node.
        raise Silence("a response with more than one Via")
    return Response(int(status.group(1)), presentable(status.group(2) or ""), headers, body)


def _request(
    line: str, headers: Headers, fault: PeerError | None, limits: Limits, cut: Callable[[int | None], bytes]
) -> Request:
    method, _, rest = line.partition(" ")
    target, _, version = rest.rpartition(" ")
    if not TOKEN.fullmatch(method):
        raise Silence(f"bad start line: {line[:60]!r}")
    uri = _NOBODY
    try:
        if fault:
            raise fault
        if version != "SIP/2.0":
            _check_version(version, line)
        uri = _request_uri(target, line)
        _, length = _checked(headers, method, limits)
        return Request(method, uri, headers, cut(length))
    except PeerError as error:
        error.partial = Request(method, uri, headers)
        raise


def _check_version(version: str, line: str) -> None:
    if version.upper() == "SIP/2.0":
        return
    if _VERSION.fullmatch(version):
        raise UnsupportedVersion(f"{version} is not spoken here, SIP/2.0 is")
    raise MalformedMessage(f"bad request line: {line[:60]!r}")


def _request_uri(target: str, line: str) -> Uri:
    if target[:1] == " " or target[-1:] == " ":
        raise MalformedMessage(f"more than one space in the request line: {line[:60]!r}")
    uri = parse_uri(target)
    if uri.headers:
        raise MalformedMessage("a Request-URI has no headers part")
    return uri


# ---- the fields without which no message can be placed


def _checked(headers: Headers, method: str | None, limits: Limits) -> tuple[int, int | None]:
    """(number of Via values, Content-Length). `method` is that of a request."""
    seen, lists = _gathered(headers)
    vias = lists.get("Via")
    if not (vias and seen.get("From") and seen.get("To") and seen.get("Call-ID") and seen.get("CSeq")):
        missing = [name for name in MUST_HAVE if not (vias if name == "Via" else seen.get(name))]
        raise MalformedMessage(f"missing or empty: {', '.join(missing)}")
    if len(seen["Call-ID"]) > limits.max_call_id:
        raise TooLarge("max_call_id", limits.max_call_id)
    cseq = parse_cseq(seen["CSeq"])
    headers.envelope = envelope = read(vias, seen["Call-ID"], seen["From"], seen["To"], cseq)
    if method is not None and envelope.method != method:
        raise MalformedMessage(f"the method is {method}, CSeq says {envelope.method}")
    _check_lists(lists, limits, method is None)
    if method is not None and "Max-Forwards" in seen:
        parse_number(seen["Max-Forwards"], "Max-Forwards", 255)
    length = seen.get("Content-Length")
    return len(vias), None if length is None else parse_number(length, "Content-Length", 2**31)


def _gathered(headers: Headers) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The values by name, and those that are lists, taken apart."""
    unique = headers.unique()
    if unique is not None:
        return unique, {name: split_list(unique[name]) for name in _LISTS if name in unique}
    seen: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for name, value in headers:
        if name in _LISTS:
            lists.setdefault(name, []).extend(split_list(value))
        elif name in seen and name in SINGLE:
            raise MalformedMessage(f"more than one {name}")
        seen[name] = value
    return seen, lists


def _check_lists(lists: dict[str, list[str]], limits: Limits, response: bool) -> None:
    """How many there are, and that the addresses are some. A response cannot be refused, only lost, which for want of a
    Contact that can be read none should be: the flow leads to its sender, and among several there may be better ones."""
    for name, values in lists.items():
        if name == "Contact" and response:
            continue
        if name == "Via":
            if len(values) > limits.max_via:
                raise TooLarge("max_via", limits.max_via)
            continue
        if name != "Contact" and len(values) > limits.max_routes:
            raise TooLarge("max_routes", limits.max_routes)
        for value in values:
            if value != "*" or name != "Contact":
                parse_name_addr(value)
