"""Digits that a command presses, with pauses between (API.md 8.1): `w` half a second, `,` two."""

from offhook.calls import digits
from offhook.calls.call import Call, Effects
from offhook.calls.effects import StartTimer
from offhook.calls.leg import Leg
from offhook.record import record

PAUSES = {"w": 0.5, ",": 2.0}
GAP = 0.1
"""Seconds between two presses, as the engine keeps them apart."""


@record
class PressMore:
    """A pause between digits is over."""

    call_ref: str
    leg_ref: str
    digits: str
    milliseconds: int


def press(call: Call, leg: Leg, text: str, now: float, milliseconds: int = 100) -> Effects:
    """The digits up to the first pause; the rest follows after it."""
    run = ""
    for at, one in enumerate(text):
        if one in PAUSES:
            seconds = PAUSES[one] + len(run) * (milliseconds / 1000 + GAP)
            rest = PressMore(call.ref, leg.ref, text[at + 1 :], milliseconds)
            return [*(digits.press(call, leg, run, milliseconds, now) if run else []), StartTimer(rest, seconds)]
        run += one
    return digits.press(call, leg, run, milliseconds, now) if run else []
