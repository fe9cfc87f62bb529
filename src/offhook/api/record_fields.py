"""The parameters of `calling.record` and its `.pause .resume .stop`, checked (API.md 13.1)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from offhook.api.dial_fields import Reader
from offhook.calls.commands import PauseRecording, ResumeRecording, StartRecording, StopRecording
from offhook.calls.ports import RecordedSide, Recording

LONGEST = 12 * 3_600
"""Seconds: a working day, as the engine has it."""
SIDES = {"speak": RecordedSide.SAYS, "listen": RecordedSide.HEARS, "both": RecordedSide.MIXED}
"""What a `direction` holds, seen from the leg."""


async def start_recording(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[StartRecording]:
    """A recording into a WAV file; `record: {audio: {…}}` or `audio: {…}` say what of."""
    audio = _audio(reader, params)
    _lacking(reader, audio)
    side = SIDES.get(audio.get("direction") or "speak")
    if side is None:
        reader.fault("direction", "invalid_parameter_value", f"direction must be one of: {', '.join(SIDES)}")
    stereo = audio.get("stereo", False)
    if not isinstance(stereo, bool):
        reader.fault("stereo", "invalid_parameter", "Stereo must be true or false")
    if stereo is True and side is RecordedSide.MIXED:
        side = RecordedSide.BOTH
    longest, silence = _seconds(reader, audio, "max_length"), _seconds(reader, audio, "end_silence_timeout")
    name = reader.new_id()
    file = f"{reader.project}/{datetime.now(UTC):%Y-%m}/{name}.wav"
    spec = Recording(name, file, side or RecordedSide.SAYS, int(longest), int(silence * 1_000))
    return [StartRecording(id_, spec, reader.words("control_id", 128) or name)]


def _audio(reader: Reader, params: Mapping[str, Any]) -> Mapping[str, Any]:
    outer = params.get("record")
    inner = outer.get("audio") if isinstance(outer, dict) else params.get("audio")
    if (outer is not None and not isinstance(outer, dict)) or not isinstance(inner, dict | None):
        reader.fault("record", "invalid_parameter", "Record must be an object with an object audio")
        return {}
    return inner or {}


def _lacking(reader: Reader, audio: Mapping[str, Any]) -> None:
    """What is not served: said, and never ignored."""
    format_ = audio.get("format") or "wav"
    if format_ in ("mp3", "mp4"):
        reader.fault("format", "feature_not_available", f"{format_} is not available; use wav")
    elif format_ != "wav":
        reader.fault("format", "invalid_parameter_value", "format must be one of: wav, mp3, mp4")
    for name, instead in (
        ("beep", "the caller can be told by a prompt"),
        ("initial_timeout", "use end_silence_timeout"),
        ("terminators", "use calling.record.stop"),
    ):
        if audio.get(name):
            reader.fault(name, "feature_not_available", f"{name} is not available; {instead}")


def _seconds(reader: Reader, audio: Mapping[str, Any], name: str) -> float:
    value = audio.get(name)
    if value is None:
        return 0.0
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= LONGEST:
        text = f"{name.capitalize()} must be a number of seconds from 0 to {LONGEST}"
        reader.fault(name, "invalid_parameter", text)
        return 0.0
    return float(value)


def _control(reader: Reader) -> str:
    control = reader.words("control_id", 128)
    if not control and not reader.faults:
        reader.fault("control_id", "missing_required_parameter", "control_id is required")
    return control


async def pause_recording(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[PauseRecording]:
    """Silence is written meanwhile."""
    behavior = params.get("behavior") or "silence"
    if behavior == "skip":
        reader.fault("behavior", "feature_not_available", "skip is not available; silence is")
    elif behavior != "silence":
        reader.fault("behavior", "invalid_parameter_value", "behavior must be one of: skip, silence")
    return [PauseRecording(id_, _control(reader))]


async def resume_recording(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[ResumeRecording]:
    """Sound is written again."""
    return [ResumeRecording(id_, _control(reader))]


async def stop_recording(reader: Reader, id_: str, params: Mapping[str, Any]) -> list[StopRecording]:
    """The end."""
    return [StopRecording(id_, _control(reader))]
