"""Speech for the benchmarks: spoken by espeak-ng, cut into 20 ms frames of PCMU and Opus, and judged when it comes back."""

import shutil
import struct
import subprocess
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
ENVELOPE = 160
"""Samples whose level is one point of an envelope: 20 ms."""


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
    """What is wrong with what a leg heard, empty if it is the speech: as loud within 3 dB, in the same rhythm."""
    decoder = av.CodecContext.create("pcm_mulaw" if codec == "pcmu" else "libopus", "r")
    if codec == "pcmu":
        decoder.sample_rate, decoder.layout = RATE, "mono"
    else:
        decoder.sample_rate = 48_000
    frames = [frame for data in _frames(heard) for frame in decoder.decode(av.Packet(data))]
    samples = _converted(frames, RATE)
    if len(samples) < 2 * RATE:
        return f"only {len(samples) / RATE:.1f} s of audio came back"
    louder = 20 * np.log10(max(_level(samples), 1) / _level(spoken))
    if abs(louder) > 3:
        return f"it is {louder:+.1f} dB louder than what was spoken"
    likeness = _likeness(samples, spoken)
    return "" if likeness > 0.85 else f"its rhythm is not that of the speech ({likeness:.2f})"


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


def _envelope(samples: Samples) -> NDArray[np.float64]:
    whole = samples[: len(samples) // ENVELOPE * ENVELOPE].reshape(-1, ENVELOPE).astype(np.float64)
    return np.log10(np.sqrt(np.mean(whole**2, axis=1)) + 30)


def _likeness(heard: Samples, spoken: Samples) -> float:
    """The best correlation of the envelope of what was heard with any two seconds of the speech, which goes round."""
    piece = _envelope(heard)[20:120]
    source = np.tile(_envelope(spoken), 2)
    shifts = range(len(source) - len(piece))
    return max(float(np.corrcoef(piece, source[at : at + len(piece)])[0, 1]) for at in shifts)
