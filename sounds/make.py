"""Makes every sound of the package: speaks the prompts of each language, composes music and tones, encodes Ogg Opus."""

import io
import subprocess
import sys
import tomllib
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from music import PIECES, RATE, Sound

HERE = Path(__file__).parent
FOLDER = HERE.parent / "src" / "offhook" / "sounds"
SPEECH_LEVEL = -20.0
"""dBFS (RMS): the nominal level of speech in telephony is a little below."""
QUIET = 0.004
"""Samples below it before and after the words are cut off."""
EDGE = 0.03
"""Seconds kept before and after the words."""


def speak(text: str, voice: str, speed: int) -> Sound:
    """The text, spoken by espeak-ng, at our rate."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "--stdout", text]
    out = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(out)) as file:
        rate = file.getframerate()
        # A stream's header does not know its length.
        raw = np.frombuffer(out[44 : 44 + (len(out) - 44) // 2 * 2], "<i2") / 32_768
    resampler = av.AudioResampler("flt", "mono", RATE)
    frame = av.AudioFrame.from_ndarray(raw.astype(np.float32).reshape(1, -1), "flt", "mono")
    frame.rate = rate
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return trim(np.concatenate([one.to_ndarray().reshape(-1) for one in frames]).astype(np.float64))


def trim(sound: Sound) -> Sound:
    """Without the silence around the words."""
    loud = np.flatnonzero(np.abs(sound) > QUIET)
    edge = int(EDGE * RATE)
    return sound[max(loud[0] - edge, 0) : loud[-1] + edge]


def levelled(sound: Sound, level: float) -> Sound:
    """At this level, never above full scale."""
    rms = float(np.sqrt((sound**2).mean()))
    gain = min(10 ** (level / 20) / rms, 0.95 / float(np.abs(sound).max()))
    return sound * gain


def write(name: str, sound: Sound, bit_rate: int) -> None:
    """One Ogg Opus file."""
    path = FOLDER / f"{name}.opus"
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="ogg", options={"serial_offset": "1"}) as file:
        stream = file.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = bit_rate
        samples = (sound * 32_767).astype(np.int16).reshape(1, -1)
        for start in range(0, samples.shape[1], 320):
            piece = samples[:, start : start + 320]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), "s16", "mono")
            frame.rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def main() -> None:
    for source in sorted(HERE.glob("*.toml")):
        language = tomllib.loads(source.read_text())
        for name, text in language["prompts"].items():
            sound = speak(text, language["voice"], language["speed"])
            write(f"{source.stem}/{name}", levelled(sound, SPEECH_LEVEL), 20_000)
    for name, (make, level) in PIECES.items():
        write(name, levelled(make(), level), 28_000)
    total = sum(path.stat().st_size for path in FOLDER.rglob("*.opus"))
    print(f"{len(list(FOLDER.rglob('*.opus')))} sounds, {total} bytes")


if __name__ == "__main__":
    sys.exit(main())
