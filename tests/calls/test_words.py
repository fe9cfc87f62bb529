"""What the server says is made of files that exist (DESIGN.md section 6)."""

from pathlib import Path

import pytest

import offhook
from offhook.calls.ports import Quality
from offhook.calls.words import LANGUAGES, SCORES, English

SOUNDS = Path(offhook.__file__).parent / "sounds"
ENGLISH = English()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (19, "19"),
        (20, "20"),
        (42, "40 2"),
        (100, "1 hundred"),
        (318, "3 hundred 18"),
        (7_005, "7 thousand 5"),
        (250_000, "2 hundred 50 thousand"),
        (1_000_001, "1 million 1"),
        (-3, "minus 3"),
        (12_345_678, "1 2 3 4 5 6 7 8"),
    ],
)
def test_numbers(value: int, words: str) -> None:
    assert " ".join(ENGLISH.number(value)) == words


@pytest.mark.parametrize(
    ("hour", "minute", "words"),
    [
        (0, 0, "12 o-clock am"),
        (0, 5, "12 oh 5 am"),
        (11, 59, "11 50 9 am"),
        (12, 30, "12 30 pm"),
        (23, 11, "11 11 pm"),
    ],
)
def test_times(hour: int, minute: int, words: str) -> None:
    assert " ".join(ENGLISH.time(hour, minute)) == words


def test_tenths_are_rounded_and_a_zero_is_not_said() -> None:
    assert ENGLISH.tenths(0.04) == ("0",)
    assert ENGLISH.tenths(1.26) == ("1", "point", "3")
    assert ENGLISH.tenths(99.96) == ("1", "hundred")


def test_a_report_names_what_was_measured_and_the_worse_direction() -> None:
    quality = Quality(loss_percent=0.5, remote_loss_percent=2.0, jitter_ms=12.6, rtt_ms=48.2, mos=3.7)
    said = " ".join(name.removeprefix("en/") for name in ENGLISH.report(quality, heard=True))
    assert said == (
        "test-report loss 2 percent jitter 13 milliseconds round-trip 40 8 milliseconds quality good goodbye"
    )
    assert "en/not-heard" in ENGLISH.report(Quality(), heard=False)
    assert "en/quality" not in ENGLISH.report(Quality(), heard=True), "what is not known is not said"


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_word_of_a_language_has_its_file(code: str) -> None:
    language = LANGUAGES[code]
    numbers = {word for value in (*range(101), 345, 1_000, 2_000_000, -1) for word in language.number(value)}
    times = {one for day in range(7) for hour in range(24) for one in language.clock(day, hour, 7 * hour % 60)}
    reports = {
        one
        for mos in (0.0, *(least + 0.05 for least, _ in SCORES))
        for one in language.report(Quality(mos=mos, rtt_ms=30, loss_percent=0.5), heard=False)
    }
    wanted = {*language.files(*numbers, *language.digits("*#0123456789"), "conference-first"), *times, *reports}
    missing = [name for name in sorted(wanted) if not (SOUNDS / f"{name}.opus").is_file()]
    assert missing == []


def test_the_sounds_are_small() -> None:
    """They travel in every wheel."""
    assert sum(one.stat().st_size for one in SOUNDS.rglob("*.opus")) < 2_000_000
