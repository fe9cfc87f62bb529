"""What the server says, as names of sound files: numbers, times, measures. English; a further language is a class like this.

Lives here: which words in which order. Never here: when they are said (speaking.py), and how they sound (`sounds/`).
"""

from offhook.calls.ports import Quality

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SCORES = ((4.0, "excellent"), (3.6, "good"), (3.1, "fair"), (2.6, "poor"), (0.0, "bad"))
"""MOS from which a quality has its name (ITU-T G.107 annex B, on the narrow-band scale)."""


class English:
    """`folder` is the directory of its files below the directories of sounds."""

    folder = "en"

    def files(self, *words: str) -> tuple[str, ...]:
        """The files of these words."""
        return tuple(f"{self.folder}/{word}" for word in words)

    def number(self, value: int) -> tuple[str, ...]:
        """A whole number below ten million; larger ones digit by digit."""
        if value < 0:
            return ("minus", *self.number(-value))
        if value < 20:
            return (str(value),)
        if value < 100:
            tens, ones = divmod(value, 10)
            return (str(tens * 10), *((str(ones),) if ones else ()))
        for unit, word in ((1_000_000, "million"), (1_000, "thousand"), (100, "hundred")):
            if unit <= value < 10_000_000:
                count, rest = divmod(value, unit)
                return (*self.number(count), word, *(self.number(rest) if rest else ()))
        return self.digits(str(value))

    def digits(self, text: str) -> tuple[str, ...]:
        """One after the other; what is no digit is passed over."""
        named = {"*": "star", "#": "pound"}
        return tuple(named.get(one, one) for one in text if one.isdecimal() or one in named)

    def tenths(self, value: float) -> tuple[str, ...]:
        """A number with one place behind the point, if that is not zero."""
        whole, tenth = divmod(round(abs(value) * 10), 10)
        return (*self.number(whole), *(("point", str(tenth)) if tenth else ()))

    def time(self, hour: int, minute: int) -> tuple[str, ...]:
        """Half past twelve at noon is "12 30 pm"; `hour` 0 to 23."""
        half = "am" if hour < 12 else "pm"
        twelve = str(hour % 12 or 12)
        if minute == 0:
            return (twelve, "o-clock", half)
        return (twelve, *(("oh",) if minute < 10 else ()), *self.number(minute), half)

    def clock(self, weekday: int, hour: int, minute: int) -> tuple[str, ...]:
        """`weekday` 0 is Monday."""
        return self.files("today-is", WEEKDAYS[weekday], "the-time-is", *self.time(hour, minute))

    def report(self, quality: Quality, heard: bool) -> tuple[str, ...]:
        """What was measured of a leg. Loss is of both ways together, the worse one counts."""
        loss = max(quality.loss_percent, quality.remote_loss_percent)
        words = ["test-report", "loss", *self.tenths(loss), "percent"]
        words += ["jitter", *self.number(round(quality.jitter_ms)), "milliseconds"]
        if quality.rtt_ms:
            words += ["round-trip", *self.number(round(quality.rtt_ms)), "milliseconds"]
        if quality.mos:
            words += ["quality", next(name for least, name in SCORES if quality.mos >= least)]
        return self.files(*words, *(() if heard else ("not-heard",)), "goodbye")


LANGUAGES = {"en": English()}
"""By their codes (ISO 639)."""
