"""Bytes to messages, for datagrams, WebSocket messages and streams.

A malformed request raises a PeerError whose `partial` holds what could be read of it; a malformed response raises Silence.
Fast path: one split of the head, one dictionary look-up per field name; folding and odd names are handled when they occur.
"""

import re
from typing import Final

from offhook.sip.errors import MalformedMessage, PeerError, Silence, TooLarge, UnsupportedVersion
from offhook.sip.fields import parse_cseq, parse_name_addr, parse_number, parse_via, split_list
from offhook.sip.grammar import CANONICAL, CONTROL, DEFAULT_LIMITS, SINGLE, TOKEN, Limits
from offhook.sip.message import Headers, Message, Request, Response
from offhook.sip.uri import Uri, parse_uri

_FOLD: Final = re.compile(rb"[ \t]*\r\n[ \t]+")
_STATUS: Final = re.compile(r"SIP/2\.0 (\d{3})(?: (.*))?", re.IGNORECASE | re.DOTALL)
_QUOTED_PAIR: Final = re.compile(r"\\.", re.DOTALL)
_NOBODY: Final = Uri("sip", None, "invalid")
_NAMES: Final = {**{name: name for name in CANONICAL.values()}, **CANONICAL}

MUST_HAVE: Final = ("Via", "From", "To", "Call-ID", "CSeq")


