"""Sound files and recordings on legs, by command: played, stopped, recorded; what the engine tells of them.

Lives here: commands of the API about sound, and the events that follow. Never here: what built-in
destinations say (speaking.py).
"""

from offhook.calls import announcing, conference, speaking
from offhook.calls.call import Call, Effects
from offhook.calls.commands import (
    PauseRecording,
    PlaySounds,
    ResumeRecording,
    SoundCommand,
    StartRecording,
    StopRecording,
    StopSounds,
)
from offhook.calls.effects import ChangeRecording, Happened, PlayFiles, Publish, RecordMedia, StopMedia
from offhook.calls.events import PlayFinished, RecordingFinished, TimeTold
from offhook.calls.index import Index
from offhook.calls.leg import Leg


def perform(call: Call, leg: Leg, command: SoundCommand) -> Effects:
    """A command about a leg that has media; one that has none yet is told so by the event of its end."""
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
        case StartRecording(_, spec):
            if spec.recording in call.index.recordings:
                return [_over(call.ref, leg.ref, spec.recording, spec.file, "failed", "a recording of that name runs")]
            call.index.recordings[spec.recording] = (call.ref, leg.ref, media)
            return [RecordMedia(media, spec), call.happened("recording.started", leg, recording=spec.recording)]
        case PauseRecording(_, recording):
            return [ChangeRecording(media, recording, "pause"), _told(call, leg, "recording.paused", recording)]
        case ResumeRecording(_, recording):
            return [ChangeRecording(media, recording, "resume"), _told(call, leg, "recording.resumed", recording)]
        case StopRecording(_, recording):
            return [ChangeRecording(media, recording, "stop")]


def played(call: Call, leg: Leg, event: PlayFinished) -> Effects:
    """Sound files are over."""
    if event.play in (announcing.CLOCK, announcing.BEGIN, announcing.REPORT):
        return speaking.played(call, leg, event)
    if event.play == conference.ANNOUNCED:
        return []
    leg.playing = "" if event.play == leg.playing else leg.playing
    details = {"play": event.play, "reason": event.reason, "played_ms": str(event.played_ms)}
    if event.text:
        details["text"] = event.text
    return [call.happened("play.finished", leg, **details)]


def told(index: Index, event: RecordingFinished | TimeTold) -> Effects:
    """What is about a leg that may be gone by now."""
    return _recorded(index, event) if isinstance(event, RecordingFinished) else _time_told(index, event)


def _recorded(index: Index, event: RecordingFinished) -> Effects:
    """A recording is over; its leg and its call may be gone by now."""
    call_ref, leg_ref, _ = index.recordings.pop(event.recording, ("", "", 0))
    if not call_ref:
        return []
    marks = ",".join(f"{begin}-{end}:{why}" for begin, end, why in event.marks)
    details = {"duration_ms": str(event.duration_ms), "bytes": str(event.bytes), "marks": marks}
    return [_over(call_ref, leg_ref, event.recording, event.file, event.reason, event.text, **details)]


def engine_lost(index: Index) -> Effects:
    """No recording is left; what was written lies beside its name with `.part` behind it."""
    lost, index.recordings = index.recordings, {}
    text = "the media engine ended; what was written is in the file with .part behind its name"
    return [_over(call, leg, name, "", "engine_lost", text) for name, (call, leg, _) in lost.items()]


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
