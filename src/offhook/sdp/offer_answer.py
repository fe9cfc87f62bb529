"""Offer and answer (RFC 3264): directions, the choice of codecs, and the lines we write.

A browser's line is written whole (ICE-lite, DTLS-SRTP, BUNDLE); a phone's as short as can be (CALL-21).
"""

from dataclasses import replace

from offhook.record import record
from offhook.sdp.crypto import CryptoLine
from offhook.sdp.description import AUDIO_LEVEL, MID, Format, Media, Session
from offhook.sdp.encode import Line, encode

WISHES = ("both", "hold", "listen", "nothing")

_ANSWER = {
    "sendrecv": ("sendrecv", "sendonly", "recvonly", "inactive"),
    "sendonly": ("recvonly", "inactive", "recvonly", "inactive"),
    "recvonly": ("sendonly", "sendonly", "inactive", "inactive"),
    "inactive": ("inactive", "inactive", "inactive", "inactive"),
}
"""Offered direction -> our answer for each of WISHES (RFC 3264 section 6.1; the table of the signalling contract, 4.2)."""

EVENT = "TELEPHONE-EVENT"
NOISE = "CN"
"""Comfort noise (RFC 3389), payload type 13 at 8000 Hz."""
RTX = "RTX"


@record
class Origin:
    """Our o= line: one id per leg for life, the version grows with each change; `address` is the c= address too."""

    id: int
    version: int
    address: str


@record
class LocalAudio:
    """Our audio line. `candidates` are (address, port), the first is the default; `setup` is a=setup, "" without DTLS.

    `crypto` are our keys; in an answer one, whose tag becomes that of the offered line. `profile` is written in an offer.
    `reduced_size` (RFC 5506) is offered to browsers, else it is as the peer says; who writes the line sets it.
    """

    formats: tuple[Format, ...]
    candidates: tuple[tuple[str, int], ...]
    direction: str = "sendrecv"
    rtcp_port: int = 0
    ufrag: str = ""
    password: str = ""
    fingerprint: str = ""
    setup: str = ""
    ssrc: int = 0
    cname: str = ""
    mid: str = "0"
    ptime: int = 20
    audio_level_id: int = 0
    mid_id: int = 0
    tcp_candidates: tuple[tuple[str, int], ...] = ()
    crypto: tuple[CryptoLine, ...] = ()
    profile: str = "RTP/AVP"
    reduced_size: bool = False


@record
class LocalVideo:
    """Our video line; a browser's shares the transport of the audio line, a phone's has `candidates` and `crypto` of its
    own. `formats` are those of retransmissions too. `feedback` is what we pass on (RFC 4585), `extensions` the ids of what
    crosses.
    """

    formats: tuple[Format, ...]
    direction: str = "sendrecv"
    mid: str = "1"
    ssrc: int = 0
    rtx_ssrc: int = 0
    candidates: tuple[tuple[str, int], ...] = ()
    rtcp_port: int = 0
    crypto: tuple[CryptoLine, ...] = ()
    feedback: tuple[str, ...] = ()
    extensions: tuple[tuple[int, str], ...] = ()


def answer_direction(offered: str, wish: str) -> str:
    """Our direction in an answer."""
    return _ANSWER[offered][WISHES.index(wish)]


def select(offered: tuple[Format, ...], wanted: tuple[str, ...]) -> tuple[Format, ...]:
    """The speech codecs of the offer that we want, in the order of `wanted`, then comfort noise and the telephone-events at
    their clocks.

    Payload types are the offer's. G722 is taken at its RTP clock of 8000 (RFC 3551 section 4.5.2).
    """
    speech: list[Format] = []
    for name in wanted:
        speech += [one for one in offered if one.name == name and one.clock == _CLOCKS.get(name)][:1]
    clocks = {one.clock for one in speech}
    offered_events = [one for one in offered if one.name == EVENT]
    # Phones exist that know 8000 Hz events only, also beside Opus; a digit at another clock beats none.
    events = [one for one in offered_events if one.clock in clocks] or offered_events[:1]
    # RFC 3389 section 4: beside codecs of its clock that have no silence of their own.
    noise = [one for one in offered if one.name == NOISE and one.clock == 8_000][: int(8_000 in clocks)]
    return (*speech, *noise, *_first_per_clock(events))


_CLOCKS = {"OPUS": 48_000, "G722": 8_000, "PCMU": 8_000, "PCMA": 8_000}


def _first_per_clock(events: list[Format]) -> list[Format]:
    first: dict[int, Format] = {}
    for one in events:
        first.setdefault(one.clock, one)
    return list(first.values())


def write_offer(webrtc: bool, local: LocalAudio, origin: Origin, video: LocalVideo | None = None) -> bytes:
    """A description with an audio line, and a video line if there is one."""
    local = replace(local, reduced_size=True) if webrtc else local
    lines, mids = [_line(webrtc, local, "")], [local.mid]
    if video is not None:
        lines.append(_video_line(webrtc, local, video, ""))
        mids.append(video.mid)
    return encode(origin.id, origin.version, origin.address, lines, webrtc, tuple(mids))


