"""Video that comes to a call, or leaves it, while it stands (4.1 row 9).

One side offers it; the other is offered the same formats by a re-INVITE, and the first one's answer waits for that, ten
seconds at most. A refusal leaves the sound as it is. Lives here: that offer of ours, and what its answer leads to. Never
here: formats (video.py), other offers inside a dialog (proposal.py, reopen.py).
"""

from dataclasses import dataclass, replace

from offhook.calls import bridge, digits, proposal, renegotiation, video
from offhook.calls.call import SDP, Call, Effects
from offhook.calls.description import remote_of
from offhook.calls.effects import CompleteMedia, Sip, StartTimer, StopTimer, UpdateMedia
from offhook.calls.leg import Leg
from offhook.sdp.description import SdpError, Session
from offhook.sdp.parse import parse as parse_sdp
from offhook.sip.commands import SendInDialog
from offhook.sip.glare import pause
from offhook.sip.message import Headers, Response

PATIENCE = 10.0
"""Seconds that an offer of video waits for the other side: its user may be asked, and the first one's client must not give
up its transaction (Timer B: 32 s)."""


@dataclass(frozen=True, slots=True)
class VideoPatience:
    """The other side has not answered in time."""

    call_ref: str
    leg_ref: str


@dataclass(frozen=True, slots=True)
class OfferVideoAgain:
    """CALL-8: the pause after a 491 is over."""

    call_ref: str
    leg_ref: str


def may_be_asked(peer: Leg | None) -> bool:
    """True for another side that can be offered video now: an endpoint's device that talks, has a flow, and has no other
    offer of ours out."""
    if peer is None or not peer.confirmed or peer.detached or peer.media is None or peer.offer is None:
        return False
    free = not (peer.proposed or peer.wished or peer.asking or peer.video_step or peer.video_waits or peer.pending)
    return free and bool(video.allowed(peer))


def ask(call: Call, leg: Leg, peer: Leg) -> Effects:
    """The other side is offered the leg's formats; its half of them first, in the engine."""
    assert peer.offer is not None
    assert peer.media is not None
    formats = video.ours_of(peer, leg.video_formats)
    if not formats:
        return []
    leg.video_waits, peer.video_step, peer.video_formats = True, "opening", formats
    peer.offer = replace(peer.offer, video=video.half_beside(peer, formats))
    update = UpdateMedia(peer.media.leg, peer.offer, opens_video=peer.media.video is None)
    return [update, StartTimer(VideoPatience(call.ref, leg.ref), PATIENCE)]


def updated(leg: Leg) -> Effects:
    """The engine has the line: now it is offered."""
    return _offer(leg) if leg.video_step == "opening" else []


def _offer(leg: Leg) -> Effects:
    leg.video_step, leg.version, leg.video_direction = "offered", leg.version + 1, "sendrecv"
    return [Sip(SendInDialog(leg.usage, "INVITE", Headers([SDP]), leg.describe_reoffer()))]


def answered(call: Call, leg: Leg, response: Response | None) -> Effects:
    """The final response to our offer of video; nothing if none is out."""
    if leg.video_step != "offered":
        return []
    asker = call.peer_of(leg)
    if response is not None and response.status == 491 and asker is not None and asker.video_waits:
        leg.video_step = "again"
        return [StartTimer(OfferVideoAgain(call.ref, leg.ref), pause(leg.request is None, call.ids))]
    leg.video_step = ""
    taken = _taken(leg, response) if response is not None and response.status < 300 else None
    if not leg.video_chosen:
        taken = [*(taken or []), *_forget(leg)]
    if asker is None or not asker.video_waits:
        # Nobody wants it any more.
        return [*(taken or []), *(drop(call, leg) if leg.video_chosen else [])]
    return [*(taken or []), *settle(call, asker, leg)]


def _taken(leg: Leg, response: Response) -> Effects | None:
    try:
        return bridge.take_answer(leg, parse_sdp(response.body))
    except SdpError:
        # The session goes on as it was (RFC 6141).
        return None


