"""The video line of a leg: which formats cross a call, and the halves of the engine's description (MEDIA.md section 1).

Nothing of video is transcoded, so both sides must take the same format: the caller's formats are offered to the callee, and
the caller is answered with what the callee took; where nothing is left, or there is no other side, the line gets port 0
(RFC 3264 section 6). Lives here: formats and lines. Never here: when video is added to a call (adding.py).
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from offhook.calls.description import seen_by
from offhook.calls.encryption import KeyChoice, for_answer
from offhook.calls.ports import (
    Crypto,
    Direction,
    Extension,
    KeyKind,
    LegOffer,
    PathKind,
    VideoCodec,
    VideoOffer,
    VideoRemote,
)
from offhook.record import record
from offhook.sdp.crypto import CryptoLine
from offhook.sdp.description import PASSED, Format, Media, Session
from offhook.sdp.offer_answer import RTX, LocalVideo

if TYPE_CHECKING:
    from offhook.calls.leg import Leg

SEEN = ("VP8", "H264")
"""What we pass on."""
FEEDBACK = ("goog-remb", "ccm fir", "nack", "nack pli")
"""What we translate between two legs (RFC 4585, RFC 5104); transport-wide feedback is never agreed."""
MAX_FORMATS = 8
"""Formats of one line, retransmissions apart: browsers offer six of H264 beside VP8, and the engine holds sixteen."""
MAX_PHONE_FORMATS = 3
"""A phone's description stays short (CALL-21)."""
FIRST_NUMBER = 96
NUMBERS_TAKEN = frozenset({101, 102, 107, 110, 111, 126})
"""Payload types of sound in our own offers: a bundle has each once (RFC 9143 section 9.2)."""
IDS = {uri: number for number, uri in enumerate(PASSED, 3)}
"""RFC 8285 ids in our own offers; 1 and 2 are audio level and MID."""
LIMITS = ("max-br", "max-fr", "max-fs", "max-mbps")
"""What a receiver says of its own strength; it is told to the other side as it stands."""


@record
class VideoFormat:
    """One format as a leg numbers it: `rtx` is the payload type of its retransmissions, 0 for none."""

    name: str
    payload_type: int
    rtx: int = 0
    fmtp: str = ""

    @property
    def form(self) -> str:
        """Two formats of equal form are the same on the wire: for H264 packetization and profile count, the level does not
        (RFC 6184 section 8.2.2). Baseline and its constrained kind are one: no encoder in use sends what sets them apart."""
        if self.name != "H264":
            return self.name
        said = _parameters(self.fmtp)
        profile = said.get("profile-level-id", "42e01f")[:4].lower()
        family = {"42": "42", "4d": "4d", "58": "58", "64": "64"}.get(profile[:2], profile)
        return f"H264/{said.get('packetization-mode', '0')}/{family}"

    def codec(self) -> VideoCodec:
        """The same for the engine."""
        return VideoCodec(self.name, self.payload_type, self.rtx, self.form)

    def written(self) -> list[Format]:
        """Its lines, with that of its retransmissions."""
        lines = [Format(self.name, self.payload_type, 90_000, 1, self.fmtp)]
        return lines + ([Format(RTX, self.rtx, 90_000, 1, f"apt={self.payload_type}")] if self.rtx else [])


Formats = tuple[VideoFormat, ...]


def _parameters(fmtp: str) -> dict[str, str]:
    pairs = (one.strip().partition("=") for one in fmtp.split(";"))
    return {name.lower(): value.strip() for name, _, value in pairs if name}


def _hidden(name: str, fmtp: str) -> str:
    """The parameters that mean something to the other side, written anew (CALL-19)."""
    said = _parameters(fmtp)
    kept = [f"{key}={said[key]}" for key in LIMITS if said.get(key, "").isdigit()]
    if name != "H264":
        return ";".join(kept)
    profile = said.get("profile-level-id", "42e01f").lower()
    profile = profile if len(profile) == 6 and all(one in "0123456789abcdef" for one in profile) else "42e01f"
    mode = said.get("packetization-mode", "0")
    both = [f"profile-level-id={profile}", f"packetization-mode={mode if mode in '012' else '0'}"]
    # A level of its own for each direction, as RFC 6184 allows: neither side is made to send more than it can.
    return ";".join(["level-asymmetry-allowed=1", *both, *kept])


