"""Signs of life that we ask for and give: double CRLF on connections of ours, STUN on UDP (RFC 5626 sections 4.4, 5.4, 8).

Lives here: the keepalives of phones and trunks. Never here: WebSocket pings (websocket.py).
"""

import asyncio
import ipaddress
import random
from typing import Protocol

COOKIE = b"\x21\x12\xa4\x42"
REQUEST, SUCCESS = b"\x00\x01", b"\x01\x01"
_HEADER = 20


def is_stun(data: bytes) -> bool:
    """RFC 8489 section 5, as RFC 7983 tells STUN from SIP: two zero bits, the magic cookie, a length that fits."""
    return (
        len(data) >= _HEADER
        and data[0] < 0x40
        and data[4:8] == COOKIE
        and len(data) % 4 == 0
        and int.from_bytes(data[2:4], "big") == len(data) - _HEADER
    )


def binding_answer(request: bytes, source: tuple[str, int]) -> bytes | None:
    """The success response to a Binding request: XOR-MAPPED-ADDRESS, 32 or 44 octets; None for anything else.

    RFC 5626 section 8: attributes of the request are not looked at, one that must be understood excepted: no keepalive
    carries any, so that such a request is not answered.
    """
    if not is_stun(request) or request[:2] != REQUEST or _demands(request):
        return None
    transaction = request[8:_HEADER]
    address = ipaddress.ip_address(source[0].partition("%")[0])
    key = (COOKIE + transaction)[: len(address.packed)]
    packed = bytes(a ^ b for a, b in zip(address.packed, key, strict=True))
    port = source[1] ^ 0x2112
    family = 1 if address.version == 4 else 2
    value = bytes((0, family)) + port.to_bytes(2, "big") + packed
    attribute = b"\x00\x20" + len(value).to_bytes(2, "big") + value
    return SUCCESS + len(attribute).to_bytes(2, "big") + COOKIE + transaction + attribute


def _demands(request: bytes) -> bool:
    """True if an attribute with a number below 0x8000, which has to be understood, is there, or they cannot be read."""
    at = _HEADER
    while at < len(request):
        if request[at] < 0x80:
            return True
        at += 4 + (int.from_bytes(request[at + 2 : at + 4], "big") + 3) // 4 * 4
    return at != len(request)


class Stream(Protocol):
    """What a keepalive needs of the connection it keeps."""

    @property
    def settings(self) -> "Times": ...
    def send(self, data: bytes) -> bool: ...
    def suspected(self, suspect: bool) -> None: ...
    def give_up(self, reason: str) -> None: ...


class Times(Protocol):
    """Seconds."""

    @property
    def ping_after(self) -> tuple[float, float]: ...
    @property
    def pong_within(self) -> float: ...


class Keepalive:
    """Double CRLF to the peer of a connection that we made, at random intervals, so that a NAT keeps it open.

    An answer is missed only from a peer that has given one before: many servers skip empty lines without a word, and then
    the kernel's own limit finds a dead connection.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._missed = 0
        self._answers = False
        self._arm()

    def heard(self, data: bytes) -> None:
        """Anything from the peer."""
        if data == b"\r\n":
            self._answers = True
        if self._missed > 1:
            self._stream.suspected(False)
        self._missed = 0

    def stop(self) -> None:
        """The connection is gone."""
        self._timer.cancel()

    def _arm(self, since: float = 0.0) -> None:
        wait = random.uniform(*self._stream.settings.ping_after) - since
        self._timer = asyncio.get_running_loop().call_later(max(0.0, wait), self._ping)

    def _ping(self) -> None:
        self._missed += 1
        if self._stream.send(b"\r\n\r\n"):
            within = self._stream.settings.pong_within
            self._timer = asyncio.get_running_loop().call_later(within, self._pong_due)

    def _pong_due(self) -> None:
        if not self._missed or not self._answers:
            self._missed = 0
            self._arm(self._stream.settings.pong_within)
        elif self._missed == 1:
            self._stream.suspected(True)
            self._ping()
        else:
            self._stream.give_up("two pings unanswered")
