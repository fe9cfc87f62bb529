"""The driver: feeds the core with events and performs its effects. The only place that awaits on the core's behalf.

Everything runs on the loop's thread. Effects are performed in the order given; an effect that answers at once (a look-up
in memory, a flow that is gone) feeds its event back after the effects before it, never inside another call of the core.
"""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Iterable
from datetime import datetime
from functools import partial
from typing import Any

from offhook.calls import commands as calls_commands
from offhook.calls import effects as calls_effects
from offhook.calls import events as calls_events
from offhook.calls.entry import BeyondTier, Entry, RingsMembers
from offhook.calls.switchboard import Switchboard
from offhook.media import messages as media
from offhook.media.engine import MediaEngine
from offhook.server.command_words import words_of
from offhook.server.homer import Homer
from offhook.server.media_work import MediaWork
from offhook.server.observe import log
from offhook.server.ports import Directory, Gate, Journal, Outside, Peers, Wires
from offhook.server.recorder import Recorder, Said
from offhook.server.redaction import without_digits
from offhook.server.tally import Tally
from offhook.server.timers import Timers
from offhook.sip import effects as sip_effects
from offhook.sip.commands import MarkFlow, RefuseNew, SendInvite, SendRequest, SipCommand, Unbind
from offhook.sip.dialog_record import DialogRecord
from offhook.sip.effects import SipEffect
from offhook.sip.encode import encode
from offhook.sip.endpoint import SipEndpoint
from offhook.sip.errors import FramingLost, PeerError
from offhook.sip.events import InviteReceived, RequestSettled, UsageId
from offhook.sip.flow import Flow, FlowId, Reachability
from offhook.sip.grammar import Limits
from offhook.sip.location import Account, Binding
from offhook.sip.message import Message
from offhook.sip.parse import parse_datagram, parse_stream_message, parse_websocket, unframed
from offhook.transport.flow import LEFT

MEDIA_EVENTS: dict[
    type, Callable[[Any], calls_events.MediaEvent | calls_events.RoomSpeaker | calls_events.EndOfTap]
] = {
    media.PathChanged: lambda e: calls_events.PathChanged(e.leg, e.local, e.remote, e.reason),
    media.KeysReady: lambda e: calls_events.KeysReady(e.leg, e.suite),
    media.FirstMedia: lambda e: calls_events.FirstMedia(e.leg, e.after_ms),
    media.MediaStopped: lambda e: calls_events.MediaStopped(e.leg, e.silent_ms),
    media.MediaResumed: lambda e: calls_events.MediaResumed(e.leg),
    media.KeyFrameWanted: lambda e: calls_events.KeyFrameWanted(e.leg),
    media.Digit: lambda e: calls_events.DigitPressed(e.leg, e.digit, e.duration_ms, e.method),
    media.QualityReported: lambda e: calls_events.QualityReported(e.leg, e.quality),
    media.SilenceFound: lambda e: calls_events.SilenceFound(e.leg, e.direction, e.verdict, e.evidence),
    media.RoomSpeaker: lambda e: calls_events.RoomSpeaker(e.room, e.leg),
    media.Heard: lambda e: calls_events.Heard(e.leg, e.direction),
    media.PlayFinished: lambda e: calls_events.PlayFinished(e.leg, e.play, e.reason, e.text, e.played_ms),
    media.RecordingFinished: lambda e: calls_events.RecordingFinished(
        e.leg, e.recording, e.file, e.reason, e.text, e.duration_ms, e.bytes, e.marks
    ),
    media.FeedChanged: lambda e: calls_events.FeedChanged(e.leg, e.feed, e.state, e.reason, e.text, e.sent, e.dropped),
    media.LegFailed: lambda e: calls_events.LegMediaFailed(e.leg, e.cause),
}
"""The engine's events as call control knows them."""

TOLD_NOTES = {"login-locked": "security.login_locked", "source-not-allowed": "security.source_refused"}
"""Notes of the SIP layer that are events of the API too."""

