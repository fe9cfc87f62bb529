"""The registrar: RFC 3261 section 10.3 with RFC 5626, one function per step, REG-1 to REG-16.

Lives here: what a REGISTER does to the bindings of an address of record. Never here: where bindings are kept; they come
by `registration_found` and go by `UpdateBindings`. GRUU, Path and flows of other nodes are not served yet.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from offhook.sip.commands import Unbind
from offhook.sip.core import Core
from offhook.sip.effects import CloseFlow, Deliver, FindRegistration, Note, Send, StartTimer, StopTimer, UpdateBindings
from offhook.sip.encode import encode
from offhook.sip.envelope import Envelope
from offhook.sip.errors import PeerError
from offhook.sip.events import BindingsChanged, DeviceReturned
from offhook.sip.fields import NameAddr, parse_name_addr, quote, split_list
from offhook.sip.flow import Flow, FlowId, Reachability, Transport
from offhook.sip.grammar import TOKEN
from offhook.sip.location import Account, Binding, Change, Changed
from offhook.sip.message import Headers, Request
from offhook.sip.proof import Doorkeeper
from offhook.sip.rate import Rates
from offhook.sip.timers import Timer, TimerKey
from offhook.sip.transaction.key import AnyServerKey
from offhook.sip.transaction.machine import Effect
from offhook.sip.uri import Uri, equivalent


@dataclass(frozen=True, eq=False, slots=True)
class Registration:
    """Token of a look-up: one REGISTER that waits for its account and bindings."""

    key: AnyServerKey
    request: Request
    envelope: Envelope
    flow: Flow
    aor: str


@dataclass(frozen=True, eq=False, slots=True)
class Sweep:
    """Token of a look-up: bindings that ran out are to be taken away, and with them those that `change` befell: every one
    on a `flow`, one by its id in `binding`, or all."""

    aor: str
    change: Change = Change.EXPIRED
    flow: FlowId | None = None
    binding: str = ""

    def ends(self, binding: Binding, now: float) -> Change | None:
        """Why the binding is over; None if it stands."""
        if binding.expires_at <= now:
            return Change.EXPIRED
        if self.change is Change.EXPIRED:
            return None
        if self.flow is not None and binding.flow.id != self.flow:
            return None
        return self.change if self.binding in ("", binding.id) else None


@dataclass(frozen=True, slots=True)
class BindingClock:
    """Owner of the timer at which the first binding of an address of record runs out."""

    aor: str


class Refused(Exception):
    """A step refuses the request with this status."""

    def __init__(self, status: int, *fields: tuple[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.fields = fields


@dataclass(frozen=True, slots=True)
class _Wish:
    """One Contact of the request: the binding as it would be, `seconds` 0 to remove it."""

    binding: Binding
    seconds: int


class Registrar:
    """Owned by the endpoint."""

    def __init__(self, core: Core, doorkeeper: Doorkeeper, flows: dict[FlowId, Flow]) -> None:
        limits = core.config.registrar
        self._core = core
        self._limits = limits
        self._doorkeeper = doorkeeper
        self._flows = flows
        self._per_aor = Rates(limits.rate_per_aor, max(1.0, limits.rate_per_aor), limits.sources)
        self._per_source = Rates(limits.rate_per_source, limits.burst_per_source, limits.sources)
        self._registered: dict[FlowId, set[str]] = {}
        self._clocks: set[TimerKey] = set()
        self._marks: dict[FlowId, Reachability] = {}

    @property
    def running_timers(self) -> int:
        """Timers that are set."""
        return len(self._clocks)

    def peer(self, flow: FlowId) -> str | None:
        """The user name registered through a flow, if it is one and only one."""
        aors = self._registered.get(flow, set())
        return next(iter(aors)).removeprefix("sip:").rpartition("@")[0] if len(aors) == 1 else None

    # before a transaction

    def turn_away(self, request: Request, flow: Flow, now: float) -> list[Effect] | None:
        """REG-1 and REG-3, which spend neither look-up nor state. None: the request may go on."""
        return self._reg_1_domain(request, flow) or self._reg_3_rate(request, flow, now)

    def _reg_1_domain(self, request: Request, flow: Flow) -> list[Effect] | None:
        if self._core.config.is_ours(request.uri):
            return None
        if flow.transport is Transport.UDP:
            # A stranger on UDP learns nothing, and a forged source address gets no traffic.
            return [Note("unknown-domain", {"host": request.uri.host, "flow": flow.id})]
        warning = self._core.warning("unknown-domain", f"{request.uri.host} is not served here")
        return [Send(flow.id, self._core.response(request, 404, Headers([warning])))]

    def _reg_3_rate(self, request: Request, flow: Flow, now: float) -> list[Effect] | None:
        if self._doorkeeper.trusted(flow, now) is not None or self._per_source.allow(flow.remote[0], now):
            return None
        return self._over_rate(request, flow, self._per_source.wait(flow.remote[0]))

    def _over_rate(self, request: Request, flow: Flow, wait: float) -> list[Effect]:
        if flow.transport is Transport.UDP:
            return [Note("register-rate", {"flow": flow.id})]
        if flow.transport.websocket and not self._core.on_flow(flow.id):
            # JsSIP connects again by itself, but never repeats a refused REGISTER.
            return [CloseFlow(flow.id, 1013, "register-rate")]
        return [Send(flow.id, self._core.response(request, 503, Headers([("Retry-After", str(round(wait)))])))]

    # with a transaction

    def receive(self, key: AnyServerKey, request: Request, envelope: Envelope, flow: Flow, now: float) -> list[Effect]:
        """A REGISTER that was not turned away; its server transaction is open."""
        try:
            self._reg_2_require(request)
            aor = self._reg_5_address_of_record(request)
        except Refused as refused:
            return self._refuse(key, refused)
        except PeerError as error:
            return self._unreadable(key, error)
        username = self._doorkeeper.username(request) or self._doorkeeper.trusted(flow, now)
        if username is None:
            # REG-4: nothing to look up for somebody who has not said who he is.
            return self._core.answer(key, 401, self._doorkeeper.challenge(request, flow, now))
        return [FindRegistration(Registration(key, request, envelope, flow, aor), username, aor)]

    def found(
        self, token: Registration, account: Account | None, bindings: tuple[Binding, ...], now: float
    ) -> list[Effect]:
        """The account and bindings have come: the rest of the steps."""
        if self._core.table.server(token.key) is None:
            return []
        if token.flow.transport.reliable and token.flow.id not in self._flows:
            # The flow died during the look-up: a binding to it would ring nobody.
            return self._core.table.abandon(token.key)
        stale = tuple(binding for binding in bindings if binding.expires_at <= now)
        current = tuple(binding for binding in bindings if binding.expires_at > now)
        try:
            challenge = self._reg_4_authenticate(token, account, now)
            if challenge is not None:
                return self._core.answer(token.key, 401, challenge)
            values = self._reg_6_contacts(token.request)
            wishes = self._reg_9_expiry(token, values, current, now)
            self._reg_7_sequence(token, wishes, current)
            after = self._reg_11_limit(self._reg_10_replace(wishes, current))
        except Refused as refused:
            return self._refuse(token.key, refused)
        except PeerError as error:
            return self._unreadable(token.key, error)
        answer = self._reg_15_answer(token, wishes, after, now)
        if not wishes and not stale:
            return answer
        asked = {binding.id for binding in after if any(same_key(binding, wish.binding) for wish in wishes)}
        changed = _changes(bindings, after, asked, now)
        written = self._reg_12_write(token.aor, bindings, after, now)
        return [*written, *answer, *self._reg_16_tell(token.aor, account, after, changed)]

    def _reg_16_tell(
        self, aor: str, account: Account | None, after: tuple[Binding, ...], changed: tuple[Changed, ...]
    ) -> list[Effect]:
        """The devices that came back, so that call control can give them their legs, then what changed."""
        back = [one.binding for one in changed if one.change.active]
        username = account.username if account is not None else ""
        returned = [Deliver(DeviceReturned(aor, username, binding)) for binding in back]
        return [*returned, Deliver(BindingsChanged(aor, after, changed))]

    def _refuse(self, key: Hashable, refused: Refused) -> list[Effect]:
        return self._core.answer(key, refused.status, Headers(refused.fields))

    def _unreadable(self, key: Hashable, error: PeerError) -> list[Effect]:
        return self._core.answer(key, error.status, Headers([self._core.warning(error.slug, str(error))]))

    def _reg_2_require(self, request: Request) -> None:
        known = {*self._core.config.supported, *self._core.config.registrar_supported}
        unknown = [option for option in option_tags(request.headers, "Require") if option.lower() not in known]
        if unknown:
            raise Refused(420, ("Unsupported", ", ".join(unknown)))

    def _reg_5_address_of_record(self, request: Request) -> str:
        uri = parse_name_addr(request.headers.get("To") or "").uri
        if uri.scheme not in ("sip", "sips"):
            raise Refused(400, self._core.warning("bad-address", "To is not a SIP address of record"))
        host = self._core.config.domain if self._core.config.is_ours(uri) else uri.host
        return f"sip:{uri.unescaped_user}@{host}"

    def _reg_4_authenticate(self, token: Registration, account: Account | None, now: float) -> Headers | None:
        """None when proven; else the challenge to answer with."""
        challenge = self._doorkeeper.prove(token.request, account, token.flow, now)
        if challenge is not None:
            return challenge
        assert account is not None
        if not self._per_aor.allow(token.aor, now):
            raise Refused(503, ("Retry-After", str(round(self._per_aor.wait(token.aor)))))
        user, _, host = token.aor.removeprefix("sip:").rpartition("@")
        if host != self._core.config.domain:
            raise Refused(404, self._core.warning("unknown-domain", f"{host} is not served here"))
        if user != account.username:
            # 10.3 step 4: proven to be somebody, but somebody else.
            raise Refused(403, self._core.warning("not-your-address", f"{account.username} may not register {user}"))
        return None

    def _reg_6_contacts(self, request: Request) -> list[NameAddr] | None:
        """The Contact values; none to fetch; None for `*`, which clears bindings but never calls."""
        values = [value for line in request.headers.all("Contact") for value in split_list(line)]
        if "*" not in (value.strip() for value in values):
            return [parse_name_addr(value) for value in values]
        if len(values) > 1 or (request.headers.get("Expires") or "").strip() != "0":
            raise Refused(400, self._core.warning("bad-contact", "Contact * needs Expires: 0 and no other Contact"))
        return None

    def _reg_7_sequence(self, token: Registration, wishes: list[_Wish], current: tuple[Binding, ...]) -> None:
        """Out of order within one Call-ID; another Call-ID is fresh, for some clients draw a new one per refresh."""
        call_id, cseq = token.envelope.call_id, token.envelope.cseq
        for wish in wishes:
            for old in current:
                if same_key(wish.binding, old) and old.call_id == call_id and cseq <= old.cseq:
                    raise Refused(500, self._core.warning("out-of-order", f"CSeq {cseq} is not above {old.cseq}"))

    def _reg_8_contact(self, value: NameAddr, flow: Flow) -> Uri:
        uri = value.uri
        if uri.scheme not in ("sip", "sips"):
            raise Refused(400, self._core.warning("bad-contact", f"a Contact of scheme {uri.scheme} cannot be called"))
        if not flow.transport.websocket and (uri.host, uri.port or 5060) == (flow.local[0], flow.local[1]):
            raise Refused(400, self._core.warning("bad-contact", "the Contact is our own address"))
        return uri

    def _reg_9_expiry(
        self, token: Registration, values: list[NameAddr] | None, current: tuple[Binding, ...], now: float
    ) -> list[_Wish]:
        """What each Contact asks for: `expires` parameter, then Expires, then the default (10.3 step 6)."""
        if values is None:
            return [_Wish(old, 0) for old in current]
        if len(values) > self._limits.contacts_per_request:
            raise Refused(403, self._core.warning("too-many-contacts", "more contacts in one request than allowed"))
        return [self._wish(token, value, now) for value in values]

    def _wish(self, token: Registration, value: NameAddr, now: float) -> _Wish:
        headers = token.request.headers
        uri = self._reg_8_contact(value, token.flow)
        seconds = self._seconds(value.params.get("expires") or headers.get("Expires"))
        instance, reg_id = self._outbound(value, headers)
        binding = Binding(
            aor=token.aor,
            contact=uri,
            flow=token.flow,
            call_id=token.envelope.call_id,
            cseq=token.envelope.cseq,
            expires_at=now + seconds,
            instance=instance,
            reg_id=reg_id,
            q=_quality(value.params.get("q")),
            user_agent=headers.get("User-Agent") or "",
            params={name: text for name, text in value.params.items() if name != "expires"},
            registered_at=now,
            refreshed_at=now,
            id=self._core.ids.ref(),
        )
        return _Wish(binding, seconds)

    def _seconds(self, text: str | None) -> int:
        text = (text or "").strip()
        if not text.isascii() or not text.isdigit():
            # 10.2.1.1: a malformed value counts as none.
            return self._limits.expires_default
        seconds = min(int(text[:10]), self._limits.expires_max)
        if 0 < seconds < self._limits.expires_min:
            raise Refused(423, ("Min-Expires", str(self._limits.expires_min)))
        return seconds

    def _outbound(self, value: NameAddr, headers: Headers) -> tuple[str | None, int | None]:
        """RFC 5626 section 6: reg-id counts only with an instance, when asked for, and when we are the first hop."""
        instance = value.params.get("+sip.instance") or None
        text = value.params.get("reg-id") or ""
        first_hop = sum(len(split_list(line)) for line in headers.all("Via")) == 1
        asked = "outbound" in (tag.lower() for tag in option_tags(headers, "Supported"))
        served = "outbound" in self._core.config.registrar_supported
        if instance is None or not text.isdecimal() or not (asked and served and first_hop):
            return instance, None
        return instance, int(text[:10])

    def _reg_10_replace(self, wishes: list[_Wish], current: tuple[Binding, ...]) -> tuple[Binding, ...]:
        """The same key replaces, all in one write."""
        after = list(current)
        for wish in wishes:
            old = next((binding for binding in after if same_key(binding, wish.binding)), None)
            if old is not None:
                after.remove(old)
            if wish.seconds:
                kept = (
                    wish.binding if old is None else replace(wish.binding, registered_at=old.registered_at, id=old.id)
                )
                after.append(kept)
        return tuple(after)

    def _reg_11_limit(self, after: tuple[Binding, ...]) -> tuple[Binding, ...]:
        """Over `CONTACTS_PER_AOR` bindings whose flow is dead make room, oldest first; else the newcomer is refused."""
        excess = len(after) - self._limits.contacts_per_aor
        if excess <= 0:
            return after
        dead = [old for old in after if old.flow.transport.reliable and old.flow.id not in self._flows]
        if len(dead) < excess:
            text = f"this address has {self._limits.contacts_per_aor} devices, the limit contacts_per_aor"
            raise Refused(403, self._core.warning("too-many-contacts", text))
        leave = sorted(dead, key=lambda old: old.registered_at)[:excess]
        return tuple(binding for binding in after if binding not in leave)

    def _reg_12_write(
        self, aor: str, before: tuple[Binding, ...], after: tuple[Binding, ...], now: float
    ) -> list[Effect]:
        """Remembers which flows carry the address, so that a binding dies with its flow; writes; sets the clock."""
        for binding in before:
            self._leave(binding.flow, aor)
        for binding in after:
            self._registered.setdefault(binding.flow.id, set()).add(aor)
            if not binding.flow.transport.reliable:
                self._flows.setdefault(binding.flow.id, binding.flow)
        added = tuple(new for new in after if not any(same_key(new, old) for old in before))
        removed = tuple(old for old in before if not any(same_key(old, new) for new in after))
        return [UpdateBindings(aor, after, added, removed), *self._clock(aor, after, now)]

    def _leave(self, flow: Flow, aor: str) -> None:
        aors = self._registered.get(flow.id)
        if aors is None:
            return
        aors.discard(aor)
        if not aors:
            del self._registered[flow.id]
            if not flow.transport.reliable:
                self._flows.pop(flow.id, None)

    def _clock(self, aor: str, bindings: tuple[Binding, ...], now: float) -> list[Effect]:
        key = TimerKey(BindingClock(aor), Timer.EXPIRES)
        if bindings:
            self._clocks.add(key)
            return [StartTimer(key, max(0.0, min(binding.expires_at for binding in bindings) - now))]
        if key in self._clocks:
            self._clocks.discard(key)
            return [StopTimer(key)]
        return []

    def _reg_15_answer(
        self, token: Registration, wishes: list[_Wish], after: tuple[Binding, ...], now: float
    ) -> list[Effect]:
        """One Contact field, own bindings first, because some clients read only the first `expires` they find."""
        own = [binding for binding in after if any(same_key(binding, wish.binding) for wish in wishes)]
        others = [binding for binding in after if binding not in own]
        fields = [("Supported", ", ".join(self._core.config.registrar_supported))]
        if any(wish.binding.reg_id is not None and wish.seconds for wish in wishes):
            fields += [("Require", "outbound"), ("Flow-Timer", str(self._core.config.flow_timer))]
        if self._core.config.epoch is not None:
            fields.append(("Date", sip_date(self._core.config.epoch + now)))
        for shown in ([*own, *others], own or others[:1]):
            contact = ", ".join(_contact(binding, now) for binding in shown)
            headers = Headers([*([("Contact", contact)] if contact else []), *fields])
            response = self._core.response(token.request, 200, headers)
            if token.flow.transport is not Transport.UDP or len(encode(response)) <= self._limits.datagram:
                break
        return self._core.table.respond(token.key, response)

    # bindings that end by themselves

    def timer_fired(self, key: TimerKey) -> list[Effect]:
        """The first binding of an address has run out."""
        if key not in self._clocks or not isinstance(key.owner, BindingClock):
            return []
        self._clocks.discard(key)
        return [FindRegistration(Sweep(key.owner.aor), None, key.owner.aor)]

    def flow_lost(self, flow: FlowId) -> list[Effect]:
        """REG-12, REG-16: what was registered through a flow that failed goes with it."""
        self._marks.pop(flow, None)
        aors = self._registered.pop(flow, set())
        return [FindRegistration(Sweep(aor, Change.FLOW_LOST, flow), None, aor) for aor in sorted(aors)]

    def unbind(self, command: Unbind) -> list[Effect]:
        """An operator takes bindings away."""
        return [FindRegistration(Sweep(command.aor, Change.KICKED, binding=command.binding), None, command.aor)]

    def swept(self, token: Sweep, bindings: tuple[Binding, ...], now: float) -> list[Effect]:
        """The bindings of an address in which something ended."""
        ended = tuple(Changed(old, change) for old in bindings if (change := token.ends(old, now)) is not None)
        after = tuple(old for old in bindings if token.ends(old, now) is None)
        if not ended:
            return self._clock(token.aor, after, now)
        written = self._reg_12_write(token.aor, bindings, after, now)
        return [*written, Deliver(BindingsChanged(token.aor, after, ended))]

    # what is known of live flows

    def mark(self, flow: FlowId, reachability: Reachability) -> None:
        """REG-11 wants to know whose device answers."""
        if reachability is Reachability.REACHABLE:
            self._marks.pop(flow, None)
        elif flow in self._flows:
            self._marks[flow] = reachability

    def heard(self, flow: FlowId) -> None:
        """A message came: the device is awake."""
        if self._marks:
            self._marks.pop(flow, None)

    def reachability(self, flow: FlowId) -> Reachability:
        """What is known of the device behind a live flow."""
        return self._marks.get(flow, Reachability.REACHABLE)


def same_key(a: Binding, b: Binding) -> bool:
    """REG-10: instance and reg-id; without instance the Contact URI, of which a WebSocket's peer means user and host."""
    if a.instance is not None or b.instance is not None:
        return a.instance == b.instance and a.reg_id == b.reg_id
    if a.flow.transport.websocket and b.flow.transport.websocket:
        return (a.contact.user, a.contact.host) == (b.contact.user, b.contact.host)
    return equivalent(a.contact, b.contact)