def formats_of(media: Media, names: tuple[str, ...]) -> Formats:
    """What a line offers of the formats that cross a call and whose names are among `names`."""
    repairs = {}
    for one in media.formats:
        about = _parameters(one.fmtp).get("apt", "") if one.name == RTX else ""
        if about.isdigit():
            repairs[int(about)] = one.payload_type
    taken = [
        VideoFormat(one.name, one.payload_type, repairs.get(one.payload_type, 0), _hidden(one.name, one.fmtp))
        for one in media.formats
        if one.name in SEEN and one.name in names and one.clock == 90_000
    ]
    return tuple(taken[:MAX_FORMATS])


def ours_of(leg: "Leg", shown: Formats) -> Formats:
    """What an offer of ours to this leg says of the formats of another: by numbers that its sound does not use. A phone is
    offered one of each form, without retransmission streams."""
    names, webrtc = allowed(leg), leg.webrtc
    used = NUMBERS_TAKEN | {one.payload_type for one in (*leg.formats, *leg.chosen)}
    formats = [one for one in shown if one.name in names]
    numbers = (number for number in range(FIRST_NUMBER, 128) if number not in used)
    forms: set[str] = set()
    ours = []
    for one in formats:
        if one.form in forms:
            continue
        forms.add(one.form)
        first = next(numbers)
        ours.append(replace(one, payload_type=first, rtx=next(numbers) if webrtc else 0))
    return tuple(ours if webrtc else ours[:MAX_PHONE_FORMATS])


def common(formats: Formats, others: Formats) -> Formats:
    """Those that both have, in the order of `others`, numbered as in `formats`."""
    return tuple(
        next(mine for mine in formats if mine.form == form) for form in _forms(others) if form in _forms(formats)
    )


def _forms(formats: Formats) -> dict[str, None]:
    return dict.fromkeys(one.form for one in formats)


def allowed(leg: "Leg") -> tuple[str, ...]:
    """The video formats that the endpoint at the other end may use. Carriers get none."""
    return tuple(name for name in leg.account.codecs if name in SEEN) if leg.account is not None else ()


def known(leg: "Leg") -> Formats:
    """What its other side may be offered: what was agreed with it, before that what it offers itself."""
    return leg.video_chosen if leg.chosen else leg.video_formats


def meet(leg: "Leg", peer: "Leg | None") -> None:
    """Before an incoming leg is answered: it gets the formats that its other side has, and the extensions that cross."""
    leg.video_chosen = common(leg.video_formats, known(peer)) if peer is not None else ()
    if peer is None or leg.offer is None or leg.offer.video is None or peer.remote is None or peer.remote.video is None:
        return
    there = peer.remote.video.extensions
    crossing = tuple(one for one in leg.offer.video.extensions if one.uri in there)
    leg.offer = replace(leg.offer, video=replace(leg.offer.video, extensions=crossing))


def taken(leg: "Leg", answer: Session) -> Formats:
    """What the answer to an offer of ours takes of our formats, as the peer numbers them."""
    media = answer.video
    if media is None or leg.offer is None or leg.offer.video is None:
        return ()
    forms = {one.form for one in leg.video_formats}
    formats = tuple(one for one in formats_of(media, SEEN) if one.form in forms)
    return formats if formats and remote_of(media, formats, leg.offer) is not None else ()


# ---- our halves


def half_of_offer(media: Media, formats: Formats) -> VideoOffer | None:
    """Our half of a line that the peer offers, at its numbers."""
    if not formats:
        return None
    crossing = tuple(Extension(media.extensions[uri], uri) for uri in PASSED if uri in media.extensions)
    return VideoOffer(tuple(one.codec() for one in formats), Direction.SENDRECV, media.mid, crossing)


