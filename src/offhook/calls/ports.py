"""Shapes that call control exchanges with the media engine: descriptions of one leg, never SDP text.

Plain frozen dataclasses; `media/messages.py` puts them on the wire as they stand (MessagePack maps keyed by these field
names), and `crates/media/src/description.rs` is the twin. Change both, and the samples in tests/vectors/media-control.
"""

from enum import StrEnum

from offhook.record import record


class PathKind(StrEnum):
    """How packets reach the leg (MEDIA.md's table of legs)."""

    WEBRTC = "webrtc"
    PORT = "port"


class KeyKind(StrEnum):
    """Where the leg's keys come from: a handshake (RFC 5764), the descriptions (RFC 4568), or there are none."""

    DTLS = "dtls"
    SDES = "sdes"
    PLAIN = "plain"


class Direction(StrEnum):
    """Our side's direction (RFC 3264 section 6.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


class Latch(StrEnum):
    """How a port leg learns the peer's address: `exact` accepts only the SDP address, `nat` also a steady other source."""

    EXACT = "exact"
    NAT = "nat"


@record
class Codec:
    """One payload type. `name` is OPUS, G722, PCMU, PCMA or TELEPHONE-EVENT; `clock` the RTP clock in Hz (G722: 8000)."""

    name: str
    payload_type: int
    clock: int
    channels: int = 1
    fmtp: str = ""


@record
class VideoCodec:
    """One format of video. `name` is VP8 or H264; `rtx` the payload type of its retransmissions (RFC 4588), 0 for none.
    Packets cross a bridge between formats of the same `form` only."""

    name: str
    payload_type: int
    rtx: int = 0
    form: str = ""


@record
class Extension:
    """A header extension (RFC 8285) that crosses to a leg that has it too: its id here, 1 to 14, and what it is."""

    id: int
    uri: str


@record
class VideoOffer:
    """Our half of a video line: every format we receive. On a port leg the line has ports and keys of its own, of the same
    kind as the leg's; a WebRTC leg bundles it."""

    codecs: tuple[VideoCodec, ...] = ()
    direction: Direction = Direction.SENDRECV
    mid: str = ""
    extensions: tuple[Extension, ...] = ()


@record
class Crypto:
    """One key of SDES: `suite` by its name in SDP, `key` the master key and salt in lower-case hex. Never shown."""

    suite: str
    key: str

    def __repr__(self) -> str:
        return f"<crypto {self.suite}, key redacted>"


@record
class LegOffer:
    """Our half: what the leg is and what it accepts. `audio` holds every payload type we receive, events included.

    `address` is the local IP address of a port leg's socket (a concrete address, or "0.0.0.0"); empty for WebRTC.
    `dtls_active` makes us the DTLS client. `audio_level_id`, `mid_id` are RFC 8285 ids of what we negotiated (0: none).
    `suites` are the SRTP suites an SDES leg draws keys for, by their names in SDP. `detect_digits` looks for digits in the
    audio (G.711) while the peer has agreed no telephone-event (DTMF-1). `video` is the video line, None: sound alone.
    """

    path: PathKind
    keys: KeyKind
    audio: tuple[Codec, ...]
    address: str = ""
    rtcp_mux: bool = True
    latch: Latch = Latch.NAT
    dtls_active: bool = False
    direction: Direction = Direction.SENDRECV
    ptime: int = 20
    audio_level_id: int = 0
    mid_id: int = 0
    mid: str = ""
    suites: tuple[str, ...] = ()
    detect_digits: bool = False
    video: VideoOffer | None = None


@record
class VideoLocal:
    """What the engine chose for a video line: its SSRC and that of its retransmissions; address, RTCP port and keys of a
    port leg's."""

    ssrc: int
    rtx_ssrc: int
    candidates: tuple[tuple[str, int], ...] = ()
    rtcp_port: int = 0
    crypto: tuple[Crypto, ...] = ()


@record
class LegLocal:
    """What the engine chose. `candidates` are (address, port) to announce: all host addresses for WebRTC, the RTP address
    for a port leg, whose RTCP port is `rtcp_port` (0 when multiplexed). `fingerprint` is sha-256 in upper-case hex pairs.
    `crypto` holds our key for each suite asked for. `tcp_candidates` are filled in by media/engine.py: the port is ours."""

    leg: int
    candidates: tuple[tuple[str, int], ...]
    rtcp_port: int
    ufrag: str
    password: str
    fingerprint: str
    ssrc: int
    cname: str
    crypto: tuple[Crypto, ...] = ()
    tcp_candidates: tuple[tuple[str, int], ...] = ()
    video: VideoLocal | None = None

    def __repr__(self) -> str:
        return f"<leg {self.leg:#x} at {self.candidates}>"


@record
class VideoRemote:
    """The peer's half of a video line: the formats it accepts, address and key of a port leg's, and the RTCP feedback it
    understands as in its rtcp-fb lines (nack, nack pli, ccm fir, goog-remb); `reduced_size`: it takes that without a report
    before it (RFC 5506)."""

    codecs: tuple[VideoCodec, ...] = ()
    address: str = ""
    port: int = 0
    rtcp_port: int = 0
    direction: Direction = Direction.SENDRECV
    ssrc: int = 0
    crypto: tuple[Crypto, ...] = ()
    feedback: tuple[str, ...] = ()
    reduced_size: bool = False