def _changes(
    before: tuple[Binding, ...], after: tuple[Binding, ...], asked: set[str], now: float
) -> tuple[Changed, ...]:
    """What a REGISTER did; `asked` are the ids of the bindings it named and that stand now."""
    known = {old.id for old in before}
    changes = [
        Changed(new, Change.REFRESHED if new.id in known else Change.REGISTERED) for new in after if new.id in asked
    ]
    left = {binding.id for binding in after}
    for old in before:
        if old.id not in left:
            changes.append(Changed(old, Change.EXPIRED if old.expires_at <= now else Change.UNREGISTERED))
    return tuple(changes)


def option_tags(headers: Headers, name: str) -> list[str]:
    """The option tags of Require or Supported, as received; they are compared without regard to case."""
    return [tag.strip() for line in headers.all(name) for tag in line.split(",") if tag.strip()]


def sip_date(unix: float) -> str:
    """SIP-date of a Unix time (RFC 3261 section 20.17); names of days and months are English whatever the locale."""
    moment = datetime.fromtimestamp(unix, UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year} {moment:%H:%M:%S} GMT"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _quality(text: str | None) -> float:
    try:
        return min(1.0, max(0.0, float(text or "1")))
    except ValueError:
        return 1.0


def _contact(binding: Binding, now: float) -> str:
    params = {**binding.params, "expires": str(max(0, round(binding.expires_at - now)))}
    return f"<{binding.contact}>" + "".join(_param(name, value) for name, value in params.items())


def _param(name: str, value: str | None) -> str:
    if value is None:
        return f";{name}"
    return f";{name}={value if TOKEN.fullmatch(value) else quote(value)}"
