"""ICE over TCP on the port for browsers (RFC 6544): for networks that let no UDP through.

Lives here: waiting for the first frame (RFC 4571), whose user name tells the engine whose connection it is, and handing the
socket over. Never here: media; this process never sees another byte of it.
"""

import asyncio
import os
from collections.abc import Callable
from typing import cast

FIRST_BYTES = (0x00, 0x01)
"""A frame begins with its length: a check is shorter than 512 octets. Neither TLS nor HTTP begins so."""
LONGEST = 512
"""Octets of a first frame; a check has some 150."""
PATIENCE = 10.0
"""Seconds until a connection whose first frame is not whole is closed."""

HandOver = Callable[[int, bytes], bool]
"""Gives a descriptor and what was read of it to the engine; False when it cannot be given."""


class IceTcp(asyncio.Protocol):
    """One connection until it is handed over."""

    __slots__ = ("_data", "_hand_over", "_timer", "_transport")

    def __init__(self, hand_over: HandOver) -> None:
        self._hand_over = hand_over
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) < 2:
            return
        length = 2 + int.from_bytes(self._data[:2], "big")
        if length > LONGEST:
            self._transport.abort()
        elif len(self._data) >= length:
            # Nothing may be read here any more: what comes next is the engine's.
            self._transport.pause_reading()
            descriptor = os.dup(self._transport.get_extra_info("socket").fileno())
            try:
                self._hand_over(descriptor, self._data)
            finally:
                os.close(descriptor)
            # Closes our copy only: no FIN while the engine holds the other.
            self._transport.abort()