@record
class LegRemote:
    """The peer's half. `audio` are the payload types it accepts, the first speech codec is what we send.

    `address`, `port`, `rtcp_port` come from its SDP (port legs; port 0 = none given). `fingerprints` are
    (algorithm lower case, upper-case hex pairs). `direction` is what the peer declared for its own side. `crypto` is its key
    of the suite in use (SDES legs: exactly one). `digits_elsewhere`: it gets digits by signalling, none goes into its audio.
    """

    audio: tuple[Codec, ...]
    address: str = ""
    port: int = 0
    rtcp_port: int = 0
    ufrag: str = ""
    password: str = ""
    fingerprints: tuple[tuple[str, str], ...] = ()
    direction: Direction = Direction.SENDRECV
    ptime: int = 20
    ssrc: int = 0
    crypto: tuple[Crypto, ...] = ()
    digits_elsewhere: bool = False
    video: VideoRemote | None = None

    def __repr__(self) -> str:
        return f"<remote {[c.name for c in self.audio]} {self.address}:{self.port} {self.direction}>"


class SourceKind(StrEnum):
    """What a player plays."""

    TONE = "tone"
    MUSIC = "music"
    RINGBACK = "ringback"


class RecordedSide(StrEnum):
    """What a recording holds: `both` in two channels (left what the leg's peer says, right what it hears), both in one
    (`mixed`), one alone, or the mix of the room in which the leg is."""

    BOTH = "both"
    MIXED = "mixed"
    SAYS = "says"
    HEARS = "hears"
    ROOM = "room"


@record
class Recording:
    """One recording. `file` is a name below the directory of recordings that ends in .wav or .ogg; nothing is overwritten.
    `max_seconds` 0 is the engine's own limit; `silence_ms` of silence at the end end it, 0: none does."""

    recording: str
    file: str
    side: RecordedSide = RecordedSide.BOTH
    max_seconds: int = 0
    silence_ms: int = 0


class FeedTrack(StrEnum):
    """Which sound of a leg a feed carries: what its peer says, what it hears, or each by itself."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    BOTH = "both"


class FeedEncoding(StrEnum):
    """G.711 mu-law at 8 kHz, 16-bit samples, low byte first, or packets of Opus as the leg sends and hears them."""

    MULAW = "mulaw"
    L16 = "l16"
    OPUS = "opus"


@record
class Feed:
    """Live sound of a leg to a WebSocket, and back when it is `two_way` (API.md 13.4). `feed` names it, `address` is the
    checked address and port of the URL's host, `rate` 8000, 16000 or 24000 Hz, of Opus 48000; `account`, `call` and
    `parameters` are told to the receiver. `bearer` is never shown."""

    feed: str
    url: str
    address: str
    track: FeedTrack = FeedTrack.INBOUND
    encoding: FeedEncoding = FeedEncoding.MULAW
    rate: int = 8_000
    two_way: bool = False
    bearer: str = ""
    account: str = ""
    call: str = ""
    parameters: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"<feed {self.feed} of {self.track} to {self.address}>"


@record
class Quality:
    """Measures of one leg at one moment (API.md 12.3). Milliseconds, percent, packets."""

    packets_in: int = 0
    packets_out: int = 0
    lost_in: int = 0
    late_in: int = 0
    reordered: int = 0
    duplicates: int = 0
    loss_percent: float = 0.0
    jitter_ms: float = 0.0
    rtt_ms: float = 0.0
    remote_loss_percent: float = 0.0
    remote_jitter_ms: float = 0.0
    buffer_ms: int = 0
    concealed_ms: int = 0
    mos: float = 0.0
    dtmf_in: int = 0
    dtmf_out: int = 0
    drift_ppm: float = 0.0
    signs_in: int = 0
    """RTCP packets and checks of ICE: signs of life that are no media."""
    unread_in: int = 0
    """Datagrams that our machine dropped before they were read, because it was too busy; at the port that browsers share,
    those for any of them."""


@record
class VideoFacts:
    """What the engine knows of a video line. Ages in milliseconds, -1 = never; packets without retransmissions, which are
    `repaired`."""

    codec_in: str
    local: str
    remote: str
    gate: str
    first_in_ms: int
    last_in_ms: int
    last_out_ms: int
    packets_in: int
    packets_out: int
    repaired_in: int
    repaired_out: int
    lost_in: int
    loss_percent: float
    jitter_ms: float
    rtt_ms: float
    remote_loss_percent: float
    key_frames_asked: int
    unknown_mid: int


@record
class LegFacts:
    """What the engine knows of a leg, always kept (MEDIA.md section 7). Ages in milliseconds, -1 = never.

    `verdict_in` and `verdict_out` are "" while sound flows. `evidence` holds all other facts as text; those that a verdict
    rests on begin with `in.` and `out.`.
    """

    leg: int
    local: str
    remote: str
    path_state: str
    keys_state: str
    suite: str
    codec_in: str
    codec_out: str
    transcoded: bool
    source: str
    gate: str
    first_in_ms: int
    last_in_ms: int
    first_out_ms: int
    last_out_ms: int
    verdict_in: str
    verdict_out: str
    evidence: dict[str, str]
    quality: Quality
    video: VideoFacts | None = None