def _forget(leg: Leg) -> Effects:
    if leg.offer is None or leg.media is None:
        return []
    leg.video_formats = leg.video_chosen = ()
    leg.offer = replace(leg.offer, video=None)
    return [UpdateMedia(leg.media.leg, leg.offer)]


def again(call: Call, leg: Leg) -> Effects:
    """The pause after a 491 is over."""
    return _offer(leg) if leg.video_step == "again" and leg.confirmed and not leg.detached else []


def patience_over(call: Call, leg: Leg) -> Effects:
    """The other side has not answered: its video is not waited for."""
    return settle(call, leg, None) if leg.video_waits else []


def settle(call: Call, leg: Leg, peer: Leg | None) -> Effects:
    """Who offered video gets his answer, with what the other side took."""
    if not leg.video_waits:
        return []
    leg.video_waits = False
    video.meet(leg, peer)
    stop = StopTimer(VideoPatience(call.ref, leg.ref))
    if leg.pending is None or leg.media is None or leg.offer is None:
        return [stop]
    return [stop, *complete(leg, leg.pending[1]), *renegotiation.renegotiated(leg)]


def complete(leg: Leg, offer: Session) -> Effects:
    """The engine learns what was agreed with a leg that offered."""
    chosen = leg.pending[2] if leg.pending is not None else leg.chosen
    if offer.audio is None or leg.media is None or leg.offer is None:
        return []
    remote = remote_of(offer.audio, chosen, leg.offer.suites, digits.by_info(leg, chosen))
    return [CompleteMedia(leg.media.leg, bridge.with_video(leg, offer, remote))]


def drop(call: Call, peer: Leg | None) -> Effects:
    """The other side has ended its video: this one's line ends too, instead of showing its last picture."""
    if peer is None or not peer.video_chosen or not may_be_asked(peer):
        return []
    forgotten = _forget(peer)
    peer.version += 1
    return [*forgotten, *proposal.refresh(peer)]


def align(call: Call, a: Leg, b: Leg) -> Effects:
    """Two that have not agreed with each other are joined, by a transfer: who sends what the other cannot show is offered
    less, down to port 0."""
    effects: Effects = []
    for one, other in ((a, b), (b, a)):
        forms = {video_format.form for video_format in other.video_chosen}
        if not one.video_chosen or one.video_chosen[0].form in forms:
            continue
        shared = video.common(one.video_chosen, other.video_chosen)
        effects += _narrow(one, shared) if shared else drop(call, one)
    return effects


def _narrow(leg: Leg, shared: video.Formats) -> Effects:
    if not may_be_asked(leg) or leg.offer is None or leg.offer.video is None or leg.media is None:
        return []
    leg.video_formats, leg.video_chosen = video.common(leg.video_formats, shared), shared
    codecs = tuple(one.codec() for one in leg.video_formats)
    leg.offer = replace(leg.offer, video=replace(leg.offer.video, codecs=codecs))
    leg.version += 1
    return [UpdateMedia(leg.media.leg, leg.offer), *proposal.refresh(leg)]


def refused(call: Call, leg: Leg) -> Effects:
    """The engine has no ports for the line: there is no video, on either side."""
    forgotten = _forget(leg)
    if leg.video_step:
        leg.video_step = ""
        asker = call.peer_of(leg)
        return [*forgotten, *(settle(call, asker, leg) if asker is not None else [])]
    waited, leg.video_waits = leg.video_waits, False
    stop: Effects = [StopTimer(VideoPatience(call.ref, leg.ref))] if waited else []
    return [
        *forgotten,
        *stop,
        *(complete(leg, leg.pending[1]) if leg.pending is not None else []),
        *renegotiation.renegotiated(leg),
    ]


def gone(call: Call, leg: Leg) -> Effects:
    """A leg ends: nobody waits for its answer."""
    peer = call.peer_of(leg)
    return settle(call, peer, None) if peer is not None and peer.video_waits else []
