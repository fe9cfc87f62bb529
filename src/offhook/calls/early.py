"""Sound before the answer (CALL-6, 4.1 rows 2 to 6): one description for the caller, whatever the branches of a fork bring.

The branch heard first keeps the caller's ear until it ends; sources switch behind the one description that the caller has.
Lives here: what an incoming leg hears and is told while its fork rings. Never here: who rings (fork.py), the final answer
(answering.py).
"""

from typing import TYPE_CHECKING

from offhook.calls import bridge, video
from offhook.calls.call import SDP, Call, Effects
from offhook.calls.description import speech_of
from offhook.calls.effects import Sip
from offhook.calls.leg import Leg, LegState
from offhook.calls.ports import SourceKind
from offhook.sip.commands import RespondInvite
from offhook.sip.message import Headers, Response
from offhook.sip.reliable import Reliability, reliability

if TYPE_CHECKING:
    from offhook.calls.fork import Fork


def ringing(call: Call, fork: "Fork", leg: Leg, response: Response) -> Effects:
    """18x of a branch: 180 to the caller once, and sound if the branch brings any."""
    caller, tag = fork.party, bridge.tag_of(response)
    described = bridge.keep_early(leg, response) and leg.early_media
    if response.status == 199:
        return _dialog_ended(fork, leg, tag)
    if described and not caller.body and fork.ringing_told and _once(caller):
        described = False
    heard = _listen(fork, leg, tag) if described and _free_for(fork, leg, tag) else []
    if heard and not caller.body:
        caller.state = LegState.EARLY
        answer = _describe(caller, leg)
        # Both halves stand before the bridge does, and both before the caller is told.
        return [*heard[:-1], *answer[:-1], heard[-1], answer[-1]]
    if response.status not in (180, 183):
        return heard
    if caller.body:
        if response.status == 183 or response.body or fork.ear not in (None, leg):
            # Row 5: nothing new. A bare 180 would make a phone ring over the sound that it has.
            return heard
        # The caller has a session already, so its own tone is off (4.1 row 3).
        heard = bridge.play(caller, SourceKind.RINGBACK)
        fork.ear = None
    return [*heard, *_told(call, fork, leg)]


def _told(call: Call, fork: "Fork", leg: Leg) -> Effects:
    caller = fork.party
    if fork.ringing_told:
        return []
    fork.ringing_told = True
    caller.state = LegState.RINGING if caller.state is LegState.TRYING else caller.state
    told = call.happened("call.ringing", leg)
    if caller.body and _once(caller):
        return [told]
    if caller.offered is None and not caller.body and _reliable(caller):
        # Row 2: an INVITE without offer gets ours in the first reliable 1xx.
        caller.offering = True
        return [Sip(RespondInvite(caller.usage, 180, Headers([SDP]), caller.describe_offer())), told]
    return [Sip(RespondInvite(caller.usage, 180)), told]


def _once(caller: Leg) -> bool:
    """A client that takes one 18x and no second (`single_provisional`)."""
    return caller.account is not None and caller.account.single_provisional


def _reliable(caller: Leg) -> bool:
    return caller.request is not None and reliability(caller.request, caller.flow) is not Reliability.NEVER


def _free_for(fork: "Fork", leg: Leg, tag: str) -> bool:
    """Row 5: a second fork brings nothing new while the first is heard."""
    return fork.ear is None or (fork.ear is leg and fork.ear_tag == tag)


def _listen(fork: "Fork", leg: Leg, tag: str) -> Effects:
    """The branch's sound goes to the caller from now on; empty if its answer is of no use."""
    caller = fork.party
    completed = bridge.take_answer(leg, leg.early.get(tag))
    if completed is None or caller.media is None or (caller.offered is None and not _reliable(caller)):
        return []
    fork.ear, fork.ear_tag, leg.state = leg, tag, LegState.EARLY
    return [*completed, *bridge.join(caller, leg)]


def _describe(caller: Leg, leg: Leg) -> Effects:
    """183 with our answer, or with our offer if the INVITE made none (rows 2 and 4)."""
    if caller.offered is None:
        caller.offering = True
        return [Sip(RespondInvite(caller.usage, 183, Headers([SDP]), caller.describe_offer()))]
    video.meet(caller, leg)
    body, answer = bridge.answer_incoming(caller, speech_of(leg.chosen))
    return [*answer, Sip(RespondInvite(caller.usage, 183, Headers([SDP]), body))]


def _dialog_ended(fork: "Fork", leg: Leg, tag: str) -> Effects:
    """199: one early dialog of a branch is over (RFC 6228)."""
    leg.early.pop(tag, None)
    if fork.ear is not leg or fork.ear_tag != tag:
        return []
    fork.ear = None
    return _next(fork)


def branch_ended(fork: "Fork", leg: Leg) -> Effects:
    """A branch is gone; if the caller heard it, another that brings sound is heard, else ringback of ours."""
    if fork.ear is not leg:
        return []
    fork.ear = None
    return _next(fork)


def _next(fork: "Fork") -> Effects:
    for leg in fork.branches.values():
        for tag in leg.early if leg.early_media else ():
            heard = _listen(fork, leg, tag)
            if heard:
                return heard
    return bridge.play(fork.party, SourceKind.RINGBACK)
