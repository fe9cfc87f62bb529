"""Whose clock rang: each timer of a call goes to the room that set it."""

from offhook.calls import (
    adding,
    control,
    fork,
    joining,
    late,
    pressing,
    program,
    proposal,
    reopen,
    speaking,
    survival,
    transfer,
)
from offhook.calls.call import Call, Effects
from offhook.calls.leg import Leg

Clock = (
    fork.RingTimer | late.LateArrival | late.PageCheck | transfer.TransferorLeaves | survival.LateCaller
    | survival.LegClock | reopen.ReopenLimit | proposal.ProposeAgain | control.Parked | program.PauseOver
    | pressing.PressMore
    | adding.VideoPatience | adding.OfferVideoAgain
    | speaking.SpeakAgain | speaking.SpeakOver
)  # fmt: skip
"""Keys of a call's timers; each has the call's ref."""


def rang(call: Call, key: Clock, now: float) -> Effects:
    """A clock of a call has rung."""
    match key:
        case fork.RingTimer():
            return [effect for one in list(call.forks) if one.ref == key.fork_ref
                    for effect in fork.ring_time_over(call, one, now)]  # fmt: skip
        case late.LateArrival():
            return [effect for one in list(call.forks) if one.ref == key.fork_ref
                    for effect in joining.over(call, one, now)]  # fmt: skip
        case late.PageCheck():
            page = call.by_ref(key.leg_ref)
            rings = call.fork_of(page) if page is not None else None
            return late.unheard(call, rings, page) if page is not None and rings is not None else []
        case transfer.TransferorLeaves():
            left = call.by_ref(key.leg_ref)
            return transfer.transferor_stayed(call, left) if left is not None else []
        case survival.LateCaller():
            return survival.late_caller_over(call, now)
        case control.Parked() | program.PauseOver() | pressing.PressMore():
            return control.clock_rang(call, key, now)
        case speaking.SpeakAgain() | speaking.SpeakOver():
            return speaking.clock_rang(call, key, now)
        case reopen.ReopenLimit():
            return reopen.limit_over(call, now)
        case proposal.ProposeAgain() | adding.VideoPatience() | adding.OfferVideoAgain():
            waiting = call.by_ref(key.leg_ref)
            return _offer_clock(call, waiting, key) if waiting is not None else []
        case _:
            leg = call.by_ref(key.leg_ref)
            return survival.clock_rang(call, leg, key, now) if leg is not None else []


def _offer_clock(
    call: Call, leg: Leg, key: proposal.ProposeAgain | adding.VideoPatience | adding.OfferVideoAgain
) -> Effects:
    match key:
        case adding.VideoPatience():
            return adding.patience_over(call, leg)
        case adding.OfferVideoAgain():
            return adding.again(call, leg)
        case _:
            return proposal.again(call, leg)
