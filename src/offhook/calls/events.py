"""What call control hears: SIP events as they are, media events, facts, timers. Past tense."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offhook.calls.caller_id import CallerNumbers
from offhook.calls.effects import KeptText
from offhook.calls.ports import LegFacts, LegLocal, Quality
from offhook.sip.events import SipEvent
from offhook.sip.flow import Flow, FlowId
from offhook.sip.hop import Hop
from offhook.sip.location import Account, Binding

if TYPE_CHECKING:
    from offhook.calls.kept import KeptCall
    from offhook.calls.revive import Known


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer of `StartTimer` ran out."""

    key: Hashable


@dataclass(frozen=True, slots=True)
class FactsFound:
    """The answer to `LookUp`."""

    token: str
    caller: Account | None
    callee: Account | None
    bindings: tuple[Binding, ...]
    number: str | None = None
    """The number of the space that was dialled, where one was; without a `callee` it is not assigned."""
    numbers: CallerNumbers | None = None
    """What may be shown of the endpoint whose rights count."""


@dataclass(frozen=True, slots=True)
class Located:
    """The answer to `Locate`: the addresses to try, in order; none and a sentence why when the name leads nowhere."""

    token: Hashable
    hops: tuple[Hop, ...]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Connected:
    """The answer to `Connect`: the flow, or None, a code of the catalogue and a sentence."""

    token: Hashable
    flow: Flow | None
    code: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class CallKept:
    """A call of an earlier process, from the journal; its dialogs have been revived. `EngineReady` follows for those whose
    media is gone."""

    call: "KeptCall"
    known: "Known"


@dataclass(frozen=True, slots=True)
class FlowProbed:
    """The answer to `ProbeFlow`: whether the connection gave a sign of life."""

    flow: FlowId
    alive: bool


@dataclass(frozen=True, slots=True)
class MediaOpened:
    """The answer to `OpenMedia`: the engine's call id, and a `LegLocal` for each leg_ref."""

    call_ref: str
    media_call: int
    legs: dict[str, LegLocal]


@dataclass(frozen=True, slots=True)
class MediaLegOpened:
    """The answer to `AddMediaLeg`."""

    call_ref: str
    leg_ref: str
    local: LegLocal


@dataclass(frozen=True, slots=True)
class MediaLegUpdated:
    """The answer to `UpdateMedia`."""

    leg: int
    local: LegLocal


@dataclass(frozen=True, slots=True)
class MediaRefused:
    """The engine refused to open; `code` is one of its own."""

    call_ref: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class MediaClosed:
    """The answer to `CloseMedia`, with the last facts of each leg; empty if the engine is gone."""

    media_call: int
    facts: tuple[LegFacts, ...]


@dataclass(frozen=True, slots=True)
class EngineLost:
    """The media engine died; none of its legs is left."""


@dataclass(frozen=True, slots=True)
class EngineReady:
    """A new media engine is up after one was lost."""


@dataclass(frozen=True, slots=True)
class PathChanged:
    leg: int
    local: str
    remote: str
    reason: str


@dataclass(frozen=True, slots=True)
class KeysReady:
    leg: int
    suite: str


@dataclass(frozen=True, slots=True)
class FirstMedia:
    leg: int
    after_ms: int


@dataclass(frozen=True, slots=True)
class MediaStopped:
    leg: int
    silent_ms: int


@dataclass(frozen=True, slots=True)
class MediaResumed:
    leg: int


@dataclass(frozen=True, slots=True)
class DigitPressed:
    leg: int
    digit: str
    duration_ms: int
    method: str


@dataclass(frozen=True, slots=True)
class QualityReported:
    leg: int
    quality: Quality


@dataclass(frozen=True, slots=True)
class SilenceFound:
    """`direction`: in (the peer is not heard) or out (the peer hears nothing)."""

    leg: int
    direction: str
    verdict: str
    evidence: dict[str, str]


@dataclass(frozen=True, slots=True)
class Heard:
    leg: int
    direction: str


@dataclass(frozen=True, slots=True)
class LegMediaFailed:
    leg: int
    cause: str


@dataclass(frozen=True, slots=True)
class TextsFound:
    """The answer to `FindTexts`, oldest first."""

    binding: Binding
    texts: tuple[KeptText, ...]


MediaEvent = (
    PathChanged
    | KeysReady
    | FirstMedia
    | MediaStopped
    | MediaResumed
    | DigitPressed
    | QualityReported
    | SilenceFound
    | Heard
    | LegMediaFailed
)

CallEvent = (
    SipEvent
    | MediaEvent
    | TimerFired
    | FactsFound
    | Located
    | Connected
    | MediaOpened
    | MediaLegOpened
    | MediaLegUpdated
    | MediaRefused
    | MediaClosed
    | EngineLost
    | TextsFound
    | EngineReady
    | FlowProbed
    | CallKept
)
