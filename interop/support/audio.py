"""Measuring sound: the frequency, level and gaps of a recorded tone."""

import asyncio
import wave
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.patience import PATIENCE

FRAME = 0.02
"""Seconds per frame when gaps are sought."""
TRIES = 10
"""Measurements at least, of which one has to be right: a recorder on a busy machine drops sound by itself now and then, a
way that drops it does so in each."""


@dataclass(frozen=True, slots=True)
class Tone:
    """What a recording holds: Hz, dB below full scale (RMS), seconds in all, the longest gap in seconds."""

    frequency: float
    level_db: float
    seconds: float
    longest_gap: float


def read_wav(path: Path) -> tuple[NDArray[np.float64], int]:
    """(samples of the first channel in -1..1, rate). A file still being written is read as far as it goes."""
    raw = path.read_bytes()
    try:
        with wave.open(str(path)) as file:
            rate, channels, frames = file.getframerate(), file.getnchannels(), file.readframes(file.getnframes())
    except (wave.Error, EOFError):
        frames, rate, channels = b"", 8000, 1
    if not frames and len(raw) > 44:
        rate, channels = int.from_bytes(raw[24:28], "little"), int.from_bytes(raw[22:24], "little")
        frames = raw[44 : 44 + (len(raw) - 44) // (2 * channels) * 2 * channels]
    samples = np.frombuffer(frames, dtype="<i2").astype(np.float64) / 32768
    return samples[::channels], rate


def tone_in(samples: NDArray[np.float64], rate: int, threshold_db: float = -45.0) -> Tone:
    """Measures from the first to the last frame louder than the threshold."""
    size = int(rate * FRAME)
    count = len(samples) // size
    frames = samples[: count * size].reshape(count, size)
    levels = 20 * np.log10(np.sqrt((frames**2).mean(axis=1)) + 1e-9) if count else np.array([])
    loud = np.flatnonzero(levels > threshold_db)
    if len(loud) == 0:
        return Tone(0.0, -180.0, 0.0, 0.0)
    first, last = int(loud[0]), int(loud[-1]) + 1
    inside = levels[first:last] > threshold_db
    spoken = samples[first * size : last * size]
    return Tone(
        frequency=_frequency(spoken, rate),
        level_db=float(20 * np.log10(np.sqrt((spoken**2).mean()) + 1e-9)),
        seconds=len(spoken) / rate,
        longest_gap=longest_false(inside) * FRAME,
    )


async def until_tone(
    listen: Callable[[float], Awaitable[Tone]],
    frequency: float,
    seconds: float,
    levels: tuple[float, float] = (-30, -3),
) -> Tone:
    """Listens until a tone is heard whole for so long: its frequency within 1 %, its level in the range, no long gap."""
    heard: list[Tone] = []
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while len(heard) < TRIES or loop.time() < end:
        heard.append(one := await listen(seconds))
        right = abs(one.frequency - frequency) <= frequency / 100 and levels[0] < one.level_db < levels[1]
        if right and one.longest_gap <= 0.1 and one.seconds > seconds - 0.7:
            return one
    raise AssertionError(f"not {frequency:g} Hz, whole for {seconds:g} s: {heard}")


def level_at(samples: NDArray[np.float64], rate: int, hertz: float) -> float:
    """Level of one frequency among others, dB below a full-scale sine; measured in the last two seconds. Within 1 %, as
    clocks drift on a busy machine and are followed."""
    part = samples[-2 * rate :]
    window = np.hanning(len(part))
    size = 4 * len(part)
    near = np.abs(np.fft.rfft(part * window, size))[
        int(0.99 * hertz * size / rate) : int(1.01 * hertz * size / rate) + 1
    ]
    return float(20 * np.log10(2 * near.max(initial=0.0) / window.sum() + 1e-9))


def _frequency(samples: NDArray[np.float64], rate: int) -> float:
    window = samples * np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(window))
    spectrum[: max(1, int(50 * len(samples) / rate))] = 0
    peak = int(spectrum.argmax())
    if not 0 < peak < len(spectrum) - 1:
        return 0.0
    a, b, c = np.log(spectrum[peak - 1 : peak + 2] + 1e-12)
    return float((peak + 0.5 * (a - c) / (a - 2 * b + c)) * rate / len(samples))


def longest_false(flags: NDArray[np.bool_]) -> int:
    """The longest row of frames that are not so."""
    longest = run = 0
    for flag in flags:
        run = 0 if flag else run + 1
        longest = max(longest, run)
    return longest
