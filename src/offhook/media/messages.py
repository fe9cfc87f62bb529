"""The control protocol of `offhook-media`: every command, reply and event, in one file.

Frames are a 4-byte big-endian length and one MessagePack map tagged by `t`; a command carries its number `n`, its reply
repeats it, an event has none. The first frame of each side is `Hello`. The twin is
`crates/engine/src/control/message.rs`; samples under tests/vectors/media-control hold the two together. Unknown fields are
ignored; an unknown command is refused by name (`Refused`, code `unknown_command`).
"""

from msgspec import Struct

from offhook.calls.ports import Feed, LegFacts, LegLocal, LegOffer, LegRemote, Quality, Recording, SourceKind

PROTOCOL_VERSION = 1
MAX_FRAME = 1 << 20


class Message(Struct, frozen=True, tag_field="t", tag=True, omit_defaults=False):
    """Base of all frames; the tag is the class name."""


class Hello(Message, frozen=True):
    """First frame of each side. The engine fills `pid` and its WebRTC ports."""

    version: int
    pid: int = 0
    webrtc_ports: tuple[int, ...] = ()


# ---- commands


class OpenCall(Message, frozen=True):
    """Opens a call with its first legs, in one round trip: on the shard of the call `near`, 0 for the least loaded. Reply:
    `CallOpened`."""

    n: int
    offers: tuple[LegOffer, ...]
    near: int = 0


class OpenLeg(Message, frozen=True):
    """Adds a leg to a call (a late fork). Reply: `LegOpened`."""

    n: int
    call: int
    offer: LegOffer


class Complete(Message, frozen=True):
    """The other half of offer/answer, or a renegotiation; the same description again has no effect. Reply: `Done`."""

    n: int
    leg: int
    remote: LegRemote


class Update(Message, frozen=True):
    """Changes our half (codecs, direction). With `restart_ice` new ICE credentials are drawn; `opens_video`: it adds video
    to a port leg without. Reply: `LegOpened`."""

    n: int
    leg: int
    offer: LegOffer
    restart_ice: bool = False
    opens_video: bool = False


class Bridge(Message, frozen=True):
    """Each leg becomes the other's source; a leg bridged with itself echoes. Replaces earlier sources. Reply: `Done`."""

    n: int
    a: int
    b: int


class Join(Message, frozen=True):
    """The leg hears the room of that number and is heard there unless muted; up to 500 members. The room's shard is in the
    top 8 bits of its number, by custom the call of its first member. `full_band`: it hears the room at 48 kHz, if it hears
    Opus and its peer plays so much (RFC 7587 `maxplaybackrate`). `Bridge`, `Play` and `Stop` leave it. Reply: `Done`."""

    n: int
    leg: int
    room: int
    muted: bool = False
    full_band: bool = False


class Mute(Message, frozen=True):
    """A leg is heard in its room or is not; what it hears, a prompt or the room, goes on. Reply: `Done`."""

    n: int
    leg: int
    muted: bool


class Gain(Message, frozen=True):
    """A leg is heard in its room by so many dB louder or softer, -40 to 12; it hears what it heard. Over when it leaves the
    room. Reply: `Done`."""

    n: int
    leg: int
    decibels: int


class Chime(Message, frozen=True):
    """Everybody in a room hears a short sound file beside what is said, at most one a second: what is too much is left out,
    and so is a file that cannot be read. Reply: `Done`."""

    n: int
    room: int
    file: str


class Play(Message, frozen=True):
    """A player becomes the leg's source, for ever, until `Stop` or `Bridge`. Reply: `Done`."""

    n: int
    leg: int
    source: SourceKind
    country: str = "US"


class PlayFiles(Message, frozen=True):
    """Sound files become the leg's source: names below the directories of sounds, with or without ending, played in order
    `rounds` times (0: for ever). `PlayFinished` follows, whatever happens; what fed the leg before does so again then. With
    `until_digit` a press of the leg's peer ends it. Reply: `Done`."""

    n: int
    leg: int
    play: str
    files: tuple[str, ...]
    rounds: int = 1
    until_digit: bool = False


