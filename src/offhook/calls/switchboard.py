"""The second door of the core: SIP events, media events, facts, timers and commands in; effects out.

Lives here: which call an event belongs to. Never here: what a call does about it (fork.py, answering.py, ending.py and their
neighbours).
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

from offhook.calls import (
    adding,
    answering,
    clocks,
    conference,
    control,
    dialling,
    digits,
    ending,
    fork,
    joining,
    outside,
    placing,
    program,
    proposal,
    registrations,
    renegotiation,
    reopen,
    reports,
    sent_away,
    sounding,
    streaming,
    survival,
    trunk_call,
    watching,
)
from offhook.calls.admission import Admission
from offhook.calls.adoption import Devices
from offhook.calls.call import Call, CallConfig, Effects
from offhook.calls.commands import (
    CallCommand,
    Dial,
    HangUpCall,
    HangUpEndpoint,
    LegCommand,
    Place,
    SetMailbox,
    SoundCommand,
    StreamCommand,
    TryTrunk,
)
from offhook.calls.dial_back import DialBacks, Redial
from offhook.calls.effects import KeepCall, Publish, Sip
from offhook.calls.engine_answers import EngineAnswers
from offhook.calls.entrance import Entrance
from offhook.calls.events import (
    CallEvent,
    CallKept,
    Connected,
    DocumentFetched,
    EngineLost,
    EngineReady,
    FactsFound,
    FeedChanged,
    FlowProbed,
    Located,
    RecordingFinished,
    TextsFound,
    TimerFired,
    TimeTold,
)
from offhook.calls.gateway import HEARD, Gateway
from offhook.calls.index import Index
from offhook.calls.keeping import kept, mark_of
from offhook.calls.late import Away
from offhook.calls.leg import Leg
from offhook.calls.outbound import Outbound
from offhook.calls.presence import PublicationOver
from offhook.calls.referring import Referrals
from offhook.calls.revive import revive
from offhook.calls.text import Branch, TextPatience, Texts
from offhook.calls.text_out import TextsOut
from offhook.calls.watching import Watchers
from offhook.sip.commands import Respond
from offhook.sip.credentials import Authenticator
from offhook.sip.events import (
    AckMissing,
    AckReceived,
    BindingsChanged,
    DeviceReturned,
    DialogLost,
    FlowLost,
    HungUp,
    InviteAccepted,
    InviteCanceled,
    InviteProgressed,
    InviteReceived,
    InviteRejected,
    InviteTrying,
    NotifyDue,
    PrackMissing,
    ProvisionalAcknowledged,
    RequestAnswered,
    RequestInDialog,
    RequestReceived,
    RequestSettled,
    SessionExpired,
    SessionRefreshDue,
    SubscribeReceived,
    SubscriptionEnded,
    UsageId,
    UsageMoved,
)
from offhook.sip.fields import sip_reason
from offhook.sip.flow import FlowId
from offhook.sip.gruu import Gruus
from offhook.sip.ids import Ids

_LOST = {
    AckMissing: ("ack_missing", sip_reason(408, "The answer was never acknowledged")),
    DialogLost: ("dialog_lost", sip_reason(481, "The other side lost the call")),
    PrackMissing: ("prack_missing", sip_reason(504, "A reliable answer was never acknowledged")),
    SessionExpired: ("session_timer_expired", sip_reason(408, "The session was not refreshed")),
}
"""How a call ends when the SIP layer has given up one of its dialogs: code, and Reason for the other side."""

__all__ = ["CallConfig", "Switchboard"]


class Switchboard:
    """All calls of the node. `now` is the core's monotonic clock in seconds."""

    def __init__(
        self, config: CallConfig, ids: Ids, authenticator: Authenticator, outbound: Outbound | None = None
    ) -> None:
        self._config = replace(config, gruus=Gruus(authenticator.key("gruu"), config.domain, config.domains))
        self._ids = ids
        self._authenticator = authenticator
        self._admission = Admission(authenticator, config.hosts, config.call_rate)
        self._texts = Texts(self._config, ids)
        self._index = Index(away=Away(config.domain))
        self._devices = Devices(config.tombstone)
        self._watchers = Watchers(self._config, ids, self._index, self._devices)
        rooms: dict[str, outside.Room] = {
            "MESSAGE": self._texts,
            "SUBSCRIBE": self._watchers,
            "PUBLISH": self._watchers.publications,
        }
        self._outside = outside.Outside(self._config, ids, self._admission, rooms)
        self._calls = self._index.calls
        self._dial_backs = DialBacks()
        self._referrals = Referrals(self._config.domain, self._admission, self._index)
        self._ended: OrderedDict[str, Call] = OrderedDict()
        self._dials: dict[str, Dial] = {}
        self._index.outbound = outbound
        self._index.run_document = program.fetch_and_run
        self._engine = EngineAnswers(self._index, self._ended, self._scored)
        self.gateway: Gateway | None = None
        if outbound is not None:
            self._texts.out = TextsOut(outbound, config.domain, ids)
            self.gateway = Gateway(outbound, self._index, config.hosts, self._texts.out, authenticator)
        self._entrance = Entrance(self._config, ids, self._admission, self._index, self._dial_backs, self.gateway)
        self._hears = self._hearers()

    # ---- views

    def calls(self) -> list[Call]:
        """Live calls whose caller has proved himself."""
        return [call for call in self._calls.values() if call.caller.account or call.caller.trunk or call.placed]

    def ended(self, most: int) -> list[Call]:
        """Calls that ended last, newest first."""
        return list(islice(reversed(self._ended.values()), most))

    def call(self, ref: str) -> Call | None:
        """By the ref of any of its legs, live or among the last that ended."""
        known = self.by_ref(ref)
        if known is not None:
            return known
        every = (*self._calls.values(), *reversed(self._ended.values()))
        return next((call for call in every if call.by_ref(ref) is not None), None)

    def by_ref(self, ref: str) -> Call | None:
        """By its own ref, live or among the last that ended."""
        return self._calls.get(ref) or self._ended.get(ref)

    def of_usage(self, usage: UsageId) -> Call | None:
        """The live call to which an INVITE usage belongs."""
        return self._index.usages.get(usage)

    def leg(self, ref: str) -> tuple[Call, Leg] | None:
        """A leg by any id that a client may hold of it, live or of one of the calls that ended last."""
        call = self.call(ref)
        leg = call.by_ref(ref) or call.caller if call is not None else None
        return (call, leg) if call is not None and leg is not None else None

    @property
    def gruus(self) -> Gruus | None:
        """Reads URIs of ours that mean one device, and the domains of all."""
        return self._config.gruus

    @property
    def index(self) -> Index:
        """What is known of every call, for questions that are asked before a command."""
        return self._index

    def is_call(self, ref: str) -> bool:
        """True for a call that lives."""
        return ref in self._calls

    # ---- the door

    def perform(self, command: CallCommand, now: float) -> Effects:
        """A command of the API."""
        of_trunks = self.gateway.perform(command, now) if self.gateway is not None else None
        if of_trunks is not None:
            return of_trunks
        match command:
            case Dial():
                self._dials[command.call_ref] = command
                return dialling.look_up(command)
            case SetMailbox(username, new, old):
                return self._watchers.mailbox_changed(username, new, old, now)
            case TryTrunk():
                return self._after(trunk_call.begin(command, self._config, self._ids, self._index, now), now)
            case Place():
                return self._after(placing.begin(command, self._config, self._ids, self._index, now), now)
            case HangUpCall():
                found = self._calls.get(command.call_ref)
                return self._after(ending.end(found, command.code, command.by, now), now) if found is not None else []
            case HangUpEndpoint():
                theirs = self._index.of_endpoint(command.username)
                ended = [effect for call in theirs for effect in ending.end(call, command.code, "api", now)]
                return self._after(ended, now)
            case _ if isinstance(command, SoundCommand):
                heard_leg = self.leg(command.leg_ref)
                return self._after(sounding.perform(*heard_leg, command, now), now) if heard_leg is not None else []
            case _ if isinstance(command, StreamCommand):
                heard_leg = self.leg(command.leg_ref)
                return self._after(streaming.perform(*heard_leg, command, now), now) if heard_leg is not None else []
            case _ if isinstance(command, LegCommand):
                found_leg = self.leg(command.leg_ref)
                return self._after(control.perform(*found_leg, command, now), now) if found_leg is not None else []
            case _:
                return []

    def handle(self, event: CallEvent, now: float) -> Effects:
        """Any event."""
        kind = type(event)
        if kind in HEARD and self.gateway is not None and (own := self.gateway.handle(event, now)) is not None:
            return self._after(own, now)
        return self._after(self._hears.get(kind, self._engine.handle)(event, now), now)

    def _hearers(self) -> dict[type, Callable[[Any, float], Effects]]:
        """Who hears of each event; of what is not here, the engine's answers do. Looked up by type: a call has a dozen."""
        return {
            InviteReceived: self._entrance.invited,
            FactsFound: self._facts,
            TimerFired: self._timer,
            FlowLost: self._flow_gone,
            FlowProbed: lambda event, _: self._devices.probed(event.flow, event.alive, self._legs_on),
            Connected: lambda event, _: self._dial_backs.connected(event),
            Located: lambda _, __: [],
            **dict.fromkeys((CallKept, EngineLost, EngineReady), self._whole),
            **dict.fromkeys(
                (
                    RequestReceived, SubscribeReceived, NotifyDue, SubscriptionEnded, RequestSettled, RequestAnswered,
                    TextsFound, DocumentFetched, RecordingFinished, FeedChanged, TimeTold,
                ),
                self._beside,
            ),
            BindingsChanged: self._rebound,
            DeviceReturned: self._returned,
            **dict.fromkeys(
                (
                    AckReceived, AckMissing, DialogLost, HungUp, InviteAccepted, InviteCanceled, InviteTrying,
                    InviteProgressed, InviteRejected, PrackMissing, ProvisionalAcknowledged, RequestInDialog,
                    SessionExpired, SessionRefreshDue, UsageMoved,
                ),
                self._in_usage,
            ),
        }  # fmt: skip

    def _flow_gone(self, event: FlowLost, now: float) -> Effects:
        lines = self.gateway.flow_lost(event, now) if self.gateway is not None else []
        watched = self._watchers.flow_lost(event.subscriptions)
        return [*self._flow_lost(event, now), *lines, *watched]

    def _whole(self, event: CallKept | EngineLost | EngineReady, now: float) -> Effects:
        """What concerns every call, or one that is not here yet."""
        match event:
            case EngineLost():
                lost = [one for one in self._calls.values() if one.media_calls or one.reopening]
                told = [*sounding.engine_lost(self._index, now), *streaming.engine_lost(self._index, now)]
                return [*told, *(effect for call in lost for effect in reopen.lost(call, now))]
            case CallKept():
                return self._revive(event, now)
            case EngineReady():
                back = self.gateway.ways_back() if self.gateway is not None else []
                return [*back, *(effect for call in self._calls.values() for effect in reopen.ready(call))]

    def _scored(self, call: Call) -> None:
        if self.gateway is not None:
            self.gateway.scored(call)

    # ---- what is beside calls

    def _beside(
        self,
        event: RequestReceived | SubscribeReceived | NotifyDue | SubscriptionEnded | RequestSettled | RequestAnswered
        | TextsFound | DocumentFetched | RecordingFinished | FeedChanged | TimeTold,
        now: float,
    ) -> Effects:  # fmt: skip
        """What is not about a call, or only in passing."""
        match event:
            case FeedChanged():
                return streaming.changed(self._index, event, now)
            case RecordingFinished() | TimeTold():
                return sounding.told(self._index, event, now)
            case RequestReceived() if event.request.method == "REFER":
                return self._referrals.outside(event, now)
            case RequestReceived() | SubscribeReceived():
                return self._outside.received(event, now)
            case RequestSettled() if isinstance(event.token, Branch):
                return self._texts.settled(event, now)
            case RequestAnswered():
                return self._answered(event, now)
            case TextsFound():
                return self._texts.found(event)
            case DocumentFetched():
                directed = self._calls.get(event.token.call_ref)
                return program.fetched(directed, event, now) if directed is not None else []
            case NotifyDue():
                return self._watchers.due(event.subscription)
            case SubscriptionEnded():
                return self._watchers.ended(event.subscription)
            case _:
                return []

    def _rebound(self, event: BindingsChanged, now: float) -> Effects:
        self._devices.changed(event)
        self._index.away.changed(event, now)
        return [*registrations.changed(event), *self._watchers.bindings_changed(event, now)]

    def _returned(self, event: DeviceReturned, now: float) -> Effects:
        moved = self._devices.returned(event, self._legs_on)
        came = self._joined(event)
        return [*moved, *came, *self._watchers.returned(event), *self._texts.returned(event)]

    def _joined(self, event: DeviceReturned) -> Effects:
        """LIVE-4: calls that ring for the endpoint, or wait for it."""
        self._index.away.back(event.username)
        calls = self._index.of_endpoint(event.username)
        waiting = self._index.awaited.get(event.username.casefold(), {}).values()
        ringing = {call.ref: call for call in (*calls, *waiting) if call.forks}
        return joining.joins(list(ringing.values()), event) if ringing else []

    def _answered(self, event: RequestAnswered, now: float) -> Effects:
        call = self._index.usages.get(event.usage)
        leg = call.by_usage(event.usage) if call is not None else None
        if call is None or leg is None:
            return []
        if event.method == "MESSAGE":
            return self._texts.answered(leg, event)
        if event.method == "INFO":
            return digits.answered(leg)
        if event.method == "REFER":
            return sent_away.answered(call, leg, event.response, now)
        self._index.touched[call.ref] = call
        if event.method != "INVITE":
            return []
        if leg.video_step == "offered":
            return adding.answered(call, leg, event.response)
        return [*proposal.answered(call, leg, event.response), *reopen.answered(call, leg, event.response, now)]

    def _facts(self, event: FactsFound, now: float) -> Effects:
        if event.token.startswith(outside.TOKEN):
            return self._outside.found(event, now)
        if event.token.startswith(watching.TOKEN):
            return self._watchers.found(event, now)
        if event.token.startswith(watching.MAILBOX):
            return self._watchers.mailbox_found(event)
        ref, _, dialled = event.token.partition("/")
        dial = self._dials.pop(dialled, None) if ref == "dial" else None
        if dial is not None:
            return dialling.begin(dial, event, self._config, self._ids, self._index, now)
        return self._entrance.found(event, now)

    # ---- SIP events of a call

    def _in_usage(
        self,
        event: AckReceived | AckMissing | DialogLost | HungUp | InviteAccepted | InviteCanceled | InviteTrying
        | InviteProgressed | InviteRejected | PrackMissing | ProvisionalAcknowledged | RequestInDialog | SessionExpired
        | SessionRefreshDue | UsageMoved,
        now: float,
    ) -> Effects:  # fmt: skip
        call = self._index.usages.get(event.usage)
        leg = call.by_usage(event.usage) if call is not None else None
        if call is None or leg is None:
            return self._stray(event)
        self._index.touched[call.ref] = call
        match event:
            case InviteTrying():
                return fork.trying(call, leg, now)
            case InviteProgressed():
                return fork.progressed(call, leg, event.response, now)
            case InviteAccepted():
                return fork.accepted(call, leg, event.response, now)
            case InviteRejected():
                return fork.rejected(call, leg, event.response, event.failure, now)
            case InviteCanceled():
                return ending.canceled(call, leg, event.reason, now)
            case AckReceived():
                return answering.acknowledged(call, leg, event.request, now)
            case HungUp():
                return ending.hung_up(call, leg, event.reason, now)
            case RequestInDialog():
                survival.spoke(leg, event.request.method)
                return self._request_in_dialog(call, leg, event, now)
            case UsageMoved():
                self._devices.attached(leg)
                return survival.moved(call, leg, event.flow)
            case ProvisionalAcknowledged():
                return answering.early_answer(call, leg, event.request, now)
            case SessionRefreshDue():
                return proposal.refresh(leg)
            case AckMissing() | DialogLost() | PrackMissing() | SessionExpired():
                code, reason = _LOST[type(event)]
                return ending.gone(call, leg, code, "server", now, reason)

    def _request_in_dialog(self, call: Call, leg: Leg, event: RequestInDialog, now: float) -> Effects:
        match event.request.method:
            case "MESSAGE":
                return self._texts.in_dialog(call, leg, event, now)
            case "REFER":
                return self._referrals.inside(call, leg, event, now)
            case "NOTIFY":
                return sent_away.notified(call, leg, event, now)
            case _:
                return renegotiation.answer(call, leg, event, now)

    def _stray(self, event: CallEvent) -> Effects:
        """An event of a usage that has ended here: a request still wants an answer."""
        return [Sip(Respond(event.transaction, 481))] if isinstance(event, RequestInDialog) else []

    def _flow_lost(self, event: FlowLost, now: float) -> Effects:
        """The legs of a connection that is gone; those whose device is back already follow it at once (LIVE-5)."""
        found = [(call, call.by_usage(usage)) for usage in event.usages if (call := self._index.usages.get(usage))]
        legs = [(call, leg) for call, leg in found if leg is not None]
        follow = [effect for _, leg in legs for effect in self._devices.left_behind(leg)]
        follow += [effect for usage, peer in event.owed for effect in self._devices.owed(event.flow, usage, peer, now)]
        left = self._devices.lost(event.flow) or event.left
        lost = [effect for call, leg in legs for effect in survival.flow_lost(call, leg, left, now)]
        return [*lost, *follow]

    def _legs_on(self, flow: FlowId) -> list[tuple[Call, Leg]]:
        return [(call, leg) for call in self._calls.values() for leg in call.live if leg.flow.id == flow]

    # ---- timers and the end

    def _timer(self, event: TimerFired, now: float) -> Effects:
        key = event.key
        if isinstance(key, TextPatience):
            return self._texts.impatient(key)
        if isinstance(key, watching.WatchPace):
            return self._watchers.pace_over(key)
        if isinstance(key, PublicationOver):
            return self._watchers.publications.over(key, now)
        if isinstance(key, Redial):
            return self._dial_backs.due(key)
        if not isinstance(key, clocks.Clock):
            return []
        call = self._calls.get(key.call_ref)
        return clocks.rang(call, key, now) if call is not None else []

    def _after(self, effects: Effects, now: float) -> Effects:
        """Moves calls that have ended out of the way."""
        touched, self._index.touched = self._index.touched, {}
        told_of, self._index.reports = self._index.reports, {}
        if touched or told_of:
            changed = [*{**touched, **told_of}.values()]
            for call in changed:
                reports.stamp(call, now)
                effects += [*proposal.take_back(call), *streaming.begin_waiting(call, now)]
            effects += [one for call in told_of.values() for one in reports.due(call, now)]
            # Last, because what was told need not be told by the next process.
            effects += [one for call in changed for one in self._keep(call, now)]
        ended, self._index.ended = self._index.ended, []
        for call in ended:
            self._index.forget(call)
            effects += [*survival.stopped(call), *program.stopped(call), *control.stopped(call)]
            for leg in call.former:
                self._devices.buried(leg, now)
            self._ended[call.ref] = call
            effects += self.gateway.ended(call, now) if self.gateway is not None else []
            while len(self._ended) > self._config.ended_kept:
                self._ended.popitem(last=False)
        if self._index.thinned:
            effects += conference.thinned(self._index)
        if len(self._watchers):
            told = [one for one in effects if isinstance(one, Publish) and one.event.call_ref]
            effects += self._watchers.calls_changed(told, self._calls, self._ended, now) if told else []
        return effects

    def _keep(self, call: Call, now: float) -> Effects:
        """LIVE-15: what would be missed by the next process goes into the journal, when it has changed."""
        mark = mark_of(call)
        if mark is None or mark == call.kept:
            return []
        call.kept = mark
        return [KeepCall(kept(call, self._devices, now))]

    def _revive(self, event: CallKept, now: float) -> Effects:
        return revive(event.call, event.known, self._config, self._ids, self._index, self._devices, now)
