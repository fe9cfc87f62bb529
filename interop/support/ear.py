"""The sound of a telephone behind a carrier: SIPp speaks for it, its RTP is sent and heard here."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from interop.support.audio import Tone, tone_in, until_tone
from interop.support.kamailio import BEHIND, write_ulaw

FRAME = 160
"""Octets of G.711 in 20 ms."""


class Ear:
    """`port` stands in the telephone's session description; `hears` measures what came to it."""

    def __init__(self, folder: Path, frequency: float) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((BEHIND, 0))
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])
        write_ulaw(folder / "ear.ulaw", frequency)
        self._sound = (folder / "ear.ulaw").read_bytes()
        self._came: dict[int, bytes] = {}

    async def work(self) -> None:
        """Listens, and sends its own tone to whoever sends, a packet for a packet."""
        loop = asyncio.get_running_loop()
        for number in range(1 << 16):
            data, peer = await loop.sock_recvfrom(self._socket, 2048)
            first, kind, sequence = struct.unpack(">BBH", data[:4])
            if first >> 6 == 2 and kind & 0x7F == 0:
                self._came[sequence] = data[12:]
            at = number * FRAME % (len(self._sound) - FRAME)
            head = struct.pack(">BBHII", 0x80, 0, number, number * FRAME, 0x1234)
            await loop.sock_sendto(self._socket, head + self._sound[at : at + FRAME], peer)

    async def hears(self, frequency: float, seconds: float = 2.0) -> Tone:
        """Waits until that tone came, whole for so many seconds."""
        return await until_tone(self._heard, frequency, seconds)

    async def _heard(self, seconds: float) -> Tone:
        await asyncio.sleep(seconds)  # sound has to come before there is anything to measure
        octets = b"".join(self._came[one] for one in sorted(self._came))[-int(8000 * seconds) :]
        return tone_in(_linear(octets), 8000)

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()


@asynccontextmanager
async def ear(folder: Path, frequency: float) -> AsyncIterator[Ear]:
    """An ear at work."""
    one = Ear(folder, frequency)
    task = asyncio.create_task(one.work())
    try:
        yield one
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        one.close()


def _linear(octets: bytes) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """G.711 mu-law in -1..1 (ITU-T G.711)."""
    code = ~np.frombuffer(octets, dtype=np.uint8)
    exponent, mantissa = (code >> 4) & 7, (code & 0x0F).astype(np.int32)
    magnitude = (((mantissa << 3) + 132) << exponent) - 132
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.float64) / 32768
