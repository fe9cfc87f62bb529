"""The whole core on the virtual clock: SIP endpoint, switchboard, a location table, and media that speaks calls/ports.py.

Phones are SIP endpoints of their own at the other end of the link. The house performs effects as server/driver.py does:
whatever an effect leads to waits until the event in hand is done. Only the sound is missing: the media port hands out legs
and notes what it is told, at once or after `slow` seconds.
"""

import itertools
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from msgspec import structs

from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.call import Call
from offhook.calls.caller_id import CallerNumbers
from offhook.calls.commands import CallCommand
from offhook.calls.document import Broken, Document
from offhook.calls.entry import Entry, Member, Permits, RingsMembers
from offhook.calls.kept import KeptCall
from offhook.calls.outbound import Outbound
from offhook.calls.ports import Crypto, LegLocal, LegOffer, PathKind, VideoLocal
from offhook.calls.switchboard import CallConfig, Switchboard
from offhook.sdp.crypto import SUITES
from offhook.server.recorder import Recorder, TraceLimits
from offhook.sip.commands import CancelInvite, HangUp, Respond, RespondInvite, SendInDialog, SendInvite, SipCommand
from offhook.sip.config import SipConfig
from offhook.sip.dialog_record import DialogRecord
from offhook.sip.domains import aor_of, parted
from offhook.sip.effects import CloseFlow, Deliver, Send, SipEffect, StartTimer, StopTimer
from offhook.sip.encode import encode
from offhook.sip.endpoint import SipEndpoint
from offhook.sip.envelope import DialogKey
from offhook.sip.events import InviteReceived, RequestInDialog, SipEvent, UsageId
from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.hop import Hop
from offhook.sip.location import Account, Binding
from offhook.sip.message import Headers, Message, Request, Response
from offhook.sip.uri import parse_uri
from tests.support.ids import SeededIds
from tests.support.link import Link, Station
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN, make_account, make_endpoint

TOMBSTONE = 150.0
"""Seconds; below the time that a test waits before it looks for what is left."""

DEVICE = SipConfig(DOMAIN, allow=(*SipConfig(DOMAIN).allow, "NOTIFY"))
"""What a phone serves: NOTIFY too, because it may have asked for news of its transfers."""
WITH_SDP = Headers([("Content-Type", "application/sdp")])


@dataclass
class MediaPort:
    """What the core wanted of the engine, in order, and the legs that are open."""

    told: list[do.MediaEffect] = field(default_factory=list)
    open: dict[int, LegOffer] = field(default_factory=dict)
    calls: dict[int, list[int]] = field(default_factory=dict)
    refuse: str = ""
    slow: float = 0.0
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def local(self, offer: LegOffer) -> LegLocal:
        leg = next(self.numbers)
        self.open[leg] = offer
        webrtc = offer.path is PathKind.WEBRTC
        port = 40_000 if webrtc else 41_000 + 2 * len(self.open)
        crypto = tuple(Crypto(suite, f"{leg % 256:02x}" * SUITES[suite]) for suite in offer.suites)
        return LegLocal(
            leg, (("192.0.2.1", port),), 0 if webrtc else port + 1, "ufrag", "password", "AA:BB", 7, "cname", crypto,
            video=None if offer.video is None else self.line(webrtc, leg, crypto),
        )  # fmt: skip

    def line(self, webrtc: bool, leg: int, crypto: tuple[Crypto, ...]) -> VideoLocal:
        if webrtc:
            return VideoLocal(8, 9)
        port = 51_000 + 2 * leg
        return VideoLocal(8, 9, (("192.0.2.1", port),), port + 1, crypto)

    def of(self, kind: type) -> list[do.MediaEffect]:
        """The effects of one kind."""
        return [one for one in self.told if isinstance(one, kind)]

    def source_of(self, leg: int) -> object:
        """What a leg hears since it was last told: another leg, or what a player plays."""
        last: object = None
        for one in self.told:
            if isinstance(one, do.BridgeMedia) and leg in (one.a, one.b):
                last = one.b if one.a == leg else one.a
            elif isinstance(one, do.PlayMedia) and one.leg == leg:
                last = one.source
        return last


