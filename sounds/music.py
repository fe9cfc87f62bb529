"""Music on hold and short tones: composed here, note by note. Samples in -1..1 at 16 kHz."""

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
BEAT = 0.5
"""Seconds of a beat: 120 to the minute is calm in four beats of two."""

Sound = NDArray[np.float64]

CHORDS = {"C": (48, 60, 64, 67), "Am": (45, 60, 64, 69), "F": (41, 60, 65, 69), "G": (43, 59, 62, 67),
          "Em": (40, 59, 64, 67), "Dm": (50, 62, 65, 69)}  # fmt: skip
"""MIDI notes: the bass, then the chord above it."""
FORM = "C Am F G C Am F G Em Am Dm G C Em F G Am F C G Am F Dm G C Am F G F G C C".split()
"""One chord in each bar of four beats: 64 s, and the last bar leads back into the first."""
MELODY = (
    "E5- G5- A5-G5 E5- C5- D5- E5- D5--- " "E5- G5- A5-C6 A5- G5- A5- F5- G5--- "
    "G5- E5- A5-E5 C5- A4- D5- F5- D5--- " "E5- C5- B4-E5 G5- E5- F5- A5- G5--- "
    "A5- C6- B5-A5 A5- F5- E5- G5- D5--- " "A5- E5- C5-E5 F5- A5- F5- D5- G5--- "
    "E5- G5- A5-G5 E5- C5- D5- F5- G5--- " "A5- F5- B5-G5 C6--- E5- G5- C5---"
)  # fmt: skip
"""A letter and an octave, then a dash for each further half beat it lasts."""
NAMES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def hertz(note: int) -> float:
    """Equal temperament, A4 = 69 = 440 Hz."""
    return float(440 * 2 ** ((note - 69) / 12))


def struck(note: int, seconds: float, partials: tuple[float, ...], decay: float) -> Sound:
    """A struck string: partials that die away, the higher ones sooner."""
    at = np.arange(int(RATE * seconds)) / RATE
    waves = (
        gain * np.exp(-decay * order * at) * np.sin(2 * np.pi * hertz(note) * order * at)
        for order, gain in enumerate(partials, 1)
    )
    rise = np.minimum(at / 0.006, 1)
    fall = np.minimum((seconds - at) / 0.03, 1)
    return np.asarray(sum(waves) * rise * fall)


def pad(notes: tuple[int, ...], seconds: float) -> Sound:
    """A soft, slowly swelling chord of slightly detuned pairs."""
    at = np.arange(int(RATE * seconds)) / RATE
    swell = np.sin(np.pi * np.minimum(at / seconds, 1)) ** 0.5
    pairs = (np.sin(2 * np.pi * hertz(note) * one * at) for note in notes for one in (0.998, 1.002))
    return np.asarray(sum(pairs) * swell)


def add(mix: Sound, sound: Sound, at: float, gain: float) -> None:
    """What reaches beyond the end comes in again at the start: the loop has no seam."""
    places = (int(at * RATE) + np.arange(len(sound))) % len(mix)
    np.add.at(mix, places, gain * sound)


def melody() -> list[tuple[int, float, float]]:
    """(note, beat, beats) of each note of the melody."""
    notes, beat = [], 0.0
    text = MELODY.replace(" ", "")
    at = 0
    while at < len(text):
        end = at + 2
        while end < len(text) and text[end] == "-":
            end += 1
        beats = (end - at - 1) / 2
        notes.append((12 + NAMES[text[at]] + 12 * int(text[at + 1]), beat, beats))
        beat, at = beat + beats, end
    return notes


def hold() -> Sound:
    """The whole loop."""
    mix = np.zeros(int(len(FORM) * 4 * BEAT * RATE))
    for bar, name in enumerate(FORM):
        bass, *chord = CHORDS[name]
        start = bar * 4 * BEAT
        add(mix, pad(tuple(chord), 4 * BEAT), start, 0.05)
        for beat, gain in ((0, 0.5), (2.5, 0.3)):
            add(mix, struck(bass + 12, 1.2, (1, 0.5, 0.2), 1.8), start + beat * BEAT, gain)
        for step in range(8):
            note = chord[(0, 1, 2, 1, 2, 1, 0, 1)[step]]
            add(mix, struck(note, 0.9, (1, 0.4, 0.15), 3.5), start + step * BEAT / 2, 0.16)
    tune, bars = melody(), len(FORM)
    length = tune[-1][1] + tune[-1][2]
    for note, beat, beats in tune:
        # The melody is spread over the whole form, whatever its length in beats.
        at = beat * bars * 4 / length * BEAT
        add(mix, struck(note, max(beats * BEAT * 1.6, 0.7), (1, 0.35, 0.2, 0.08), 2.2), at, 0.42)
    return mix


def beep() -> Sound:
    """After which one speaks."""
    return struck(81, 0.35, (1, 0.1), 1.0)


def joined() -> Sound:
    """Somebody came: up a fourth."""
    return np.concatenate((struck(72, 0.16, (1, 0.2), 4), struck(77, 0.3, (1, 0.2), 5)))


def left() -> Sound:
    """Somebody went: down a fourth."""
    return np.concatenate((struck(77, 0.16, (1, 0.2), 4), struck(72, 0.3, (1, 0.2), 5)))


PIECES = {
    "music/hold": (hold, -22.0),
    "tones/beep": (beep, -18.0),
    "tones/joined": (joined, -24.0),
    "tones/left": (left, -24.0),
}
"""Name of the file: who makes it, and its level in dBFS (RMS). Music lies below speech, so that one can talk over it."""
