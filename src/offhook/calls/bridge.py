"""The media of a call's legs: what is offered to each, what is answered, which leg hears which.

Lives here: from session descriptions to the engine's commands. Never here: whom to ring (fork.py), who hears of it
(answering.py), requests in the dialog (renegotiation.py).
"""

from dataclasses import replace

from offhook.calls import announcing, conference, digits, video
from offhook.calls.call import Call, Effects
from offhook.calls.description import SPEECH, offer_for_offer, offer_for_peer, our_formats, remote_of, speech_of, wanted
from offhook.calls.destinations import permitted
from offhook.calls.effects import (
    AddMediaLeg,
    BridgeMedia,
    CompleteMedia,
    HushMedia,
    OpenMedia,
    PlayMedia,
    StopMedia,
    UpdateMedia,
)
from offhook.calls.encryption import KeyChoice, for_answer
from offhook.calls.leg import Leg, LegState
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.ports import KeyKind, LegOffer, LegRemote, SourceKind
from offhook.calls.routing import Destination, room_of, source_of, speaks
from offhook.sdp.description import SdpError, Session
from offhook.sdp.offer_answer import answer_direction, select
from offhook.sdp.parse import parse as parse_sdp
from offhook.sip.fields import parse_name_addr
from offhook.sip.message import Response

FEW_CALLS = 5
"""Calls up to which an endpoint is a person, whose calls may meet. A PBX behind one login is spread over the cores."""


def read_offer(leg: Leg) -> Outcome | None:
    """Takes the description of an incoming leg's INVITE, if it has one; an outcome refuses it."""
    assert leg.request is not None
    if not leg.request.body:
        return None
    try:
        offered = digits.understood(leg, parse_sdp(leg.request.body))
    except SdpError as error:
        return refusal("sdp_invalid", f"The session description breaks its rules: {error}")
    audio = offered.audio
    if audio is None or not speech_of(select(audio.formats, SPEECH)):
        said = ", ".join(one.name for one in audio.formats) if audio else "no audio line"
        return refusal("codec_mismatch", f"Offered: {said}; understood here: {', '.join(SPEECH)}")
    choice = for_answer(audio, leg.policy)
    if isinstance(choice, Outcome):
        return choice
    leg.offered = leg.remote = offered
    return None


def prepare_incoming(leg: Leg) -> None:
    """Our half of a leg whose INVITE came in: for its offer, or an offer of ours."""
    audio = leg.audio
    names = wanted(leg.account.codecs if leg.account else leg.trunk.codecs if leg.trunk else SPEECH)
    if leg.request is not None:
        digits.learn(leg, leg.request)
    if audio is not None:
        # The caller's own order counts (4.1 row 1).
        allowed = tuple(name for name in speech_of(audio.formats) if name in names)
        leg.formats = select(audio.formats, tuple(dict.fromkeys(allowed)) or SPEECH)
        choice = for_answer(audio, leg.policy)
        assert isinstance(choice, KeyChoice)
        leg.offer = offer_for_offer(leg.flow, audio, speech_of(leg.formats), choice)
        seen = leg.offered.video if leg.offered is not None else None
        leg.video_formats = video.offered(leg, seen, choice)
        if seen is not None:
            leg.offer = replace(leg.offer, video=video.half_of_offer(seen, leg.video_formats))
    else:
        prepare_outgoing(leg, names)


def prepare_outgoing(leg: Leg, names: tuple[str, ...], shown: video.Formats = ()) -> None:
    """Our half of a leg to which we make the offer; `names` are its speech codecs in order, `shown` the other side's formats
    of video."""
    webrtc = leg.flow.transport.websocket
    leg.formats = digits.agreeable(leg, our_formats(webrtc, names))
    leg.offer = offer_for_peer(leg.flow, leg.formats, webrtc, leg.policy)
    leg.video_formats = video.ours_of(leg, shown)
    if leg.video_formats:
        leg.offer = replace(leg.offer, video=video.half_of_ours(leg.video_formats, webrtc))


