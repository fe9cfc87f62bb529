"""The registrar: RFC 3261 section 10.3 with RFC 3327, 5626 and 5627, one function per step, REG-1 to REG-16.

Lives here: the order of the steps, and what a REGISTER does to the bindings of an address of record. Never here: how a
Contact is read (contacts.py), and where bindings are kept; they come by `registration_found` and go by `UpdateBindings`.
"""

import hmac
from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern

from offhook.sip.attempts import source_of
from offhook.sip.carried import BindingClock, Carried, Reattachment, Sweep
from offhook.sip.commands import Attach, Unbind
from offhook.sip.contacts import (
    Petition,
    Reader,
    Refused,
    Wish,
    contact_value,
    gruus_of,
    option_tags,
    replaced,
    same_key,
)
from offhook.sip.core import Core
from offhook.sip.credentials import Challenged, Verified
from offhook.sip.domains import name_of
from offhook.sip.effects import CloseFlow, Deliver, FindRegistration, Send, UpdateBindings
from offhook.sip.encode import encode
from offhook.sip.envelope import Envelope
from offhook.sip.errors import PeerError
from offhook.sip.events import BindingsChanged, DeviceReturned
from offhook.sip.fields import NameAddr, parse_name_addr
from offhook.sip.flow import Flow, FlowId, Reachability, Transport
from offhook.sip.gruu import Gruus
from offhook.sip.location import Account, Binding, Change, Changed
from offhook.sip.message import Headers, Request
from offhook.sip.probe import ProbeClock, Probes
from offhook.sip.proof import Doorkeeper
from offhook.sip.rate import Rates
from offhook.sip.refresh import Recalled, Refreshes, Served
from offhook.sip.seldom import Seldom
from offhook.sip.timers import TimerKey
from offhook.sip.tokens import MEMBER
from offhook.sip.transaction.key import AnyServerKey, merge_key
from offhook.sip.transaction.machine import Effect
from offhook.sip.uri import Uri, address_of_record


@dataclass(eq=False, slots=True)
class Registration:
    """Token of a look-up: one REGISTER that waits for its account and bindings."""

    key: AnyServerKey
    petition: Petition

    @property
    def request(self) -> Request:
        """The REGISTER."""
        return self.petition.request

    @property
    def flow(self) -> Flow:
        """Where it came from."""
        return self.petition.flow

    @property
    def aor(self) -> str:
        """Whose bindings it is about."""
        return self.petition.aor


TAG = 24
"""Characters of a To tag, 96 bits as in those that are drawn."""


