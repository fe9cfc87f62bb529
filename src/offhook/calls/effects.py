"""What call control wants done. The driver performs each, in order; an integrator reads only this file."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from offhook.calls.ports import Feed, LegOffer, LegRemote, Recording, SourceKind
from offhook.record import record
from offhook.sip.commands import SipCommand
from offhook.sip.flow import FlowId
from offhook.sip.hop import Hop, Target
from offhook.sip.location import Binding

if TYPE_CHECKING:
    from offhook.calls.document import Link, StatusWish
    from offhook.calls.kept import KeptCall
    from offhook.calls.reports import LegReport


@record
class Sip:
    """Hand the command to the SIP layer."""

    command: SipCommand


@record
class LookUp:
    """Answer by `FactsFound` with the same token: the account of `username`, and the account of `target_user` with its
    bindings. None means there is nothing to look up.

    Where no endpoint has that name, `number` is looked for among the numbers of the space, then the name among the other
    addresses; `trunk` is the id of the trunk that delivered the number, `application` that of an application or SIP address
    whose entry is wanted instead. `rights` is the endpoint whose numbers may be shown to the outside, `username` unless
    given; "" stands for the calls that `project` places."""

    token: str
    username: str | None
    target_user: str | None
    number: str | None = None
    rights: str | None = None
    trunk: str = ""
    application: str = ""
    project: str = ""


@record
class Locate:
    """Find the addresses of a next hop by RFC 3263, within two seconds. `Located` follows, at once or later."""

    token: Hashable
    target: Target


@record
class Connect:
    """Get a flow to one address: UDP at once, a stream by reuse or a new connection. `Connected` follows."""

    token: Hashable
    hop: Hop


@record
class RateHop:
    """Remember how an address did: one that failed is tried last for a while, by every call (TRK-6). A connection that
    could not be made is remembered without asking."""

    hop: Hop
    worked: bool


@record
class ProbeFlow:
    """Ask a connection for a sign of life. `FlowProbed` follows, after `seconds` at the latest."""

    flow: FlowId
    seconds: float


@record
class CloseFlow:
    """Close a connection, a WebSocket with that close code and slug."""

    flow: FlowId
    code: int
    slug: str


FlowEffect = ProbeFlow | CloseFlow
HopEffect = Locate | Connect | RateHop


@record
class OpenMedia:
    """Open a media call with these legs, beside the media call `near` (0: anywhere). `MediaOpened` or `MediaRefused`
    follows."""

    call_ref: str
    offers: tuple[tuple[str, LegOffer], ...]
    near: int = 0


@record
class AddMediaLeg:
    """Add a leg to a media call. `MediaLegOpened` or `MediaRefused` follows."""

    call_ref: str
    media_call: int
    leg_ref: str
    offer: LegOffer


@record
class CompleteMedia:
    """Give a leg its peer's half."""

    leg: int
    remote: LegRemote


@record
class UpdateMedia:
    """Change our half of a leg; `opens_video`: it adds a video line to a port leg without. `MediaLegUpdated` follows."""

    leg: int
    offer: LegOffer
    restart_ice: bool = False
    opens_video: bool = False


@record
class RequestKeyFrame:
    """The leg's peer is to send a whole picture."""

    leg: int


@record
class BridgeMedia:
    """Each leg becomes the other's source; a leg with itself echoes."""

    a: int
    b: int


@record
class JoinRoom:
    """The leg hears a room and is heard there. The room's number is the media call of its first member. `full_band`: it
    hears it at 48 kHz, if its codec and its peer do."""

    leg: int
    room: int
    muted: bool = False
    full_band: bool = False


@record
class MuteInRoom:
    """The leg is heard in its room or is not, whatever it hears itself."""

    leg: int
    muted: bool


@record
class ChimeRoom:
    """Everybody in a room hears a short sound beside what is said; the engine leaves out what is more than one a second."""

    room: int
    file: str


@record
class PlayMedia:
    """A player becomes the leg's source."""

    leg: int
    source: SourceKind


@record
class HushMedia:
    """The leg hears nothing by command, whatever fed it: no fault, and told as `muted`."""

    leg: int


@record
class StopMedia:
    """Files give way to what the leg heard before them, any other player to silence. Only a player is stopped: play
    something first where another leg is its source."""

    leg: int


@record
class PlayFiles:
    """Sound files become the leg's source; `PlayFinished` names `play` in the end."""

    leg: int
    play: str
    files: tuple[str, ...]
    rounds: int = 1
    until_digit: bool = False