def write_answer(offer: Session, local: LocalAudio, origin: Origin, video: LocalVideo | None = None) -> bytes:
    """An answer to `offer`: its first active audio line is taken, and its video line if we have one; every other one keeps
    its place with port 0."""
    seen = offer.video if video is not None else None
    return _beside(offer, local, origin, video, seen, [])


def write_reoffer(
    before: Session, local: LocalAudio, origin: Origin, video: LocalVideo | None = None, *, aside: bool = False
) -> bytes:
    """An offer inside the dialog: every line of `before` in its place (RFC 3264 section 8), a video line that was not there
    last, or where one was refused. `aside` moves a browser's bundle to a transport from which nothing comes; the next
    offer moves it back, to one that is new."""
    seen = next((one for one in before.media if one.kind == "video"), None) if video is not None else None
    added = []
    if video is not None and seen is None:
        webrtc = before.audio is not None and before.audio.webrtc
        beside = _sized(local, before.audio) if before.audio is not None else local
        added.append(_video_line(webrtc, beside, video, before.audio.protocol if before.audio is not None else ""))
    return _beside(before, local, origin, video, seen, added, aside)


def _beside(
    before: Session,
    local: LocalAudio,
    origin: Origin,
    video: LocalVideo | None,
    seen: Media | None,
    added: list[Line],
    aside: bool = False,
) -> bytes:
    taken = before.audio
    local = replace(local, crypto=_tagged(local.crypto, taken)) if taken is not None and local.crypto else local
    local = _sized(local, taken) if taken is not None else local
    webrtc = taken is not None and taken.webrtc
    lines: list[Line] = []
    for media in before.media:
        if media is taken:
            lines.append(_line(media.webrtc, local, media.protocol))
        elif media is seen and video is not None:
            tagged = replace(video, crypto=_tagged(video.crypto, media))
            lines.append(_video_line(webrtc, _sized(local, media), tagged, media.protocol))
        else:
            lines.append(_rejected(media))
    bundle = [local.mid] if taken is not None and taken.mid in before.bundle else []
    bundle += [video.mid] if bundle and video is not None and (seen is not None or added) else []
    lines += added
    if aside and bundle:
        anchor = replace(local, mid=f"anchor-{origin.version}", audio_level_id=0)
        lines, bundle = _set_aside(lines, anchor), [anchor.mid, *bundle]
    return encode(origin.id, origin.version, origin.address, lines, webrtc, tuple(bundle))


def _sized(local: LocalAudio, media: Media) -> LocalAudio:
    """As the peer says of its line (RFC 5506 section 5)."""
    return local if local.reduced_size == media.reduced_size else replace(local, reduced_size=media.reduced_size)


def _set_aside(lines: list[Line], anchor: LocalAudio) -> list[Line]:
    """The lines and one more without sound, in a free place or last: as the first of the bundle it names the transport of
    all (RFC 9143 section 7.3.1). No line has candidates, so that the peer finds no path for it."""
    head = (*_webrtc_head(anchor), "rtpmap:0 PCMU/8000", "inactive")
    place = next((at for at, one in enumerate(lines) if one.kind == "audio" and not one.port), len(lines))
    every = [*lines[:place], Line("audio", 9, "UDP/TLS/RTP/SAVPF", ("0",), head), *lines[place + 1 :]]
    return [replace(one, attributes=tuple(said for said in one.attributes if not _of_paths(said))) for one in every]


def _of_paths(attribute: str) -> bool:
    return attribute.startswith(("candidate:", "end-of-candidates"))


def _video_line(webrtc: bool, audio: LocalAudio, video: LocalVideo, protocol: str) -> Line:
    port = (audio if webrtc else video).candidates[0][1]
    transport = replace(audio, mid=video.mid, audio_level_id=0)
    attributes = _webrtc_head(transport) if webrtc else []
    attributes += [f"extmap:{number} {uri}" for number, uri in video.extensions]
    for one in video.formats:
        attributes.append(f"rtpmap:{one.payload_type} {_SPELLING.get(one.name, one.name)}/{one.clock}")
        if one.fmtp:
            attributes.append(f"fmtp:{one.payload_type} {one.fmtp}")
        if webrtc and one.name != RTX:
            attributes += [f"rtcp-fb:{one.payload_type} {what}" for what in video.feedback]
    if not webrtc:
        attributes += [f"rtcp-fb:* {what}" for what in video.feedback]
        attributes += ["rtcp-rsize"] if audio.reduced_size and video.feedback else []
    if webrtc or video.direction != "sendrecv":
        attributes.append(video.direction)
    if webrtc:
        attributes += _video_streams(audio, video)
        attributes += _webrtc_tail(audio)[2:]
    elif video.rtcp_port and video.rtcp_port != port + 1:
        attributes.append(f"rtcp:{video.rtcp_port}")
    attributes += [line.write() for line in video.crypto]
    if not webrtc:
        attributes += _handshake(audio, video.rtcp_port)
    numbers = tuple(str(one.payload_type) for one in video.formats)
    default = "UDP/TLS/RTP/SAVPF" if webrtc else audio.profile
    return Line("video", port, protocol or default, numbers, tuple(attributes))


