"""Offers that we make inside a dialog because the other side changed: the direction, where `hold = pass` (CALL-7), and the
description as it stands, where a session is refreshed by re-INVITE.

One at a time for each leg. An offer that meets another waits and is made again, a newer wish in its place (CALL-8);
one that is refused leaves the leg as it was (CALL-9). Never here: offers that restart media (reopen.py).
"""

from dataclasses import dataclass, replace

from offhook.calls import bridge
from offhook.calls.call import SDP, Call, Effects
from offhook.calls.effects import Sip, StartTimer, UpdateMedia
from offhook.calls.leg import Leg
from offhook.calls.ports import Direction
from offhook.sdp.description import SdpError, Session
from offhook.sdp.parse import parse as parse_sdp
from offhook.sip.commands import SendInDialog
from offhook.sip.glare import pause
from offhook.sip.message import Headers, Response

OFFERED = {"both": "sendrecv", "hold": "sendonly", "listen": "recvonly", "nothing": "inactive"}
"""Our direction in an offer, by what we want (4.2)."""


@dataclass(frozen=True, slots=True)
class ProposeAgain:
    """CALL-8: the pause after a 491 is over."""

    call_ref: str
    leg_ref: str


def pass_hold(call: Call, leg: Leg) -> Effects:
    """The other side of a leg that holds or comes back is shown it, if the setting says so; a trunk never is (CALL-7)."""
    peer = call.peer_of(leg)
    if peer is None or not leg.confirmed or not peer.confirmed or not _shown(call, peer):
        return []
    wanted = wish(call, peer)
    if wanted == peer.told_wish:
        return []
    peer.told_wish = wanted
    return propose(call, peer, OFFERED[wanted])


def take_back(call: Call) -> Effects:
    """Whoever is shown a hold that is over is shown that, however it came to be: who held has transferred the call, was
    replaced, or has left. One side after the other, because what a side wants is known once it has answered."""
    effects: Effects = []
    for leg in call.parties if call.config.hold == "pass" else ():
        peer = call.peer_of(leg)
        unsettled = peer is not None and (not peer.confirmed or bool(peer.proposed or peer.wished))
        if leg.told_wish == "both" or unsettled or not leg.confirmed or not _shown(call, leg):
            continue
        wanted = wish(call, leg)
        if wanted != leg.told_wish:
            leg.told_wish = wanted
            effects += propose(call, leg, OFFERED[wanted])
    return effects


def wish(call: Call, leg: Leg) -> str:
    """What we want of a leg when it offers anew (4.2): both directions, unless it is shown that the other side holds."""
    peer = call.peer_of(leg)
    if peer is None or not peer.confirmed or not _shown(call, leg) or peer.audio is None:
        return "both"
    # Only what the peer left out by itself counts: to an offer of one direction it could not say more.
    sends = peer.audio.direction in ("sendrecv", "sendonly") or peer.told_wish in ("hold", "nothing")
    receives = peer.audio.direction in ("sendrecv", "recvonly") or peer.told_wish in ("listen", "nothing")
    return {(True, True): "both", (True, False): "hold", (False, True): "listen", (False, False): "nothing"}[
        sends, receives
    ]


def _shown(call: Call, leg: Leg) -> bool:
    return call.config.hold == "pass" and leg.trunk is None


def propose(call: Call, leg: Leg, direction: str) -> Effects:
    """Offers this direction of ours; while another offer of ours is out it waits, and replaces one that waits. So it does
    for a device that is away (LIVE-7)."""
    if leg.media is None or leg.offer is None:
        return []
    if leg.detached:
        leg.wished = direction
        return []
    if leg.proposed or leg.wished or leg.asking or leg.video_step:
        waits = not (leg.proposed or leg.wished)
        leg.wished = direction
        return [_later(call, leg)] if waits else []
    if direction == leg.direction:
        return []
    leg.proposed, leg.before = direction, leg.direction
    leg.direction, leg.version = direction, leg.version + 1
    return [Sip(SendInDialog(leg.usage, "INVITE", Headers([SDP]), leg.describe_reoffer()))]


def refresh(leg: Leg) -> Effects:
    """The session is due and the peer takes no UPDATE: a re-INVITE with the description as it stands (RFC 4028 7.4)."""
    if leg.media is None or leg.detached or leg.proposed or leg.asking or leg.video_step:
        return []
    leg.proposed = leg.before = leg.direction
    return [Sip(SendInDialog(leg.usage, "INVITE", Headers([SDP]), leg.describe_reoffer()))]


def answered(call: Call, leg: Leg, response: Response | None) -> Effects:
    """The final response to an offer of ours; nothing if we made none here."""
    if not leg.proposed:
        return []
    direction, before = leg.proposed, leg.before
    leg.proposed = leg.before = ""
    if response is not None and response.status < 300:
        return [*_agreed(call, leg, response), *again(call, leg)]
    leg.direction = before
    if response is not None and response.status == 491:
        leg.wished = leg.wished or (direction if direction != before else "")
        return [_later(call, leg)] if leg.wished else []
    # A phone that cannot be shown a hold is still held: it hears the music.
    leg.wished = ""
    return []


def _later(call: Call, leg: Leg) -> StartTimer:
    return StartTimer(ProposeAgain(call.ref, leg.ref), pause(leg.request is None, call.ids))


def returned(call: Call, leg: Leg) -> Effects:
    """The device is there again and has had its time to speak first: what waits for it is offered in a moment."""
    return [_later(call, leg)] if leg.wished else []


def again(call: Call, leg: Leg) -> Effects:
    """The pause is over: what is wanted by now is offered."""
    wanted, leg.wished = leg.wished, ""
    return propose(call, leg, wanted) if wanted and leg.confirmed else []


def _agreed(call: Call, leg: Leg, response: Response) -> Effects:
    assert leg.offer is not None
    assert leg.media is not None
    try:
        answer: Session | None = parse_sdp(response.body)
    except SdpError:
        # The session goes on as it was (RFC 6141): its media is where the last usable answer put it.
        answer = None
    changed = leg.offer.direction != Direction(leg.direction)
    if answer is None or answer.audio is None or (not changed and bridge.same(leg.remote, answer)):
        return []
    leg.offer = replace(leg.offer, direction=Direction(leg.direction))
    taken = bridge.take_answer(leg, answer) or []
    return [UpdateMedia(leg.media.leg, leg.offer), *taken, *bridge.settle_again(call, leg)]
