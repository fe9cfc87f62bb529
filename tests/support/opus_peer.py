"""A plain RTP peer that speaks given packets of Opus, and keeps the packets that it hears."""

import asyncio
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from offhook.calls.ports import Codec, KeyKind, LegOffer, LegRemote, PathKind
from tests.support.opus import FRAME
from tests.support.patience import PATIENCE
from tests.support.rtp_peer import HERE, RtpSocket

OPUS = Codec("OPUS", 111, 48_000, 2)
EVENT = Codec("TELEPHONE-EVENT", 110, 48_000)
TICK = 0.02


@dataclass(frozen=True, slots=True)
class Heard:
    """A packet that came: the low halves of number and time, and what was in it."""

    type: int
    sequence: int
    timestamp: int
    payload: bytes


def offer(*audio: Codec) -> LegOffer:
    """Our half of a leg for such a peer."""
    return LegOffer(PathKind.PORT, KeyKind.PLAIN, audio or (OPUS, EVENT), address=HERE)


class OpusPeer(RtpSocket):
    """One peer. Its numbers and times wrap soon."""

    def __init__(self, ssrc: int) -> None:
        super().__init__()
        self._ssrc, self.sequence, self.timestamp = ssrc, 65_530, 2**32 - 5 * FRAME
        self.heard: list[Heard] = []

    def remote(self, *audio: Codec) -> LegRemote:
        """Its half of the leg."""
        return LegRemote(audio or (OPUS, EVENT), HERE, self.port)

    def _take(self, data: bytes) -> None:
        sequence, timestamp = struct.unpack("!HI", data[2:8])
        self.heard.append(Heard(data[1] & 0x7F, sequence, timestamp, data[12:]))

    def send(self, payload: bytes, type_: int = OPUS.payload_type) -> None:
        """One packet, at once; the caller moves the time."""
        head = struct.pack("!BBHII", 0x80, type_, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self._ssrc)
        self._socket.sendto(head + payload, self._to)
        self.sequence += 1

    def lose(self) -> None:
        """A packet that does not come."""
        self.sequence += 1
        self.timestamp += FRAME

    def rest(self, packets: int) -> None:
        """DTX: time passes without numbers."""
        self.timestamp += packets * FRAME

    async def speak(self, payloads: Iterable[bytes]) -> None:
        """Packets of 20 ms, as long as they last."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for payload in payloads:
            self.send(payload)
            self.timestamp += FRAME
            due += TICK
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def until(self, what: Callable[[], object]) -> None:
        """Waits until `what()` is true of what it heard."""
        async with asyncio.timeout(PATIENCE):
            while not what():
                await asyncio.sleep(TICK / 4)

    def speech(self) -> list[Heard]:
        """Packets of Opus that it heard."""
        return [one for one in self.heard if one.type == OPUS.payload_type]
