"""What the server says is heard by a foreign phone: compared with the prompts' own samples."""

import asyncio
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

import offhook
from interop.support.audio import TRIES, level_at
from interop.support.baresip import Baresip
from interop.support.server import Offhook

SOUNDS = Path(offhook.__file__).parent / "sounds" / "en"
HEARD = 0.7
"""Least correlation with the prompt itself: the way leads through Opus, G.711 and a resampler or two."""


def prompt(name: str, rate: int) -> NDArray[np.float64]:
    """A prompt's samples."""
    resampler = av.AudioResampler("flt", "mono", rate)
    with av.open(str(SOUNDS / f"{name}.opus")) as file:
        frames = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.float64)


def likeness(sound: NDArray[np.float64], pattern: NDArray[np.float64]) -> tuple[float, int]:
    """The best normalised correlation of a pattern in a sound, and where it is."""
    size = 1 << (len(sound) + len(pattern)).bit_length()
    products = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(pattern, size)), size)
    places = len(sound) - len(pattern) + 1
    power = np.cumsum(np.concatenate(([0.0], sound**2)))
    energy = np.sqrt(np.maximum(power[len(pattern) :] - power[: -len(pattern)], 1e-9))
    score = products[:places] / (energy[:places] * np.sqrt((pattern**2).sum()))
    best = int(score.argmax())
    return float(score[best]), best


def heard(samples: NDArray[np.float64], rate: int, names: tuple[str, ...]) -> list[float]:
    """How like each of these prompts the sound is where it is most like it."""
    return [likeness(samples, prompt(name, rate))[0] for name in names]


async def test_clock_speaks_and_hangs_up_at_last(server: Offhook, tmp_path: Path) -> None:
    said = ("today-is", "the-time-is")
    async with Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone:
        await phone.registered()
        for _ in range(TRIES):
            await phone.dial("clock")
            await phone.expect("CALL_ESTABLISHED")
            await asyncio.sleep(6)  # the time is spoken
            await phone.hang_up()
            await server.until_idle()
            samples, rate = phone.recording()
            if min(found := heard(samples, rate, said)) > HEARD:
                break
    assert min(found) > HEARD, found
    (_, first), (_, second) = (likeness(samples, prompt(name, rate)) for name in said)
    assert first < second
    # What was not said is not found.
    other, _ = likeness(samples, prompt("conference-first", rate))
    assert other < 0.4, other


async def test_test_plays_back_what_is_said_and_speaks_the_measures(server: Offhook, tmp_path: Path) -> None:
    said = ("test-begin", "test-report", "loss", "jitter", "quality", "goodbye")
    async with Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, tone=700) as phone:
        await phone.registered()
        for _ in range(TRIES):
            await phone.dial("test")
            await phone.expect("CALL_CLOSED")  # the server hangs up
            samples, rate = phone.recording()
            if min(found := heard(samples, rate, said)) > HEARD:
                break
    assert min(found) > HEARD, found
    places = [likeness(samples, prompt(name, rate))[1] for name in said]
    assert places == sorted(places), places
    # Between the first two he hears himself.
    begin = places[0] + len(prompt("test-begin", rate)) + rate
    assert level_at(samples[begin : begin + 3 * rate], rate, 700) > -30
