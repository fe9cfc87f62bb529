"""Bodies of several parts (RFC 2046 section 5.1, RFC 5621): the session description in them is used, the rest passed over.

Lives here: cutting a body into parts and choosing one. Never here: what the description says.
"""

import re
from dataclasses import dataclass, replace

from offhook.sip.errors import MalformedMessage, PeerError, TooLarge
from offhook.sip.fields import Params, parse_params
from offhook.sip.grammar import FIELD_LIMITS
from offhook.sip.message import Headers, Message

MAX_DEPTH = 2
"""Multiparts in multiparts: `mixed` around `alternative`."""

_LINE = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its media type in lower case, whether it must be understood (RFC 5621 section 8), its octets."""

    media_type: str
    required: bool
    body: bytes


def media_type(value: str) -> str:
    """Type and subtype of a Content-Type value, in lower case."""
    return value.partition(";")[0].strip().lower()


def optional(headers: Headers) -> bool:
    """True for a body that need not be understood (RFC 3261 section 20.11)."""
    return handling(headers.get("Content-Disposition") or "") == "optional"


def handling(disposition: str) -> str:
    """The handling parameter of a Content-Disposition value, "" if absent."""
    return (_params(disposition).get("handling") or "").lower()


def _params(value: str) -> Params:
    _, semicolon, rest = value.partition(";")
    try:
        return parse_params(f";{rest.strip()}" if semicolon and rest.strip() else "")
    except PeerError:
        return {}


def parts_of(content_type: str, body: bytes, depth: int = 1) -> list[Part]:
    """The parts of a multipart body, inner ones in place. Raises MalformedMessage or TooLarge naming what is wrong."""
    boundary = _params(content_type).get("boundary") or ""
    if not 1 <= len(boundary) <= 70:
        raise MalformedMessage("a multipart body needs a boundary of 1 to 70 characters")
    if depth > MAX_DEPTH:
        raise MalformedMessage(f"multipart bodies deeper than {MAX_DEPTH}")
    delimiter = b"--" + boundary.encode("utf-8", "surrogateescape")
    found: list[Part] = []
    pieces = (b"\r\n" + body).split(b"\r\n" + delimiter)
    if len(pieces) < 2:
        raise MalformedMessage("the boundary does not occur in the multipart body")
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            break
        found += _part(piece, depth)
        if len(found) > FIELD_LIMITS.max_parts:
            raise TooLarge("max_parts", FIELD_LIMITS.max_parts)
    return found


def _part(piece: bytes, depth: int) -> list[Part]:
    head, gap, body = piece.partition(b"\r\n\r\n")
    if not gap:
        raise MalformedMessage("a part without an empty line behind its header fields")
    fields: dict[str, str] = {}
    for line in _LINE.split(head):
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    content_type = fields.get("content-type", "text/plain")
    kind = media_type(content_type)
    if kind.startswith("multipart/"):
        return parts_of(content_type, body, depth + 1)
    return [Part(kind, handling(fields.get("content-disposition", "")) == "required", body)]


def unpacked(message: Message, accepted: tuple[str, ...]) -> Message | None:
    """The message with the one part of its body that we read in place of the whole; without a body if there is none.

    None if a part that must be understood is not. The last part of a type counts, as in `alternative` (RFC 2046 5.1.4).
    Raises MalformedMessage or TooLarge.
    """
    content_type = message.headers.get("Content-Type") or ""
    if not message.body or not media_type(content_type).startswith("multipart/"):
        return message
    parts = parts_of(content_type, message.body)
    if any(part.required and part.media_type not in accepted for part in parts):
        return None
    known = [part for part in parts if part.media_type in accepted]
    headers = message.headers.without("Content-Disposition")
    if not known:
        return replace(message, headers=headers.without("Content-Type"), body=b"")
    return replace(message, headers=headers.replaced("Content-Type", known[-1].media_type), body=known[-1].body)
