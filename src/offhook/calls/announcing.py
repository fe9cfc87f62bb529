"""What a built-in destination that speaks says first; speaking.py goes on from there."""

from offhook.calls.call import Call, Effects
from offhook.calls.effects import AskTime, PlayFiles
from offhook.calls.leg import Leg
from offhook.calls.routing import Destination
from offhook.calls.words import LANGUAGES, English

CLOCK, BEGIN, REPORT = "clock", "test-begin", "test-report"
"""Names of what is played, as `PlayFinished` repeats them."""


def begin(call: Call, leg: Leg, destination: Destination) -> Effects:
    """The leg hears `clock` or `test` from now on."""
    leg.rounds = 0
    if destination.user.casefold() == CLOCK:
        return [AskTime(call.ref, leg.ref)]
    return say(leg, BEGIN, language(call).files("test-begin"))


def say(leg: Leg, play: str, files: tuple[str, ...]) -> Effects:
    """Plays these files, once."""
    return [PlayFiles(leg.media.leg, play, files)] if leg.media is not None else []


def language(call: Call) -> English:
    """In which the server speaks."""
    return LANGUAGES[call.config.language]