def _video_streams(audio: LocalAudio, video: LocalVideo) -> list[str]:
    """RFC 5576: the stream, and that of its retransmissions beside it."""
    streams = [video.ssrc]
    said = []
    if any(one.name == RTX for one in video.formats):
        streams.append(video.rtx_ssrc)
        said.append(f"ssrc-group:FID {video.ssrc} {video.rtx_ssrc}")
    said += [f"ssrc:{ssrc} cname:{audio.cname}" for ssrc in streams]
    return [*said, f"msid:{audio.cname} video"]


def _tagged(ours: tuple[CryptoLine, ...], offered: Media) -> tuple[CryptoLine, ...]:
    """RFC 4568 section 5.1.2: the answer repeats the tag of the line it takes."""
    tags = {line.suite: line.tag for line in reversed(offered.crypto)}
    return tuple(replace(line, tag=tags.get(line.suite, line.tag)) for line in ours)


def _rejected(media: Media) -> Line:
    return Line(media.kind, 0, media.protocol, media.raw_formats, (f"mid:{media.mid}",) if media.mid else ())


def _line(webrtc: bool, local: LocalAudio, protocol: str) -> Line:
    port = local.candidates[0][1]
    attributes = [*_webrtc_head(local)] if webrtc else []
    for one in local.formats:
        channels = "/2" if one.name == "OPUS" else ""
        attributes.append(f"rtpmap:{one.payload_type} {_SPELLING.get(one.name, one.name)}/{one.clock}{channels}")
        if one.fmtp:
            attributes.append(f"fmtp:{one.payload_type} {one.fmtp}")
    if local.ptime != 20:
        attributes.append(f"ptime:{local.ptime}")
    if webrtc or local.direction != "sendrecv":
        attributes.append(local.direction)
    if webrtc:
        attributes += _webrtc_tail(local)
    elif local.rtcp_port and local.rtcp_port != port + 1:
        attributes.append(f"rtcp:{local.rtcp_port}")
    attributes += [line.write() for line in local.crypto]
    if not webrtc:
        attributes += _handshake(local, local.rtcp_port)
    numbers = tuple(str(one.payload_type) for one in local.formats)
    default = "UDP/TLS/RTP/SAVPF" if webrtc else local.profile
    return Line("audio", port, protocol or default, numbers, tuple(attributes))


def _handshake(local: LocalAudio, rtcp_port: int) -> list[str]:
    """What a line of a phone says of DTLS (RFC 5763 section 5); without an RTCP port of its own, that both share one."""
    if not local.setup:
        return []
    said = [f"fingerprint:sha-256 {local.fingerprint}", f"setup:{local.setup}"]
    return said if rtcp_port else [*said, "rtcp-mux"]


_SPELLING = {"OPUS": "opus", EVENT: "telephone-event", RTX: "rtx"}
"""Names as their RFCs spell them in lower case."""


def _webrtc_head(local: LocalAudio) -> list[str]:
    head = [
        f"mid:{local.mid}",
        f"ice-ufrag:{local.ufrag}",
        f"ice-pwd:{local.password}",
        f"fingerprint:sha-256 {local.fingerprint}",
        f"setup:{local.setup}",
        "rtcp-mux",
    ]
    if local.reduced_size:
        head.append("rtcp-rsize")
    if local.audio_level_id:
        head.append(f"extmap:{local.audio_level_id} {AUDIO_LEVEL}")
    if local.mid_id:
        head.append(f"extmap:{local.mid_id} {MID}")
    return head


def _webrtc_tail(local: LocalAudio) -> list[str]:
    tail = [f"ssrc:{local.ssrc} cname:{local.cname}", f"msid:{local.cname} audio"]
    for at, (address, port) in enumerate(local.candidates, 1):
        # RFC 8445 section 5.1.2.1: host type, and earlier ones preferred.
        priority = (126 << 24) | ((65_535 - at) << 8) | 255
        tail.append(f"candidate:{at} 1 udp {priority} {address} {port} typ host")
    for at, (address, port) in enumerate(local.tcp_candidates, len(local.candidates) + 1):
        # RFC 6544 sections 4.2 and 4.5: passive, and below every UDP candidate.
        priority = (126 << 24) | (((2 << 13) | (8_191 - at)) << 8) | 255
        tail.append(f"candidate:{at} 1 tcp {priority} {address} {port} typ host tcptype passive")
    return [*tail, "end-of-candidates"]
