"""Junk at ports of the engine: noise, and what begins like STUN, DTLS and RTP, from eight sources.

So much of it comes in the time of one packet of sound as ten thousand packets a second are. What the kernel holds for the
engine is waited for after every burst: a machine that is busy makes the flood longer, and throws nothing away. With LONG=1
nothing is waited for, and the engine has to keep up with the time of the clock.
"""

import asyncio
import contextlib
import os
import random
import socket
import struct
from pathlib import Path

from tests.support.patience import PATIENCE

RATE = 10_000
"""Packets for every second of sound."""
BURST = 200
"""Packets at once: the kernel has room for three hundred of them at a phone's port."""


def junk(die: random.Random) -> list[bytes]:
    """Packets of the kinds that the engine tells apart by their first octet."""
    noise = die.randbytes(160)
    stun = (
        struct.pack(">HHI", 1, 24, 0x2112A442) + die.randbytes(12) + b"\x00\x06\x00\x0dabcdefgh:abcd\0\0\0" + noise[:4]
    )
    hello = b"\x16\xfe\xfd" + bytes(10) + b"\x01" + noise[:120]
    rtp = [struct.pack(">BBHII", 0x80, kind, die.getrandbits(16), 0, die.getrandbits(32)) + noise for kind in (0, 111)]
    report = struct.pack(">BBHI", 0x80, 201, 1, die.getrandbits(32))
    return [noise, stun, hello, *rtp, report]


class Flood:
    """Hits each of the `count` ports from `first` on by turns."""

    def __init__(self, first: int, count: int) -> None:
        self._ports = range(first, first + count)
        self._sources = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
        self._packets = junk(random.Random(1))
        self._sent = 0

    async def hit(self, seconds: float) -> None:
        """As much as for so many seconds of sound; returns when the engine has taken all of it (but see above)."""
        for left in range(round(RATE * seconds), 0, -BURST):
            for _ in range(min(BURST, left)):
                self._send()
            if not os.environ.get("LONG"):
                await taken(self._ports)

    def _send(self) -> None:
        at, self._sent = self._sent, self._sent + 1
        source, data = self._sources[at % len(self._sources)], self._packets[at % len(self._packets)]
        with contextlib.suppress(OSError):  # ICMP of a closed port that was hit before
            source.sendto(data, ("127.0.0.1", self._ports[at % len(self._ports)]))

    def close(self) -> None:
        for one in self._sources:
            one.close()


async def taken(ports: range) -> None:
    """Waits until the kernel holds nothing for any of these ports."""
    async with asyncio.timeout(PATIENCE):
        while any(port in ports and held for port, held in _queues()):
            await asyncio.sleep(0.001)


def _queues() -> list[tuple[int, int]]:
    """Every UDP port of the machine, and the octets that wait there (proc(5), `net/udp`)."""
    rows = [line.split() for line in Path("/proc/self/net/udp").read_text().splitlines()[1:]]
    return [(int(row[1].split(":")[1], 16), int(row[4].split(":")[1], 16)) for row in rows]
