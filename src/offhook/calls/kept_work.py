"""What a call does for others, as plain data for the journal: documents at work, and who hears of its legs (LIVE-15).

Lives here: from programs and listeners to structs and back. Never here: the structs (kept.py), the rest of the call
(keeping.py, revive.py).
"""

from dataclasses import replace

import msgspec

from offhook.calls.call import Call, Effects
from offhook.calls.document import Answer, Connect, Hangup, Pause, Proceed, Step
from offhook.calls.effects import StartTimer, TellStatus
from offhook.calls.kept import KeptProgram, KeptReport, Plain
from offhook.calls.leg import Leg, LegState
from offhook.calls.outcome import refusal
from offhook.calls.places import NOWHERE
from offhook.calls.program import PauseOver, Program
from offhook.calls.reports import FORM, Reported, report, state_of
from offhook.sip.events import UsageId

SETTLED = 3.0
"""Seconds after a restart in which registrations are read, and a new engine is there if the old one died too."""
KINDS: dict[str, type[Step]] = {kind.__name__: kind for kind in (Answer, Connect, Hangup, Pause, Proceed)}


def mark_of(call: Call) -> tuple[object, ...]:
    """What of it is worth a new record."""
    programs = [one for one in call.programs.values() if isinstance(one, Program)]
    told = [one.sequence for one in call.reported]
    return (*told, *((one.leg.ref, len(one.left), id(one.dialling), one.fetches) for one in programs))


def programs_of(call: Call) -> tuple[KeptProgram, ...]:
    """Those of legs that are there."""
    return tuple(
        KeptProgram(
            one.leg.ref,
            tuple(_plain(step) for step in _left(one)),
            _plain(one.dialling) if one.dialling is not None else None,
            one.since,
        )
        for ref, one in call.programs.items()
        if isinstance(one, Program) and ref == one.leg.ref and one.leg in call.parties
    )


def _left(program: Program) -> list[Step]:
    """A document that was on its way is asked for again."""
    return [Proceed(program.asked)] if program.pending is not None and program.asked is not None else program.left


def _plain(step: Step) -> Plain:
    return type(step).__name__, msgspec.to_builtins(step)


def _step(plain: Plain) -> Step:
    return msgspec.convert(plain[1], KINDS[plain[0]])


def reports_of(call: Call, now: float) -> tuple[KeptReport, ...]:
    """Those who have not heard of the end."""
    return tuple(
        KeptReport(one.leg.ref, one.wish, tuple(one.told), one.sequence, report(call, one.leg, state_of(one.leg), now))
        for one in call.reported
        if "ended" not in one.told
    )


# ---- back again


def take_back(call: Call, programs: tuple[KeptProgram, ...], reports: tuple[KeptReport, ...]) -> Effects:
    """Listeners hear on, documents go on: one whose destination rang goes on with the next step."""
    legs = {leg.ref: leg for leg in call.parties}
    for one in reports:
        leg = legs.get(one.leg) or _gone(one)
        call.reported.append(Reported(leg, one.wish, list(one.told), one.sequence))
    effects: Effects = []
    for kept in programs:
        if kept.leg in legs:
            effects += _go_on(call, legs[kept.leg], kept)
    return effects


def last_words(reports: tuple[KeptReport, ...], now: float) -> list[TellStatus]:
    """Of a call that was being set up, and dies with the process: its listeners hear of the end."""
    told = []
    for one in reports:
        if (FORM["ended"] if one.wish.form else "ended") in one.wish.events:
            ended = replace(one.report, state="ended", end_code="server_restarted", end_reason="error", ended_at=now)
            told.append(TellStatus(one.wish, "state", ended, one.sequence))
    return told


def _gone(one: KeptReport) -> Leg:
    """A leg that rang dies with the process; its listeners hear of the end."""
    said = one.report
    leg = Leg(one.leg, "callee", UsageId(""), NOWHERE, 0, dialled=said.way, from_name=said.from_, to_name=said.to)
    leg.state, leg.end_code, leg.began_at = LegState.ENDED, "server_restarted", said.began_at
    return leg


def _go_on(call: Call, leg: Leg, kept: KeptProgram) -> Effects:
    """With its next step after a moment, unless the leg talks: registrations and the engine are not there yet."""
    program = call.programs[leg.ref] = Program(leg, [_step(one) for one in kept.steps], since=kept.since)
    dialling = _step(kept.dialling) if kept.dialling is not None else None
    if not isinstance(dialling, Connect):
        return [StartTimer(PauseOver(call.ref, leg.ref), SETTLED)]
    if leg.fed is not None or call.peer_of(leg) is not None:
        program.dialling = dialling
        return []
    program.outcome = refusal("server_restarted")
    if dialling.action is not None:
        program.left = [Proceed(dialling.action)]
    return [StartTimer(PauseOver(call.ref, leg.ref), SETTLED)]
