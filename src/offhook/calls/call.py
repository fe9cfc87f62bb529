"""One call as data: its parties, the forks that ring for them, and the questions one asks of it.

A party is a leg that talks or waits for an answer; a fork is a set of branches that ring for one party; legs that are done
are former ones. Never here: what happens to them (fork.py, bridge.py, ending.py, renegotiation.py, survival.py). State
changes first, then the effects are returned.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import to_builtins

from offhook.calls.effects import CallEffect, CallRecord, Explain, Happened, Publish
from offhook.calls.index import Index
from offhook.calls.leg import Leg, LegState
from offhook.calls.routing import Destination
from offhook.calls.thresholds import Thresholds
from offhook.sip.domains import Domains, parted
from offhook.sip.envelope import DialogKey
from offhook.sip.events import UsageId
from offhook.sip.fields import parse_name_addr, q850_reason
from offhook.sip.flow import Flow
from offhook.sip.gruu import Gruus
from offhook.sip.ids import Ids
from offhook.sip.location import Account
from offhook.sip.message import Request

if TYPE_CHECKING:
    from offhook.calls.fork import Fork
    from offhook.calls.keeping import Mark
    from offhook.calls.reports import Reported

Effects = list[CallEffect]

SDP = ("Content-Type", "application/sdp")
NORMAL = q850_reason(16, "Normal call clearing")


class CallState(StrEnum):
    """The states of API.md 12.3; `HELD` is shown when a leg is held."""

    ROUTING = "routing"
    RINGING = "ringing"
    TALKING = "talking"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class CallConfig:
    """What call control reads of the settings. Seconds."""

    domain: str
    hosts: AbstractSet[str]
    domains: Domains = field(default_factory=Domains)
    """Domains of projects beside `domain`; their hosts are among the hosts."""
    ring_seconds: int = 60
    flow_grace: float = 90.0
    detached_silence: float = 15.0
    detached_limit: float = 1800.0
    reload_grace: float = 30.0
    settle: float = 1.5
    late_arrival: float = 8.0
    late_asleep: float = 20.0
    media_timeout: float = 60.0
    reopen_limit: float = 20.0
    reopen_handshake: float = 3.0
    reopen_silence: float = 10.0
    tombstone: float = 600.0
    late_caller: float = 4.0
    call_rate: float = 10.0
    text_rate: float = 5.0
    info_rate: float = 20.0
    text_max: int = 8_192
    store_texts: bool = False
    fork_targets: int = 50
    max_breadth: int = 60
    ended_kept: int = 1000
    forward_hops: int = 5
    gruus: Gruus | None = None
    """Reads the GRUUs of our domain; the switchboard puts its own here."""
    pass_headers: tuple[str, ...] = ()
    refer_hosts: frozenset[str] = frozenset()
    language: str = "en"
    """In which the server speaks."""
    conference_tones: bool = True
    conference_full_band: bool = False
    recall_seconds: float = 20.0
    transferor_leaves: float = 2.0
    thresholds: Thresholds = Thresholds()
    parked_seconds: float = 30.0
    document_hops: int = 10
    hold: str = "local"
    """`pass` shows a hold to the other side's phone; `local` plays it music and says nothing (CALL-7)."""


@dataclass(slots=True, eq=False)
class Arrival:
    """A new leg on its way into a call: it waits for its media. `place` is the leg whose place it takes (XFER-7)."""

    leg: Leg
    place: Leg


@dataclass(frozen=True, slots=True)
class Placed:
    """What a command of the API said of the call that it placed: who calls whom, and variables for its documents."""

    from_: str
    to: str
    url: str = ""
    variables: tuple[tuple[str, str], ...] = ()


class Director(Protocol):
    """A document that runs for a leg (program.py): it goes on when the leg's partner leaves."""

    def partner_left(self, call: "Call", partner: Leg, code: str, by: str, now: float, reason: str) -> Effects:
        """The partner's dialog is no more."""
        ...


