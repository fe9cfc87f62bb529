"""What the media engine answers, as call control hears it: legs that are open, refused, changed, closed, and what they hear.

Lives here: finding the call and the leg, and handing on. Never here: what a fact means (heard.py), loss of the engine
(reopen.py).
"""

from collections.abc import Callable, Mapping

from offhook.calls import (
    adding,
    bridge,
    conference,
    ending,
    fork,
    heard,
    program,
    renegotiation,
    reopen,
    replacing,
)
from offhook.calls.call import Call, CallState, Effects
from offhook.calls.effects import CloseMedia, WriteCallLog
from offhook.calls.events import (
    MediaClosed,
    MediaEvent,
    MediaLegOpened,
    MediaLegUpdated,
    MediaLineRefused,
    MediaOpened,
    MediaRefused,
    RoomSpeaker,
)
from offhook.calls.index import Index
from offhook.calls.outcome import refusal
from offhook.calls.ports import LegLocal

REFUSALS = {"engine_lost": "media_engine_lost", "engine_busy": "media_busy"}
"""What the engine's codes mean for a call; any other refusal is one of ports."""

EngineAnswer = (
    MediaOpened
    | MediaRefused
    | MediaClosed
    | MediaLegOpened
    | MediaLegUpdated
    | MediaLineRefused
    | RoomSpeaker
    | MediaEvent
)


class EngineAnswers:
    """`ended` are the calls that ended last; `scored` is told of each call whose media are closed."""

    def __init__(self, index: Index, ended: Mapping[str, Call], scored: Callable[[Call], None]) -> None:
        self._index, self._ended, self._scored = index, ended, scored

    def handle(self, event: EngineAnswer, now: float) -> Effects:
        """Any answer and any event of a leg."""
        match event:
            case MediaOpened():
                return self._opened(event, now)
            case MediaRefused():
                return self._refused(event, now)
            case MediaClosed():
                return self._closed(event)
            case MediaLegOpened():
                return self._leg_opened(event, now)
            case MediaLegUpdated():
                return self._leg_updated(event)
            case MediaLineRefused():
                return self._line_refused(event)
            case RoomSpeaker():
                return conference.spoken(self._index, event)
            case _:
                return self._of_leg(event, now)

    def _opened(self, event: MediaOpened, now: float) -> Effects:
        call = self._index.calls.get(event.call_ref) or self._ended.get(event.call_ref)
        if call is None:
            return []
        if call.state is CallState.ENDED:
            # It ended while the engine opened, and has been logged then.
            return [CloseMedia(event.media_call)]
        if call.reopening:
            return reopen.opened(call, event.media_call, event.legs)
        more = bridge.opened(call, event.media_call)
        stale = [effect for ref, local in event.legs.items() for effect in self._take_leg(call, ref, local)]
        call.state = CallState.RINGING
        return [*more, *stale, *fork.opened(call, now), *program.opened(call, now)]

    def _leg_opened(self, event: MediaLegOpened, now: float) -> Effects:
        call = self._index.calls.get(event.call_ref)
        if call is None:
            # It ended meanwhile, and its media with it.
            return []
        taken = self._take_leg(call, event.leg_ref, event.local)
        leg = call.by_ref(event.leg_ref)
        came = replacing.arrived(call, leg, now) if leg is not None else []
        return [*taken, *came, *fork.opened(call, now), *program.opened(call, now)]

    def _take_leg(self, call: Call, ref: str, local: LegLocal) -> Effects:
        """A leg has its media; one that ended while the engine opened it is closed again."""
        leg = call.by_ref(ref)
        if leg is None:
            return []
        leg.media = local
        if leg in call.former:
            return ending.close_leg(leg)
        call.know(leg)
        return []

    def _refused(self, event: MediaRefused, now: float) -> Effects:
        call = self._index.calls.get(event.call_ref)
        if call is None:
            return []
        code = REFUSALS.get(event.code, "media_ports_exhausted")
        outcome = refusal(code, event.text)
        if call.reopening:
            return reopen.refused(call, event.code, now)
        if not call.media_calls:
            return ending.refuse(call, outcome, now)
        # Which leg was refused is not said, and the next would be refused too.
        turned = [effect for one in list(call.arrivals) for effect in replacing.turn_away(call, one.leg, outcome)]
        waiting = [one for one in call.forks if not one.rung or one.hunt is not None]
        return [*turned, *(end for one in waiting for end in fork.give_up(call, one, outcome, "", code, now))]

    def _closed(self, event: MediaClosed) -> Effects:
        call = self._index.media.pop(event.media_call, None)
        if call is None:
            return []
        call.media_calls.remove(event.media_call)
        for facts in event.facts:
            leg = call.by_media(facts.leg)
            if leg is not None:
                leg.facts, leg.quality = facts, facts.quality
        call.changed()
        if not call.media_calls:
            self._scored(call)
        return [] if call.media_calls else [WriteCallLog(call.record())]

    def _leg_updated(self, event: MediaLegUpdated) -> Effects:
        call = self._index.legs.get(event.leg)
        leg = call.by_media(event.leg) if call is not None else None
        if leg is None:
            return []
        leg.media = event.local
        if call is not None:
            self._index.touched[call.ref] = call
        return [*renegotiation.renegotiated(leg), *reopen.updated(leg), *adding.updated(leg)]

    def _line_refused(self, event: MediaLineRefused) -> Effects:
        call = self._index.legs.get(event.leg)
        leg = call.by_media(event.leg) if call is not None else None
        return adding.refused(call, leg) if call is not None and leg is not None else []

    def _of_leg(self, event: MediaEvent, now: float) -> Effects:
        call = self._index.legs.get(event.leg)
        leg = call.by_media(event.leg) if call is not None else None
        return heard.of_leg(call, leg, event, now) if call is not None and leg is not None else []
