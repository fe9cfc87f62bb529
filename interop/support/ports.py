"""Ports for programs that must be told one: below those that the system gives away, so that no socket of anybody's takes it
between our look and the program's start, and by chance, so that tests that run side by side choose differently."""

import random
import socket

FIRST, LAST = 10_000, 29_998
"""Below the range from which systems give ports (32768), the engine's (41000) and the defaults of benchmarks."""
KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
_chance = random.SystemRandom()


def free_port(address: str = "127.0.0.1", count: int = 1) -> int:
    """An even port that is free for UDP and TCP, with `count - 1` behind it."""
    while True:
        port = _chance.randrange(FIRST, LAST - count, 2)
        if all(_free(address, port + more, kind) for more in range(count) for kind in KINDS):
            return port


def _free(address: str, port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