def open_legs(call: Call, legs: list[Leg]) -> Effects:
    """Asks the engine for legs, in the call that it has or in a new one. `MediaOpened` or `MediaLegOpened` follow."""
    offers = tuple((leg.ref, leg.offer) for leg in legs if leg.offer is not None)
    if call.media_calls:
        return [AddMediaLeg(call.ref, call.media_calls[0], ref, offer) for ref, offer in offers]
    if call.opening:
        call.unopened += legs
        return []
    call.opening = True
    return [OpenMedia(call.ref, offers, conference.near(call) or _near(call))]


def _near(call: Call) -> int:
    """A media call of an endpoint that takes part and talks elsewhere: it may join the two by a transfer (XFER-4), which
    costs less on one core of the engine than between two."""
    for leg in (call.caller, *call.branches):
        others = call.index.few_others(leg.account.username, call, FEW_CALLS) if leg.account is not None else []
        near = next((one.media_calls[0] for one in others if one.media_calls), 0)
        if near:
            return near
    return 0


def opened(call: Call, media_call: int) -> Effects:
    """The engine's call is there; legs that were wanted meanwhile follow."""
    call.opening, waiting = False, call.unopened
    call.unopened = []
    call.media_calls.append(media_call)
    call.index.media[media_call] = call
    return open_legs(call, waiting)


def answer_incoming(leg: Leg, first: tuple[str, ...]) -> tuple[bytes, Effects]:
    """Our answer: one speech codec, the peer's if the caller offered it, and the events that fit its clock."""
    assert leg.offered is not None
    assert leg.offered.audio is not None
    assert leg.media is not None
    offered = speech_of(leg.formats)
    codec = next((name for name in first if name in offered), offered[0])
    chosen = select(leg.offered.audio.formats, (codec,))
    direction = answer_direction(leg.offered.audio.direction, "both")
    if leg.offered.video is not None:
        leg.video_direction = answer_direction(leg.offered.video.direction, "both")
    body = leg.describe_answer(leg.offered, chosen, direction)
    suites = leg.offer.suites if leg.offer else ()
    remote = remote_of(leg.offered.audio, chosen, suites, digits.by_info(leg))
    return body, [CompleteMedia(leg.media.leg, with_video(leg, leg.offered, remote))]


def with_video(leg: Leg, said: Session, remote: LegRemote) -> LegRemote:
    """The peer's half with its video line, if one is agreed; what cannot be taken of it is forgotten, and so is an address
    that this peer may not name."""
    seen = said.video if leg.video_chosen and leg.offer is not None else None
    if seen is None or leg.offer is None:
        return permitted(leg, remote)
    return permitted(leg, replace(remote, video=video.remote_of(seen, leg.video_chosen, leg.offer)))


def complete_branch(leg: Leg, response: Response) -> Effects | None:
    """Takes the branch's answer; None if it is missing or useless. A 200 after early media re-targets the leg (4.1 row 6).

    A 200 may leave out what a 1xx of the same early dialog has said.
    """
    keep_early(leg, response)
    return take_answer(leg, leg.early.get(tag_of(response)))


def keep_early(leg: Leg, response: Response) -> bool:
    """Each early dialog keeps its own answer (4.1 row 5); True if the response brought one."""
    digits.learn(leg, response)
    if not response.body:
        return False
    try:
        leg.early[tag_of(response)] = parse_sdp(response.body)
    except SdpError:
        leg.early.pop(tag_of(response), None)
        return False
    return True


def tag_of(response: Response) -> str:
    """The remote tag of the dialog that a response to our INVITE belongs to."""
    return parse_name_addr(response.headers.get("To") or "").tag


