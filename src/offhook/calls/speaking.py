"""Built-in destinations that speak: `clock` tells the time, `test` how good the connection is (DESIGN.md section 6).

Lives here: what is said when. Never here: which words that are (words.py), how it begins (announcing.py).
"""

from offhook.calls import ending
from offhook.calls.announcing import CLOCK, REPORT, language, say
from offhook.calls.call import Call, Effects
from offhook.calls.effects import AskTime, BridgeMedia, StartTimer
from offhook.calls.events import PlayFinished, TimeTold
from offhook.calls.leg import Leg
from offhook.calls.ports import Quality
from offhook.record import record

ROUNDS = 3
"""How often the time is told: whoever listens longer has fallen asleep."""
PAUSE = 2.0
"""Seconds between two times."""
LAST_WORD = 0.5
"""Seconds until the call ends: the last word waits in the phone's jitter buffer when we have said it."""
MEASURED = 10.0
"""Seconds of echo: the engine measures every five, and RTCP of the other side comes in as many."""


@record
class SpeakAgain:
    """The pause of the clock, or the measurement of the test, is over."""

    call_ref: str
    leg_ref: str


@record
class SpeakOver:
    """The last word has been heard; the call ends."""

    call_ref: str
    leg_ref: str


def time_told(call: Call, leg: Leg, event: TimeTold) -> Effects:
    """The time, in words."""
    if not _speaks(leg, CLOCK):
        return []
    return say(leg, CLOCK, language(call).clock(event.weekday, event.hour, event.minute))


def played(call: Call, leg: Leg, event: PlayFinished) -> Effects:
    """What was said is over: what comes next. A sound that is missing is explained, and the rest comes all the same."""
    told: Effects = [call.explain(f"a sound cannot be played: {event.text}", leg)] if event.reason == "failed" else []
    if event.reason not in ("finished", "failed") or leg.media is None or leg.fed is None:
        return told
    match event.play:
        case "clock" if _speaks(leg, CLOCK):
            leg.rounds += 1
            if leg.rounds >= ROUNDS or event.reason == "failed":
                return [*told, StartTimer(SpeakOver(call.ref, leg.ref), LAST_WORD)]
            return [*told, StartTimer(SpeakAgain(call.ref, leg.ref), PAUSE)]
        case "test-begin" if _speaks(leg, "test"):
            echo = BridgeMedia(leg.media.leg, leg.media.leg)
            return [*told, echo, StartTimer(SpeakAgain(call.ref, leg.ref), MEASURED)]
        case "test-report" if _speaks(leg, "test"):
            return [*told, StartTimer(SpeakOver(call.ref, leg.ref), LAST_WORD)]
        case _:
            return told


def clock_rang(call: Call, key: SpeakAgain | SpeakOver, now: float) -> Effects:
    """A pause is over."""
    leg = call.by_ref(key.leg_ref)
    if leg is None:
        return []
    return _again(call, leg) if isinstance(key, SpeakAgain) else _over(call, leg, now)


def _over(call: Call, leg: Leg, now: float) -> Effects:
    """Everything is said."""
    speaks = _speaks(leg, CLOCK) or _speaks(leg, "test")
    return ending.give_up_leg(call, leg, "hangup", "server", now) if speaks else []


def _again(call: Call, leg: Leg) -> Effects:
    """The pause is over."""
    if _speaks(leg, CLOCK):
        return [AskTime(call.ref, leg.ref)]
    if _speaks(leg, "test"):
        silent = any(one.direction == "from_device" and one.until is None for one in leg.findings)
        return say(leg, REPORT, language(call).report(leg.quality or Quality(), heard=not silent))
    return []


def _speaks(leg: Leg, name: str) -> bool:
    return leg.fed is not None and leg.fed.user.casefold() == name
