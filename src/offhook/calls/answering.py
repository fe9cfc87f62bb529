"""What an incoming leg hears: ringing, early media, our 200; and built-in destinations, which answer by themselves.

Lives here: the UAS side of a call's INVITE. Never here: the devices that ring for it (fork.py).
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from offhook.calls import bridge, conference, early, ending, proposal, video
from offhook.calls.call import SDP, Call, CallState, Effects
from offhook.calls.description import speech_of
from offhook.calls.effects import Sip, UpdateMedia
from offhook.calls.leg import Leg
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.ports import Direction
from offhook.calls.routing import ECHO, conference_of
from offhook.sdp.description import SdpError
from offhook.sdp.parse import parse as parse_sdp
from offhook.sip.commands import RespondInvite
from offhook.sip.fields import sip_reason
from offhook.sip.message import Headers, Request, Response

if TYPE_CHECKING:
    from offhook.calls.fork import Fork


class CallerWaits:
    """The usual waiter of a fork (fork.Waiter): the caller's INVITE gets what the fork comes to."""

    def ringing(self, call: Call, fork: "Fork", leg: Leg, response: Response, now: float) -> Effects:
        """18x of a branch: told to the caller once, with early media if it brings any (CALL-6)."""
        return early.ringing(call, fork, leg, response)

    def answered(self, call: Call, fork: "Fork", leg: Leg, now: float) -> Effects:
        """Both halves and the bridge stand before the caller hears of it, so that no first word is lost."""
        call.answered_at = now
        accept = accept_incoming(call, fork.party, speech_of(leg.chosen), leg)
        return [*accept[:-1], *bridge.join(fork.party, leg), accept[-1]]

    def failed(self, call: Call, fork: "Fork", outcome: Outcome, now: float) -> Effects:
        """The best of the failures is the caller's final response (CALL-15)."""
        return ending.refuse(call, outcome, now)

    def connected(self, call: Call, fork: "Fork", now: float) -> Effects:
        """Echo, tone, music: they answer by themselves."""
        call.answered_at = now
        assert fork.destination is not None
        party = fork.party
        # An echo shows one's own picture; tones and conferences have none.
        shown = party if fork.destination.user.casefold() == ECHO else None
        accept = accept_incoming(call, party, (), shown)
        if conference_of(fork.destination.user) is not None:
            accept[-1] = conference.as_focus(accept[-1])
        told = call.happened("call.answered", party)
        return [*accept, *bridge.feed(call, fork.party, fork.destination), told]

    def forwarded(self, call: Call, fork: "Fork") -> Effects:
        """CALL-16: 181, once for each forwarding."""
        once = fork.party.account is not None and fork.party.account.single_provisional
        return [] if once else [Sip(RespondInvite(fork.party.usage, 181))]

    def abandoned(self, call: Call, fork: "Fork") -> Effects:
        """The caller's leg is ended like every other."""
        return []


def accept_incoming(call: Call, leg: Leg, first: tuple[str, ...], peer: Leg | None = None) -> Effects:
    """200 with our answer (or our offer, if the INVITE made none), last of the effects. `first` are the codecs of `peer`,
    whose video the leg is shown."""
    call.state = CallState.TALKING
    bridge.settle(leg)
    body = leg.body
    effects: Effects = []
    if leg.offered is None and not body:
        body, leg.offering = leg.describe_offer(), True
    elif not body:
        video.meet(leg, peer)
        body, effects = bridge.answer_incoming(leg, first)
    return [*effects, Sip(RespondInvite(leg.usage, 200, Headers([SDP]), body))]


def acknowledged(call: Call, leg: Leg, request: Request, now: float) -> Effects:
    """The ACK to a 2xx of ours; if that made the offer, its body is the answer (4.1 rows 2 and 10)."""
    if call.answered_at is None:
        call.answered_at = now
    if not leg.offering:
        return []
    leg.offering, stood, leg.stood = False, leg.stood, None
    if stood is not None and not request.body:
        return _as_before(leg, stood)
    try:
        taken = bridge.take_answer(leg, parse_sdp(request.body))
    except SdpError:
        taken = None
    if taken is None or leg.audio is None:
        return ending.end(call, "bad_answer", "server", now, sip_reason(488, "The ACK carries no usable answer"))
    return [*taken, *bridge.settle_again(call, leg), *proposal.pass_hold(call, leg)]


def _as_before(leg: Leg, stood: tuple[str, Direction]) -> Effects:
    """A re-INVITE asked for our offer, and its ACK says nothing of it, as of some who only refresh the session so: RFC 3261
    section 14 ends no session whose change came to nothing, so it goes on as both sides know it."""
    if leg.media is None or leg.offer is None:
        return []
    leg.direction, direction = stood
    leg.offer = replace(leg.offer, direction=direction)
    return [UpdateMedia(leg.media.leg, leg.offer)]


def early_answer(call: Call, leg: Leg, request: Request, now: float) -> Effects:
    """The PRACK to a reliable 1xx of ours; if that made the offer, its body is the answer (row 2)."""
    if not leg.offering:
        return []
    leg.offering = False
    try:
        taken = bridge.take_answer(leg, parse_sdp(request.body))
    except SdpError:
        taken = None
    if taken is None:
        return ending.refuse(call, refusal("codec_mismatch", "The PRACK carries no usable answer"), now)
    return taken
