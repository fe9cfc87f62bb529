"""Sound files and recordings on legs, by command: played, stopped, recorded; what the engine tells of them.

Lives here: commands of the API about sound, and the events that follow. Never here: what built-in
destinations say (speaking.py).
"""

from offhook.calls import announcing, conference, reports, speaking
from offhook.calls.call import Call, CallState, Effects
from offhook.calls.commands import (
    PauseRecording,
    PlaySounds,
    RecordCommand,
    ResumeRecording,
    SoundCommand,
    StartRecording,
    StopRecording,
    StopSounds,
)
from offhook.calls.effects import ChangeRecording, Happened, PlayFiles, Publish, RecordMedia, StopMedia
from offhook.calls.events import PlayFinished, RecordingFinished, TimeTold
from offhook.calls.index import Index, Taped
from offhook.calls.leg import Leg, LegState


def impossible(call: Call, leg: Leg, command: RecordCommand) -> tuple[str, str] | None:
    """Why a command about recordings cannot be carried out: a code and a sentence."""
    if leg.state is LegState.ENDED or call.state is CallState.ENDED:
        return "call_not_found", "The call has ended"
    waiting = [one.control for one in leg.awaiting if isinstance(one, StartRecording)]
    known = {*leg.recordings, *waiting}
    if isinstance(command, StartRecording):
        taken = (command.control or command.spec.recording) in known
        return ("not_unique_within_project", "A recording of this leg has this control_id") if taken else None
    if command.recording not in known:
        return "not_found", "No recording of this leg has this control_id"
    if command.recording in waiting and not isinstance(command, StopRecording):
        return "invalid_state", "The recording begins with the answer"
    return None


def perform(call: Call, leg: Leg, command: SoundCommand, now: float) -> Effects:
    """A command about a leg that has media; one that has none yet is told so by the event of its end."""
    if isinstance(command, StartRecording) and not leg.confirmed and leg.state is not LegState.ENDED:
        leg.awaiting.append(command)
        return []
    if isinstance(command, StopRecording):
        leg.awaiting = [one for one in leg.awaiting if one.control != command.recording]
    if leg.media is None:
        return _refused(call, leg, command)
    media = leg.media.leg
    match command:
        case PlaySounds():
            leg.playing = command.play
            started = call.happened("play.started", leg, play=command.play)
            play = PlayFiles(media, command.play, command.files, command.rounds, command.until_digit)
            return [play, started]
        case StopSounds():
            return [StopMedia(media)] if leg.playing else []
        case StartRecording():
            return begin(call, leg, command, now)
        case PauseRecording(_, control):
            return _change(call, leg, control, "pause", "paused", now)
        case ResumeRecording(_, control):
            return _change(call, leg, control, "resume", "recording", now)
        case StopRecording(_, control):
            return [ChangeRecording(media, leg.recordings.get(control, control), "stop")]


def begin(call: Call, leg: Leg, command: StartRecording, now: float) -> Effects:
    """A recording of a leg that is answered."""
    spec, control = command.spec, command.control or command.spec.recording
    if spec.recording in call.index.recordings:
        return [_over(call.ref, leg.ref, spec.recording, spec.file, "failed", "a recording of that name runs")]
    assert leg.media is not None
    leg.recordings[control] = spec.recording
    call.index.recordings[spec.recording] = Taped(call.ref, leg.ref, control, leg.media.leg, spec.file, spec.side)
    call.index.touched[call.ref] = call
    told = call.happened("recording.started", leg, recording=spec.recording)
    return [RecordMedia(leg.media.leg, spec), told, *_said(call, leg, control, "recording", now)]


def _change(call: Call, leg: Leg, control: str, change: str, state: str, now: float) -> Effects:
    assert leg.media is not None
    name = leg.recordings.get(control, control)
    told = _told(call, leg, f"recording.{change}d", name)
    return [ChangeRecording(leg.media.leg, name, change), told, *_said(call, leg, control, state, now)]


