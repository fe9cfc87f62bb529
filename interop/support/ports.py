"""Ports for programs that must be told one: below those that the system gives away, so that no socket of anybody's takes it
between our look and the program's start, and from a block that no other test process has, so that none is given twice."""

import fcntl
import functools
import socket
import tempfile
from pathlib import Path
from typing import IO

FIRST, BLOCKS, BLOCK = 10_000, 20, 1_000
"""Below the range from which systems give ports, the engine's (41000) and the defaults of benchmarks."""
GIVEN_AWAY = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""From 32768 on nearly everywhere; a block that reaches into the range is not used."""
KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


def free_port(address: str = "127.0.0.1", count: int = 1) -> int:
    """An even port that is free for UDP and TCP, with `count - 1` behind it; none is given twice while the block lasts."""
    return _block().take(address, count)


class _Block:
    """A row of ports that this process has for itself as long as it lives: a lock on a file says so to the others."""

    def __init__(self, first: int, lock: IO[bytes]) -> None:
        self._first, self._next, self._lock = first, first, lock

    def take(self, address: str, count: int) -> int:
        for _ in range(BLOCK):
            if self._next + count > self._first + BLOCK:
                self._next = self._first
            port = self._next
            self._next += count + count % 2
            if all(_free(address, port + more, kind) for more in range(count) for kind in KINDS):
                return port
        raise AssertionError(
            f"no {count} free ports in a row at {address} from {self._first} to {self._first + BLOCK - 1}"
        )


@functools.cache
def _block() -> _Block:
    least = int(GIVEN_AWAY.read_text().split()[0]) if GIVEN_AWAY.exists() else 32_768
    for number in range(min(BLOCKS, (least - FIRST) // BLOCK)):
        path = Path(tempfile.gettempdir(), f"offhook-test-ports-{number}")
        try:
            # Kept open on purpose: the lock ends with the process.
            lock = path.open("wb")
        except PermissionError:
            continue  # another user's
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return _Block(FIRST + number * BLOCK, lock)
    raise AssertionError(f"no block of {BLOCK} ports below {least} is left: other test processes have them")


def _free(address: str, port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