class Ways(Protocol):
    """The outside of the house: what names lead to, and ways there."""

    rated: list[tuple[Hop, bool]]

    def locate(self, effect: do.Locate) -> did.Located: ...
    def connect(self, effect: do.Connect) -> did.Connected: ...


def sip_config(config: CallConfig) -> SipConfig:
    """What the SIP layer is told of the same server."""
    hosts = config.hosts if config.domains else frozenset()
    return SipConfig(DOMAIN, hosts, config.domains, tombstone=TOMBSTONE)


class HouseNode:
    """Offhook's core as one node of the link."""

    def __init__(self, link: Link, config: CallConfig, outbound: Outbound | None = None, seed: int = 0) -> None:
        self._link, self.seed = link, seed
        self.endpoint = make_endpoint("offhook", 9 + seed, sip_config(config))
        self.authenticator = self.endpoint._doorkeeper._authenticator
        self.switchboard = Switchboard(config, SeededIds(3 + seed), self.authenticator, outbound)
        if self.switchboard.gateway is not None:
            self.endpoint.use_gate(self.switchboard.gateway)
        self.carriers: Ways | None = None
        self.numbers: dict[str, str] = {}
        self.entries: dict[str, Entry] = {}
        self.permits: dict[str, Permits] = {}
        self.applications: dict[str, Entry] = {}
        self.notes: list[do.Note] = []
        self.recorder = Recorder(TraceLimits(), self.switchboard.of_usage)
        self.media = MediaPort()
        self.accounts: dict[str, Account] = {}
        self.bindings: dict[str, tuple[Binding, ...]] = {}
        self.texts: dict[str, do.KeptText] = {}
        self.log: list[do.CallRecord] = []
        self.published: list[do.Happened] = []
        self.told: list[do.TellStatus] = []
        self.fetched: list[do.FetchDocument] = []
        self.documents: dict[str, Document | Broken] = {}
        """What each URL leads to; one that is missing cannot be fetched."""
        self.handlers: dict[str, Entry] = {}
        """What runs for every call of an endpoint."""
        self.local_time = (2, 14, 5)
        """What a clock here shows: day of the week from 0, hour, minute."""
        self.half_open: set[FlowId] = set()
        self.journal: dict[str, KeptCall] = {}
        self.kept = 0
        self._todo: deque[Callable[[], None]] = deque()
        self._out: list[SipEffect] = []
        self._working = False

    # ---- offhook's side of the link

    def receive(self, message: Message, flow: Flow, now: float) -> list[SipEffect]:
        self.recorder.received(message, encode(message), flow, now)
        return self._sip(self.endpoint.receive(message, flow, now))

    def receive_malformed(self, error, flow, now):  # type: ignore[no-untyped-def]
        return self._sip(self.endpoint.receive_malformed(error, flow, now))

    def timer_fired(self, key: Hashable, now: float) -> list[SipEffect]:
        if isinstance(key, tuple) and key[0] == "calls":
            return self.tell(did.TimerFired(key[1]))
        return self._sip(self.endpoint.timer_fired(key, now))

    def send_failed(self, flow: FlowId, message: Message, now: float) -> list[SipEffect]:
        return self._sip(self.endpoint.send_failed(flow, message, now))

    def stream_opened(self, key: Hashable, flow: Flow | None, now: float) -> list[SipEffect]:
        return self._sip(self.endpoint.stream_opened(key, flow, now))

    def flow_opened(self, flow: Flow, now: float) -> list[SipEffect]:
        return self._sip(self.endpoint.flow_opened(flow, now))

    def flow_lost(self, flow: FlowId, now: float, left: bool = False) -> list[SipEffect]:
        return self._sip(self.endpoint.flow_lost(flow, now, left))

    def registration_found(self, token, account, bindings, now):  # type: ignore[no-untyped-def]
        return self._sip(self.endpoint.registration_found(token, account, bindings, now))

    def perform(self, command, now):  # type: ignore[no-untyped-def]
        return self._sip(self.endpoint.perform(command, now))

    # ---- performing

    def tell(self, event: did.CallEvent) -> list[SipEffect]:
        """An event for call control."""
        return self._feed(partial(self._handle, event))

    def _handle(self, event: did.CallEvent) -> None:
        self.recorder.event(event, self._link.now)
        effects = self.switchboard.handle(event, self._link.now)
        if isinstance(event, InviteReceived):
            self.recorder.invited(event)
        elif isinstance(event, did.FactsFound):
            self.recorder.judged(event.token, self.switchboard.by_ref(event.token))
        self._do_calls(effects)

    def command(self, command: CallCommand) -> list[SipEffect]:
        """A command of the API."""
        return self._calls(self.switchboard.perform(command, self._link.now))

    def _feed(self, step: Callable[[], None]) -> list[SipEffect]:
        """Does the step and all that it leads to, one after the other; what is left for the station to do is given back."""
        self._todo.append(step)
        if self._working:
            return []
        self._working = True
        while self._todo:
            self._todo.popleft()()
        self._working = False
        out, self._out = self._out, []
        return out

    def _sip(self, effects: list[SipEffect]) -> list[SipEffect]:
        return self._feed(lambda: self._do_sip(effects))

    def _calls(self, effects: list[do.CallEffect]) -> list[SipEffect]:
        return self._feed(lambda: self._do_calls(effects))

    def _do_sip(self, effects: list[SipEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Deliver):
                self.tell(effect.event)
            else:
                if isinstance(effect, Send):
                    self.recorder.sent(effect.message, encode(effect.message), effect.flow, self._link.now)
                self._out.append(effect)

    def _do_command(self, command: SipCommand) -> None:
        effects = self.endpoint.perform(command, self._link.now)
        if isinstance(command, SendInvite):
            self.recorder.inviting(command, effects)
        self._do_sip(effects)

    def _do_calls(self, effects: list[do.CallEffect]) -> None:
        for effect in effects:
            self.recorder.effect(effect, self._link.now)
            match effect:
                case do.Sip(command):
                    self._feed(partial(self._do_command, command))
                case do.StartTimer(key, seconds):
                    self._out.append(StartTimer(("calls", key), seconds))
                case do.StopTimer(key):
                    self._out.append(StopTimer(("calls", key)))
                case do.LookUp() | do.AskTime():
                    self._look_up(effect)
                case do.KeepCall() | do.WriteCallLog():
                    self._book(effect)
                case do.Publish(event):
                    self.published.append(event)
                case do.KeepText() | do.DropText() | do.FindTexts():
                    self._text(effect)
                case do.Note():
                    self.notes.append(effect)
                case do.TellStatus() | do.FetchDocument():
                    self._outside(effect)
                case do.Locate() | do.Connect() | do.RateHop():
                    self._hop(effect)
                case do.ProbeFlow() | do.CloseFlow():
                    self._flow(effect)
                case _ if not isinstance(effect, do.Explain):
                    self.media.told.append(effect)
                    self._answer(partial(self._media, effect))

    def _outside(self, effect: do.TellStatus | do.FetchDocument) -> None:
        if isinstance(effect, do.TellStatus):
            self.told.append(effect)
            return
        self.fetched.append(effect)
        self._fetch(effect)

    def _fetch(self, effect: do.FetchDocument) -> None:
        """After a moment, as a server of documents answers; the fallback is tried as the shell does."""
        found = self.documents.get(effect.link.url) or self.documents.get(effect.link.fallback_url)
        if isinstance(found, Broken):
            event = did.DocumentFetched(effect.token, None, found.code, found.text)
        elif found is None:
            event = did.DocumentFetched(effect.token, None, "document_fetch_failed", f"{effect.link.url}: 404")
        else:
            event = did.DocumentFetched(effect.token, found)
        self._link._push(0.02, lambda _: self._link.stations["offhook"].apply(self.tell(event)))

    def _book(self, effect: do.KeepCall | do.WriteCallLog) -> None:
        if isinstance(effect, do.WriteCallLog):
            self.log.append(effect.record)
            self.journal.pop(effect.record.call_ref, None)
        else:
            self._feed(partial(self._keep, effect.call))

    def _revive(self, record: DialogRecord, flow: Flow) -> None:
        self._do_sip(self.endpoint.revive(record, flow, self._link.now))

    def _keep(self, call: KeptCall) -> None:
        parties = tuple(structs.replace(leg, dialog=self.endpoint.dialog_record(leg.usage)) for leg in call.parties)
        self.journal[call.ref] = structs.replace(call, parties=parties)
        self.kept += 1

    def _hop(self, effect: do.HopEffect) -> None:
        assert self.carriers is not None
        match effect:
            case do.Locate():
                self.tell(self.carriers.locate(effect))
            case do.Connect():
                self._connect(self.carriers, effect)
            case do.RateHop(hop, worked):
                self.carriers.rated.append((hop, worked))

    def _text(self, effect: do.TextEffect) -> None:
        match effect:
            case do.KeepText(text):
                self.texts[text.ref] = text
            case do.DropText(ref):
                self.texts.pop(ref, None)
            case do.FindTexts(username, binding):
                waiting = tuple(text for text in self.texts.values() if text.to == username)
                self.tell(did.TextsFound(binding, waiting))

    def _connect(self, carriers: Ways, effect: do.Connect) -> None:
        connected = carriers.connect(effect)
        if connected.flow is not None:
            self._feed(lambda: self._do_sip(self.endpoint.flow_opened(connected.flow, self._link.now)))
        self.tell(connected)

    def _flow(self, effect: do.FlowEffect) -> None:
        """A flow in `half_open` gives no sign of life."""
        if isinstance(effect, do.CloseFlow):
            self._out.append(CloseFlow(effect.flow, effect.code, effect.slug))
            return
        alive = effect.flow not in self.half_open
        event = did.FlowProbed(effect.flow, alive)
        self._link._push(
            0.02 if alive else effect.seconds, lambda _: self._link.stations["offhook"].apply(self.tell(event))
        )

    def _answer(self, answer: Callable[[], did.CallEvent | None]) -> None:
        """What the engine answers, now or later; it is asked when its answer is due."""

        def due() -> None:
            event = answer()
            if event is not None:
                self.tell(event)

        if self.media.slow:
            self._link._push(self.media.slow, lambda _: self._link.stations["offhook"].apply(self._feed(due)))
        else:
            self._feed(due)

    def _legs(self) -> set[int]:
        return {leg for legs in self.media.calls.values() for leg in legs}

    def _look_up(self, effect: do.LookUp | do.AskTime) -> None:
        if isinstance(effect, do.AskTime):
            self.tell(did.TimeTold(effect.call_ref, effect.leg_ref, *self.local_time))
            return
        caller = self.accounts.get((effect.username or "").casefold())
        callee = self.accounts.get((effect.target_user or "").casefold())
        entry = self._entry(effect) if callee is None else None
        if entry is not None and isinstance(entry.handler, RingsMembers) and len(entry.handler.members) == 1:
            callee = entry.handler.members[0].account
        bindings = self.bindings.get(aor_of(callee.username, DOMAIN), ()) if callee else ()
        rights = effect.rights if effect.rights is not None else effect.username
        own = tuple(one for one, name in self.numbers.items() if rights in (one, name))
        shown = CallerNumbers(own, frozenset(self.numbers), next(iter(self.numbers), None))
        permits = self.permits.get(rights) if rights else None
        handler = self.handlers.get(effect.username or "")
        self.tell(did.FactsFound(effect.token, caller, callee, bindings, shown, entry, permits, handler))

    def _entry(self, effect: do.LookUp) -> Entry | None:
        if effect.application:
            return self.applications.get(effect.application)
        if effect.number in self.entries:
            return self.entries[effect.number]
        if effect.number in self.numbers:
            account = self.accounts.get(self.numbers[effect.number])
            return Entry(
                effect.number, effect.number, RingsMembers((self.member(account.username),)) if account else None
            )
        return self.entries.get((effect.target_user or "").casefold())

    def member(self, username: str) -> Member:
        """An endpoint with its devices of now."""
        return Member(self.accounts[username], self.bindings.get(aor_of(username, DOMAIN), ()))

    def _media(self, effect: do.MediaEffect) -> did.CallEvent | None:
        match effect:
            case do.OpenMedia(call_ref, _) if self.media.refuse:
                return did.MediaRefused(call_ref, self.media.refuse, "refused by the test")
            case do.OpenMedia(call_ref, offers):
                legs = {ref: self.media.local(offer) for ref, offer in offers}
                number = next(self.media.numbers)
                self.media.calls[number] = [local.leg for local in legs.values()]
                return did.MediaOpened(call_ref, number, legs)
            case do.AddMediaLeg(call_ref) if self.media.refuse:
                return did.MediaRefused(call_ref, self.media.refuse, "refused by the test")
            case do.AddMediaLeg(call_ref, number, leg_ref, offer):
                if number not in self.media.calls:
                    return did.MediaRefused(call_ref, "unknown_call", "there is no such call")
                local = self.media.local(offer)
                self.media.calls[number].append(local.leg)
                return did.MediaLegOpened(call_ref, leg_ref, local)
            case do.UpdateMedia(leg, offer):
                local = replace(self.media.local(offer), leg=leg)
                self.media.open = {one: kept for one, kept in self.media.open.items() if one in self._legs()}
                return did.MediaLegUpdated(leg, local)
            case do.CloseMediaLeg(leg):
                self.media.open.pop(leg, None)
            case do.CloseMedia(number):
                for leg in self.media.calls.pop(number, []):
                    self.media.open.pop(leg, None)
                return did.MediaClosed(number, ())
        return None


class Device:
    """A SIP endpoint whose ACK or PRACK can carry an answer, as that of a phone which makes no offer must."""

    def __init__(self, endpoint: SipEndpoint) -> None:
        self._endpoint = endpoint
        self.late_answer = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._endpoint, name)

    def dialog_of(self, usage: UsageId) -> DialogKey:
        """The device's own name of a dialog."""
        one = self._endpoint._core.usages[usage]
        early = next(iter(getattr(one, "_early", {}).values()), None)
        dialog = one.dialog or early
        assert dialog is not None
        return dialog.key

    def receive(self, message: Message, flow: Flow, now: float) -> list[SipEffect]:
        return [self._answering(effect) for effect in self._endpoint.receive(message, flow, now)]

    def _answering(self, effect: SipEffect) -> SipEffect:
        if not self.late_answer or not isinstance(effect, Send):
            return effect
        message = effect.message
        if not isinstance(message, Request) or message.method not in ("ACK", "PRACK"):
            return effect
        answering = replace(message, headers=Headers([*message.headers, *WITH_SDP]), body=self.late_answer)
        if message.method == "PRACK":
            # The offer came in a reliable 1xx, so the ACK has nothing to answer.
            self.late_answer = b""
        return Send(effect.flow, answering)


