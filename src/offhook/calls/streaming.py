"""Streams: live sound of a leg to a WebSocket and back (API.md 13.1, 13.4), begun and ended by commands.

Lives here: which streams run on which leg, and what is told of them. Never here: packets and sockets (the engine's).
"""

from offhook.calls import reports, sounding
from offhook.calls.call import Call, CallState, Effects
from offhook.calls.commands import StartRecording, StartStream, StreamCommand
from offhook.calls.description import speech_of
from offhook.calls.effects import FeedMedia, Happened, Publish, StopFeed
from offhook.calls.events import FeedChanged
from offhook.calls.index import Index, Stream
from offhook.calls.leg import Leg, LegState
from offhook.calls.ports import FeedEncoding

MOST = 4
"""Streams of one leg; one that is heard is alone (API.md 13.4)."""
FINDINGS = {"failed": "stream_failed", "codec": "stream_codec"}
"""Why a stream is over, where nobody wanted that: what is found."""


def impossible(call: Call, leg: Leg, command: StreamCommand) -> tuple[str, str] | None:
    """Why a command cannot be carried out: a code and a sentence."""
    if leg.state is LegState.ENDED or call.state is CallState.ENDED:
        return "call_not_found", "The call has ended"
    known = {*leg.streams, *(one.control for one in _waiting(leg))}
    if not isinstance(command, StartStream):
        return None if command.control in known else ("not_found", "No stream of this leg has this control_id")
    if command.control in known:
        return "not_unique_within_project", "A stream of this leg has this control_id"
    if known and (command.spec.two_way or _two_way(call, leg)):
        return "invalid_state", "A two-way stream is the only one of its leg"
    if len(known) >= MOST:
        return "invalid_state", f"The leg has {MOST} streams, as many as it may"
    spoken = speech_of(leg.chosen)[:1] if leg.confirmed else ()
    if command.spec.encoding is FeedEncoding.OPUS and spoken and spoken != ("OPUS",):
        return "invalid_state", f"The leg speaks {spoken[0]}; a stream of OPUS carries its packets as they come"
    return None


def _two_way(call: Call, leg: Leg) -> bool:
    running = (call.index.streams[feed] for feed in leg.streams.values() if feed in call.index.streams)
    return any(one.two_way for one in running) or any(one.spec.two_way for one in _waiting(leg))


def _waiting(leg: Leg) -> list[StartStream]:
    return [one for one in leg.awaiting if isinstance(one, StartStream)]


def perform(call: Call, leg: Leg, command: StreamCommand, now: float) -> Effects:
    """Carries it out; what begins before the answer waits for it."""
    if impossible(call, leg, command) is not None:
        return []
    if isinstance(command, StartStream):
        leg.awaiting.append(command)
        return begin_waiting(call, now)
    waiting = next((one for one in _waiting(leg) if one.control == command.control), None)
    if waiting is not None:
        leg.awaiting.remove(waiting)
        return []
    return [StopFeed(leg.media.leg, leg.streams[command.control])] if leg.media is not None else []


def begin_waiting(call: Call, now: float) -> Effects:
    """Streams and recordings of the legs that are answered by now."""
    ready = [leg for leg in call.parties if leg.awaiting and leg.confirmed and leg.media is not None]
    return [effect for leg in ready for effect in _begin(call, leg, now)] if not call.reopening else []


def _begin(call: Call, leg: Leg, now: float) -> Effects:
    waiting, leg.awaiting = leg.awaiting, []
    effects: Effects = []
    assert leg.media is not None
    for one in waiting:
        if isinstance(one, StartRecording):
            effects += sounding.begin(call, leg, one, now)
            continue
        spec = one.spec
        leg.streams[one.control] = spec.feed
        call.index.touched[call.ref] = call
        stream = Stream(call.ref, leg.ref, one.control, leg.media.leg, one.name, spec.url, spec.two_way)
        call.index.streams[spec.feed] = stream
        effects.append(FeedMedia(leg.media.leg, spec))
    return effects


def changed(index: Index, event: FeedChanged, now: float) -> Effects:
    """How a stream goes; its leg may be gone by now, or in another call."""
    stream = index.streams.get(event.feed)
    if stream is None:
        return []
    call = index.legs.get(stream.media) or index.calls.get(stream.call_ref)
    leg = call.by_ref(stream.leg_ref) if call is not None else None
    over = event.state == "finished"
    if over:
        del index.streams[event.feed]
    details = {"control_id": stream.control, "reason": event.reason, "text": event.text}
    if over:
        details |= {"sent": str(event.sent), "dropped": str(event.dropped)}
    happened = Happened(f"stream.{event.state}", stream.call_ref, stream.leg_ref, _given(details))
    effects: Effects = [Publish(happened)]
    if call is None or leg is None:
        return effects
    if over:
        leg.streams.pop(stream.control, None)
        index.touched[call.ref] = call
    code = FINDINGS.get(event.reason) if over else None
    if code is not None:
        leg.add_finding(code, "from_device", event.text, {"control_id": stream.control}, now)
        effects.append(call.happened("call.finding_raised", leg, code=code, verdict=event.text))
    told = {"control_id": stream.control, "state": event.state, "name": stream.name, "url": stream.url}
    heard = event.state in ("streaming", "finished")
    return [*effects, *(reports.said(call, leg, "stream", now, **told) if heard else [])]


def _given(details: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in details.items() if value)


def engine_lost(index: Index, now: float) -> Effects:
    """No stream is left."""
    text = "the media engine ended"
    lost = [FeedChanged(one.media, feed, "finished", "engine_lost", text) for feed, one in index.streams.items()]
    return [effect for event in lost for effect in changed(index, event, now)]
