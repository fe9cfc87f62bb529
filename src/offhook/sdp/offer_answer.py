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


def answer_direction(offered: str, wish: str) -> str:
    """Our direction in an answer."""
    return _ANSWER[offered][WISHES.index(wish)]


def select(offered: tuple[Format, ...], wanted: tuple[str, ...]) -> tuple[Format, ...]:
    """The speech codecs of the offer that we want, in the order of `wanted`, then the telephone-events at their clocks.

    Payload types are the offer's. G722 is taken at its RTP clock of 8000 (RFC 3551 section 4.5.2).
    """
    speech: list[Format] = []
    for name in wanted:
        speech += [one for one in offered if one.name == name and one.clock == _CLOCKS.get(name)][:1]
    clocks = {one.clock for one in speech}
    offered_events = [one for one in offered if one.name == EVENT]
    # Phones exist that know 8000 Hz events only, also beside Opus; a digit at another clock beats none.
    events = [one for one in offered_events if one.clock in clocks] or offered_events[:1]
    return (*speech, *_first_per_clock(events))


_CLOCKS = {"OPUS": 48_000, "G722": 8_000, "PCMU": 8_000, "PCMA": 8_000}


def _first_per_clock(events: list[Format]) -> list[Format]:
    first: dict[int, Format] = {}
    for one in events:
        first.setdefault(one.clock, one)
    return list(first.values())


def write_offer(webrtc: bool, local: LocalAudio, origin: Origin) -> bytes:
    """A description with one audio line."""
    return encode(origin.id, origin.version, origin.address, [_line(webrtc, local, "")], webrtc, (local.mid,))


def write_answer(offer: Session, local: LocalAudio, origin: Origin) -> bytes:
    """An answer to `offer`: its first active audio line is taken, every other one keeps its place with port 0."""
    taken = offer.audio
    local = replace(local, crypto=_tagged(local.crypto, taken)) if taken is not None and local.crypto else local
    lines: list[Line] = []
    for media in offer.media:
        lines.append(_line(media.webrtc, local, media.protocol) if media is taken else _rejected(media))
    webrtc = taken is not None and taken.webrtc
    bundle = (local.mid,) if taken is not None and taken.mid in offer.bundle else ()
    return encode(origin.id, origin.version, origin.address, lines, webrtc, bundle)


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
    if local.setup and not webrtc:
        attributes += [f"fingerprint:sha-256 {local.fingerprint}", f"setup:{local.setup}"]
    numbers = tuple(str(one.payload_type) for one in local.formats)
    default = "UDP/TLS/RTP/SAVPF" if webrtc else local.profile
    return Line("audio", port, protocol or default, numbers, tuple(attributes))


_SPELLING = {"OPUS": "opus", EVENT: "telephone-event"}
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
