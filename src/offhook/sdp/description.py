"""A session description as data (RFC 8866): what a peer said, in the parts that we use.

Lives here: shapes. Never here: text (parse.py, encode.py) or what to answer (offer_answer.py).
"""

from dataclasses import dataclass, field
from typing import Final

from offhook.record import record
from offhook.sdp.crypto import CryptoLine


@dataclass(slots=True)
class SdpLimits:
    """What one description may have. They stand once for the process (`SDP_LIMITS`) and are set before its first message."""

    max_sdp_lines: int = 1_000
    """Browser video offers have some 250."""
    max_media: int = 16
    """Audio, video and what meetings add."""
    max_candidates: int = 64
    """A host with many interfaces has 20."""


SDP_LIMITS: Final = SdpLimits()

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")


class SdpError(Exception):
    """The description breaks its rules; the text names the line."""


@record
class Format:
    """One payload type of a media line. `name` in capitals, `clock` in Hz."""

    name: str
    payload_type: int
    clock: int
    channels: int = 1
    fmtp: str = ""


@record
class Media:
    """One m= line. `port` 0 means rejected. Attributes absent here fall back to the session's, as RFC 8866 says."""

    kind: str
    port: int
    protocol: str
    raw_formats: tuple[str, ...] = ()
    address: str = ""
    formats: tuple[Format, ...] = ()
    direction: str = "sendrecv"
    mid: str = ""
    setup: str = ""
    fingerprints: tuple[tuple[str, str], ...] = ()
    ufrag: str = ""
    password: str = field(default="", repr=False)
    candidates: int = 0
    rtcp_mux: bool = False
    rtcp_rsize: bool = False
    rtcp_port: int = 0
    ptime: int = 20
    extensions: dict[str, int] = field(default_factory=dict)
    ssrc: int = 0
    crypto: tuple[CryptoLine, ...] = ()
    feedback: tuple[tuple[str, str], ...] = ()
    """a=rtcp-fb: (payload type or "*", what is understood), RFC 4585 section 4.2."""

    @property
    def webrtc(self) -> bool:
        """True for a line that wants ICE and DTLS-SRTP, and RTCP on the same path: with ICE we have one component. Who wants
        two is answered without ICE, as a phone, which takes him to the addresses of the lines (RFC 8839 section 4.2.5)."""
        return bool(self.ufrag and self.fingerprints and self.rtcp_mux) and "TLS" in self.protocol

    @property
    def handshake(self) -> bool:
        """True for a line that wants DTLS-SRTP, with ICE or without it (RFC 5763)."""
        return bool(self.fingerprints) and "TLS" in self.protocol

    @property
    def secure(self) -> bool:
        """True if the profile demands SRTP."""
        return "SAVP" in self.protocol

    @property
    def reduced_size(self) -> bool:
        """True if feedback may go without a report before it (RFC 5506), which only the feedback profiles can agree."""
        return self.rtcp_rsize and self.protocol.endswith("AVPF")

    @property
    def audio_level_id(self) -> int:
        """RFC 8285 id offered for the RFC 6464 audio level, 0 if none."""
        return self.extensions.get(AUDIO_LEVEL, 0)

    @property
    def mid_id(self) -> int:
        """RFC 8285 id offered for the MID, 0 if none."""
        return self.extensions.get(MID, 0)


AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
PASSED = ("urn:3gpp:video-orientation", "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time")
"""Extensions of video that mean the same on the other side of a call: how the camera is held, and when a packet left it."""


@record
class Session:
    """A whole description. `version` is that of the o= line; equal text apart from it means nothing changed."""

    origin: str
    session_id: str
    version: str
    media: tuple[Media, ...]
    bundle: tuple[str, ...] = ()

    @property
    def audio(self) -> Media | None:
        """The first active audio line."""
        return next((one for one in self.media if one.kind == "audio" and one.port), None)

    @property
    def video(self) -> Media | None:
        """The first active video line. A browser's must be in the bundle of its audio line: it has no other transport."""
        found = next((one for one in self.media if one.kind == "video" and one.port and one.formats), None)
        audio = self.audio
        if found is None or audio is None or found.webrtc != audio.webrtc:
            return None
        return found if not found.webrtc or {found.mid, audio.mid} <= set(self.bundle) else None
