"""Between session descriptions and the engine's leg descriptions (MEDIA.md section 11).

Lives here: conversions, and which codecs we offer. Never here: when an offer or answer is made (call.py, renegotiation.py).
"""

from dataclasses import replace
from ipaddress import ip_address

from offhook.calls.encryption import KeyChoice, Security, for_offer
from offhook.calls.ports import Codec, Crypto, Direction, LegLocal, LegOffer, LegRemote, PathKind
from offhook.sdp.crypto import CryptoLine
from offhook.sdp.description import Format, Media
from offhook.sdp.offer_answer import EVENT, NOISE, LocalAudio, select
from offhook.sip.flow import Flow

SPEECH = ("OPUS", "G722", "PCMU", "PCMA")
"""What the engine can transcode, best first."""

OPUS_FMTP = "minptime=10;useinbandfec=1"
WEBRTC_FORMATS = {
    "OPUS": Format("OPUS", 111, 48_000, 2, OPUS_FMTP),
    "G722": Format("G722", 9, 8_000),
    "PCMU": Format("PCMU", 0, 8_000),
    "PCMA": Format("PCMA", 8, 8_000),
}
PHONE_FORMATS = {**WEBRTC_FORMATS, "OPUS": Format("OPUS", 107, 48_000, 2, OPUS_FMTP)}
EVENTS = "0-16"
"""Telephone events we understand (RFC 4733 section 3.2)."""
MOST_FORMATS = 6
"""Payload types of an offer to a phone: old ones choke on long lists (CALL-21). Comfort noise is the first to go."""
AUDIO_LEVEL_ID = 1
MID_ID = 2
"""RFC 8285 ids of the extensions in our own offers."""


def wanted(names: tuple[str, ...], first: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Speech codecs to offer: those of `first` in their order, then the rest, all within `names`."""
    allowed = [name for name in names if name in SPEECH] or list(SPEECH)
    return (*[name for name in first if name in allowed], *[name for name in allowed if name not in first])


def our_formats(webrtc: bool, names: tuple[str, ...]) -> tuple[Format, ...]:
    """The payload types of an offer of ours: speech, to phones comfort noise, telephone-event at each clock last."""
    table = WEBRTC_FORMATS if webrtc else PHONE_FORMATS
    speech = [table[name] for name in names]
    events = [Format(EVENT, 110 if webrtc else 102, 48_000, 1, EVENTS)] if "OPUS" in names else []
    if any(one.clock == 8_000 for one in speech):
        events.append(Format(EVENT, 126 if webrtc else 101, 8_000, 1, EVENTS))
    narrow = not webrtc and any(one.clock == 8_000 for one in speech)
    fits = len(speech) + len(events) < MOST_FORMATS
    noise = [Format(NOISE, 13, 8_000)] if narrow and fits else []
    return (*speech, *noise, *events)


def speech_of(formats: tuple[Format, ...]) -> tuple[str, ...]:
    """The speech codecs among payload types, in order."""
    return tuple(one.name for one in formats if one.name not in (EVENT, NOISE))


def offer_for_peer(flow: Flow, formats: tuple[Format, ...], webrtc: bool, security: Security) -> LegOffer:
    """Our half of a leg that we offer."""
    choice = for_offer(flow, webrtc, security)
    return LegOffer(
        path=PathKind.WEBRTC if webrtc else PathKind.PORT,
        keys=choice.keys,
        suites=choice.suites,
        detect_digits=not webrtc,
        audio=codecs(formats),
        address="" if webrtc else flow.local[0],
        rtcp_mux=webrtc,
        audio_level_id=AUDIO_LEVEL_ID if webrtc else 0,
        mid_id=MID_ID if webrtc else 0,
        mid="0" if webrtc else "",
    )


def offer_for_offer(flow: Flow, media: Media, names: tuple[str, ...], choice: KeyChoice) -> LegOffer:
    """Our half of a leg that the peer offers: everything of its offer that we could take."""
    return LegOffer(
        path=PathKind.WEBRTC if media.webrtc else PathKind.PORT,
        keys=choice.keys,
        suites=choice.suites,
        detect_digits=not media.webrtc,
        audio=codecs(select(media.formats, names)),
        address="" if media.webrtc else flow.local[0],
        # Phones get RTCP on a port of its own (RFC 3605), unless one handshake can do for both.
        rtcp_mux=media.rtcp_mux and (media.webrtc or media.handshake),
        # MEDIA.md trap 2: passive unless the peer insists. A client with an RSA certificate is understood, a server is not.
        dtls_active=media.setup == "passive",
        ptime=media.ptime,
        audio_level_id=media.audio_level_id,
        mid_id=media.mid_id,
        mid=media.mid,
    )


def codecs(formats: tuple[Format, ...]) -> tuple[Codec, ...]:
    """Payload types as the engine takes them."""
    return tuple(Codec(one.name, one.payload_type, one.clock, one.channels, one.fmtp) for one in formats)


def remote_of(
    media: Media, formats: tuple[Format, ...], suites: tuple[str, ...] = (), digits_elsewhere: bool = False
) -> LegRemote:
    """The peer's half; `formats` are the payload types to send, the first speech codec is the one sent. `suites` are those
    our half has keys for: the peer's first key among them counts."""
    return LegRemote(
        audio=codecs(formats),
        address="" if media.webrtc or media.address == "0.0.0.0" else media.address,
        port=0 if media.webrtc else media.port,
        rtcp_port=0 if media.webrtc else media.rtcp_port,
        ufrag=media.ufrag,
        password=media.password,
        fingerprints=media.fingerprints,
        direction=Direction(media.direction),
        ptime=media.ptime,
        ssrc=media.ssrc,
        crypto=tuple(Crypto(line.suite, line.key) for line in media.crypto if line.suite in suites)[:1],
        digits_elsewhere=digits_elsewhere,
    )


def seen_by(flow: Flow, local: LegLocal) -> LegLocal:
    """What the engine opened, as the peer of a flow has to be told of it: behind a 1:1 NAT a phone outside sends to the
    outer address, the one that Via and Contact name too. Browsers are told every address."""
    name = flow.advertised.rpartition(":")[0].strip("[]")
    inner = flow.local[0]
    if local.ufrag or name == inner or not _is_address(name):
        return local

    def outer(candidates: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
        return tuple((name if address == inner else address, port) for address, port in candidates)

    video = local.video and replace(local.video, candidates=outer(local.video.candidates))
    return replace(local, candidates=outer(local.candidates), video=video)


def local_audio(
    local: LegLocal, offer: LegOffer, formats: tuple[Format, ...], direction: str, setup: str, profile: str
) -> LocalAudio:
    """Our audio line for the leg that the engine opened; `profile` is that of an offer to a phone."""
    return LocalAudio(
        formats=formats,
        candidates=local.candidates,
        tcp_candidates=local.tcp_candidates,
        direction=direction,
        rtcp_port=local.rtcp_port,
        ufrag=local.ufrag,
        password=local.password,
        fingerprint=local.fingerprint,
        setup=setup,
        ssrc=local.ssrc,
        cname=local.cname,
        mid=offer.mid or "0",
        ptime=20,
        audio_level_id=offer.audio_level_id,
        mid_id=offer.mid_id,
        crypto=tuple(CryptoLine(tag, one.suite, one.key) for tag, one in enumerate(local.crypto, 1)),
        profile=profile,
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
