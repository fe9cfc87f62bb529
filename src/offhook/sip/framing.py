"""Cutting a byte stream into messages by Content-Length (RFC 3261 section 18.3), with the keepalive of RFC 5626."""

import re
from dataclasses import dataclass

from offhook.sip.errors import MalformedMessage, TooLarge
from offhook.sip.grammar import DEFAULT_LIMITS, Limits

_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """A double CRLF between messages, to be answered by a single one (RFC 5626 section 4.4.1)."""


class StreamFramer:
    """`feed` bytes, get whole messages and keepalives. A PeerError means framing is lost: close the connection."""

    __slots__ = ("_buffer", "_limits", "_searched")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._buffer = bytearray()
        self._limits = limits
        self._searched = 0

    def feed(self, data: bytes) -> list[bytes | KeepAlive]:
        """Everything that is complete now."""
        self._buffer += data
        out: list[bytes | KeepAlive] = []
        while (one := self._next()) is not None:
            out.append(one)
        return out

    @property
    def pending(self) -> bytes:
        """The beginning of what is not complete, for the log and a last answer."""
        return bytes(self._buffer[: self._limits.max_header_line])

    def _next(self) -> bytes | KeepAlive | None:
        buffer = self._buffer
        if bytes(buffer[:1]) in (b"\r", b"\n"):
            if buffer.startswith(b"\r\n\r\n"):
                del buffer[:4]
                return KeepAlive()
            if b"\r\n\r\n".startswith(bytes(buffer[:4])):
                return None
            while bytes(buffer[:1]) in (b"\r", b"\n"):
                del buffer[:1]
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(buffer)
            if len(buffer) > self._limits.max_header_bytes:
                raise TooLarge("max_header_bytes", self._limits.max_header_bytes, status=513)
            return None
        size = end + 4 + self._length(bytes(buffer[: end + 2]))
        if size > self._limits.max_message:
            raise TooLarge("max_message", self._limits.max_message, status=513)
        if len(buffer) < size:
            return None
        message = bytes(buffer[:size])
        del buffer[:size]
        self._searched = 0
        return message

    def _length(self, head: bytes) -> int:
        values = _LENGTH.findall(head)
        if not values:
            raise MalformedMessage("a stream needs Content-Length (RFC 3261 section 18.3)")
        digits = values[0].strip()
        if len(values) > 1 or not digits.isdigit() or len(digits) > 9:
            raise MalformedMessage(f"bad Content-Length: {values!r}")
        return int(digits)
