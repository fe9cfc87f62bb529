"""Is anybody there? A connection that may be half open is asked for a sign of life (LIVE-5)."""

import asyncio
import fcntl
import socket
import termios

from offhook.transport.flow import Path

LOOK = 0.05
"""Seconds between looks for the sign."""


async def alive(path: Path | None, seconds: float) -> bool:
    """True once the other end has answered; False when it has not within `seconds`, or the connection is gone."""
    if path is None:
        return False
    loop = asyncio.get_running_loop()
    asked = loop.time()
    path.ping()
    while loop.time() < asked + seconds:
        await asyncio.sleep(LOOK)
        if path.answered(asked):
            return True
    return False


def acknowledged(transport: asyncio.Transport) -> bool:
    """True when the peer's kernel has acknowledged everything that was written; False too when that cannot be told."""
    found: socket.socket | None = transport.get_extra_info("socket")
    if found is None or found.fileno() < 0 or transport.get_write_buffer_size():
        return False
    waiting = fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(waiting, "little") == 0