LOG_LEVELS = {"info": log.info, "warning": log.warning, "error": log.error}


class Driver:
    """Made by `app.py`, which hands in every part. Implements `transport.flow.Receiver`."""

    def __init__(
        self,
        endpoint: SipEndpoint,
        switchboard: Switchboard,
        directory: Directory,
        wires: Wires,
        journal: Journal,
        limits: Limits,
        recorder: Recorder,
    ) -> None:
        self.endpoint = endpoint
        self.switchboard = switchboard
        self._directory = directory
        self._wires = wires
        self._journal = journal
        self._limits = limits
        self.recorder = recorder
        self.homer: Homer | None = None
        self.tally = Tally()
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        """The core's clock."""
        self._timers = Timers(self._loop, self._timer_fired)
        self._media = MediaWork(self.tell, recorder.of_thing)
        self._context = contextvars.copy_context()
        self._in_hand: calls_events.CallEvent | None = None
        self._todo: deque[Callable[[], None]] = deque()
        self._asked: dict[Hashable, asyncio.Future[RequestSettled]] = {}
        self._working = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._traced = log.is_enabled_for(logging.DEBUG)
        self._held: list[media.Event] | None = None
        self._of_sip = self._sip_performers()
        self._of_calls = self._calls_performers()
        self.draining = False
        self._overloaded: frozenset[str] = frozenset()
        self._told: Callable[[calls_effects.Happened], None] = lambda _: None
        self._away: dict[FlowId, Reachability] = {}
        """Flows whose devices are told to be suspect or asleep."""

    def use_engine(self, engine: MediaEngine) -> None:
        """The media engine that commands go to from now on."""
        self._media.use(engine)

    def use_countries(self, country_of: Callable[[str], str]) -> None:
        """By a call's reference, the country whose tones it hears."""
        self._media.country_of = country_of

    def use_peers(self, peers: Peers) -> None:
        """Who looks names up and connects."""
        self._peers = peers

    @property
    def peers(self) -> Peers:
        """Who looks names up and connects."""
        return self._peers

    def use_gate(self, gate: Gate) -> None:
        """Who judges the tokens that connections present."""
        self._gate = gate

    def use_listener(self, told: Callable[[calls_effects.Happened], None]) -> None:
        """Who hears what call control tells."""
        self._told = told

    def tell_status(self, effect: calls_effects.TellStatus) -> None:
        """Words of a call that an earlier process could not say."""
        self._outside.tell(effect)

    def use_outside(self, outside: Outside) -> None:
        """Who fetches documents and tells of legs."""
        self._outside = outside

    def overloaded(self, methods: frozenset[str]) -> None:
        """New requests of these methods are refused from now on (CALL-25)."""
        log.warning(
            "overloaded" if methods else "no longer overloaded", refused=", ".join(sorted(methods)) or "nothing"
        )
        self._overloaded = methods
        self._refuse_new()

    def drain(self) -> None:
        """The server stops: no new calls."""
        self.draining = True
        self._refuse_new()

    def _refuse_new(self) -> None:
        if self.draining:
            refused = RefuseNew(self._overloaded | {"INVITE"}, "node-draining", "the server is stopping")
        else:
            refused = RefuseNew(self._overloaded)
        self._command_sip(refused)

    @property
    def idle(self) -> bool:
        """True when nothing waits to be done for any call."""
        return not self._tasks and not self._media.pending and not self.switchboard.calls()

    # ---- what comes in from sockets

    def flow_opened(self, flow: Flow) -> None:
        self._feed(lambda: self._sip(self.endpoint.flow_opened(flow, self.now())))

    def received(self, data: bytes, flow: Flow) -> None:
        if data.startswith(b"REGISTER ") and flow.transport.reliable and self._refreshed(data, flow):
            return
        try:
            message = self._parse(data, flow)
        except PeerError as fault:
            if self._traced:
                log.debug("sip in", flow=flow.id, message=data)
            self._malformed(fault, flow)
            return
        if self._traced:
            log.debug("sip in", **self._of_message(message, flow.id), message=data)
        self.tally.message(message, "in")
        self.recorder.received(message, data, flow, self.now())
        if self.homer is not None:
            self.homer.received(message, data, flow, self.now())
        self._feed(lambda: self._sip(self.endpoint.receive(message, flow, self.now())))
        if self._away and flow.id in self._away:
            self._look_at(flow.id)

    def _refreshed(self, data: bytes, flow: Flow) -> bool:
        """A refresh in the words of the last one (sip/refresh.py), unless somebody wants to see the message itself."""
        if self._working or self._traced or self.homer is not None:
            return False
        try:
            effects = self._recalled(data, flow)
        except Exception:
            # The whole way may do better, and says what it was.
            log.exception("the core failed on a refresh in known words", flow=flow.id)
            return False
        if effects is None:
            return False
        self.tally.refreshed()
        self._feed(lambda: self._sip(effects))
        if self._away and flow.id in self._away:
            self._look_at(flow.id)
        return True

    def _recalled(self, data: bytes, flow: Flow) -> list[SipEffect] | None:
        now = self.now()
        recalled = self.endpoint.recall(data, flow, now)
        if recalled is None or self.recorder.follows(recalled.repeat.call_id):
            return None
        account, bindings = self._directory.account(recalled.username), self._directory.kept_bindings(recalled.aor)
        return self.endpoint.refresh(recalled, flow, account, bindings, now)

    def _of_message(self, message: Message, flow: FlowId) -> dict[str, str]:
        facts = {
            "flow": flow,
            "sip_call_id": message.headers.get("Call-ID") or "",
            "call_ref": self.recorder.ref(message),
        }
        return {name: value for name, value in facts.items() if value}

    def _look_at(self, flow: FlowId) -> None:
        """Tells if the devices of a flow are reached otherwise than before."""
        state = self.endpoint.reachability(flow)
        before = self._away.get(flow, Reachability.REACHABLE)
        if state is before:
            return
        if state is Reachability.REACHABLE:
            del self._away[flow]
        else:
            self._away[flow] = state
        details = (("flow", flow), ("state", state.value), ("before", before.value))
        self._told(calls_effects.Happened("registration.state_changed", "", "", details))

    def _parse(self, data: bytes, flow: Flow) -> Message:
        if flow.transport.websocket:
            return parse_websocket(data, self._limits)
        if flow.transport.reliable:
            return parse_stream_message(data, self._limits)
        return parse_datagram(data, self._limits)

    def _malformed(self, fault: PeerError, flow: Flow) -> None:
        self._feed(lambda: self._sip(self.endpoint.receive_malformed(fault, flow, self.now())))
        if isinstance(fault, FramingLost):
            # WS-3: two messages in one, or a part of one; what comes next cannot be trusted.
            self._wires.close(flow.id, 1002, "request-malformed")

    def refused(self, reason: str, data: bytes, flow: Flow) -> None:
        log.info("stream refused", flow=flow.id, reason=reason)
        if data:
            # RFC 3261 section 18.3: a last answer before the connection is closed.
            fault = unframed(data, reason, self._limits)
            self._feed(lambda: self._sip(self.endpoint.receive_malformed(fault, flow, self.now())))

    def flow_lost(self, flow: Flow, reason: str) -> None:
        log.info("flow lost", flow=flow.id, source=flow.remote[0], reason=reason)
        left = reason.startswith(LEFT)
        self._away.pop(flow.id, None)
        self._feed(lambda: self._sip(self.endpoint.flow_lost(flow.id, self.now(), left)))

    def account(self, username: str) -> Account | None:
        """An endpoint's account."""
        return self._directory.account(username)

    def take_back(self, kept: calls_events.CallKept) -> None:
        """A call of an earlier process: first its dialogs, then the call (LIVE-15)."""
        for leg in kept.call.parties:
            if leg.dialog is not None:
                record, flow = leg.dialog, leg.flow
                self._feed(partial(self._revive, record, flow))
        self.tell(kept)

    def _revive(self, record: DialogRecord, flow: Flow) -> None:
        self._sip(self.endpoint.revive(record, flow, self.now()))

    def restored(self, aor: str, bindings: tuple[Binding, ...]) -> None:
        """Bindings of an address of record that outlived a restart."""
        self._feed(lambda: self._sip(self.endpoint.restored(aor, bindings, self.now())))

    def presented(self, token: str, flow: Flow) -> str | None:
        return self._gate.admit(token, flow, self.now())

    def in_use(self, flow: Flow) -> bool:
        gateway = self.switchboard.gateway
        return self.endpoint.carries(flow.id) or (gateway is not None and gateway.holds(flow.id))

    def proven(self, flow: Flow) -> bool:
        return self.endpoint.proven(flow, self.now()) or self.in_use(flow)

    def knows(self, flow: Flow) -> bool:
        return self.endpoint.registered(flow.id) or self.in_use(flow)

    def flow_suspected(self, flow: Flow, suspected: bool) -> None:
        log.info("flow suspect" if suspected else "flow heard again", flow=flow.id, source=flow.remote[0])
        self._command_sip(MarkFlow(flow.id, Reachability.SUSPECT if suspected else Reachability.REACHABLE))

    # ---- what comes in from the engine

    def media_event(self, event: media.Event) -> None:
        """An event of the engine."""
        if isinstance(event, media.LogLine):
            LOG_LEVELS.get(event.level, log.info)("media", text=event.text)
            return
        if isinstance(event, media.Unread):
            self.tally.unread += event.lost
            log.warning("media packets lost here", port=event.port, lost=event.lost, remedy="add cores, or a node")
            return
        if self._traced:
            leg = getattr(event, "leg", None)
            about = {"call_ref": ref} if leg is not None and (ref := self.recorder.of_media(leg)) else {}
            log.debug("media event", **about, text=repr(event))
        if isinstance(event, media.VoiceActivity):
            # Nothing here asks for it yet.
            return
        if self._held is not None:
            self._held.append(event)
            return
        self.tell(MEDIA_EVENTS[type(event)](event))

    def hold_media_events(self) -> None:
        """What an engine tells that was running before us is about calls that are not taken back yet."""
        self._held = []

    def release_media_events(self) -> None:
        """Now they are."""
        held, self._held = self._held or [], None
        for event in held:
            self.media_event(event)

    def engine_lost(self) -> None:
        """The engine is gone, with every leg it had."""
        log.error("media engine lost", remedy="it is started again; calls that were up get new media")
        self.tell(calls_events.EngineLost())

    # ---- what comes in from the API

    def command(self, command: calls_commands.CallCommand) -> None:
        """A command of the API, through the same door as everything else."""
        self._record_command(command)
        self._feed(lambda: self._calls(self.switchboard.perform(command, self.now())))

    def _record_command(self, command: calls_commands.CallCommand) -> None:
        about = words_of(command)
        if about is None:
            return
        ref, text = about
        begins = text.startswith("dial ")
        call = None if begins else self.switchboard.call(ref)
        self.recorder.said(call.ref if call is not None else ref, Said("command", ref, text), self.now(), begins)

    async def ask(self, request: SendRequest) -> RequestSettled:
        """Sends a request of the operator's, who waits for its end."""
        asked: asyncio.Future[RequestSettled] = self._loop.create_future()
        self._asked[request.token] = asked
        self._command_sip(request)
        try:
            return await asked
        finally:
            del self._asked[request.token]

    def _settles_question(self, event: calls_events.CallEvent) -> bool:
        if not isinstance(event, RequestSettled) or (asked := self._asked.get(event.token)) is None:
            return False
        if not asked.done():
            asked.set_result(event)
        return True

    def tell(self, event: calls_events.CallEvent) -> None:
        """An event for call control."""
        self._feed(lambda: self._handle(event))

    def _handle(self, event: calls_events.CallEvent) -> None:
        now = self.now()
        self._in_hand = event
        self.recorder.event(event, now)
        effects = self.switchboard.handle(event, now)
        if isinstance(event, InviteReceived):
            self.recorder.invited(event)
        elif isinstance(event, calls_events.FactsFound):
            self.recorder.judged(event.token, self.switchboard.by_ref(event.token))
        self._calls(effects)

    def unbind(self, aor: str, binding: str = "") -> None:
        """Drops one binding of an address of record, or all."""
        self._command_sip(Unbind(aor, binding))

    # ---- the loop of feeding and performing

    def _feed(self, step: Callable[[], None]) -> None:
        self._todo.append(step)
        if self._working:
            return
        self._working = True
        try:
            while self._todo:
                try:
                    self._todo.popleft()()
                except Exception:
                    # A fault in the core costs the event in hand, never the server.
                    ref = self.recorder.of_thing(self._in_hand)
                    log.exception("the core failed on an event", **({"call_ref": ref} if ref else {}))
                self._in_hand = None
        finally:
            self._working = False

    def _timer_fired(self, key: Hashable) -> None:
        assert isinstance(key, tuple)
        owner, inner = key
        if owner == "sip":
            self._feed(lambda: self._sip(self.endpoint.timer_fired(inner, self.now())))
        else:
            self.tell(calls_events.TimerFired(inner))

    def _sip(self, effects: Iterable[SipEffect]) -> None:
        perform = self._of_sip
        for effect in effects:
            perform[type(effect)](effect)

    def _sip_performers(self) -> dict[type, Callable[[Any], None]]:
        """Who performs each effect of the SIP layer. Looked up by type: a call has a hundred effects."""
        start, stop = self._timers.start, self._timers.stop
        return {
            sip_effects.Send: self._send,
            sip_effects.SendText: self._send_text,
            sip_effects.StartTimer: lambda e: start(("sip", e.key), e.seconds),
            sip_effects.StopTimer: lambda e: stop(("sip", e.key)),
            sip_effects.Deliver: self._deliver,
            sip_effects.FindRegistration: self._find_registration,
            sip_effects.UpdateBindings: self._update_bindings,
            sip_effects.OpenStream: lambda e: self._spawn(self._open_stream(e)),
            sip_effects.CloseFlow: lambda e: self._wires.close(e.flow, e.code, e.slug),
            sip_effects.Note: self._note,
        }

    def _note(self, effect: sip_effects.Note) -> None:
        usage = effect.details.get("usage")
        about = {"call_ref": ref} if usage and (ref := self.recorder.of_usage(UsageId(usage))) else {}
        log.info(effect.slug, **about, **effect.details)
        type_ = TOLD_NOTES.get(effect.slug)
        if type_ is not None:
            self._told(calls_effects.Happened(type_, "", "", tuple(effect.details.items())))

    def _deliver(self, effect: sip_effects.Deliver) -> None:
        if not self._settles_question(effect.event):
            self.tell(effect.event)

    def _send(self, effect: sip_effects.Send) -> None:
        flow, message = effect.flow, effect.message
        data = encode(message, effect.compact)
        if self._traced:
            log.debug("sip out", **self._of_message(message, flow if isinstance(flow, str) else flow.id), message=data)
        self.tally.message(message, "out")
        self.recorder.sent(message, data, flow, self.now())
        if self.homer is not None:
            self.homer.sent(message, data, flow, self.now())
        if not self._wires.send(flow, data):
            self._feed(lambda: self._sip(self.endpoint.send_failed(flow, message, self.now())))

    def _send_text(self, effect: sip_effects.SendText) -> None:
        self._wires.send(effect.flow, effect.data)

    def _find_registration(self, effect: sip_effects.FindRegistration) -> None:
        account = self._directory.account(effect.username) if effect.username else None
        bindings = self._directory.kept_bindings(effect.aor)
        self._feed(lambda: self._sip(self.endpoint.registration_found(effect.token, account, bindings, self.now())))

    def _update_bindings(self, effect: sip_effects.UpdateBindings) -> None:
        self._directory.replace_bindings(effect.aor, effect.bindings, self.now())
        for binding in effect.added:
            log.info("registered", aor=binding.aor, **_of_binding(binding))
        for binding in effect.removed:
            log.info("unregistered", aor=binding.aor, **_of_binding(binding))

    def _command_sip(self, command: SipCommand) -> None:
        self._feed(lambda: self._perform(command))

    def _perform(self, command: SipCommand) -> None:
        effects = self.endpoint.perform(command, self.now())
        if isinstance(command, SendInvite):
            self.recorder.inviting(command, effects)
        elif isinstance(command, MarkFlow):
            self._look_at(command.flow)
        self._sip(effects)

    def _calls(self, effects: Iterable[calls_effects.CallEffect]) -> None:
        now, perform, media_ = self.now(), self._of_calls.get, self._media.perform
        for effect in effects:
            self.recorder.effect(effect, now)
            perform(type(effect), media_)(effect)

    def _calls_performers(self) -> dict[type, Callable[[Any], None]]:
        """Who performs each effect of call control; what is not here is the media engine's."""
        start, stop = self._timers.start, self._timers.stop
        return {
            calls_effects.Sip: lambda e: self._command_sip(e.command),
            calls_effects.StartTimer: lambda e: start(("calls", e.key), e.seconds),
            calls_effects.StopTimer: lambda e: stop(("calls", e.key)),
            calls_effects.LookUp: self._look_up,
            calls_effects.AskTime: self._tell_time,
            calls_effects.Note: lambda e: log.info(e.slug, **e.details),
            calls_effects.Publish: self._publish,
            calls_effects.Explain: self._explain,
            **dict.fromkeys((calls_effects.Locate, calls_effects.Connect, calls_effects.RateHop), self._hop),
            **dict.fromkeys((calls_effects.ProbeFlow, calls_effects.CloseFlow), self._flow),
            **dict.fromkeys((calls_effects.KeepText, calls_effects.DropText, calls_effects.FindTexts), self._text),
            calls_effects.TellStatus: lambda e: self._outside.tell(e),
            calls_effects.FetchDocument: lambda e: self._spawn(self._fetch(e)),
            **dict.fromkeys((calls_effects.KeepCall, calls_effects.WriteCallLog), self._book),
        }

    def _publish(self, effect: calls_effects.Publish) -> None:
        told = without_digits(effect.event)
        # An event of a trunk has the trunk's id in the place of a call's.
        about = "trunk_id" if told.type.startswith("trunk.") else "call_ref"
        refs = {about: told.call_ref, "leg_ref": told.leg_ref}
        log.info(told.type, **{name: ref for name, ref in refs.items() if ref}, details=dict(told.details))
        self.tally.happened(effect.event)
        self._told(effect.event)

    def _explain(self, effect: calls_effects.Explain) -> None:
        if self._traced:
            log.debug("decision", call_ref=effect.call_ref, leg_ref=effect.leg_ref, text=effect.text)

    def _book(self, effect: calls_effects.KeepCall | calls_effects.WriteCallLog) -> None:
        if isinstance(effect, calls_effects.WriteCallLog):
            self.tally.call_ended(effect.record)
            self._journal.write(effect.record)
        else:
            # Behind the commands of the same event, which decide how the dialogs stand.
            self._feed(lambda: self._journal.keep(effect.call))

    def _flow(self, effect: calls_effects.FlowEffect) -> None:
        if isinstance(effect, calls_effects.CloseFlow):
            self._wires.close(effect.flow, effect.code, effect.slug)
        else:
            self._spawn(self._probe(effect))

    async def _probe(self, effect: calls_effects.ProbeFlow) -> None:
        self.tell(calls_events.FlowProbed(effect.flow, await self._wires.probe(effect.flow, effect.seconds)))

    def _tell_time(self, effect: calls_effects.AskTime) -> None:
        """The machine's own time zone: whoever hears it is supposed to live there."""
        here = datetime.now().astimezone()
        self.tell(calls_events.TimeTold(effect.call_ref, effect.leg_ref, here.weekday(), here.hour, here.minute))

    def _look_up(self, effect: calls_effects.LookUp) -> None:
        self.tell(self.facts_of(effect))

    def facts_of(self, effect: calls_effects.LookUp) -> calls_events.FactsFound:
        """What is known about a name or number, from memory."""
        rights = effect.rights if effect.rights is not None else effect.username
        caller = self._directory.account(effect.username) if effect.username else None
        found = self._directory.called(effect.target_user, rights, effect.project) if effect.target_user else None
        callee = found if isinstance(found, Account) else None
        entry = self._entry(effect, found) if callee is None else None
        if entry is not None and isinstance(entry.handler, RingsMembers) and len(entry.handler.members) == 1:
            callee = entry.handler.members[0].account
        bindings = self._directory.bindings(self._directory.aor(callee.username)) if callee else ()
        outside = callee is None and (rights is not None or entry is not None)
        project = effect.project or (entry.project_id if entry is not None else "")
        shown = self._directory.caller_numbers(rights or "", project) if outside else None
        permits = self._directory.permits(rights or "", project) if outside else None
        handler = self._directory.handler(effect.username) if caller is not None and effect.username else None
        return calls_events.FactsFound(effect.token, caller, callee, bindings, shown, entry, permits, handler)

    def _entry(self, effect: calls_effects.LookUp, found: Account | Entry | None) -> Entry | None:
        """A number of ours goes before an address that is called so."""
        if effect.application:
            return self._directory.application(effect.application)
        if isinstance(found, Entry) and isinstance(found.handler, BeyondTier):
            return found
        entry = self._directory.number(effect.number, effect.trunk) if effect.number is not None else None
        return entry or (found if isinstance(found, Entry) else None)

    def _text(self, effect: calls_effects.TextEffect) -> None:
        match effect:
            case calls_effects.KeepText(text):
                self._directory.keep_text(text)
            case calls_effects.DropText(ref):
                self._directory.drop_text(ref)
            case calls_effects.FindTexts(username, binding):
                texts = self._directory.texts(username)
                if texts:
                    self.tell(calls_events.TextsFound(binding, texts))

    # ---- next hops

    async def _open_stream(self, effect: sip_effects.OpenStream) -> None:
        flow = await self._peers.stream_to(effect.flow)
        self._feed(lambda: self._sip(self.endpoint.stream_opened(effect.key, flow, self.now())))

    def _hop(self, effect: calls_effects.HopEffect) -> None:
        match effect:
            case calls_effects.Locate():
                self._spawn(self._locate(effect))
            case calls_effects.Connect():
                self._connect(effect)
            case calls_effects.RateHop():
                self._peers.rate(effect)

    async def _fetch(self, effect: calls_effects.FetchDocument) -> None:
        self.tell(await self._outside.fetch(effect))

    async def _locate(self, effect: calls_effects.Locate) -> None:
        self.tell(await self._peers.locate(effect))

    def _connect(self, effect: calls_effects.Connect) -> None:
        connected = self._peers.at_once(effect)
        if connected is None:
            self._spawn(self._connect_anew(effect))
            return
        if connected.flow is not None and not connected.flow.transport.reliable:
            self.flow_opened(connected.flow)
        self.tell(connected)

    async def _connect_anew(self, effect: calls_effects.Connect) -> None:
        self.tell(await self._peers.connect(effect))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        # What it opens outlives the request, if any, that it is done for: no later line may bear that one's id.
        task = self._loop.create_task(work, context=self._context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _of_binding(binding: Binding) -> dict[str, str]:
    return {"contact": str(binding.contact), "flow": binding.flow.id, "user_agent": binding.user_agent}
