"""What call control hears: SIP events as they are, media events, facts, timers. Past tense."""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from offhook.calls.caller_id import CallerNumbers
from offhook.calls.document import Document
from offhook.calls.effects import DocumentToken, KeptText
from offhook.calls.entry import Entry, Permits
from offhook.calls.ports import LegFacts, LegLocal, Quality
from offhook.record import record
from offhook.sip.events import SipEvent
from offhook.sip.flow import Flow, FlowId
from offhook.sip.hop import Hop
from offhook.sip.location import Account, Binding

if TYPE_CHECKING:
    from offhook.calls.kept import KeptCall
    from offhook.calls.revive import Known


@record
class TimerFired:
    """A timer of `StartTimer` ran out."""

    key: Hashable


@record
class FactsFound:
    """The answer to `LookUp`."""

    token: str
    caller: Account | None
    callee: Account | None
    bindings: tuple[Binding, ...]
    numbers: CallerNumbers | None = None
    """What may be shown of the endpoint whose rights count."""
    entry: Entry | None = None
    """What the number, or a name that is no endpoint's, leads to; with a `callee` it rings that one endpoint."""
    permits: Permits | None = None
    """What the endpoint whose rights count may reach outside."""
    handler: Entry | None = None
    """What runs for every call that the calling endpoint makes (API.md section 2)."""


@record
class Located:
    """The answer to `Locate`: the addresses to try, in order; none and a sentence why when the name leads nowhere."""

    token: Hashable
    hops: tuple[Hop, ...]
    error: str = ""


@record
class Connected:
    """The answer to `Connect`: the flow, or None, a code of the catalogue and a sentence."""

    token: Hashable
    flow: Flow | None
    code: str = ""
    error: str = ""


@record
class DocumentFetched:
    """The answer to `FetchDocument`: the document, or a code of the catalogue and a sentence."""

    token: DocumentToken
    document: Document | None
    code: str = ""
    text: str = ""


@record
class CallKept:
    """A call of an earlier process, from the journal; its dialogs have been revived. `EngineReady` follows for those whose
    media is gone."""

    call: "KeptCall"
    known: "Known"


@record
class FlowProbed:
    """The answer to `ProbeFlow`: whether the connection gave a sign of life."""

    flow: FlowId
    alive: bool


@record
class MediaOpened:
    """The answer to `OpenMedia`: the engine's call id, and a `LegLocal` for each leg_ref."""

    call_ref: str
    media_call: int
    legs: dict[str, LegLocal]


@record
class MediaLegOpened:
    """The answer to `AddMediaLeg`."""

    call_ref: str
    leg_ref: str
    local: LegLocal


@record
class MediaLegUpdated:
    """The answer to `UpdateMedia`."""

    leg: int
    local: LegLocal


@record
class MediaLineRefused:
    """The engine has no ports for the video line that an `UpdateMedia` adds."""

    leg: int
    code: str


@record
class MediaRefused:
    """The engine refused to open; `code` is one of its own."""

    call_ref: str
    code: str
    text: str


@record
class MediaClosed:
    """The answer to `CloseMedia`, with the last facts of each leg; empty if the engine is gone."""

    media_call: int
    facts: tuple[LegFacts, ...]


@record
class EngineLost:
    """The media engine died; none of its legs is left."""


@record
class EngineReady:
    """A new media engine is up after one was lost."""


@record
class PathChanged:
    """The address that a leg's media goes to or comes from is another one."""

    leg: int
    local: str
    remote: str
    reason: str


@record
class KeysReady:
    """A leg has its SRTP keys."""

    leg: int
    suite: str


@record
class FirstMedia:
    """The first packet of the peer came."""

    leg: int
    after_ms: int


@record
class MediaStopped:
    """Nothing comes from the peer any more."""

    leg: int
    silent_ms: int


@record
class MediaResumed:
    """It comes again."""

    leg: int


@record
class KeyFrameWanted:
    """The leg's peer should send a whole picture, and understands no RTCP that asks for one."""

    leg: int


@record
class DigitPressed:
    """A key was pressed."""

    leg: int
    digit: str
    duration_ms: int
    method: str


@record
class QualityReported:
    """What the engine counted of a leg."""

    leg: int
    quality: Quality


@record
class SilenceFound:
    """`direction`: in (the peer is not heard) or out (the peer hears nothing); `reports`: sound flows, and none of its
    reports can come."""

    leg: int
    direction: str
    verdict: str
    evidence: dict[str, str]


@record
class Heard:
    """Sound, or what reports need, came after it was said to be missing."""

    leg: int
    direction: str


@record
class RoomSpeaker:
    """Another member is the loudest of a room, by the engine's numbers; `leg` 0: nobody speaks there any more."""

    room: int
    leg: int


@record
class LegMediaFailed:
    """The engine gave a leg's media up."""

    leg: int
    cause: str


@record
class DescriptionRefused:
    """The engine refused what a leg's peer says of its media, so nothing goes there: `text` names what was wrong."""

    leg: int
    code: str
    text: str


@record
class TextsFound:
    """The answer to `FindTexts`, oldest first."""

    binding: Binding
    texts: tuple[KeptText, ...]


@record
class PlayFinished:
    """Sound files are over. `reason`: finished, digit, stopped, replaced, ended, failed (`text` says why)."""

    leg: int
    play: str
    reason: str
    text: str = ""
    played_ms: int = 0


@record
class RecordingFinished:
    """A recording is over. `reason`: stopped, ended, length, size, silence, failed (`text` says why); `marks` are stretches
    of silence that was none in the call: (from ms, to ms, pause or overflow)."""

    leg: int
    recording: str
    file: str
    reason: str
    text: str = ""
    duration_ms: int = 0
    bytes: int = 0
    marks: tuple[tuple[int, int, str], ...] = ()


@record
class FeedChanged:
    """A feed. `state`: streaming, lost (its socket is tried again), finished; `reason` when it is finished: stopped, ended
    (with its leg), closed (by the receiver), failed (`text` says why). `sent` and `dropped` count messages of sound."""

    leg: int
    feed: str
    state: str
    reason: str = ""
    text: str = ""
    sent: int = 0
    dropped: int = 0


@record
class TimeTold:
    """The answer to `AskTime`: local time; `weekday` 0 is Monday."""

    call_ref: str
    leg_ref: str
    weekday: int
    hour: int
    minute: int


MediaEvent = (
    PathChanged
    | KeysReady
    | FirstMedia
    | MediaStopped
    | MediaResumed
    | KeyFrameWanted
    | DigitPressed
    | QualityReported
    | SilenceFound
    | Heard
    | PlayFinished
    | LegMediaFailed
    | DescriptionRefused
)

EndOfTap = RecordingFinished | FeedChanged
"""What is told of a leg that may be gone."""

CallEvent = (
    SipEvent
    | MediaEvent
    | RoomSpeaker
    | RecordingFinished
    | FeedChanged
    | TimeTold
    | TimerFired
    | FactsFound
    | Located
    | Connected
    | MediaOpened
    | MediaLegOpened
    | MediaLegUpdated
    | MediaLineRefused
    | MediaRefused
    | MediaClosed
    | EngineLost
    | TextsFound
    | EngineReady
    | FlowProbed
    | CallKept
    | DocumentFetched
)
