"""Cutting a byte stream into messages by Content-Length (RFC 3261 section 18.3), with the keepalive of RFC 5626."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from offhook.sip.errors import FramingLost, TooLarge
from offhook.sip.grammar import DEFAULT_LIMITS, Limits

_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*+:[ \t\r\n]*+([^\r\n]*+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """A double CRLF between messages, to be answered by a single one (RFC 5626 section 4.4.1)."""


class StreamFramer:
    """`feed` bytes, get whole messages and keepalives. A PeerError means framing is lost: close the connection.

    Holds no more than one unfinished message; what is wrong is said before its body is awaited.
    """

    __slots__ = ("_buffer", "_limits", "_searched", "_size")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._buffer = bytearray()
        self._limits = limits
        self._searched = 0
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes | KeepAlive]:
        """Everything that is complete now, one by one; the PeerError is raised behind what came whole before it."""
        self._buffer += data
        return self._whole()

    @property
    def pending(self) -> bytes:
        """The beginning of what is not complete, for the log and a last answer."""
        return bytes(self._buffer[: self._limits.max_header_line])

    def _whole(self) -> Iterator[bytes | KeepAlive]:
        while (one := self._next()) is not None:
            yield one

    def _next(self) -> bytes | KeepAlive | None:
        buffer = self._buffer
        if not self._size:
            if buffer.startswith((b"\r", b"\n")):
                if buffer.startswith(b"\r\n\r\n"):
                    del buffer[:4]
                    return KeepAlive()
                if b"\r\n\r\n".startswith(bytes(buffer[:4])):
                    return None
                del buffer[: len(buffer) - len(buffer.lstrip(b"\r\n"))]
            self._size = self._message_size()
        if not self._size or len(buffer) < self._size:
            return None
        message = bytes(buffer[: self._size])
        del buffer[: self._size]
        self._size = self._searched = 0
        return message

    def _message_size(self) -> int:
        """Octets of the message at the head of the buffer; 0 until its header fields are complete."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if (len(buffer) if end < 0 else end) > self._limits.max_header_bytes:
            raise TooLarge("max_header_bytes", self._limits.max_header_bytes, status=513)
        if end < 0:
            self._searched = len(buffer)
            return 0
        size = end + 4 + _length(bytes(buffer[:end]))
        if size > self._limits.max_message:
            raise TooLarge("max_message", self._limits.max_message, status=513)
        return size


def _length(head: bytes) -> int:
    values = _LENGTH.findall(head)
    if not values:
        raise FramingLost("a stream needs Content-Length (RFC 3261 section 18.3)")
    digits = values[0].strip()
    if len(values) > 1 or not digits.isdigit() or len(digits) > 9:
        raise FramingLost(f"bad Content-Length: {values!r}")
    return int(digits)
