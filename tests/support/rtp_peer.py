"""A plain RTP peer over a real socket: speaks G.711 µ-law in real time and keeps what it hears."""

import asyncio
import socket
import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from offhook.calls.ports import Codec, KeyKind, LegLocal, LegOffer, LegRemote, PathKind
from tests.support.patience import PATIENCE

HERE = "127.0.0.1"
RATE = 8_000
PACKET = 160
PCMU = Codec("PCMU", 0, 8_000)

Samples = NDArray[np.int16]


def ulaw(samples: Samples) -> bytes:
    """ITU-T G.711 µ-law."""
    value = samples.astype(np.int32)
    sign = np.where(value < 0, 0x80, 0)
    size = np.minimum(np.abs(value), 32_635) + 0x84
    exponent = np.floor(np.log2(size)).astype(np.int32) - 7
    mantissa = (size >> (exponent + 3)) & 0x0F
    return (~(sign | exponent << 4 | mantissa) & 0xFF).astype(np.uint8).tobytes()


def linear(data: bytes) -> Samples:
    """The other way."""
    code = ~np.frombuffer(data, np.uint8).astype(np.int32) & 0xFF
    size = (((code & 0x0F) << 3) + 0x84) << (code >> 4 & 7)
    return np.where(code & 0x80, 0x84 - size, size - 0x84).astype(np.int16)


def tone(hertz: float, seconds: float, amplitude: float = 8_000) -> Samples:
    """A sine."""
    at = np.arange(int(RATE * seconds)) / RATE
    return (amplitude * np.sin(2 * np.pi * hertz * at)).astype(np.int16)


def silence(seconds: float) -> Samples:
    """Digital silence."""
    return np.zeros(int(RATE * seconds), np.int16)


def offer() -> LegOffer:
    """Our half of a leg for such a peer."""
    return LegOffer(PathKind.PORT, KeyKind.PLAIN, (PCMU,), address=HERE)


class RtpSocket:
    """The socket of a peer: `_take` gets each packet of sound that comes."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HERE, 0))
        self._socket.setblocking(False)
        self._to: tuple[str, int] = (HERE, 9)
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def meets(self, leg: LegLocal) -> None:
        """Where it speaks to."""
        self._to = leg.candidates[0]

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        data = self._socket.recv(2048)
        # RFC 5761 section 4: RTCP is passed over.
        if not 192 <= data[1] <= 223:
            self._take(data)

    def _take(self, data: bytes) -> None:
        raise NotImplementedError


class RtpPeer(RtpSocket):
    """One peer. `heard` are the payloads it got, in order."""

    def __init__(self, ssrc: int) -> None:
        super().__init__()
        self._ssrc, self._sequence = ssrc, 0
        self.heard: list[bytes] = []

    @property
    def remote(self) -> LegRemote:
        """Its half of the leg."""
        return LegRemote((PCMU,), HERE, self.port)

    def _take(self, data: bytes) -> None:
        self.heard.append(data[12:])

    async def speak(self, samples: Samples) -> None:
        """Speaks these samples, as long as they last."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for start in range(0, len(samples) - PACKET + 1, PACKET):
            head = struct.pack("!BBHII", 0x80, 0, self._sequence & 0xFFFF, self._sequence * PACKET, self._ssrc)
            self._socket.sendto(head + ulaw(samples[start : start + PACKET]), self._to)
            self._sequence += 1
            due += PACKET / RATE
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def until(self, what: Callable[[], object]) -> None:
        """Waits until `what()` is true of what it heard: another channel may tell of the sound before the sound comes."""
        async with asyncio.timeout(PATIENCE):
            while not what():
                await asyncio.sleep(PACKET / RATE / 4)

    async def hears(self, packets: int) -> None:
        """Waits until it heard so many packets."""
        await self.until(lambda: len(self.heard) >= packets)

    def listened(self) -> Samples:
        """Everything it heard."""
        return linear(b"".join(self.heard))
