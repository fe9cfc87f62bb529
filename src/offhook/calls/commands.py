"""What the API asks of call control, imperative."""

from collections.abc import Mapping

from offhook.calls.applications import Application
from offhook.calls.caps import Share
from offhook.calls.document import Document, Link, StatusWish
from offhook.calls.entry import Permits
from offhook.calls.ports import Feed, Recording
from offhook.calls.trunk import Trunk
from offhook.record import record
from offhook.sip.secret import Secret


@record
class HangUpCall:
    """Ends every leg of a call; `code` is the end code of the catalogue, `by` who wants it. An unknown call is ignored."""

    call_ref: str
    code: str
    by: str = "api"


@record
class HangUpEndpoint:
    """Ends every call in which an endpoint takes part, by its user name."""

    username: str
    code: str


@record
class UseTrunk:
    """A trunk is new or has changed; live calls of it go on."""

    trunk: Trunk


@record
class DivideTrunks:
    """What this node may take of trunks that other nodes use too, by id; `otherwise` of those that are not named."""

    shares: Mapping[str, Share]
    otherwise: Share


@record
class UseApplication:
    """A URI that strangers may call is new, or has changed."""

    application: Application


@record
class DropApplication:
    """It is gone."""

    id: str


@record
class DropTrunk:
    """A trunk is deleted: unregistered, and no call is taken or placed by it any more."""

    trunk_id: str


@record
class RegisterTrunk:
    """Registers a trunk at once, whatever it waited for."""

    trunk_id: str


@record
class TryTrunk:
    """Calls a number by one trunk and keeps it for `talk_seconds`; `shown` is the number to be seen there. `call_ref` is
    drawn by the caller of this."""

    call_ref: str
    trunk_id: str
    number: str
    shown: str | None
    permits: Permits
    project: str
    talk_seconds: float = 10.0
    ring_seconds: float = 20.0


@record
class Dial:
    """Places a call for an endpoint: its devices ring first, then `target` (a name, a number or a URI) for whoever answers.

    `call_ref` is drawn by the caller of this. `name` is shown to the endpoint's own devices; with `auto_answer` they are
    asked to answer by themselves."""

    call_ref: str
    username: str
    target: str
    name: str = ""
    auto_answer: bool = False


@record
class SetMailbox:
    """An endpoint's voice mailbox holds so many new and old messages. Whoever watches it hears of a change (RFC 3842)."""

    username: str
    new: int
    old: int


@record
class Place:
    """Places a call to one destination, a callable address; whoever answers there gets `document`, or that of `link`
    (API.md 8.1). `seconds` of ringing; `codecs` () leaves them to the settings; `digits` are pressed after the answer;
    `secret` are sound files that only whoever answers is to hear: no command reaches such a call. `domain` is that of the
    names in it, "" the canonical one."""

    call_ref: str
    to: str
    from_: str
    document: Document | None = None
    link: Link | None = None
    wish: StatusWish | None = None
    name: str = ""
    username: str = ""
    password: Secret = Secret("")
    codecs: tuple[str, ...] = ()
    seconds: float = 60.0
    digits: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    project: str = ""
    domain: str = ""
    secret: tuple[str, ...] = ()


@record
class EndLeg:
    """Ends a leg; `reason` is a word of `calling.end` (API.md 8.2)."""

    leg_ref: str
    reason: str = "hangup"


@record
class PartLegs:
    """Parts two legs that talk; each goes on with its document, or waits to be taken up again."""

    leg_ref: str


@record
class ConnectLeg:
    """Connects a leg to a callable address, or gives it a document, in the place of its partner, which is released only when
    that has come about."""

    leg_ref: str
    to: str = ""
    document: Document | None = None
    link: Link | None = None


@record
class ReferLeg:
    """Sends a leg's device elsewhere by REFER. `by` is who is said to have sent it (RFC 3892), `username` and `password`
    answer a challenge to the REFER."""

    leg_ref: str
    to: str
    wish: StatusWish | None = None
    by: str = ""
    username: str = ""
    password: Secret = Secret("")


@record
class HoldLeg:
    """`held`: the leg hears music and is not heard. None leaves it; `muted` in the same way: it is only not heard."""

    leg_ref: str
    held: bool | None = None
    muted: bool | None = None


@record
class PressDigits:
    """Digits towards a leg's device; `w` and `,` are pauses."""

    leg_ref: str
    digits: str
    milliseconds: int = 100


@record
class TellUserEvent:
    """Publishes an event of the user's own about a leg; `text` is what it says, JSON of at most 4 KiB."""

    leg_ref: str
    text: str


@record
class Listen:
    """From now on a leg's states are told to somebody else."""

    leg_ref: str
    wish: StatusWish


@record
class NoteReport:
    """The page behind a leg says what is wrong with it: a code of the catalogue, `clear` when it is over."""

    leg_ref: str
    code: str
    clear: bool = False


@record
class PlaySounds:
    """Plays sound files to a leg: names below the directories of sounds, `rounds` times (0: for ever). `play` names it in
    the events `play.started` and `play.finished`. What the leg heard before it hears again afterwards."""

    leg_ref: str
    play: str
    files: tuple[str, ...]
    rounds: int = 1
    until_digit: bool = False


@record
class StopSounds:
    """Ends what is played to a leg."""

    leg_ref: str


@record
class StartRecording:
    """Records a leg, or the conference in which it is, from its answer on. The recording's name is drawn by the caller of
    this, and unique; `recording.started` and `recording.finished` repeat it. `control` is what other commands may call it,
    unique on its leg; its name where there is none."""

    leg_ref: str
    spec: Recording
    control: str = ""


@record
class PauseRecording:
    """Silence is written from now on."""

    leg_ref: str
    recording: str


@record
class ResumeRecording:
    """Sound is written again."""

    leg_ref: str
    recording: str


@record
class StopRecording:
    """Ends a recording."""

    leg_ref: str
    recording: str


@record
class StartStream:
    """Sends a leg's sound to a WebSocket, from its answer on. `control` names the stream on its leg, `spec.feed` everywhere;
    `stream.streaming`, `stream.lost` and `stream.finished` repeat both. `name` is the user's."""

    leg_ref: str
    control: str
    spec: Feed
    name: str = ""


@record
class StopStream:
    """Ends a stream."""

    leg_ref: str
    control: str


StreamCommand = StartStream | StopStream

RecordCommand = StartRecording | PauseRecording | ResumeRecording | StopRecording

SoundCommand = PlaySounds | StopSounds | RecordCommand

LegCommand = EndLeg | PartLegs | ConnectLeg | ReferLeg | HoldLeg | PressDigits | TellUserEvent | Listen | NoteReport

CallCommand = (
    SetMailbox
    | Dial
    | HangUpCall
    | HangUpEndpoint
    | UseTrunk
    | DivideTrunks
    | DropTrunk
    | RegisterTrunk
    | TryTrunk
    | UseApplication
    | DropApplication
    | Place
    | LegCommand
    | SoundCommand
    | StreamCommand
)
