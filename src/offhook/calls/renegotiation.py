"""Requests inside a call's dialogs: hold and resume, refreshes, ICE restarts, digits by INFO.

All of it is answered locally, at once; the other side hears it only as sound (4.1 rows 8 to 12).
"""

from dataclasses import replace

from offhook.calls import adding, bridge, connected, digits, proposal, video
from offhook.calls.call import SDP, Call, Effects
from offhook.calls.description import SPEECH, offer_for_offer, remote_of, speech_of, wanted
from offhook.calls.effects import CompleteMedia, Sip, UpdateMedia
from offhook.calls.encryption import KeyChoice, for_answer
from offhook.calls.leg import Leg
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.ports import Direction
from offhook.calls.routing import ECHO
from offhook.sdp.description import Media, SdpError, Session
from offhook.sdp.offer_answer import answer_direction, select
from offhook.sdp.parse import parse as parse_sdp
from offhook.sip.commands import Respond
from offhook.sip.events import RequestInDialog
from offhook.sip.fields import parse_name_addr
from offhook.sip.message import Headers


def answer(call: Call, leg: Leg, event: RequestInDialog, now: float) -> Effects:
    """The answer to one request in the dialog."""
    match event.request.method:
        case "INVITE" | "UPDATE" | "PRACK":
            # A PRACK comes here with a further offer (RFC 3262 section 5).
            return [*connected.read(call, leg, event.request), *_renegotiate(call, leg, event)]
        case "INFO":
            return digits.info(call, leg, event, now)
        case _:
            allowed = "INVITE, ACK, BYE, CANCEL, INFO, UPDATE, REFER"
            return [Sip(Respond(event.transaction, 405, Headers([("Allow", allowed)])))]


def _renegotiate(call: Call, leg: Leg, event: RequestInDialog) -> Effects:
    request = event.request
    if not request.body:
        # An UPDATE without a body refreshes the session; a re-INVITE without one asks for our offer (row 10).
        if request.method == "UPDATE":
            return [Sip(Respond(event.transaction, 200))]
        return _offer(leg, event)
    try:
        offer = digits.understood(leg, parse_sdp(request.body))
    except SdpError as error:
        return _refuse(call, event, "sdp_invalid", f"The session description breaks its rules: {error}")
    audio = offer.audio
    if call.reopening:
        # LIVE-15: we are about to offer new media ourselves.
        return [Sip(Respond(event.transaction, 491))]
    if audio is None or leg.media is None or leg.offer is None:
        return _refuse(call, event, "codec_mismatch", "No active audio line is left")
    fork, tag = call.fork_of(leg), parse_name_addr(request.headers.get("From") or "").tag
    if not leg.confirmed and fork is not None and (fork.ear is not leg or fork.ear_tag != tag):
        return _beside(call, leg, event, offer, tag)
    if bridge.same(leg.remote, offer) and answer_direction(audio.direction, proposal.wish(call, leg)) == leg.direction:
        # Row 12: nothing changed, the answer is written as before, version and all.
        body = leg.describe_answer(offer, leg.chosen, leg.direction)
        return [Sip(Respond(event.transaction, 200, Headers([SDP]), body))]
    taken = _take(call, leg, event, offer, audio)
    if not leg.confirmed and leg.remote is offer:
        # What is refused leaves the early dialog's description as it was, too (RFC 6141).
        leg.early[tag] = offer
    return taken


def _offer(leg: Leg, event: RequestInDialog) -> Effects:
    """Row 10: what we want, not what we last answered; else a peer that resumes this way would stay on hold."""
    if leg.media is None or leg.offer is None:
        return [Sip(Respond(event.transaction, 500))]
    leg.stood = (leg.direction, leg.offer.direction)
    leg.direction, leg.offering = "sendrecv", True
    before = leg.body
    if leg.describe_reoffer() != before:
        leg.version += 1
    leg.offer = replace(leg.offer, direction=Direction.SENDRECV)
    answer = Sip(Respond(event.transaction, 200, Headers([SDP]), leg.describe_reoffer()))
    return [UpdateMedia(leg.media.leg, leg.offer), answer]


def _beside(call: Call, leg: Leg, event: RequestInDialog, offer: Session, tag: str) -> Effects:
    """An early dialog that is not heard moves its media: it gets an answer, the sound stays where it is (4.1 row 5)."""
    assert offer.audio is not None
    chosen = select(offer.audio.formats, speech_of(leg.formats))
    if not speech_of(chosen):
        return _refuse(call, event, "codec_mismatch", "No codec of the first offer is left")
    leg.early[tag] = offer
    said = (leg.chosen, leg.direction, leg.body)
    body = leg.describe_answer(offer, chosen, answer_direction(offer.audio.direction, "both"))
    leg.chosen, leg.direction, leg.body = said
    return [Sip(Respond(event.transaction, 200, Headers([SDP]), body))]


