"""RFC 6455 framing, server side: one message per frame sequence, no extensions.

Lives here: bytes to messages and back, and which close code a fault earns. Never here: sockets, timers, SIP.
"""

import base64
import hashlib
from dataclasses import dataclass
from enum import IntEnum

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Opcode(IntEnum):
    """RFC 6455 section 11.8."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class FrameError(Exception):
    """The peer broke RFC 6455; `code` is the close code it earns (section 7.4.1)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole message (fragments joined) or one control frame."""

    opcode: Opcode
    payload: bytes


SLUGS = {1002: "request-malformed", 1007: "request-malformed", 1009: "request-too-large"}
"""What a close frame says for a fault of the peer: names of the error catalogue (WS-13)."""


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + _GUID).digest()).decode("ascii")


def valid_key(key: str) -> bool:
    """A Sec-WebSocket-Key is 16 octets in base64 (RFC 6455 section 4.1)."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        return False


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """One unmasked, unfragmented frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65_536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def unmask(data: bytes, mask: bytes) -> bytes:
    """RFC 6455 section 5.3, as one operation on long integers."""
    size = len(data)
    key = mask * (size // 4) + mask[: size % 4]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


class FrameReader:
    """Cuts a byte stream into messages and control frames. `limit` bounds a message, whole or still incomplete (WS-5).

    Work is linear in what arrives, however small the pieces: an incomplete frame is looked at again when it may be whole.
    """

    __slots__ = ("_buffer", "_limit", "_needed", "_opcode", "_parts")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._needed = 0
        self._opcode: Opcode | None = None
        self._parts = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by `data`. Raises FrameError behind none of them; the connection must then be closed."""
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        frames: list[Frame] = []
        at = 0
        while (cut := self._cut(data, at)) is not None:
            first, payload, at = cut
            whole = self._whole(first, payload)
            if whole is not None:
                frames.append(whole)
        if at < len(data):
            self._buffer += data[at:]
        return frames

    def _cut(self, data: bytes, at: int) -> tuple[int, bytes, int] | None:
        """(first octet, unmasked payload, next position) of the frame at `at`; None while it is incomplete, and then
        `_needed` is how many octets from there will be enough for more."""
        left = len(data) - at
        self._needed = 2
        if left < 2:
            return None
        first, second = data[at], data[at + 1]
        if first & 0x70:
            raise FrameError(1002, "an extension bit is set; no extension was agreed")
        if not second & 0x80:
            raise FrameError(1002, "a frame from a client must be masked")
        size, head = second & 0x7F, 2
        if first & 0x08 and (size > 125 or not first & 0x80):
            raise FrameError(1002, "a control frame must be whole and at most 125 octets")
        if size >= 126:
            width = 2 if size == 126 else 8
            self._needed = head + width
            if left < head + width:
                return None
            size = int.from_bytes(data[at + head : at + head + width], "big")
            if size < (126 if width == 2 else 65_536):
                raise FrameError(1002, "a length must be written in its shortest form")
            head += width
        if not first & 0x08 and size + len(self._parts) > self._limit:
            raise FrameError(1009, f"a message may have {self._limit} octets (limits.max_message)")
        self._needed = head + 4 + size
        if left < self._needed:
            return None
        start, end = at + head + 4, at + self._needed
        return first, unmask(data[start:end], data[start - 4 : start]), end

    def _whole(self, first: int, payload: bytes) -> Frame | None:
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise FrameError(1002, f"unknown opcode {first & 0x0F}") from None
        if opcode is Opcode.CLOSE:
            _check_close(payload)
        if opcode >= Opcode.CLOSE:
            return Frame(opcode, payload)
        if (opcode is Opcode.CONTINUATION) == (self._opcode is None):
            raise FrameError(1002, "fragments out of order")
        final = bool(first & 0x80)
        if self._opcode is None and final:
            return _checked(opcode, payload)
        self._opcode = self._opcode or opcode
        self._parts += payload
        if not final:
            return None
        opcode, payload = self._opcode, bytes(self._parts)
        self._opcode = None
        self._parts.clear()
        return _checked(opcode, payload)


def _checked(opcode: Opcode, payload: bytes) -> Frame:
    if opcode is Opcode.TEXT:
        try:
            payload.decode("utf-8")
        except UnicodeDecodeError:
            raise FrameError(1007, "a text message must be UTF-8") from None
    return Frame(opcode, payload)


def _check_close(payload: bytes) -> None:
    """RFC 6455 sections 5.5.1 and 7.4: nothing, or a code that may be sent and a reason in UTF-8."""
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _CODES or 3000 <= code <= 4999):
        raise FrameError(1002, "a close frame with a code that must not be sent")
    try:
        payload[2:].decode("utf-8")
    except UnicodeDecodeError:
        raise FrameError(1007, "the reason of a close frame must be UTF-8") from None


_CODES = frozenset((*range(1000, 1004), *range(1007, 1015)))
"""Registered codes that an endpoint may send (RFC 6455 section 7.4.1)."""