def half_of_ours(formats: Formats, webrtc: bool, mid: str = "1") -> VideoOffer | None:
    """Our half of a line that we offer."""
    if not formats:
        return None
    crossing = tuple(Extension(number, uri) for uri, number in IDS.items()) if webrtc else ()
    return VideoOffer(tuple(one.codec() for one in formats), Direction.SENDRECV, mid if webrtc else "", crossing)


def half_beside(leg: "Leg", formats: Formats) -> VideoOffer:
    """Our half of a line that joins others: by a tag and by extension ids that the leg does not use yet."""
    media = leg.remote.media if leg.remote is not None else ()
    before = next((one for one in media if one.kind == "video"), None)
    tags = {one.mid for one in media}
    free = next(str(number) for number in range(len(media), len(media) + 17) if str(number) not in tags)
    mid = before.mid if before is not None and before.mid else free
    used = {number for one in media for number in one.extensions.values()}
    used |= {leg.offer.audio_level_id, leg.offer.mid_id} if leg.offer is not None else set()
    ids = iter(number for number in range(3, 15) if number not in used)
    crossing = tuple(Extension(next(ids), uri) for uri in PASSED) if leg.webrtc and len(used) < 8 else ()
    codecs = tuple(one.codec() for one in formats)
    return VideoOffer(codecs, Direction.SENDRECV, mid if leg.webrtc else "", crossing)


def offered(leg: "Leg", media: Media | None, choice: KeyChoice) -> Formats:
    """What can be taken of the video line of a peer's offer; its keys must be of the kind of its sound."""
    if media is None or for_answer(media, leg.policy) != choice:
        return ()
    formats = formats_of(media, allowed(leg))
    sound = {one.payload_type for one in leg.formats} if media.webrtc else set()
    return () if sound & {number for one in formats for number in (one.payload_type, one.rtx)} else formats


def remote_of(media: Media, formats: Formats, offer: LegOffer) -> VideoRemote | None:
    """The peer's half: `formats` as it numbers them. None if its keys are not of our kind."""
    crypto = tuple(Crypto(line.suite, line.key) for line in media.crypto if line.suite in offer.suites)[:1]
    if offer.keys is KeyKind.SDES and not crypto:
        return None
    if offer.keys is KeyKind.PLAIN and media.secure:
        return None
    webrtc = offer.path is PathKind.WEBRTC
    said = {what for number, what in media.feedback if number in {"*", *(str(one.payload_type) for one in formats)}}
    return VideoRemote(
        codecs=tuple(one.codec() for one in formats),
        address="" if webrtc or media.address == "0.0.0.0" else media.address,
        port=0 if webrtc else media.port,
        rtcp_port=0 if webrtc else media.rtcp_port,
        direction=Direction(media.direction),
        ssrc=media.ssrc,
        crypto=crypto,
        feedback=tuple(what for what in FEEDBACK if what in said),
        reduced_size=media.reduced_size,
    )


def line_of(leg: "Leg", formats: Formats, media: Media | None) -> LocalVideo | None:
    """Our video line with these formats; `media` is the peer's that it answers."""
    if leg.media is None or leg.media.video is None or leg.offer is None or leg.offer.video is None or not formats:
        return None
    local = seen_by(leg.flow, leg.media).video
    assert local is not None
    said = {what for _, what in media.feedback} if media is not None else set(FEEDBACK)
    extensions = [(one.id, one.uri) for one in leg.offer.video.extensions]
    return LocalVideo(
        formats=tuple(line for one in formats for line in one.written()),
        direction=leg.video_direction,
        mid=leg.offer.video.mid or "1",
        ssrc=local.ssrc,
        rtx_ssrc=local.rtx_ssrc,
        candidates=local.candidates,
        rtcp_port=local.rtcp_port,
        crypto=tuple(CryptoLine(tag, one.suite, one.key) for tag, one in enumerate(local.crypto, 1)),
        feedback=tuple(what for what in FEEDBACK if what in said),
        extensions=tuple(extensions),
    )