def _take(call: Call, leg: Leg, event: RequestInDialog, offer: Session, audio: Media) -> Effects:
    assert leg.media is not None
    assert leg.offer is not None
    current = speech_of(leg.chosen)
    allowed = wanted(leg.account.codecs) if leg.account is not None else SPEECH
    names = tuple(dict.fromkeys((*current[:1], *speech_of(leg.formats), *allowed)))
    chosen = select(audio.formats, tuple(name for name in names if name in speech_of(audio.formats))[:1])
    if not speech_of(chosen):
        said = ", ".join(one.name for one in audio.formats)
        return _refuse(call, event, "codec_mismatch", f"Offered: {said}; understood here: {', '.join(names)}")
    choice = for_answer(audio, leg.policy)
    if isinstance(choice, Outcome):
        return [Sip(Respond(event.transaction, choice.status, choice.headers(call.config.domain)))]
    restart = leg.webrtc and leg.audio is not None and audio.ufrag != leg.audio.ufrag
    direction = answer_direction(audio.direction, proposal.wish(call, leg))
    wish = offer_for_offer(leg.flow, audio, speech_of(select(audio.formats, names)), choice)
    leg.formats = select(audio.formats, names)
    redrawn = (wish.keys, wish.suites) != (leg.offer.keys, leg.offer.suites)
    dropped, asked = _see(call, leg, offer, choice, event.request.method)
    if offer.video is not None:
        wish = replace(wish, video=video.half_of_offer(offer.video, leg.video_formats))
        leg.video_direction = answer_direction(offer.video.direction, proposal.wish(call, leg))
    opens = wish.video is not None and leg.media.video is None
    # The DTLS role is sticky as long as the certificate is (MEDIA.md trap 3).
    leg.offer = replace(
        wish,
        dtls_active=leg.offer.dtls_active,
        direction=Direction(direction),
        detect_digits=leg.offer.detect_digits,
    )
    leg.remote, leg.version = offer, leg.version + 1
    heard = bridge.settle_again(call, leg)
    update = UpdateMedia(leg.media.leg, leg.offer, restart, opens)
    remote = remote_of(audio, chosen, wish.suites, digits.by_info(leg, chosen))
    complete = CompleteMedia(leg.media.leg, bridge.with_video(leg, offer, remote))
    after = [*proposal.pass_hold(call, leg), *asked, *(adding.drop(call, call.peer_of(leg)) if dropped else [])]
    if restart or redrawn or opens or leg.video_waits:
        # Fresh credentials, keys or ports of ours must be in the answer, or what the other side takes of the video: it waits
        # for the engine (renegotiated), or for that side's answer (adding.settle).
        leg.pending = (event.transaction, offer, chosen, direction, Headers([SDP]))
        return [update, complete, *heard, *after]
    body = leg.describe_answer(offer, chosen, direction)
    answered = Sip(Respond(event.transaction, 200, Headers([SDP]), body))
    return [update, complete, *heard, answered, *after]


def _see(call: Call, leg: Leg, offer: Session, choice: KeyChoice, method: str) -> tuple[bool, Effects]:
    """The video line of a new offer: True if it ended video, and what the other side is asked (row 9)."""
    had, peer = bool(leg.video_chosen), call.peer_of(leg)
    # What was refused once is not asked of the other side's user with every hold.
    fresh = leg.remote is None or leg.remote.video is None
    leg.video_formats = video.offered(leg, offer.video, choice)
    if leg.fed is not None and leg.fed.user.casefold() == ECHO:
        peer = leg
    leg.video_chosen = video.common(leg.video_formats, video.known(peer)) if peer is not None else ()
    if not leg.video_formats:
        return had, []
    if peer is leg:
        leg.video_chosen = leg.video_formats
    elif (
        fresh
        and not leg.video_chosen
        and peer is not None
        and leg.confirmed
        and method == "INVITE"
        and adding.may_be_asked(peer)
    ):
        # A wait within an UPDATE would make its sender repeat it.
        return False, adding.ask(call, leg, peer)
    return had and not leg.video_chosen, []


def renegotiated(leg: Leg) -> Effects:
    """The engine has drawn new ICE credentials: now the answer can be written."""
    if leg.pending is None or leg.video_waits or (leg.media is not None and _has_no_line(leg)):
        return []
    transaction, offer, chosen, direction, headers = leg.pending
    leg.pending = None
    body = leg.describe_answer(offer, chosen, direction)
    return [Sip(Respond(transaction, 200, headers, body))]


def _has_no_line(leg: Leg) -> bool:
    """The engine has not opened the video line yet that the answer names."""
    assert leg.media is not None
    return leg.offer is not None and leg.offer.video is not None and leg.media.video is None


def _refuse(call: Call, event: RequestInDialog, code: str, text: str) -> Effects:
    outcome = refusal(code, text)
    return [Sip(Respond(event.transaction, outcome.status, outcome.headers(call.config.domain)))]