class RecordStart(Message, frozen=True):
    """Begins a recording of a leg or its room. `RecordingFinished` follows in the end, whatever happens. Reply: `Done`."""

    n: int
    leg: int
    spec: Recording


class RecordPause(Message, frozen=True):
    """Silence is written from now on, and marked. Reply: `Done`."""

    n: int
    leg: int
    recording: str


class RecordResume(Message, frozen=True):
    """Sound is written again. Reply: `Done`."""

    n: int
    leg: int
    recording: str


class RecordStop(Message, frozen=True):
    """Ends a recording. Reply: `Done`."""

    n: int
    leg: int
    recording: str


class FeedStart(Message, frozen=True):
    """Begins a feed; `FeedChanged` tells the rest. Reply: `Done`."""

    n: int
    leg: int
    spec: Feed


class FeedStop(Message, frozen=True):
    """Ends a feed. Reply: `Done`."""

    n: int
    leg: int
    feed: str


class Stop(Message, frozen=True):
    """Ends the leg's player: files give way to what fed the leg before them, else it has no source then. Reply: `Done`."""

    n: int
    leg: int


class Hush(Message, frozen=True):
    """Nothing feeds the leg until it is given a source, and that is meant: its verdict is `muted`. Reply: `Done`."""

    n: int
    leg: int


class WatchVoice(Message, frozen=True):
    """Whether the leg's peer speaks is told by `VoiceActivity` from now on, or no more. Reply: `Done`."""

    n: int
    leg: int
    on: bool


class SendDigits(Message, frozen=True):
    """Digits 0-9 * # A-D towards the leg's peer as telephone-event, in the audio if none is agreed. Reply: `Done`."""

    n: int
    leg: int
    digits: str
    each_ms: int = 100


class RequestKeyFrame(Message, frozen=True):
    """The leg's peer is asked for a key frame, soon if the last was asked for just now. Reply: `Done`."""

    n: int
    leg: int


class Facts(Message, frozen=True):
    """Reply: `FactsFound`."""

    n: int
    leg: int


class ListLegs(Message, frozen=True):
    """What runs: for a signalling process that comes back. Reply: `Legs`."""

    n: int


class CloseLeg(Message, frozen=True):
    """Closes one leg (a fork that lost). Reply: `Closed`."""

    n: int
    leg: int


class CloseCall(Message, frozen=True):
    """Closes all legs of a call; an unknown call is `Closed` too. Reply: `Closed`."""

    n: int
    call: int


class Exit(Message, frozen=True):
    """The engine closes everything and ends. Reply: `Done`."""

    n: int


Command = (
    OpenCall
    | OpenLeg
    | Complete
    | Update
    | Bridge
    | Join
    | Mute
    | Gain
    | Chime
    | Play
    | PlayFiles
    | RecordStart
    | RecordPause
    | RecordResume
    | RecordStop
    | FeedStart
    | FeedStop
    | Hush
    | WatchVoice
    | Stop
    | SendDigits
    | RequestKeyFrame
    | Facts
    | ListLegs
    | CloseLeg
    | CloseCall
    | Exit
)


# ---- replies


class CallOpened(Message, frozen=True):
    """One `LegLocal` for each offer, in order."""

    n: int
    call: int
    legs: tuple[LegLocal, ...]


class LegOpened(Message, frozen=True):
    n: int
    leg: LegLocal


class Done(Message, frozen=True):
    n: int


class FactsFound(Message, frozen=True):
    n: int
    facts: LegFacts


class Legs(Message, frozen=True):
    """(call, leg, local, remote) for each live leg."""

    n: int
    legs: tuple[tuple[int, int, str, str], ...]


class Closed(Message, frozen=True):
    """Final measures of each closed leg: (leg, facts)."""

    n: int
    legs: tuple[LegFacts, ...]


class Refused(Message, frozen=True):
    """`code`: unknown_command, unknown_leg, unknown_call, ports_exhausted, room_full, engine_busy, bad_description,
    bad_address, too_many_taps, unknown_recording, unknown_feed, other_codec."""

    n: int
    code: str
    text: str


