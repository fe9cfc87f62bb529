"""What the measurements of transcoding take for speech that came through, and what they do not (MEDIA.md section 10, 4)."""

from pathlib import Path

import av
import numpy as np
import pytest

import offhook
from bench.speech import FRAME, RATE, Samples, wrong_with

SPOKEN = Path(offhook.__file__).parent / "sounds" / "en" / "test-begin.opus"


@pytest.fixture(scope="module")
def spoken() -> Samples:
    resampler = av.AudioResampler("s16", "mono", RATE)
    with av.open(str(SPOKEN)) as file:
        parts = [part.to_ndarray()[0] for frame in file.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate(parts).astype(np.int16)


def heard(spoken: Samples) -> Samples:
    """As it goes round, from somewhere, a little softer and with the noise of a codec."""
    noise = np.random.default_rng(7).normal(0, 20, 4 * RATE)
    return (0.9 * np.tile(spoken, 5)[RATE + 37 : 5 * RATE + 37] + noise).astype(np.int16)


def test_speech_that_came_through_is_taken(spoken):
    assert wrong_with(heard(spoken), spoken) == ""


def test_clicks_are_not_taken(spoken):
    sound = heard(spoken)
    sound[np.arange(401, len(sound), RATE // 4)] += 4_000
    assert "clicks a second" in wrong_with(sound, spoken)


def test_another_spectrum_is_not_taken(spoken):
    sound = heard(spoken).astype(np.float64)
    # 1. dull: its high bands are gone
    dull = np.convolve(sound, np.ones(8) / 8, "same")
    dull *= np.sqrt(np.mean(sound**2) / np.mean(dull**2))
    assert "dB off" in wrong_with(dull.astype(np.int16), spoken)
    # 2. noise as loud as the speech in every moment
    level = np.sqrt(np.convolve(sound**2, np.ones(FRAME) / FRAME, "same"))
    noise = np.random.default_rng(7).standard_normal(len(sound)) * level
    assert "not that of the speech" in wrong_with(noise.astype(np.int16), spoken)


def test_holes_and_other_levels_are_not_taken(spoken):
    sound = heard(spoken)
    for begin in range(0, len(sound), 8 * FRAME):
        sound[begin : begin + FRAME] = 0
    assert "not that of the speech" in wrong_with(sound, spoken)
    assert "louder" in wrong_with((heard(spoken) / 2).astype(np.int16), spoken)
    assert "of audio came back" in wrong_with(heard(spoken)[:RATE], spoken)