class Phone:
    """One device: a SIP endpoint with one flow to the house."""

    def __init__(self, house: "House", name: str, username: str, transport: Transport, contact: str) -> None:
        self.house, self.name, self.username = house, name, username
        self.device = Device(make_endpoint(name, len(house.link.stations) + 20, DEVICE))
        self.station: Station = house.link.station(name, self.device)
        self.there, self.back = house.link.connect(self.station, house.station, transport)
        self.call = UsageId(f"call-of-{name}")
        self.contact = contact

    def register(self) -> None:
        """A binding of this device stands."""
        aor = aor_of(self.username, DOMAIN)
        binding = Binding(aor, parse_uri(self.contact), self.back, f"reg-{self.name}", 1, 1e9)
        node = self.house.node
        node.bindings[aor] = (*node.bindings.get(aor, ()), binding)
        self.house.station.apply(node.flow_opened(self.back, self.house.link.now))

    def trust(self) -> None:
        """The flow has proved the account (AUTH-9)."""
        self.house.node.authenticator.trust(self.back, self.house.node.accounts[self.username], self.house.link.now)

    def dial(self, user: str, body: bytes = SDP, from_user: str = "", uri: str = "", **headers: str) -> None:
        """INVITE to the house; `uri` stands in the Request-URI instead of the user's address."""
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        extra = Headers([*(WITH_SDP if body else ()), *fields])
        caller = f"<{aor_of(from_user or self.username, DOMAIN)}>"
        command = SendInvite(
            self.call,
            self.there.id,
            parse_uri(uri or f"sip:{user}@{DOMAIN}"),
            caller,
            f"<sip:{user}@{DOMAIN}>",
            70,
            extra,
            body,
        )
        self.station.perform(command)
        self.house.link.run(0.1)

    def dial_uri(self, uri: str, body: bytes = SDP, **headers: str) -> None:
        """INVITE to the house for a URI that need not be of ours."""
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        extra = Headers([*(WITH_SDP if body else ()), *fields])
        caller = f"<{aor_of(self.username, DOMAIN)}>"
        self.station.perform(SendInvite(self.call, self.there.id, parse_uri(uri), caller, f"<{uri}>", 70, extra, body))
        self.house.link.run(0.1)

    @property
    def ringing(self) -> UsageId:
        """The usage of the INVITE that came last."""
        event = self.station.of(InviteReceived)[-1]
        assert isinstance(event, InviteReceived)
        return event.usage

    @property
    def invite(self) -> Request:
        """The INVITE that came last."""
        event = self.station.of(InviteReceived)[-1]
        assert isinstance(event, InviteReceived)
        return event.request

    def respond(self, status: int, body: bytes = b"", seconds: float = 0.1) -> None:
        """Answers it."""
        self.station.perform(RespondInvite(self.ringing, status, WITH_SDP if body else Headers(), body))
        self.house.link.run(seconds)

    def cancel(self) -> None:
        """Gives up the own INVITE."""
        self.station.perform(CancelInvite(self.call))
        self.house.link.run(0.1)

    def hang_up(self, usage: UsageId | None = None) -> None:
        """BYE."""
        self.station.perform(HangUp(usage or self.call))
        self.house.link.run(0.1)

    def final(self) -> Response:
        """The final response to the own INVITE."""
        answers = [one for one in self.station.received if isinstance(one, Response) and one.status >= 200]
        return next(one for one in reversed(answers) if "INVITE" in (one.headers.get("CSeq") or ""))

    def answers(self, method: str) -> list[Response]:
        """Final responses to requests of a method, in order."""
        came = [one for one in self.station.received if isinstance(one, Response) and one.status >= 200]
        return [one for one in came if (one.headers.get("CSeq") or "").endswith(f" {method}")]

    def ask(self, method: str, body: bytes = b"", usage: UsageId | None = None, seconds: float = 0.1) -> None:
        """A request in the dialog of the own call, or of `usage`."""
        headers = WITH_SDP if body else Headers()
        self.station.perform(SendInDialog(usage or self.call, method, headers, body))
        self.house.link.run(seconds)

    def oblige(self, body: bytes = SDP) -> None:
        """From now on the device says 200 to everything in its dialogs, with a description where one was offered."""

        def told(event: SipEvent) -> None:
            if isinstance(event, RequestInDialog):
                answer = body if event.request.body else b""
                self.station.perform(Respond(event.transaction, 200, WITH_SDP if answer else Headers(), answer))

        self.station.on_event = told

    def got(self, method: str) -> list[Request]:
        """Requests of a method that came in."""
        return [one for one in self.station.received if isinstance(one, Request) and one.method == method]