@record
class RecordMedia:
    """Begins a recording; `RecordingFinished` names it in the end."""

    leg: int
    spec: Recording


@record
class ChangeRecording:
    """`change`: pause, resume, stop."""

    leg: int
    recording: str
    change: str


@record
class FeedMedia:
    """Begins a feed; `FeedChanged` tells the rest."""

    leg: int
    spec: Feed


@record
class StopFeed:
    """Ends a feed."""

    leg: int
    feed: str


@record
class AskTime:
    """What time is it for people here? `TimeTold` follows."""

    call_ref: str
    leg_ref: str


@record
class SendDigits:
    """Digits towards the leg's peer."""

    leg: int
    digits: str
    each_ms: int = 100


@record
class CloseMediaLeg:
    """Close one leg."""

    leg: int


@record
class CloseMedia:
    """Close a media call with all its legs. `MediaClosed` follows."""

    media_call: int


@record
class StartTimer:
    """Feed back `TimerFired(key)` after `seconds`; the same key again replaces it."""

    key: Hashable
    seconds: float


@record
class StopTimer:
    """Forget the timer."""

    key: Hashable


@record
class CallRecord:
    """What the call log keeps: times on the core's clock, and a plain object for each leg."""

    call_ref: str
    created_at: float
    ended_at: float
    legs: tuple[tuple[str, dict[str, Any]], ...]
    project: str = ""


@record
class KeepCall:
    """Write into the journal how a call stands, in the place of what it knew; dialogs are filled in by who writes."""

    call: "KeptCall"


@record
class WriteCallLog:
    """Write the record of a call that has ended, once; the journal forgets it when that is done."""

    record: CallRecord


@record
class Happened:
    """One event of a call's life, by the names of the events API (`call.answered`, `call.ended`, …)."""

    type: str
    call_ref: str
    leg_ref: str = ""
    details: tuple[tuple[str, str], ...] = ()


@record
class Publish:
    """Tell whoever listens."""

    event: Happened


@record
class KeptText:
    """A text to an endpoint: complete From value without tag, the fields that go with it, and its body, unread."""

    ref: str
    to: str
    from_: str
    fields: tuple[tuple[str, str], ...]
    body: bytes


@record
class KeepText:
    """Keep a text until a device of its endpoint takes it; the oldest go when there are too many."""

    text: KeptText


@record
class FindTexts:
    """Answer by `TextsFound` if anything is kept for the endpoint."""

    username: str
    binding: Binding


@record
class DropText:
    """A kept text has been taken; unknown ones are ignored."""

    ref: str


@record
class DocumentToken:
    """Which document of which leg an answer is for; `number` tells an old answer from the present one."""

    call_ref: str
    leg_ref: str
    number: int


@record
class FetchDocument:
    """Fetch a document, its fallback when that fails, and answer by `DocumentFetched`. `leg` is what the request says of the
    leg, `extra` further parameters of a cXML request."""

    token: DocumentToken
    link: "Link"
    leg: "LegReport"
    extra: tuple[tuple[str, str], ...] = ()


@record
class TellStatus:
    """Tell whoever wants to hear of a leg: durably, in order. `kind` is `state`, `refer` or `user_event`; `details` are
    further words of such an event."""

    wish: "StatusWish"
    kind: str
    leg: "LegReport"
    sequence: int
    details: tuple[tuple[str, str], ...] = ()


@record
class Explain:
    """A decision in words, for the trace of a call: one sentence without a final stop."""

    call_ref: str
    text: str
    leg_ref: str = ""


@record
class Note:
    """A line for the log."""

    slug: str
    details: dict[str, str]


MediaEffect = (
    OpenMedia
    | AddMediaLeg
    | CompleteMedia
    | UpdateMedia
    | RequestKeyFrame
    | BridgeMedia
    | JoinRoom
    | MuteInRoom
    | ChimeRoom
    | PlayMedia
    | HushMedia
    | StopMedia
    | PlayFiles
    | RecordMedia
    | ChangeRecording
    | FeedMedia
    | StopFeed
    | SendDigits
    | CloseMediaLeg
    | CloseMedia
)

TextEffect = KeepText | FindTexts | DropText

CallEffect = (
    Sip
    | LookUp
    | Locate
    | Connect
    | RateHop
    | FlowEffect
    | MediaEffect
    | AskTime
    | StartTimer
    | StopTimer
    | KeepCall
    | WriteCallLog
    | Publish
    | TextEffect
    | Explain
    | Note
    | FetchDocument
    | TellStatus
)
