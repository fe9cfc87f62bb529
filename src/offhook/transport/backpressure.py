"""Back-pressure of one connection (WS-11): never wait, stop reading, then give up.

Lives here: when a peer is too slow. Never here: what it is told then.
"""

import asyncio
import fcntl
import socket
import sys
import termios
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Octets and seconds, rows of the limits table."""

    queue_high: int = 65_536
    """`WS_QUEUE_HIGH`: with so much waiting for the peer, what it asks for is not read: twenty messages."""
    queue_max: int = 262_144
    """`WS_QUEUE_MAX`: with so much waiting the peer is given up."""
    stall: float = 10.0
    """`WS_STALL`: given up when it takes nothing for so long: longer than a Wi-Fi hand-over."""


class Backpressure:
    """`give_up` is called, possibly more than once, when the peer has been too slow."""

    __slots__ = ("_give_up", "_owed", "_patience", "_timer", "_transport")

    def __init__(self, transport: asyncio.Transport, patience: Patience, give_up: Callable[[], None]) -> None:
        self._transport, self._patience, self._give_up = transport, patience, give_up
        self._timer: asyncio.TimerHandle | None = None
        self._owed = 0
        transport.set_write_buffer_limits(high=patience.queue_high)

    def write(self, data: bytes) -> None:
        """Queues the octets."""
        if self._timer is not None:
            self._owed += len(data)
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > self._patience.queue_max:
            self._give_up()

    def pause(self) -> None:
        """asyncio's `pause_writing`."""
        self._transport.pause_reading()
        self._owed = untaken(self._transport)
        self._watch()

    def resume(self) -> None:
        """asyncio's `resume_writing`."""
        self.stop()
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def end(self) -> None:
        """The connection ends. Nothing leads back to it from here, or only the cycle collector would free it, which comes
        to what is old once in days (server/lifecycle.py)."""
        self.stop()
        self._give_up = _nothing

    def stop(self) -> None:
        """Nothing waits, or nobody is waited for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._patience.stall, self._look)

    def _look(self) -> None:
        waiting = untaken(self._transport)
        if waiting >= self._owed:
            self._give_up()
            return
        self._owed = waiting
        self._watch()


def _nothing() -> None: ...


def untaken(transport: asyncio.Transport) -> int:
    """Octets that the peer's kernel has not acknowledged, ours and our kernel's. The latter is what moves first: it takes
    more from us only when a third of its buffer, megabytes on a fast path, is free again."""
    found: socket.socket | None = transport.get_extra_info("socket")
    if found is None or found.fileno() < 0:
        return transport.get_write_buffer_size()
    kernel = fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, bytes(4))
    return transport.get_write_buffer_size() + int.from_bytes(kernel, sys.byteorder)