class House:
    """Offhook with alice and bob, each with an account; phones are added as a test needs them."""

    def __init__(self, link: Link, outbound: Outbound | None = None, **settings: Any) -> None:
        self.link = link
        config = CallConfig(**{"domain": DOMAIN, "hosts": frozenset({DOMAIN, "127.0.0.2"}), **settings})  # type: ignore[arg-type]
        self.node = HouseNode(link, config, outbound)
        self.station = link.station("offhook", self.node)
        self.station.accounts, self.station.bindings = self.node.accounts, self.node.bindings
        for name in ("alice", "bob", "carol"):
            self.node.accounts[name] = make_account(name)

    def caller(self, username: str = "alice", name: str = "", transport: Transport = Transport.TLS) -> Phone:
        """A device over TLS whose flow has proved itself."""
        phone = Phone(self, name or username, username, transport, f"sip:{parted(username)[0]}@127.0.0.1;transport=tls")
        phone.trust()
        return phone

    def callee(self, username: str = "bob", name: str = "", transport: Transport = Transport.UDP) -> Phone:
        """A registered device."""
        phone = Phone(self, name or username, username, transport, f"sip:{parted(name or username)[0]}@127.0.0.1:5070")
        phone.register()
        return phone

    def talking(self) -> tuple[Phone, Phone]:
        """Alice and Bob talk."""
        alice, bob = self.caller(), self.callee()
        alice.dial("bob")
        bob.respond(200, SDP)
        return alice, bob

    @property
    def media(self) -> MediaPort:
        """The media port."""
        return self.node.media

    def call(self) -> Call:
        """The only call, live or ended."""
        live = self.node.switchboard.calls()
        return live[0] if live else next(reversed(self.node.switchboard._ended.values()))

    def apply(self, step: Callable[[], list[SipEffect]]) -> None:
        """Feeds something else than SIP."""
        self.station.apply(step())
        self.link.run(0.1)

    def assert_nothing_left(self, *phones: Phone, seconds: float = 200.0) -> None:
        """No call, leg, dialog, transaction or timer remains anywhere, and the call log has the call once."""
        self.link.run(seconds)
        assert self.node.switchboard.calls() == [], self.link.ladder()
        assert self.media.open == {}, self.link.ladder()
        index = self.node.switchboard._index
        kept = (index.usages, index.media, index.legs, index._endpoints, index.rooms, index.awaited, len(index.dialogs))
        assert kept == ({}, {}, {}, {}, {}, {}, 0), f"{kept}\n{self.link.ladder()}"
        assert (index.recordings, self.node.switchboard._dials, len(self.node.switchboard._dial_backs)) == ({}, {}, 0)
        self._assert_trace_let_go()
        for node, station in ((self.node.endpoint, self.station), *((p.station.node, p.station) for p in phones)):
            left = (node.transactions, node.usages, node.dialogs, len(station.timers))  # type: ignore[attr-defined]
            assert left == (0, 0, 0, 0), f"{station.name} keeps {left} {list(station.timers)}\n{self.link.ladder()}"
        assert len(self.node.log) == len({record.call_ref for record in self.node.log})

    def _assert_trace_let_go(self) -> None:
        """Traces of calls that are over are found by the calls' refs alone, and what they take is counted."""
        recorder = self.node.recorder
        recorder.finished(self.link.now)
        recorder.forget_strangers(lambda _: False)
        kept = (recorder._strands.keys() - recorder._unclaimed.keys(), recorder._live, recorder._media)
        assert kept == (set(), {}, {}), f"the trace keeps {kept}\n{self.link.ladder()}"
        assert recorder.size == sum(one.size for one in (*recorder._ended.values(), *recorder._unclaimed.values()))