class Registrar:
    """Owned by the endpoint."""

    def __init__(self, core: Core, doorkeeper: Doorkeeper, flows: dict[FlowId, Flow]) -> None:
        limits = core.config.registrar
        self._core = core
        self._limits = limits
        self._doorkeeper = doorkeeper
        self._carried = Carried(flows)
        self._probes = Probes(core, self._silent)
        self._tag_key = doorkeeper.key("to-tag")
        self._gruus = Gruus(doorkeeper.key("gruu"), core.config.domain, core.config.domains)
        self._reader = Reader(core.config)
        self._supported = ("Supported", ", ".join(core.config.registrar_supported))
        self._per_aor = Rates(limits.rate_per_aor, max(1.0, limits.rate_per_aor), limits.sources)
        self._per_source = Rates(limits.rate_per_source, limits.burst_per_source, limits.sources)
        self._per_node = Rates(limits.storm, limits.storm, 1)
        self._seldom = Seldom()
        self._refreshes = Refreshes(core, doorkeeper, self._carried, self._per_aor, self._per_node, self)

    @property
    def running_timers(self) -> int:
        """Timers that are set."""
        return self._carried.running_timers + self._probes.running_timers

    def peer(self, flow: FlowId) -> str | None:
        """Who is registered through a flow, if it is one and only one."""
        aor = self._carried.only(flow)
        return None if aor is None else self._name(aor)

    def _name(self, aor: str) -> str:
        return name_of(aor, self._core.config.domain)

    def carries(self, flow: FlowId) -> bool:
        """True while somebody is registered through the flow."""
        return self._carried.carries(flow)

    # before a transaction

    def turn_away(self, request: Request, flow: Flow, now: float) -> list[Effect] | None:
        """REG-1 and REG-3, which spend neither look-up nor state. None: the request may go on."""
        strange = self._reg_1_domain(request, flow, now)
        return strange if strange is not None else self._reg_3_rate(request, flow, now)

    def _reg_1_domain(self, request: Request, flow: Flow, now: float) -> list[Effect] | None:
        if self._core.config.is_ours(request.uri):
            return None
        if flow.transport is Transport.UDP:
            # A stranger on UDP learns nothing, and a forged source address gets no traffic.
            return self._seldom.note("domain-unknown", {"host": request.uri.host, "flow": flow.id}, now)
        warning = self._core.warning("domain-unknown", f"{request.uri.host} is not served here")
        return [Send(flow.id, self._core.response(request, 404, Headers([warning])))]

    def _reg_3_rate(self, request: Request, flow: Flow, now: float) -> list[Effect] | None:
        """`REGISTER_RATE` of a source that has not proved anything on this flow, then `REGISTER_STORM` of all: what one
        source has too much must not be taken from the others."""
        source = source_of(flow.remote[0])
        if self._doorkeeper.trusted(flow, now) is None and not self._per_source.allow(source, now):
            return self._over_rate(request, flow, self._per_source.wait(source), now)
        if not self._per_node.allow("", now):
            return self._over_rate(request, flow, self._core.ids.uniform(5, 30), now)
        return None

    def _over_rate(self, request: Request, flow: Flow, wait: float, now: float) -> list[Effect]:
        if flow.transport is Transport.UDP:
            return self._seldom.note("register-too-often", {"flow": flow.id}, now)
        if flow.transport.websocket and not self._core.on_flow(flow.id):
            # JsSIP connects again by itself, but never repeats a refused REGISTER.
            return [CloseFlow(flow.id, 1013, "register-too-often")]
        return [Send(flow.id, self._core.response(request, 503, Headers(self._too_often(wait))))]

    def _too_often(self, wait: float) -> list[tuple[str, str]]:
        text = "more REGISTER than allowed (limits.register_rate, register_source_rate, register_storm)"
        return [("Retry-After", str(round(wait))), self._core.warning("register-too-often", text)]

    def receive(
        self, key: AnyServerKey, request: Request, envelope: Envelope, flow: Flow, now: float, stranger: bool = False
    ) -> list[Effect]:
        """A REGISTER that was not turned away. A transaction begins only for somebody who has said who he is."""
        try:
            self._reg_2_require(request)
            aor = self._reg_5_address_of_record(request)
        except Refused as refused:
            return self._answer_without_state(request, envelope, flow, refused.status, Headers(refused.fields))
        except PeerError as error:
            words = Headers([self._core.warning(error.slug, str(error))])
            return self._answer_without_state(request, envelope, flow, error.status, words)
        username = self._doorkeeper.registering(request, flow, now)
        if username is None:
            # REG-4: nothing to look up for somebody who has not said who he is.
            challenge = self._doorkeeper.challenge(request, flow, now)
            return self._answer_without_state(request, envelope, flow, 401, challenge)
        self._core.table.open_server(key, request, flow, merge_key(envelope), stranger=stranger)
        return [FindRegistration(Registration(key, Petition(request, envelope, flow, aor)), username, aor)]

    def _answer_without_state(
        self, request: Request, envelope: Envelope, flow: Flow, status: int, fields: Headers
    ) -> list[Effect]:
        """8.2.7: a copy of the request is answered like the request, under the same To tag; its challenge is a fresh one."""
        words = "\0".join((flow.id, envelope.via_text, envelope.call_id, envelope.from_tag, str(envelope.cseq)))
        tag = hmac.digest(self._tag_key, words.encode("utf-8", "surrogateescape"), "sha256").hex()[:TAG]
        return [Send(flow.id, self._core.response(request, status, fields, to_tag=tag))]

    # with a transaction

    def found(
        self, token: Registration, account: Account | None, bindings: tuple[Binding, ...], now: float
    ) -> list[Effect]:
        """The account and bindings have come: the rest of the steps."""
        if self._core.table.server(token.key) is None:
            return []
        if not self._carried.alive(token.flow):
            # The flow died during the look-up: a binding to it would ring nobody.
            return self._core.table.abandon(token.key)
        verdict = self._doorkeeper.judge(token.request, account, token.flow, now)
        if isinstance(verdict, Challenged):
            status = 401 if verdict.fault is None else verdict.fault.status
            return self._core.answer(token.key, status, verdict.headers)
        try:
            return self._serve(token, verdict, bindings, now)
        except Refused as refused:
            return self._refuse(token.key, refused)
        except PeerError as error:
            return self._unreadable(token.key, error)

    def _serve(self, token: Registration, proof: Verified, bindings: tuple[Binding, ...], now: float) -> list[Effect]:
        """REG-4 to REG-16 for a proven account."""
        current = tuple(binding for binding in bindings if binding.expires_at > now)
        self._reg_4_rate(token.aor, now)
        self.may(token.aor, token.flow, proof.account)
        values = self._reader.contacts(token.request)
        wishes = self._reg_9_wishes(token, values, current, now, proof)
        self._reg_4_device(token.flow, proof.account, wishes)
        self._reg_7_sequence(token, wishes, current)
        after, evicted = self._reg_11_limit(replaced(wishes, current, self._core.ids))
        asked = {binding.id for binding in after if any(same_key(binding, wish.binding) for wish in wishes)}
        answer = self._reg_15_answer(token, asked, after, now)
        if not wishes and len(current) == len(bindings):
            return answer
        changed = _changes(bindings, after, asked, evicted, now)
        written = self.write(token.aor, bindings, after, now)
        self._remember(token, proof.account, values or [], [one for one in after if one.id in asked], now)
        return [*written, *answer, *_reg_16_tell(token.aor, proof.account, after, changed)]

    def _remember(
        self, token: Registration, account: Account, values: list[NameAddr], own: list[Binding], now: float
    ) -> None:
        """The next REGISTER in the same words need not go this way."""
        if not token.flow.transport.reliable:
            return
        self._refreshes.forget(token.flow, account, now)
        if len(values) == len(own) == 1:
            headers, envelope = token.request.headers, token.petition.envelope
            seconds, gruu = self._reader.seconds(values[0], headers), _wants_gruus(token.request)
            self._refreshes.remember(
                Served(headers, envelope, token.flow, token.aor, account, own[0], seconds, gruu), now
            )

    # a refresh in the words of the last one

    def recall(self, data: bytes, flow: Flow, now: float) -> Recalled | None:
        """See refresh.py."""
        return self._refreshes.recall(data, flow, now)

    def refresh(
        self, recalled: Recalled, flow: Flow, account: Account | None, bindings: tuple[Binding, ...], now: float
    ) -> list[Effect] | None:
        """See refresh.py."""
        return self._refreshes.refresh(recalled, flow, account, bindings, now)

    def _refuse(self, key: Hashable, refused: Refused) -> list[Effect]:
        return self._core.answer(key, refused.status, Headers(refused.fields))

    def _unreadable(self, key: Hashable, error: PeerError) -> list[Effect]:
        return self._core.answer(key, error.status, Headers([self._core.warning(error.slug, str(error))]))

    def _reg_2_require(self, request: Request) -> None:
        if request.headers.get("Require") is None:
            return
        known = {*self._core.config.supported, *self._core.config.registrar_required}
        unknown = [option for option in option_tags(request.headers, "Require") if option.lower() not in known]
        if unknown:
            raise Refused(420, ("Unsupported", ", ".join(unknown)))

    def _reg_5_address_of_record(self, request: Request) -> str:
        uri = parse_name_addr(request.headers.get("To") or "").uri
        if uri.scheme not in ("sip", "sips"):
            raise Refused(400, self._core.warning("bad-address", "To is not a SIP address of record"))
        config = self._core.config
        if uri.host != config.domain and config.is_ours(uri):
            uri = replace(uri, host=config.canonical(uri.host))
        # One text for the binding, its index and its clock.
        return intern(address_of_record(uri))

    def _reg_4_rate(self, aor: str, now: float) -> None:
        """`REGISTER_RATE` of an address of record."""
        if not self._per_aor.allow(aor, now):
            raise Refused(503, *self._too_often(self._per_aor.wait(aor)))

    def may(self, aor: str, flow: Flow, account: Account) -> None:
        """REG-4, 10.3 steps 4 and 5: proven to be somebody; may that one bind this address? Raises Refused."""
        if not account.enabled:
            raise Refused(403, self._core.warning("endpoint-disabled", f"{account.username} is switched off"))
        if account.encryption == "required" and not (flow.secure or flow.loopback):
            # Calls would be refused to it and by it: better known now than at the first one.
            text = f"{account.username} may register over TLS or WSS only"
            raise Refused(403, self._core.warning("tls-required", text))
        if account.tier != MEMBER:
            text = f"A token of the tier {account.tier} may not register"
            raise Refused(403, self._core.warning("token-tier-not-allowed", text))
        name, host = self._name(aor), aor.rpartition("@")[2]
        if host != self._core.config.canonical(host):
            raise Refused(404, self._core.warning("domain-unknown", f"{host} is not served here"))
        if name != account.username:
            raise Refused(403, self._core.warning("not-your-address", f"{account.username} may not register {name}"))

    def _reg_4_device(self, flow: Flow, account: Account, wishes: list[Wish]) -> None:
        """API.md 12.2: an operator keeps this device away, which may be known only once its Contact is read."""
        for wish in wishes:
            instance = wish.binding.instance
            if wish.seconds and instance is not None and account.blocks(instance):
                if not wish.binding.path:
                    # Behind a proxy other devices speak by the same flow.
                    self._doorkeeper.keep_away(flow, instance)
                text = f"this device of {account.username} is blocked"
                raise Refused(403, self._core.warning("device-blocked", text))

    def _reg_7_sequence(self, token: Registration, wishes: list[Wish], current: tuple[Binding, ...]) -> None:
        """Out of order within one Call-ID; another Call-ID is fresh, for some clients draw a new one per refresh."""
        call_id, cseq = token.petition.envelope.call_id, token.petition.envelope.cseq
        for wish in wishes:
            for old in current:
                if same_key(wish.binding, old) and old.call_id == call_id and cseq <= old.cseq:
                    raise Refused(500, self._core.warning("out-of-order", f"CSeq {cseq} is not above {old.cseq}"))

    def _reg_9_wishes(
        self,
        token: Registration,
        values: list[NameAddr] | None,
        current: tuple[Binding, ...],
        now: float,
        proof: Verified,
    ) -> list[Wish]:
        if values is None:
            return [Wish(old, 0) for old in current]
        return self._reader.wishes(token.petition, values, now, proof.ends, proof.how)

    def _reg_11_limit(self, after: tuple[Binding, ...]) -> tuple[tuple[Binding, ...], tuple[Binding, ...]]:
        """Over `CONTACTS_PER_AOR` bindings make room, oldest first: those whose flow is dead or suspect, then those of a
        page that sleeps and has no call. Only then is the newcomer refused. What stays, and what makes room."""
        excess = len(after) - self._limits.contacts_per_aor
        if excess <= 0:
            return after, ()
        by_age = sorted(after, key=lambda one: one.refreshed_at)
        leave = [one for rank in (0, 1) for one in by_age if self._rank(one) == rank][:excess]
        if len(leave) < excess:
            text = f"this address has {self._limits.contacts_per_aor} devices, the limit contacts_per_aor"
            raise Refused(403, self._core.warning("too-many-contacts", text))
        return tuple(binding for binding in after if binding not in leave), tuple(leave)

    def _rank(self, binding: Binding) -> int:
        """How soon a binding makes room: 0 first, 2 never."""
        reachability = self._carried.reachability(binding.flow.id)
        if not self._carried.alive(binding.flow) or reachability is Reachability.SUSPECT:
            return 0
        asleep = reachability is Reachability.ASLEEP and not self._core.on_flow(binding.flow.id)
        return 1 if asleep else 2

    def write(self, aor: str, before: tuple[Binding, ...], after: tuple[Binding, ...], now: float) -> list[Effect]:
        """REG-12: one write; the flows that carry the address are remembered, so that a binding dies with its flow."""
        old, new = {binding.id for binding in before}, {binding.id for binding in after}
        added = tuple([binding for binding in after if binding.id not in old])
        removed = tuple([binding for binding in before if binding.id not in new])
        carried = self._carried.rewritten(aor, before, after, now)
        return [UpdateBindings(aor, after, added, removed), *carried, *self._probe(before, after, now)]

    def _probe(self, before: tuple[Binding, ...], after: tuple[Binding, ...], now: float) -> list[Effect]:
        """REG-12: UDP phones are asked now and then whether they are there."""
        gone = {one.flow.id for one in before if not self._carried.carries(one.flow.id)}
        forgotten = [effect for flow in sorted(gone) for effect in self._probes.forget(flow)]
        return [*forgotten, *self._probes.watch(after, now)]

    def _reg_15_answer(
        self, token: Registration, asked: set[str], after: tuple[Binding, ...], now: float
    ) -> list[Effect]:
        """One Contact field, own bindings first, because some clients read only the first `expires` they find."""
        own = [binding for binding in after if binding.id in asked]
        others = [binding for binding in after if binding.id not in asked]
        with_gruus = _wants_gruus(token.request)
        fields = [("Path", value) for value in (own[0].path if own else ())]
        fields += self.fields(any(binding.reg_id is not None for binding in own), now)
        for shown in ([*own, *others], own or others[:1]):
            contact = ", ".join(self.contact(binding, with_gruus, now) for binding in shown)
            headers = Headers([*([("Contact", contact)] if contact else []), *fields])
            response = self._core.response(token.request, 200, headers)
            # Without others there is nothing to be left out.
            udp = token.flow.transport is Transport.UDP and others
            if not udp or len(encode(response)) <= self._limits.datagram:
                break
        return self._core.table.respond(token.key, response)

    def fields(self, outbound: bool, now: float) -> list[tuple[str, str]]:
        """REG-15: the fields of a 200 behind Contact and Path."""
        fields = [self._supported]
        if outbound:
            fields += [("Require", "outbound"), ("Flow-Timer", str(self._core.config.flow_timer))]
        if self._core.config.epoch is not None:
            fields.append(("Date", sip_date(self._core.config.epoch + now)))
        return fields

    def contact(self, binding: Binding, with_gruus: bool, now: float) -> str:
        """REG-13: GRUUs for a client that asked; the temporary one is new in every answer."""
        gruus = gruus_of(self._gruus, self._core.ids, self._name(binding.aor), binding) if with_gruus else None
        return contact_value(binding, gruus, now)

    # bindings that end by themselves

    def timer_fired(self, key: TimerKey, now: float) -> list[Effect]:
        """The first binding of an address has run out, or UDP phones are to be asked."""
        if isinstance(key.owner, ProbeClock):
            return self._probes.tick(now)
        if not isinstance(key.owner, BindingClock):
            return []
        moved = self._carried.fired(key.owner.aor, now)
        return [FindRegistration(Sweep(key.owner.aor), None, key.owner.aor)] if moved is None else moved

    def flow_lost(self, flow: FlowId) -> list[Effect]:
        """REG-12, REG-16: what was registered through a flow that failed goes with it."""
        sweeps = [FindRegistration(Sweep(aor, Change.FLOW_LOST, flow), None, aor) for aor in self._carried.lost(flow)]
        return [*sweeps, *self._probes.forget(flow)]

    def _silent(self, flow: FlowId) -> list[Effect]:
        """REG-12: a UDP phone has not answered."""
        return [FindRegistration(Sweep(aor, Change.SILENT, flow), None, aor) for aor in self._carried.aors(flow)]

    def gone(self, flow: FlowId, contact: Uri) -> list[Effect]:
        """REG-16: the device at a contact says that it is not there (410), or its proxy has lost the flow (430)."""
        sweeps = [Sweep(aor, Change.GONE, flow, contact=contact) for aor in self._carried.aors(flow)]
        return [FindRegistration(sweep, None, sweep.aor) for sweep in sweeps]

    def unbind(self, command: Unbind) -> list[Effect]:
        """An operator takes bindings away."""
        return [FindRegistration(Sweep(command.aor, Change.KICKED, binding=command.binding), None, command.aor)]

    def swept(self, token: Sweep, bindings: tuple[Binding, ...], now: float) -> list[Effect]:
        """The bindings of an address in which something ended."""
        ended = tuple(Changed(old, change) for old in bindings if (change := token.ends(old, now)) is not None)
        after = tuple(token.left(old) for old in bindings if token.ends(old, now) is None)
        if after == bindings:
            return self._carried.clock(token.aor, after, now)
        written = self.write(token.aor, bindings, after, now)
        return [*written, Deliver(BindingsChanged(token.aor, after, ended))]

    def attach(self, command: Attach) -> list[Effect]:
        """REG-12: call control has dialled a phone back."""
        return [FindRegistration(Reattachment(command.aor, command.binding, command.flow), None, command.aor)]

    def attached(self, token: Reattachment, bindings: tuple[Binding, ...], now: float) -> list[Effect]:
        """The binding that waits for the flow, if it still does."""
        waiting = next((one for one in bindings if one.id == token.binding and not one.attached), None)
        if waiting is None or not self._carried.alive(token.flow):
            return []
        back = replace(waiting, flow=token.flow, attached=True)
        after = tuple(back if one is waiting else one for one in bindings)
        changed = (Changed(back, Change.REFRESHED),)
        returned = Deliver(DeviceReturned(token.aor, self._name(token.aor), back))
        told = [returned, Deliver(BindingsChanged(token.aor, after, changed))]
        return [*self.write(token.aor, bindings, after, now), *told]

    def restore(self, aor: str, bindings: tuple[Binding, ...], now: float) -> list[Effect]:
        """Bindings that an earlier life of this node wrote down: those whose way still leads to the device stand again."""
        changed = tuple(Changed(binding, Change.RESTORED) for binding in bindings)
        clocks = [*self._carried.rewritten(aor, (), bindings, now), *self._probe((), bindings, now)]
        return [*clocks, Deliver(BindingsChanged(aor, bindings, changed))]

    # what is known of live flows

    def mark(self, flow: FlowId, reachability: Reachability) -> None:
        """REG-11 wants to know whose device answers."""
        self._carried.mark(flow, reachability)

    def heard(self, flow: FlowId, now: float) -> None:
        """A message came: the device is awake."""
        self._carried.heard(flow)
        self._probes.heard(flow, now)

    def aors(self, flow: FlowId) -> list[str]:
        """The addresses of record that a flow carries."""
        return self._carried.aors(flow)

    def rtt(self, flow: FlowId) -> float | None:
        """Seconds that a UDP phone took to answer OPTIONS the last time; None while it has not been asked."""
        return self._probes.rtt(flow)

    def reachability(self, flow: FlowId) -> Reachability:
        """What is known of the device behind a live flow."""
        return self._carried.reachability(flow)


