"""Commands of the API in the words of a call's trace. Digits, passwords and documents are not
said, only that there are some."""

from typing import assert_never

from offhook.calls.commands import (
    CallCommand,
    ConnectLeg,
    Dial,
    EndLeg,
    HangUpCall,
    HoldLeg,
    Listen,
    NoteReport,
    PartLegs,
    Place,
    PressDigits,
    ReferLeg,
    TellUserEvent,
    TryTrunk,
)


def words_of(command: CallCommand) -> tuple[str, str] | None:
    """The id of the call or leg that a command is about, and what it wants; None for a command that is about none."""
    match command:
        case Place() | Dial() | TryTrunk():
            return command.call_ref, f"dial {_target(command)}"
        case HangUpCall():
            return command.call_ref, f"hang up: {command.code}"
        case EndLeg():
            return command.leg_ref, f"end: {command.reason}"
        case PartLegs():
            return command.leg_ref, "disconnect"
        case ConnectLeg():
            return command.leg_ref, f"transfer to {command.to or 'a document'}"
        case ReferLeg():
            return command.leg_ref, f"refer to {command.to}"
        case HoldLeg():
            return command.leg_ref, _held(command)
        case PressDigits():
            return command.leg_ref, f"send {len(command.digits)} digits"
        case TellUserEvent():
            return command.leg_ref, "user event"
        case Listen():
            return command.leg_ref, "states are told to another URL"
        case NoteReport():
            # The page's report is shown itself.
            return None
        case _:
            return None


def _target(command: Place | Dial | TryTrunk) -> str:
    match command:
        case Place():
            return command.to
        case Dial():
            return command.target
        case TryTrunk():
            return command.number
        case _:
            assert_never(command)


def _held(command: HoldLeg) -> str:
    if command.held is not None:
        return "hold" if command.held else "unhold"
    return "mute" if command.muted else "unmute"
