"""Junk at an even pace, from a process of its own: `python -m tests.support.flood HOST FIRST COUNT RATE SECONDS`.

Each of the `COUNT` ports from `FIRST` on is hit by turns, from eight sources: noise, and what begins like STUN,
DTLS and RTP. Says at the end how many packets it sent.
"""

import contextlib
import os
import random
import socket
import struct
import sys
import time

STEP = 0.005
"""Seconds between two bursts."""


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


def main(host: str, first: int, count: int, rate: int, seconds: float) -> int:
    """Sends for so long; how many packets went out."""
    if len(cores := os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {max(cores)})
    die = random.Random(1)
    sources = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
    packets = junk(die)
    start, sent = time.monotonic(), 0
    while (now := time.monotonic() - start) < seconds:
        while sent < now * rate:
            source, data = sources[sent % len(sources)], packets[sent % len(packets)]
            with contextlib.suppress(OSError):  # ICMP of a closed port that was hit before
                source.sendto(data, (host, first + sent % count))
            sent += 1
        time.sleep(STEP)
    return sent


if __name__ == "__main__":
    print(main(sys.argv[1], *(int(one) for one in sys.argv[2:5]), float(sys.argv[5])))
