"""Speech for the benchmarks: spoken by espeak-ng, cut into 20 ms frames of PCMU and Opus, and judged when it comes back."""

import shutil
import struct
import subprocess
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

TEXT = (
    "The quick brown fox jumps over the lazy dog, while seven wise wizards watch from the hill. "
    "A telephone carries a voice, and a voice carries more than words. One, two, three, four, five, six."
)
RATE = 8_000
BITRATE = 24_000
FRAME = 160
"""Samples whose spectrum is one point of a likeness: 20 ms."""
PIECE, BEGIN = 100, 20
"""Points that are compared with the speech at a time, and those left out at the beginning, while buffers fill."""
EDGES = np.geomspace(150, 3_600, 9)
"""Hz between which the power of each band is compared."""
ALIKE, LOUDER = 0.9, 6.0
"""Least correlation of a piece's spectrum over time with the speech's, and most dB by which a band may be off."""
CLICK = 16
"""Samples in which a click is looked for: 2 ms."""
STANDS_OUT, LOUD = 5.0, 100.0
"""A click has so many times the high frequencies of the 40 ms before and behind it, and at least so many."""
CLICKS = 1.0
"""A second, beside those of the speech: consonants are a few."""


def speech(folder: Path) -> Samples:
    """Some ten seconds of speech at 8 kHz. Raises RuntimeError without espeak-ng."""
    if shutil.which("espeak-ng") is None:
        raise RuntimeError("espeak-ng is not installed; interop/peers.sh installs what the measurements need")
    path = folder / "speech.wav"
    subprocess.run(["espeak-ng", "-v", "en", "-s", "150", "-w", str(path), TEXT], check=True)
    with av.open(str(path)) as file:
        return _converted(file.decode(audio=0), RATE)


def write_frames(folder: Path, samples: Samples) -> tuple[Path, Path]:
    """(PCMU, Opus): files of frames, each after its length."""
    return (
        _written(folder / "pcmu.frames", _encode("pcm_mulaw", samples, RATE)),
        _written(folder / "opus.frames", _encode("libopus", samples, 48_000)),
    )


def silence(folder: Path) -> Path:
    """A second in which nobody speaks, in Opus: what a browser sends all the time."""
    return _written(folder / "silence.frames", _encode("libopus", np.zeros(RATE, np.int16), 48_000))


def judge(heard: Path, codec: str, spoken: Samples) -> str:
    """What is wrong with what a leg heard, empty if it is the speech: as loud within 3 dB, the same spectrum at the same
    times, and no clicks."""
    decoder = av.CodecContext.create("pcm_mulaw" if codec == "pcmu" else "libopus", "r")
    if codec == "pcmu":
        decoder.sample_rate, decoder.layout = RATE, "mono"
    else:
        decoder.sample_rate = 48_000
    frames = [frame for data in _frames(heard) for frame in decoder.decode(av.Packet(data))]
    return wrong_with(_converted(frames, RATE), spoken)


def wrong_with(samples: Samples, spoken: Samples) -> str:
    """The same of samples."""
    least = (BEGIN + PIECE) * FRAME
    if len(samples) < least:
        return f"only {len(samples) / RATE:.1f} s of audio came back, {least / RATE:.1f} are needed"
    louder = 20 * np.log10(max(_level(samples), 1) / _level(spoken))
    if abs(louder) > 3:
        return f"it is {louder:+.1f} dB louder than what was spoken"
    likeness, off = _likeness(samples, spoken)
    if likeness < ALIKE:
        return f"its spectrum over time is not that of the speech ({likeness:.2f})"
    if off > LOUDER:
        return f"a band of its spectrum is {off:.1f} dB off"
    more = _clicks(samples) - _clicks(spoken)
    return "" if more <= CLICKS else f"it has {more:.1f} clicks a second"


def _converted(frames: object, rate: int) -> Samples:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    parts = [out.to_ndarray()[0] for frame in frames for out in resampler.resample(frame)]  # type: ignore[attr-defined]
    parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(parts).astype(np.int16) if parts else np.zeros(0, np.int16)


def _encode(codec: str, samples: Samples, rate: int) -> list[bytes]:
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "s16"
    if codec == "libopus":
        encoder.bit_rate, encoder.options = BITRATE, {"application": "voip", "frame_duration": "20"}
    source = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    source.sample_rate = RATE
    wide = _converted([source], rate)
    size, coded = rate // 50, []
    for at in range(0, len(wide) - size, size):
        frame = av.AudioFrame.from_ndarray(wide[at : at + size].reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, at
        coded += [bytes(packet) for packet in encoder.encode(frame)]
    return coded


def _written(path: Path, frames: list[bytes]) -> Path:
    path.write_bytes(b"".join(struct.pack("!H", len(frame)) + frame for frame in frames))
    return path


def _frames(path: Path) -> list[bytes]:
    data, frames = path.read_bytes(), []
    while data:
        size = struct.unpack_from("!H", data)[0]
        frames.append(data[2 : 2 + size])
        data = data[2 + size :]
    return frames


def _level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def _bands(samples: Samples) -> NDArray[np.float64]:
    """The level of each band in each 20 ms, dB."""
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    power = np.abs(np.fft.rfft(whole * np.hanning(FRAME), axis=1)) ** 2
    hertz = np.fft.rfftfreq(FRAME, 1 / RATE)
    bands = [power[:, (hertz >= low) & (hertz < high)].sum(axis=1) / FRAME for low, high in pairwise(EDGES)]
    return 10 * np.log10(np.stack(bands, axis=1) + 1_000)


def _likeness(heard: Samples, spoken: Samples) -> tuple[float, float]:
    """The least correlation of a piece of what was heard with the piece of the speech, which goes round, that it is most
    like; and by how many dB a band of it is off at most."""
    all_, source = _bands(heard), np.tile(_bands(spoken), (2, 1))
    shifts = range(len(source) - PIECE)
    found = []
    for begin in range(BEGIN, len(all_) - PIECE + 1, PIECE):
        piece = all_[begin : begin + PIECE]
        alike = [float(np.corrcoef(piece.ravel(), source[at : at + PIECE].ravel())[0, 1]) for at in shifts]
        best = source[int(np.argmax(alike)) :][:PIECE]
        found.append((max(alike), float(np.abs(piece.mean(axis=0) - best.mean(axis=0)).max())))
    return min(alike for alike, _ in found), max(off for _, off in found)


def _clicks(samples: Samples) -> float:
    """Clicks a second: 2 ms whose high frequencies stand out of what is around them."""
    high = np.diff(samples.astype(np.float64), 2)
    pieces = np.sqrt((high[: len(high) // CLICK * CLICK].reshape(-1, CLICK) ** 2).mean(axis=1))
    around, count = 20, 0
    for at in np.flatnonzero(pieces > LOUD):
        # A click may lie across two of them.
        before, behind = pieces[max(0, at - around) : max(0, at - 1)], pieces[at + 2 : at + 1 + around]
        others = np.concatenate((before, behind))
        count += bool(pieces[at] > STANDS_OUT * np.sqrt((others**2).mean()))
    return count * RATE / len(samples)