def _said(call: Call, leg: Leg, control: str, state: str, now: float, **more: str) -> Effects:
    return list(reports.said(call, leg, "record", now, control_id=control, state=state, **more))


def played(call: Call, leg: Leg, event: PlayFinished) -> Effects:
    """Sound files are over."""
    if event.play in (announcing.CLOCK, announcing.BEGIN, announcing.REPORT):
        return speaking.played(call, leg, event)
    if event.play in (conference.ANNOUNCED, conference.MUSIC):
        return conference.played(call, leg, event)
    leg.playing = "" if event.play == leg.playing else leg.playing
    details = {"play": event.play, "reason": event.reason, "played_ms": str(event.played_ms)}
    if event.text:
        details["text"] = event.text
    return [call.happened("play.finished", leg, **details), *conference.alone(call, leg)]


def told(index: Index, event: RecordingFinished | TimeTold, now: float) -> Effects:
    """What is about a leg that may be gone by now."""
    return _recorded(index, event, now) if isinstance(event, RecordingFinished) else _time_told(index, event)


def _recorded(index: Index, event: RecordingFinished, now: float) -> Effects:
    """A recording is over; its leg and its call may be gone by now."""
    taped = index.recordings.pop(event.recording, None)
    if taped is None:
        return []
    marks = ",".join(f"{begin}-{end}:{why}" for begin, end, why in event.marks)
    details = {"duration_ms": str(event.duration_ms), "bytes": str(event.bytes), "marks": marks}
    over = _over(taped.call_ref, taped.leg_ref, event.recording, event.file, event.reason, event.text, **details)
    call = index.legs.get(taped.media) or index.calls.get(taped.call_ref)
    leg = call.by_ref(taped.leg_ref) if call is not None else None
    if call is None or leg is None:
        return [over]
    leg.recordings.pop(taped.control, None)
    index.touched[call.ref] = call
    effects: Effects = [over]
    if event.reason == "failed":
        leg.add_finding("recording_failed", "from_device", event.text, {"file": event.file}, now)
        effects.append(call.happened("call.finding_raised", leg, code="recording_failed", verdict=event.text))
    state = "error" if event.reason in ("failed", "engine_lost") else "finished"
    size = {"duration": f"{event.duration_ms / 1_000:g}", "size": str(event.bytes)}
    return [*effects, *_said(call, leg, taped.control, state, now, **size)]


def engine_lost(index: Index, now: float) -> Effects:
    """No recording is left; what was written lies beside its name with `.part` behind it, until the next engine starts."""
    text = "the media engine ended; what was written has .part behind its name until the next engine has made it whole"
    lost = [(name, one.media, one.file) for name, one in index.recordings.items()]
    events = [RecordingFinished(media, name, file, "engine_lost", text) for name, media, file in lost]
    return [effect for event in events for effect in _recorded(index, event, now)]


def _time_told(index: Index, event: TimeTold) -> Effects:
    """The answer to `AskTime`."""
    call = index.calls.get(event.call_ref)
    leg = call.by_ref(event.leg_ref) if call is not None else None
    return speaking.time_told(call, leg, event) if call is not None and leg is not None else []


def _told(call: Call, leg: Leg, type_: str, recording: str) -> Publish:
    return call.happened(type_, leg, recording=recording)


def _over(call: str, leg: str, recording: str, file: str, reason: str, text: str, **more: str) -> Publish:
    details = {"recording": recording, "file": file, "reason": reason, "text": text, **more}
    return Publish(
        Happened("recording.finished", call, leg, tuple((key, value) for key, value in details.items() if value))
    )


def _refused(call: Call, leg: Leg, command: SoundCommand) -> Effects:
    text = "the leg has no media yet"
    match command:
        case PlaySounds():
            return [call.happened("play.finished", leg, play=command.play, reason="failed", text=text)]
        case StartRecording(_, spec):
            return [_over(call.ref, leg.ref, spec.recording, spec.file, "failed", text)]
        case _:
            return []