Reply = CallOpened | LegOpened | Done | FactsFound | Legs | Closed | Refused


# ---- events


class PathChanged(Message, frozen=True):
    """The peer's address was selected or changed. `reason`: ice, latch, signalled."""

    leg: int
    local: str
    remote: str
    reason: str


class KeysReady(Message, frozen=True):
    """SRTP keys are agreed; `suite` by its RFC name."""

    leg: int
    suite: str


class FirstMedia(Message, frozen=True):
    """The first accepted packet; `after_ms` since the leg was completed."""

    leg: int
    after_ms: int


class MediaStopped(Message, frozen=True):
    """Nothing accepted for `silent_ms`."""

    leg: int
    silent_ms: int


class MediaResumed(Message, frozen=True):
    leg: int


class Digit(Message, frozen=True):
    """One press. `method`: rfc4733."""

    leg: int
    digit: str
    duration_ms: int
    method: str


class QualityReported(Message, frozen=True):
    """Every 5 s while media flows, or RTCP or checks of ICE come."""

    leg: int
    quality: Quality


class SilenceFound(Message, frozen=True):
    """A verdict of MEDIA.md section 7. `direction`: in (peer not heard) or out (peer hears nothing); `reports`: why none
    come of sound that flows."""

    leg: int
    direction: str
    verdict: str
    evidence: dict[str, str]


class RoomSpeaker(Message, frozen=True):
    """Another member is the loudest of a room; `leg` 0: nobody speaks there any more. At most twice a second."""

    room: int
    leg: int


class VoiceActivity(Message, frozen=True):
    """A peer that is watched (`WatchVoice`) begins to speak, or ceases: half a second to a second after its last word."""

    leg: int
    active: bool


class Heard(Message, frozen=True):
    """Ends the silence of that direction; `reports` can come."""

    leg: int
    direction: str


class PlayFinished(Message, frozen=True):
    """Sound files are over. `reason`: finished, digit, stopped, replaced, ended (with its leg), failed (`text` says why)."""

    leg: int
    play: str
    reason: str
    text: str
    played_ms: int


class RecordingFinished(Message, frozen=True):
    """A recording is over and its file has its name. `reason`: stopped, ended (with its leg or room), length, size, silence,
    failed (`text` says why; what was written is kept). `marks` are (from ms, to ms, pause or overflow): silence that was
    none in the call."""

    leg: int
    recording: str
    file: str
    reason: str
    text: str
    duration_ms: int
    bytes: int
    marks: tuple[tuple[int, int, str], ...]


class FeedChanged(Message, frozen=True):
    """A feed. `state`: streaming, lost (its socket is tried again), finished; `reason` when it is finished: stopped, ended
    (with its leg), closed (by the receiver), codec (its leg went over to another than Opus), failed; of the last two `text`
    says why. `sent` and `dropped` count messages of sound."""

    leg: int
    feed: str
    state: str
    reason: str
    text: str
    sent: int
    dropped: int


class LegFailed(Message, frozen=True):
    """The leg is gone by a fault of its own. `cause` is one of Refused's codes or `panic`."""

    leg: int
    cause: str


class KeyFrameWanted(Message, frozen=True):
    """The leg's peer should send a key frame, and understands no RTCP that asks for one."""

    leg: int


class Unread(Message, frozen=True):
    """Datagrams for one of our UDP ports came faster than they were read, and the machine dropped them; at most once a
    second for a port."""

    port: int
    lost: int


class LogLine(Message, frozen=True):
    """A line for the log; `level`: info, warning, error."""

    level: str
    text: str


Event = (
    PathChanged
    | KeysReady
    | FirstMedia
    | MediaStopped
    | MediaResumed
    | Digit
    | QualityReported
    | SilenceFound
    | RoomSpeaker
    | VoiceActivity
    | Heard
    | PlayFinished
    | RecordingFinished
    | FeedChanged
    | LegFailed
    | KeyFrameWanted
    | Unread
    | LogLine
)