def take_answer(leg: Leg, answer: Session | None) -> Effects | None:
    """Completes a leg with the answer to our offer; None if no speech codec is left in it."""
    audio = answer.audio if answer is not None else None
    if answer is None or audio is None or leg.media is None or leg.offer is None:
        return None
    chosen = select(audio.formats, speech_of(audio.formats))
    if not speech_of(chosen):
        return None
    effects: Effects = []
    if leg.offer.keys is KeyKind.SDES and not any(line.suite in leg.offer.suites for line in audio.crypto):
        if leg.policy.encryption == "required":
            return None
        # RFC 8643: the peer answered in the clear, as an offer of RTP/AVP leaves it free to.
        leg.offer = replace(leg.offer, keys=KeyKind.PLAIN, suites=())
        effects.append(UpdateMedia(leg.media.leg, leg.offer))
    leg.remote, leg.chosen = answer, chosen
    if audio.setup == "passive" and not leg.offer.dtls_active:
        leg.offer = active(leg.offer)
        effects.append(UpdateMedia(leg.media.leg, leg.offer))
    leg.video_chosen = video.taken(leg, answer)
    remote = with_video(leg, answer, remote_of(audio, chosen, leg.offer.suites, digits.by_info(leg)))
    return [*effects, CompleteMedia(leg.media.leg, remote)]


def join(a: Leg, b: Leg) -> Effects:
    """Both hear each other; nothing happens while one of them has no media yet. Who is held hears music (4.1 row 8)."""
    if a.media is None or b.media is None:
        return []
    effects: Effects = [BridgeMedia(a.media.leg, b.media.leg)]
    for holder, held in ((a, b), (b, a)):
        effects += play(held, SourceKind.MUSIC) if holder.state is LegState.HELD else []
    for one, other in ((a, b), (b, a)):
        effects += _by_command(one, other)
    return effects


def _by_command(one: Leg, other: Leg) -> Effects:
    """A leg that a command holds hears music; one that it holds or mutes is not heard (API.md 8.2)."""
    music = play(one, SourceKind.MUSIC) if one.held_by_api else []
    unheard = (one.held_by_api or one.muted) and one.state is not LegState.HELD and not other.held_by_api
    return [*music, *([HushMedia(other.media.leg)] if unheard and other.media is not None else [])]


def hush(leg: Leg) -> Effects:
    """The leg hears nothing; a player takes the place of whatever was heard first, because only players are stopped."""
    if leg.media is None:
        return []
    return [PlayMedia(leg.media.leg, SourceKind.MUSIC), StopMedia(leg.media.leg)]


def settle(leg: Leg) -> None:
    """An answered leg is held or not, as its peer's direction says."""
    held = leg.audio is not None and leg.audio.direction in ("sendonly", "inactive")
    leg.state = LegState.HELD if held else LegState.ANSWERED


def settle_again(call: Call, leg: Leg) -> Effects:
    """The same after a new description, with what the other side hears now; an early leg stays early."""
    before = leg.state
    if not leg.confirmed:
        return []
    settle(leg)
    peer = call.peer_of(leg)
    if leg.state is before or peer is None or not peer.confirmed:
        return []
    heard = [] if call.in_transfer(leg) else join(leg, peer)
    return [*heard, call.happened("call.held" if leg.state is LegState.HELD else "call.resumed", leg)]


def same(before: Session | None, after: Session) -> bool:
    """Compares what the lines say, not only the o= version: some phones count it up for nothing, some never."""
    return before is not None and before.media == after.media


def feed(call: Call, leg: Leg, destination: Destination) -> Effects:
    """What a built-in destination lets a leg hear."""
    assert leg.media is not None
    leg.fed = destination
    name = room_of(destination)
    if name is not None:
        return conference.enter(call, leg, name)
    if speaks(destination.user):
        return announcing.begin(call, leg, destination)
    source = source_of(destination)
    return [BridgeMedia(leg.media.leg, leg.media.leg) if source is None else PlayMedia(leg.media.leg, source)]


def play(leg: Leg, source: SourceKind) -> Effects:
    """The leg hears music or a tone of ours from now on."""
    return [PlayMedia(leg.media.leg, source)] if leg.media is not None else []


def active(offer: LegOffer) -> LegOffer:
    """The same half of a leg, as DTLS client."""
    return replace(offer, dtls_active=True)