def _changes(
    before: tuple[Binding, ...],
    after: tuple[Binding, ...],
    asked: set[str],
    evicted: tuple[Binding, ...],
    now: float,
) -> tuple[Changed, ...]:
    """What a REGISTER did; `asked` are the ids of the bindings it named and that stand now."""
    known = {old.id for old in before}
    changes = [
        Changed(new, Change.REFRESHED if new.id in known else Change.REGISTERED) for new in after if new.id in asked
    ]
    left, pushed = {binding.id for binding in after}, {binding.id for binding in evicted}
    for old in before:
        if old.id in left:
            continue
        over = Change.EXPIRED if old.expires_at <= now else Change.UNREGISTERED
        changes.append(Changed(old, Change.EVICTED if old.id in pushed else over))
    return tuple(changes)


def _reg_16_tell(aor: str, account: Account, after: tuple[Binding, ...], changed: tuple[Changed, ...]) -> list[Effect]:
    """The devices that came back, so that call control can give them their legs, then what changed."""
    returned = [Deliver(DeviceReturned(aor, account.username, one.binding)) for one in changed if one.change.active]
    return [*returned, Deliver(BindingsChanged(aor, after, changed))]


def _wants_gruus(request: Request) -> bool:
    return "gruu" in [tag.lower() for tag in option_tags(request.headers, "Supported")]


def sip_date(unix: float) -> str:
    """SIP-date of a Unix time (RFC 3261 section 20.17); names of days and months are English whatever the locale."""
    return _date_of(int(unix))


@lru_cache(maxsize=2)
def _date_of(second: int) -> str:
    moment = datetime.fromtimestamp(second, UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year} {moment:%H:%M:%S} GMT"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