@dataclass(slots=True, eq=False)
class Call:
    """`caller` placed it; `parties` are those who talk or wait, the caller first; `leaving` have been replaced or have
    transferred the call and still have a dialog; `arrivals` come to replace one; `former` are done. `parked_by` sent the
    party that is left to a built-in destination. `media_calls` are the engine's numbers of what the legs were opened in: one
    and one more for each call whose leg came by a transfer; `unopened` legs wait for the first. `kept` is what the journal
    knows of it, `history` the log's records of legs that were done before a restart."""

    ref: str
    caller: Leg
    destination: Destination
    created_at: float
    config: CallConfig
    ids: Ids
    index: Index
    state: CallState = CallState.ROUTING
    callee: Account | None = None
    parties: list[Leg] = field(default_factory=list)
    forks: list["Fork"] = field(default_factory=list)
    leaving: list[Leg] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    parked_by: Account | None = None
    former: list[Leg] = field(default_factory=list)
    media_calls: list[int] = field(default_factory=list)
    opening: bool = False
    unopened: list[Leg] = field(default_factory=list)
    answered_at: float | None = None
    ended_at: float | None = None
    end_code: str | None = None
    ended_by: str = ""
    refused_text: str = ""
    reopening: bool = False
    sealed: bool = False
    """It says what only its callee is to hear: nobody may record it, take it over, or read it in a trace."""
    by_command: bool = False
    """A command placed it, no device."""
    kept: "Mark | None" = None
    history: tuple[tuple[str, dict[str, Any]], ...] = ()
    placed: Placed | None = None
    project: str = ""
    """The project whose number, endpoint or command made it run a document or be told of; "" leaves it to who called."""
    domain: str = ""
    """Where names in it are meant, "" the canonical domain (offhook.sip.domains): the caller's, or that project's."""
    programs: dict[str, Director] = field(default_factory=dict)
    """Documents that run, by the ref of their leg."""
    places: list[Leg] = field(default_factory=list)
    """Legs that a command or a document has placed and nobody has answered yet; devices ring for them."""
    aliases: dict[str, Leg] = field(default_factory=dict)
    """Refs that legs had before they took a place."""
    end_reason: str = ""
    """What a command wanted to be told as the reason, where that is not the code's own."""
    pairs: dict[str, str] | None = None
    """Who talks to whom, by refs, once a command has parted two legs; None: the two parties."""
    reported: list["Reported"] = field(default_factory=list)
    """Legs of which somebody outside wants to hear."""

    def __repr__(self) -> str:
        return f"<call {self.ref} {self.state} {self.parties}>"

    @property
    def request(self) -> Request:
        """The caller's INVITE."""
        assert self.caller.request is not None
        return self.caller.request

    @property
    def branches(self) -> list[Leg]:
        """Every leg that rings."""
        return [leg for fork in self.forks for leg in fork.branches.values()] if self.forks else []

    @property
    def live(self) -> list[Leg]:
        """Every leg that has a dialog or an INVITE."""
        arriving = [one.leg for one in self.arrivals] if self.arrivals else ()
        return [*self.parties, *self.branches, *self.leaving, *arriving]

    @property
    def legs(self) -> list[Leg]:
        """Every leg that is or was, the caller's first."""
        caller = self.caller
        return [caller, *[leg for leg in (*self.live, *self.places, *self.former) if leg is not caller]]

    @property
    def winner(self) -> Leg | None:
        """The party beside the caller, once somebody has answered."""
        return next((leg for leg in self.parties if leg is not self.caller), None)

    @property
    def to_name(self) -> str:
        """Whom the caller dialled, in words."""
        if self.placed is not None:
            return self.placed.to
        return self._shown(self.callee.username if self.callee is not None else self.destination.name)

    @property
    def from_name(self) -> str:
        """Who called, in words: an endpoint, or what a carrier said."""
        if self.placed is not None:
            return self.placed.from_
        return self._shown(self.caller.account.username) if self.caller.account is not None else self.caller.shown

    def _shown(self, name: str) -> str:
        """A name without its domain where that is the call's own."""
        user, domain = parted(name)
        return user if domain == self.domain else f"{user}@{domain or self.config.domain}"

    @property
    def at(self) -> str:
        """The domain in which names of the call are meant."""
        return self.domain or self.config.domain

    def by_usage(self, usage: UsageId) -> Leg | None:
        """The live leg of a usage."""
        for leg in self.parties:
            if leg.usage == usage:
                return leg
        return next((leg for leg in self.live if leg.usage == usage), None)

    def by_ref(self, ref: str) -> Leg | None:
        """A leg, live or former, by its ref."""
        return next((leg for leg in self.legs if leg.ref == ref), None) or self.aliases.get(ref)

    def by_media(self, media: int) -> Leg | None:
        """The leg the engine means."""
        return next((leg for leg in self.legs if leg.media is not None and leg.media.leg == media), None)

    def fork_of(self, leg: Leg) -> "Fork | None":
        """The fork in which a leg rings."""
        return next((fork for fork in self.forks if leg.ref in fork.branches), None)

    def peer_of(self, leg: Leg) -> Leg | None:
        """The other side of an answered call."""
        if leg not in self.parties:
            return None
        if self.pairs is not None:
            ref = self.pairs.get(leg.ref)
            return next((one for one in self.parties if one.ref == ref), None)
        return next((one for one in self.parties if one is not leg), None)

    def in_transfer(self, leg: Leg) -> bool:
        """True for both sides while the target of a REFER rings: what the transferee hears is the transfer's then, whatever
        one of them agrees with us meanwhile."""
        return any(one.transferor is not None and leg in (one.transferor, one.party) for one in self.forks)

    def involves(self, username: str) -> bool:
        """True if an endpoint takes part now: one that has transferred the call and left, or was passed over, does not."""
        folded = username.casefold()
        return any(leg.account is not None and leg.account.username.casefold() == folded for leg in self.live)

    def happened(self, type_: str, leg: Leg | None = None, **details: str) -> Publish:
        """An event of this call."""
        self.changed()
        return Publish(Happened(type_, self.ref, leg.ref if leg else "", tuple(details.items())))

    def explain(self, text: str, leg: Leg | None = None) -> Explain:
        """A decision in words, for the trace."""
        return Explain(self.ref, text, leg.ref if leg else "")

    def changed(self) -> None:
        """Whoever wants to hear of its legs has to be told what is new."""
        if self.reported:
            self.index.reports[self.ref] = self

    # ---- changes of the sets

    def take_place(self, place: Leg, leg: Leg) -> None:
        """`leg` has answered for a place: it is that leg from now on, under the place's ref."""
        self.aliases[leg.ref] = leg
        leg.ref, leg.behind, leg.began_at, leg.rang_at = place.ref, "", place.began_at, place.rang_at
        if place in self.places:
            self.places.remove(place)
        for one in self.reported:
            if one.leg is place:
                one.leg = leg
        if place is self.caller:
            self.caller, leg.role = leg, "caller"

    def give_up_place(self, place: Leg, code: str) -> None:
        """Nobody has answered for it."""
        if place in self.places:
            self.places.remove(place)
            self.former.append(place)
        place.state, place.end_code = LegState.ENDED, place.end_code or code
        self.changed()

    def know(self, leg: Leg) -> None:
        """Events of this leg's usage and media belong here from now on."""
        self.index.know(self, leg)

    def retire(self, leg: Leg, code: str) -> None:
        """The leg is done."""
        for legs in (self.parties, self.leaving):
            if leg in legs:
                legs.remove(leg)
        self.arrivals = [one for one in self.arrivals if one.leg is not leg]
        for fork in self.forks:
            fork.branches.pop(leg.ref, None)
        leg.state, leg.end_code = LegState.ENDED, leg.end_code or code
        if self.pairs is not None:
            other = self.pairs.pop(leg.ref, None)
            if other is not None:
                self.pairs.pop(other, None)
        self.changed()
        if leg not in self.former:
            self.former.append(leg)
        if self.index.usages.get(leg.usage) is self:
            del self.index.usages[leg.usage]
        self.index.dialogs.ended(leg)
        self.index.gave(leg)

    # ---- the log

    def record(self) -> CallRecord:
        """What the call log keeps of it."""
        ended = self.ended_at or self.created_at
        return CallRecord(self.ref, self.created_at, ended, self.leg_records(self.legs), self.project)

    def leg_records(self, legs: list[Leg]) -> tuple[tuple[str, dict[str, Any]], ...]:
        """The log's records of these legs and of those that were done before a restart."""
        return (*((leg.ref, self._leg_record(leg)) for leg in legs if not leg.behind), *self.history)

    def way_of(self, leg: Leg) -> str:
        """`inbound`, `outbound`, `outbound-api` or `outbound-dial` (API.md section 9)."""
        return leg.dialled or ("inbound" if leg.role == "caller" and leg is self.caller else "outbound")

    def _leg_record(self, leg: Leg) -> dict[str, Any]:
        facts = leg.facts
        quality = facts.quality if facts is not None else leg.quality
        return {
            "role": leg.role,
            "from": leg.from_name or self.from_name,
            "to": leg.to_name or self.to_name,
            "direction": self.way_of(leg),
            "began_at": leg.began_at if leg.began_at is not None else self.created_at,
            "rang_at": leg.rang_at,
            "answered_at": leg.answered_at,
            "left_at": leg.ended_at if leg.ended_at is not None else self.ended_at,
            "sip_code": leg.sip_code or None,
            "sip_reason": leg.sip_text or None,
            "sip_call_id": leg.sip_call_id,
            "text": self.refused_text,
            "end_reason": leg.end_reason or self.end_reason or None,
            "endpoint_id": leg.account.endpoint_id if leg.account else None,
            "trunk_id": leg.trunk.id or None if leg.trunk else None,
            "user_agent": leg.user_agent,
            "flow": leg.flow.id,
            "transport": leg.flow.transport.value.lower(),
            "answered": self.answered_at is not None,
            "end_code": leg.end_code or self.end_code,
            "ended_by": self.ended_by,
            "codec": facts.codec_in if facts else None,
            "encryption": facts.suite if facts else None,
            "mos": facts.quality.mos if facts else None,
            "packets_in": facts.quality.packets_in if facts else 0,
            "packets_out": facts.quality.packets_out if facts else 0,
            "quality": to_builtins(quality) if leg.answered_at is not None or facts is not None else {},
            "findings": [one.code for one in leg.findings],
        }


def origin_id(ids: Ids) -> int:
    """The o= session id: numeric, below 2^62 so that every parser takes it."""
    return int.from_bytes(ids.octets(8), "big") >> 2


def incoming_leg(ids: Ids, usage: UsageId, request: Request, flow: Flow, ref: str = "") -> Leg:
    """Our side of an INVITE that came in."""
    return Leg(
        ref=ref or ids.ref(),
        role="caller",
        usage=usage,
        flow=flow,
        origin_id=origin_id(ids),
        user_agent=(request.headers.get("User-Agent") or "")[:200],
        request=request,
    )


def new_call(
    ids: Ids,
    config: CallConfig,
    usage: UsageId,
    request: Request,
    flow: Flow,
    destination: Destination,
    now: float,
    index: Index,
    tag: str = "",
) -> Call:
    """A call that has just begun with an INVITE."""
    ref = ids.ref()
    caller = incoming_leg(ids, usage, request, flow, ref)
    call = Call(ref, caller, destination, now, config, ids, index, parties=[caller])
    call.know(caller)
    if tag:
        from_tag = parse_name_addr(request.headers.get("From") or "").tag
        index.dialogs.name(caller, DialogKey(request.headers.get("Call-ID") or "", tag, from_tag))
    return call
