"""Media again: our re-INVITE that restarts the path of a leg, or of every leg of a call whose engine is gone (LIVE-9, 15).

Lives here: what is asked of the engine and of the peers, and what their answers mean. Never here: when (survival.py).
"""

from dataclasses import dataclass, replace

from offhook.calls import bridge, conference, digits, ending, fork
from offhook.calls.call import SDP, Call, CallState, Effects
from offhook.calls.description import remote_of, speech_of
from offhook.calls.effects import (
    CompleteMedia,
    OpenMedia,
    Sip,
    StartTimer,
    StopTimer,
    UpdateMedia,
)
from offhook.calls.leg import Leg, LegState, Rekeying
from offhook.calls.outcome import refusal
from offhook.calls.ports import Direction, KeyKind, LegLocal, PathKind
from offhook.sdp.description import SdpError
from offhook.sdp.parse import parse as parse_sdp
from offhook.sip.commands import SendInDialog
from offhook.sip.fields import sip_reason
from offhook.sip.glare import pause
from offhook.sip.message import Headers, Response

ENGINE_LOST = sip_reason(503, "The media engine is gone")


@dataclass(frozen=True, slots=True)
class Settling:
    """LIVE-9: a leg that came back has this long to speak first, and so has one whose re-INVITE met another (CALL-8)."""

    call_ref: str
    leg_ref: str


@dataclass(frozen=True, slots=True)
class StillSilent:
    """LIVE-15: a leg was heard before the engine died, and should be again by now."""

    call_ref: str
    leg_ref: str


@dataclass(frozen=True, slots=True)
class ReopenLimit:
    """LIVE-15: no new engine has come."""

    call_ref: str


# ---- one leg


def reinvite(call: Call, leg: Leg) -> Effects:
    """Offers the leg anew. One that was opened again has fresh credentials; of any other ICE is restarted, for which the
    engine draws them first (`updated`)."""
    if leg.media is None or leg.offer is None:
        return []
    if leg.asking and not leg.asked:
        # The engine is drawing them: to ask again would make what it answers first untrue.
        return []
    leg.asking, leg.asked = True, False
    if leg.reoffer or not leg.webrtc:
        return _offer(leg)
    leg.offer = replace(leg.offer, direction=Direction.SENDRECV)
    return [UpdateMedia(leg.media.leg, leg.offer, restart_ice=True)]


def updated(leg: Leg) -> Effects:
    """The engine has drawn new ICE credentials for a leg that `reinvite` restarts."""
    return _offer(leg) if leg.asking and not leg.asked else []


def _offer(leg: Leg) -> Effects:
    leg.asked, leg.direction = True, "sendrecv"
    leg.version += 1
    return [Sip(SendInDialog(leg.usage, "INVITE", Headers([SDP]), leg.describe_reoffer()))]


def answered(call: Call, leg: Leg, response: Response | None, now: float) -> Effects:
    """The final response to our re-INVITE; one that call control did not ask for here means nothing here."""
    if not leg.asked:
        return []
    if response is None:
        # It never went out, or the dialog is about to be given up.
        leg.asking = leg.asked = False
        return []
    if response.status == 491:
        # CALL-8: both sides spoke at once. By then the peer's own offer may have made ours needless.
        leg.asking = leg.asked = False
        return [StartTimer(Settling(call.ref, leg.ref), pause(leg.request is None, call.ids))]
    again = leg.reoffer
    leg.asking = leg.asked = leg.reoffer = False
    if response.status >= 300:
        # CALL-9: a refused re-INVITE leaves everything as it was, which is nothing after the loss of an engine.
        return ending.end(call, "media_engine_lost", "server", now, ENGINE_LOST) if again else []
    try:
        taken = bridge.take_answer(leg, parse_sdp(response.body))
    except SdpError:
        taken = None
    if taken is None or leg.audio is None:
        return ending.end(call, "bad_answer", "server", now, sip_reason(488, "No usable answer to our re-INVITE"))
    leg.state = LegState.ANSWERED if leg.audio.direction in ("sendrecv", "recvonly") else LegState.HELD
    if leg.rekeying is Rekeying.ASIDE:
        return [*taken, *_move(leg, Rekeying.BACK)]
    if not (again and leg.was_heard and leg.state is LegState.ANSWERED):
        return taken
    leg.clocked = True
    browser = leg.webrtc and leg.rekeying is Rekeying.NONE
    patience = call.config.reopen_handshake if browser else call.config.reopen_silence
    return [*taken, StartTimer(StillSilent(call.ref, leg.ref), patience)]


