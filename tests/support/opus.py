"""Sound and packets of Opus, by libopus as FFmpeg has it: another copy than the engine's."""

from collections.abc import Iterable

import av
import numpy as np
from numpy.typing import NDArray

CLOCK = 48_000
FRAME = CLOCK // 50
"""Samples of a packet."""


def tone(hertz: float, seconds: float, amplitude: float = 8_000) -> NDArray[np.int16]:
    """A sine on the clock of Opus."""
    at = np.arange(int(CLOCK * seconds)) / CLOCK
    return (amplitude * np.sin(2 * np.pi * hertz * at)).astype(np.int16)


def packets(samples: NDArray[np.int16]) -> list[bytes]:
    """Packets of 20 ms, mono."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = CLOCK, "mono", "s16"
    encoder.bit_rate, encoder.options = 32_000, {"application": "voip", "frame_duration": "20"}
    made: list[bytes] = []
    for start in range(0, len(samples) - FRAME + 1, FRAME):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + FRAME], "s16", "mono")
        frame.sample_rate, frame.pts = CLOCK, start
        made += [bytes(packet) for packet in encoder.encode(frame)]
    return made


def sound(payloads: Iterable[bytes]) -> NDArray[np.int16]:
    """The sound of packets, one channel."""
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = CLOCK, "mono"
    heard = []
    for payload in payloads:
        for frame in decoder.decode(av.Packet(payload)):
            samples = frame.to_ndarray().reshape(-1, 1 if frame.format.is_planar else len(frame.layout.channels))
            heard.append(samples[:, 0].astype(np.float64) * (1 if frame.format.name.startswith("s16") else 32_767))
    return np.concatenate(heard).astype(np.int16) if heard else np.zeros(0, np.int16)
