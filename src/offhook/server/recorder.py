"""What happened in each call, kept as it came: bytes of messages, events and effects by reference, formatted only on demand.

Lives here: which call something belongs to, and bounds. Never here: words (trace.py). A message costs one look-up by its
Call-ID and one append. Messages of a dialog make a strand; a call has the strands of its legs and one for everything else,
so a leg that a transfer moves to another call takes its messages along.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple

from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.call import Call
from offhook.calls.placing import SECRET
from offhook.sip import events as sip
from offhook.sip.commands import SendInvite
from offhook.sip.effects import Send, SipEffect
from offhook.sip.flow import Flow, FlowId
from offhook.sip.message import Message, Request


@dataclass(frozen=True, slots=True)
class TraceLimits:
    """Counts and octets."""

    per_strand: int = 300
    """Things kept from the beginning of a dialog; a call with an hour of refreshes has 60."""
    last: int = 50
    """Things kept from its end beyond that."""
    bytes_per_strand: int = 131_072
    """Octets of messages kept from the beginning; offers of browsers have 12 KiB."""
    bytes: int = 67_108_864
    """Octets of all strands: the traces of 4,000 calls."""
    calls: int = 1_000
    """Ended calls kept."""
    unclaimed: int = 500
    """INVITEs that have become no call yet, or never will (no proof of identity)."""


class Entry(NamedTuple):
    """One thing. `at` on the loop's clock, `number` orders things of one moment; `what` is `in` or `out` with the flow and
    the octets of a message in `a` and `b`, else `event` or `effect` with the thing itself in `a`."""

    at: float
    number: int
    what: str
    a: Any
    b: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """Beside messages, media and decisions. `kind`: command, webhook or client; `leg_ref` "" for the whole call."""

    kind: str
    leg_ref: str
    text: str
    details: dict[str, Any] = field(default_factory=dict)


class Strand:
    """Entries in order; the first ones and the last ones are kept, those between are counted."""

    __slots__ = ("_first", "_last", "_limits", "call_id", "dropped", "size", "usage")

    def __init__(self, limits: TraceLimits, call_id: str = "") -> None:
        self.call_id = call_id
        self.usage: sip.UsageId | None = None
        self.size = 0
        self.dropped = 0
        self._limits = limits
        self._first: list[Entry] = []
        self._last: deque[Entry] = deque()

    def add(self, entry: Entry) -> int:
        """Keeps the entry; by how many octets the strand has grown."""
        limits, grown = self._limits, len(entry.b)
        if len(self._first) < limits.per_strand and self.size + grown <= limits.bytes_per_strand:
            self._first.append(entry)
        else:
            self._last.append(entry)
            while len(self._last) > limits.last or sum(len(one.b) for one in self._last) > limits.bytes_per_strand:
                grown -= len(self._last.popleft().b)
                self.dropped += 1
        self.size += grown
        return grown

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield from self._first
        yield from self._last

    def until_now(self) -> "Strand":
        """The same entries, to which no other is added."""
        copy = Strand(self._limits, self.call_id)
        copy.usage, copy.size, copy.dropped = self.usage, self.size, self.dropped
        copy._first, copy._last = [*self._first], deque(self._last)
        return copy


@dataclass(slots=True, eq=False)
class Trail:
    """What is known of one call; `strands` by Call-ID."""

    call_ref: str
    own: Strand
    strands: dict[str, Strand] = field(default_factory=dict)
    media: list[int] = field(default_factory=list)
    ended_at: float | None = None

    @property
    def size(self) -> int:
        """Octets kept."""
        return self.own.size + sum(one.size for one in self.strands.values())

    @property
    def dropped(self) -> int:
        """Things that were not kept."""
        return self.own.dropped + sum(one.dropped for one in self.strands.values())

    def entries(self) -> list[Entry]:
        """Everything, in order."""
        return sorted((entry for strand in (self.own, *self.strands.values()) for entry in strand), key=_order)


def _order(entry: Entry) -> tuple[float, int]:
    return entry.at, entry.number


class Recorder:
    """Owned by the driver. `call_of` finds the live call of a usage; `ended` is told of calls whose last words are over."""

    def __init__(
        self, limits: TraceLimits, call_of: Callable[[sip.UsageId], Call | None], enabled: bool = True
    ) -> None:
        self._limits = limits
        self._call_of = call_of
        self._enabled = enabled
        self._numbers = count()
        self._strands: dict[str, Strand] = {}
        self._unclaimed: OrderedDict[str, Strand] = OrderedDict()
        self._unproven: dict[str, tuple[Strand, sip.UsageId]] = {}
        """INVITEs whose sender is being looked up, by the ref of their call."""
        self._live: dict[str, Trail] = {}
        self._ended: OrderedDict[str, Trail] = OrderedDict()
        self._over: deque[Trail] = deque()
        self._media: dict[int, Trail] = {}
        self.size = 0
        self._events: dict[type, Callable[[Any, float], None]] = {
            did.TimerFired: self._of_timer,
            did.MediaOpened: self._opened,
            did.MediaLegOpened: self._leg_opened,
            did.MediaRefused: self._opened,
            **dict.fromkeys(_OF_USAGE, self._of_usage),
            **dict.fromkeys(_OF_MEDIA, self._of_leg),
        }
        self._effects: dict[type, Callable[[Any, float], None]] = {
            do.Publish: self._published,
            do.BridgeMedia: self._bridged,
            do.PlayFiles: self._played,
            do.WriteCallLog: self._logged,
            **dict.fromkeys(_WANTED_OF_CALL, self._wanted_of_call),
            **dict.fromkeys(_WANTED_OF_LEG, self._wanted_of_leg),
        }

    # ---- what happens

    def received(self, message: Message, data: bytes, flow: Flow, now: float) -> None:
        """A message came in."""
        strand = self._strands.get(message.headers.get("Call-ID") or "")
        if strand is None:
            if not self._enabled or not isinstance(message, Request) or message.method != "INVITE":
                return
            strand = self._begin(message)
        self.size += strand.add(Entry(now, next(self._numbers), "in", flow, data))

    def follows(self, call_id: str) -> bool:
        """True if messages with this Call-ID are kept."""
        return call_id in self._strands

    def sent(self, message: Message, data: bytes, flow: Flow | FlowId, now: float) -> None:
        """A message goes out."""
        strand = self._strands.get(message.headers.get("Call-ID") or "")
        if strand is not None:
            self.size += strand.add(Entry(now, next(self._numbers), "out", flow, data))

    def inviting(self, command: SendInvite, effects: list[SipEffect]) -> None:
        """An INVITE of ours is about to go out: its Call-ID belongs to the call of its usage."""
        call = self._call_of(command.usage)
        if call is None or not self._enabled:
            return
        for effect in effects:
            if isinstance(effect, Send) and isinstance(effect.message, Request):
                self._claim(self._begin(effect.message), command.usage, call)

    def invited(self, event: sip.InviteReceived) -> None:
        """Call control has taken an INVITE, or refused it: if it is a carrier's call, its messages belong there; an endpoint
        has to prove itself first."""
        call, strand = self._call_of(event.usage), self._strands.get(event.request.headers.get("Call-ID") or "")
        if call is None or strand is None:
            return
        if call.caller.trunk is not None or call.caller.account is not None:
            self._claim(strand, event.usage, call)
        else:
            self._unproven[call.ref] = (strand, event.usage)

    def judged(self, call_ref: str, call: Call | None) -> None:
        """Call control knows by now who called. `call` is the one of that ref, live or ended; what a stranger sent stays
        unclaimed."""
        strand, usage = self._unproven.pop(call_ref, (None, None))
        if strand is None or usage is None:
            return
        # A device that took another's place is in that one's call.
        call = call or self._call_of(usage)
        if call is not None and call.caller.account is not None:
            self._claim(strand, usage, call)

    def said(self, call_ref: str, said: Said, now: float, begins: bool = False) -> None:
        """Of a live call, or one that has ended; `begins`: the call is about to be made."""
        if begins:
            self._note(self._trail(call_ref), "event", said, now)
        else:
            what = "effect" if said.kind == "webhook" else "event"
            self._note(self._live.get(call_ref) or self._ended.get(call_ref), what, said, now)

    def event(self, event: did.CallEvent, now: float) -> None:
        """Call control is about to hear of an event."""
        take = self._events.get(type(event))
        if take is not None:
            take(event, now)

    def effect(self, effect: do.CallEffect, now: float) -> None:
        """Call control wants something."""
        take = self._effects.get(type(effect))
        if take is not None:
            take(effect, now)

    def _wanted_of_call(self, effect: Any, now: float) -> None:
        self._note(self._trail(effect.call_ref), "effect", effect, now)

    def _published(self, effect: do.Publish, now: float) -> None:
        self._note(self._trail(effect.event.call_ref), "effect", effect, now)

    def _wanted_of_leg(self, effect: Any, now: float) -> None:
        self._note(self._media.get(effect.leg), "effect", effect, now)

    def _bridged(self, effect: do.BridgeMedia, now: float) -> None:
        self._note(self._media.get(effect.a), "effect", effect, now)

    def _played(self, effect: do.PlayFiles, now: float) -> None:
        self._wanted_of_leg(replace(effect, files=()) if effect.play == SECRET else effect, now)

    def _logged(self, effect: do.WriteCallLog, now: float) -> None:
        trail = self._live.get(effect.record.call_ref)
        if trail is not None and trail.ended_at is None:
            trail.ended_at = now
            self._over.append(trail)
            self._part(trail)

    def _of_usage(self, event: Any, now: float) -> None:
        call = self._call_of(event.usage)
        self._note(self._live.get(call.ref) if call is not None else None, "event", event, now)

    def _of_leg(self, event: Any, now: float) -> None:
        self._note(self._media.get(event.leg), "event", event, now)

    def _of_timer(self, event: did.TimerFired, now: float) -> None:
        self._note(self._live.get(getattr(event.key, "call_ref", "")), "event", event, now)

    def taken_back(self, call: Call) -> None:
        """A call from before a restart: what follows in its dialogs belongs to it."""
        if not self._enabled:
            return
        for leg in call.live:
            if leg.dialog is not None:
                strand = self._strands[leg.dialog.call_id] = Strand(self._limits, leg.dialog.call_id)
                self._claim(strand, leg.usage, call)
            if leg.media is not None:
                trail = self._trail(call.ref)
                assert trail is not None
                self._has_media(trail, leg.media.leg)

    # ---- which call it is

    def ref(self, message: Message) -> str:
        """The `call_ref` of a message's call, empty where it has none or none yet."""
        strand = self._strands.get(message.headers.get("Call-ID") or "")
        return self.of_usage(strand.usage) if strand is not None and strand.usage is not None else ""

    def of_usage(self, usage: sip.UsageId) -> str:
        """The same by a usage."""
        call = self._call_of(usage)
        return call.ref if call is not None else ""

    def of_thing(self, thing: object) -> str:
        """The same by an event, or an effect, of call control."""
        ref, usage, leg = (getattr(thing, name, None) for name in ("call_ref", "usage", "leg"))
        if ref:
            return str(ref)
        if usage is not None:
            return self.of_usage(usage)
        return self.of_media(leg) if leg is not None else ""

    def of_media(self, leg: int) -> str:
        """The same by the engine's number of a leg."""
        trail = self._media.get(leg)
        return trail.call_ref if trail is not None else ""

    def _begin(self, invite: Request) -> Strand:
        call_id = invite.headers.get("Call-ID") or ""
        strand = self._strands[call_id] = self._unclaimed[call_id] = Strand(self._limits, call_id)
        if len(self._unclaimed) > self._limits.unclaimed:
            self._drop(self._unclaimed.popitem(last=False)[1])
        if self.size > self._limits.bytes:
            self._make_room()
        return strand

    def _claim(self, strand: Strand, usage: sip.UsageId, call: Call) -> None:
        self._unclaimed.pop(strand.call_id, None)
        strand.usage = usage
        trail = self._trail(call.ref)
        if trail is not None:
            trail.strands[strand.call_id] = strand

    def _trail(self, call_ref: str) -> Trail | None:
        trail = self._live.get(call_ref)
        if trail is None and call_ref and self._enabled and call_ref not in self._ended:
            trail = self._live[call_ref] = Trail(call_ref, Strand(self._limits))
        return trail

    def _opened(self, event: did.MediaOpened | did.MediaRefused, now: float) -> None:
        trail = self._live.get(event.call_ref)
        self._note(trail, "event", event, now)
        if trail is not None and isinstance(event, did.MediaOpened):
            for local in event.legs.values():
                self._has_media(trail, local.leg)

    def _leg_opened(self, event: did.MediaLegOpened, now: float) -> None:
        trail = self._live.get(event.call_ref)
        if trail is not None:
            self._has_media(trail, event.local.leg)

    def _has_media(self, trail: Trail, leg: int) -> None:
        self._media[leg] = trail
        trail.media.append(leg)

    def _note(self, trail: Trail | None, what: str, thing: object, now: float) -> None:
        if trail is not None:
            trail.own.add(Entry(now, next(self._numbers), what, thing, b""))

    # ---- views and the end

    def trail(self, call: Call | None, call_ref: str) -> Trail | None:
        """What is kept of a call, live or ended."""
        kept = self._live.get(call_ref) or self._ended.get(call_ref)
        if kept is None or call is None:
            return kept
        usages = {leg.usage for leg in call.legs}
        moved = {one.call_id: one for one in self._strands.values() if one.usage in usages}
        return Trail(call_ref, kept.own, {**kept.strands, **moved}, kept.media, kept.ended_at)

    def finished(self, now: float, patience: float = 5.0) -> list[Trail]:
        """Calls that ended at least `patience` seconds ago, so that the last answers are there; each is told once."""
        done: list[Trail] = []
        while self._over and (self._over[0].ended_at or 0.0) + patience <= now:
            trail = self._over.popleft()
            done.append(trail)
            self._close(trail)
            self._ended[trail.call_ref] = trail
        while len(self._ended) > self._limits.calls:
            self._forget_oldest()
        return done

    def forget_strangers(self, is_call: Callable[[str], bool]) -> None:
        """Takes away what became no call: INVITEs whose sender did not prove himself."""
        for trail in [one for one in self._live.values() if one.ended_at is None and not is_call(one.call_ref)]:
            self._close(trail)
            self.size -= trail.size

    def _part(self, trail: Trail) -> None:
        """A call has ended from which a transfer has taken a leg: what comes of the leg now is of the call it went to, and
        goes with that one."""
        for strand in [*trail.strands.values()]:
            call = self._call_of(strand.usage) if strand.usage is not None else None
            other = self._live.get(call.ref) if call is not None else None
            if call is None or other is None or other is trail:
                continue
            other.strands[strand.call_id] = strand
            kept = trail.strands[strand.call_id] = strand.until_now()
            self.size += kept.size
            for leg in [one for one in trail.media if call.by_media(one) is not None]:
                trail.media.remove(leg)
                self._has_media(other, leg)

    def _close(self, trail: Trail) -> None:
        self._live.pop(trail.call_ref, None)
        for leg in trail.media:
            self._media.pop(leg, None)
        for strand in trail.strands.values():
            if strand.usage is None or self._call_of(strand.usage) is None:
                self._strands.pop(strand.call_id, None)

    def _make_room(self) -> None:
        """Over the total: the longest ended calls go, a tenth at a time."""
        goal = self._limits.bytes * 0.9
        while self._ended and self.size > goal:
            self._forget_oldest()
        while self._unclaimed and self.size > goal:
            self._drop(self._unclaimed.popitem(last=False)[1])

    def _forget_oldest(self) -> None:
        _, trail = self._ended.popitem(last=False)
        self.size -= trail.size

    def _drop(self, strand: Strand) -> None:
        self.size -= strand.size
        if self._strands.get(strand.call_id) is strand:
            del self._strands[strand.call_id]


_OF_USAGE = frozenset({sip.AckMissing, sip.DialogLost, sip.InviteRejected})
"""Events that no message shows: those of timers and lost flows."""

_OF_MEDIA = frozenset(
    {did.PathChanged, did.KeysReady, did.FirstMedia, did.MediaStopped, did.MediaResumed, did.DigitPressed}
    | {did.SilenceFound, did.Heard, did.LegMediaFailed, did.KeyFrameWanted, did.PlayFinished, did.RecordingFinished}
    | {did.FeedChanged, did.DescriptionRefused}
)

_WANTED_OF_CALL = frozenset({do.OpenMedia, do.AddMediaLeg, do.Explain})

_WANTED_OF_LEG = frozenset(
    {do.CompleteMedia, do.UpdateMedia, do.PlayMedia, do.RecordMedia, do.ChangeRecording, do.FeedMedia, do.StopFeed}
    | {do.SendDigits, do.CloseMediaLeg}
)