def parse_datagram(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """One UDP datagram: octets behind Content-Length are dropped, too few are an error (RFC 3261 section 18.3)."""
    message, body, length = _parse(data, limits)
    if length is None:
        return _with_body(message, body, limits)
    if length > len(body):
        raise _fault(message, f"Content-Length says {length}, {len(body)} octets came")
    return _with_body(message, body[:length], limits)


def parse_websocket(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """One WebSocket message (WS-3, WS-4): Content-Length may be absent, or count UTF-16 units as one client does."""
    message, body, length = _parse(data, limits)
    if length is None or length == len(body):
        return _with_body(message, body, limits)
    if length == len(body.decode("utf-8", "replace").encode("utf-16-le")) // 2:
        return _with_body(message, body, limits)
    if length > len(body):
        raise _fault(message, f"Content-Length says {length}, {len(body)} octets came")
    return _with_body(message, body[:length], limits)


def parse_stream_message(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """One message that framing.py cut from a stream; its length is right already."""
    message, body, _ = _parse(data, limits)
    return _with_body(message, body, limits)


def _with_body(message: Message, body: bytes, limits: Limits) -> Message:
    if len(body) > limits.max_body:
        raise TooLarge("max_body", limits.max_body, message if isinstance(message, Request) else None, 513)
    if not body:
        return message
    if isinstance(message, Request):
        return Request(message.method, message.uri, message.headers, body)
    return Response(message.status, message.reason, message.headers, body)


def _fault(message: Message, text: str) -> PeerError:
    return MalformedMessage(text, message) if isinstance(message, Request) else Silence(text)


def _parse(data: bytes, limits: Limits) -> tuple[Message, bytes, int | None]:
    """(message without body, what follows the head, Content-Length)."""
    if len(data) > limits.max_message:
        raise TooLarge("max_message", limits.max_message, status=513)
    head, gap, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not gap and not head.endswith(b"\r\n"):
        raise Silence("no empty line behind the header fields")
    if len(head) > limits.max_header_bytes:
        raise TooLarge("max_header_bytes", limits.max_header_bytes, status=513)
    if b"\r\n " in head or b"\r\n\t" in head:
        head = _FOLD.sub(b" ", head)
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    fields, fault = _fields(lines[1:], limits)
    headers = Headers(fields)
    message = _start_line(lines[0], headers, fault)
    return message, body, _check(message, limits)


def _fields(lines: list[str], limits: Limits) -> tuple[list[tuple[str, str]], PeerError | None]:
    """The fields that could be read, and what was wrong with the first other one."""
    fault: PeerError | None = None
    if len(lines) > limits.max_headers:
        fault, lines = TooLarge("max_headers", limits.max_headers), lines[: limits.max_headers]
    fields: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        known = _NAMES.get(name)
        if known is None:
            name = name.rstrip(" \t")
            known = CANONICAL.get(name.lower(), name)
            if not colon or not TOKEN.fullmatch(name):
                if line:
                    fault = fault or MalformedMessage(f"bad header field: {line[:60]!r}")
                continue
        if len(line) > limits.max_header_line:
            fault = fault or TooLarge("max_header_line", limits.max_header_line)
            continue
        fields.append((known, value.strip(" \t")))
    return fields, fault


def _start_line(line: str, headers: Headers, fault: PeerError | None) -> Message:
    if line[:4].upper() == "SIP/":
        status = _STATUS.fullmatch(line)
        if not status or fault or not 100 <= int(status.group(1)) <= 699:
            raise Silence(f"bad response: {line[:60]!r}")
        return Response(int(status.group(1)), status.group(2) or "", headers)
    method, _, rest = line.partition(" ")
    target, _, version = rest.rpartition(" ")
    if not TOKEN.fullmatch(method):
        raise Silence(f"bad start line: {line[:60]!r}")
    partial = Request(method, _NOBODY, headers)
    if fault:
        fault.partial = partial
        raise fault
    if version.upper() != "SIP/2.0":
        if re.fullmatch(r"SIP/\d+\.\d+", version, re.IGNORECASE):
            raise UnsupportedVersion(f"{version} is not spoken here, SIP/2.0 is", partial)
        raise MalformedMessage(f"bad request line: {line[:60]!r}", partial)
    try:
        if target.startswith(" ") or target.endswith(" "):
            raise MalformedMessage(f"more than one space in the request line: {line[:60]!r}")
        uri = parse_uri(target)
        if uri.headers:
            raise MalformedMessage("a Request-URI has no headers part")
    except PeerError as error:
        error.partial = partial
        raise
    return Request(method, uri, headers)


def _check(message: Message, limits: Limits) -> int | None:
    """The fields without which no message can be placed; returns Content-Length."""
    try:
        return _checked(message, limits)
    except PeerError as error:
        if isinstance(message, Response):
            raise Silence(str(error)) from None
        error.partial = message
        raise


def _checked(message: Message, limits: Limits) -> int | None:
    headers = message.headers
    seen: dict[str, str] = {}
    vias: list[str] = []
    for name, value in headers:
        if name == "Via":
            vias += split_list(value)
        elif name in SINGLE and name in seen:
            raise MalformedMessage(f"more than one {name}")
        seen[name] = value
        if name in MUST_HAVE and CONTROL.search(_QUOTED_PAIR.sub("", value)):
            raise MalformedMessage(f"a control character in {name}")
    missing = [name for name in MUST_HAVE if not seen.get(name)]
    if missing or not vias:
        raise MalformedMessage(f"missing or empty: {', '.join(missing or ['Via'])}")
    if len(vias) > limits.max_via:
        raise TooLarge("max_via", limits.max_via)
    parse_via(vias[0])
    if isinstance(message, Response) and len(vias) > 1:
        # 8.1.3.3: a response that is ours has one Via; more means it was sent to us by mistake.
        raise Silence("a response with more than one Via")
    if len(seen["Call-ID"]) > limits.max_tag:
        raise TooLarge("max_call_id", limits.max_tag)
    _check_methods(message, seen)
    for name in ("From", "To"):
        parse_name_addr(seen[name])
    return _check_numbers(message, seen, limits)


def _check_methods(message: Message, seen: dict[str, str]) -> None:
    _, method = parse_cseq(seen["CSeq"])
    if isinstance(message, Request) and method != message.method:
        raise MalformedMessage(f"the method is {message.method}, CSeq says {method}")


def _check_numbers(message: Message, seen: dict[str, str], limits: Limits) -> int | None:
    if "Max-Forwards" in seen and isinstance(message, Request):
        parse_number(seen["Max-Forwards"], "Max-Forwards", 255)
    for name in ("Route", "Record-Route"):
        if (
            name in seen
            and len([1 for value in message.headers.all(name) for _ in split_list(value)]) > limits.max_routes
        ):
            raise TooLarge("max_routes", limits.max_routes)
    for value in message.headers.all("Contact"):
        if value.strip() != "*":
            for one in split_list(value):
                parse_name_addr(one)
    length = seen.get("Content-Length")
    return None if length is None else parse_number(length, "Content-Length", 2**31)