def still_silent(call: Call, leg: Leg, now: float) -> Effects:
    """The peer has taken our offer, but its media never came. Firefox begins no handshake on a transport that had one,
    whatever the fingerprint is: there is a path, and it says nothing there. Such a browser is moved to another transport."""
    if not leg.silent or leg.detached or leg.asking or leg.state is not LegState.ANSWERED:
        return []
    if leg.webrtc and leg.rekeying in (Rekeying.NONE, Rekeying.WAITING):
        if any(one.until is None and one.verdict == "dtls_no_hello" for one in leg.findings):
            return _move(leg, Rekeying.ASIDE)
        if leg.rekeying is Rekeying.NONE:
            leg.rekeying = Rekeying.WAITING
            rest = max(0.0, call.config.reopen_silence - call.config.reopen_handshake)
            return [StartTimer(StillSilent(call.ref, leg.ref), rest)]
    return ending.end(call, "media_engine_lost", "server", now, ENGINE_LOST)


def _move(leg: Leg, step: Rekeying) -> Effects:
    leg.rekeying, leg.reoffer, leg.asking = step, True, True
    return _offer(leg)


# ---- the whole call


def lost(call: Call, now: float) -> Effects:
    """The engine is gone with every leg. Who talks is kept until the next engine comes; who only rings is told."""
    for number in call.media_calls:
        call.index.media.pop(number, None)
    call.media_calls.clear()
    for leg in call.legs:
        if leg.media is not None:
            call.index.legs.pop(leg.media.leg, None)
        call.index.left_room(leg)
        leg.was_heard = leg.was_heard or not leg.silent
        leg.media, leg.silent, leg.asking, leg.asked, leg.pending = None, True, False, False, None
        leg.video_waits, leg.video_step = False, ""
    if call.state is not CallState.TALKING or not all(leg.confirmed for leg in call.parties):
        return ending.end(call, "media_engine_lost", "server", now, ENGINE_LOST)
    call.reopening = True
    outcome = refusal("media_engine_lost")
    ringing = [effect for one in list(call.forks) for effect in fork.give_up(
        call, one, outcome, ENGINE_LOST, "media_engine_lost", now)]  # fmt: skip
    others = [*call.leaving, *(one.leg for one in call.arrivals)]
    leaving = [effect for leg in others for effect in ending.dismiss(
        call, leg, "media_engine_lost", ENGINE_LOST)]  # fmt: skip
    limit = StartTimer(ReopenLimit(call.ref), call.config.reopen_limit)
    return [*ringing, *leaving, limit, call.happened("call.media_lost")]


def ready(call: Call) -> Effects:
    """A new engine is there."""
    if not call.reopening or call.media_calls or call.state is not CallState.TALKING:
        return []
    offers = tuple((leg.ref, leg.offer) for leg in call.parties if leg.offer is not None)
    return [OpenMedia(call.ref, offers, conference.near(call))]


def opened(call: Call, media_call: int, legs: dict[str, LegLocal]) -> Effects:
    """The new engine has the legs: they hear each other, and their peers are told where to send now."""
    call.reopening = False
    call.media_calls.append(media_call)
    call.index.media[media_call] = call
    effects: Effects = [StopTimer(ReopenLimit(call.ref))]
    for leg in call.parties:
        leg.media, leg.reoffer, leg.rekeying = legs.get(leg.ref), True, Rekeying.NONE
        call.know(leg)
        effects += _resume(leg)
    effects += _joined(call)
    for leg in call.parties:
        if not leg.detached:
            effects += reinvite(call, leg)
    return [*effects, call.happened("call.media_restored")]


def _resume(leg: Leg) -> Effects:
    """A phone in clear is where it was, so it is heard and served before it has answered; keys must be agreed anew."""
    known = leg.media is not None and leg.audio is not None and leg.offer is not None and bool(speech_of(leg.chosen))
    if not known or leg.offer is None or leg.offer.path is PathKind.WEBRTC or leg.offer.keys is not KeyKind.PLAIN:
        return []
    assert leg.media is not None
    assert leg.audio is not None
    remote = remote_of(leg.audio, leg.chosen, digits_elsewhere=digits.by_info(leg))
    return [
        CompleteMedia(leg.media.leg, bridge.with_video(leg, leg.remote, remote) if leg.remote is not None else remote)
    ]


def _joined(call: Call) -> Effects:
    first = call.parties[0]
    if call.pairs is not None:
        pairs = [(leg, call.peer_of(leg)) for leg in call.parties]
        return [one for leg, peer in pairs if peer is not None and leg.ref < peer.ref for one in bridge.join(leg, peer)]
    if len(call.parties) == 2:
        return bridge.join(first, call.parties[1])
    return bridge.feed(call, first, first.fed) if first.fed is not None else []


def refused(call: Call, code: str, now: float) -> Effects:
    """The engine does not open the legs: it has died again, and the next one is asked, or it has no room."""
    return [] if code == "engine_lost" else ending.end(call, "media_engine_lost", "server", now, ENGINE_LOST)


def limit_over(call: Call, now: float) -> Effects:
    """No engine in time."""
    if not call.reopening:
        return []
    return ending.end(call, "media_engine_lost", "server", now, ENGINE_LOST)
