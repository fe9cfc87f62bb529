"""All trunks of the node: their registrations, the health of their addresses, what they carry (TRK-1, 2, 4, 11).

Lives here: the state that outlives a call, and which trunk an event of theirs belongs to. Never here: calls (hunt.py), the
machine of a registration (sip/registration.py), judgements (health.py, caps.py, inbound.py).
"""

import hashlib
import hmac
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field

from offhook.calls.caps import WHOLE, Share, Usage
from offhook.calls.effects import (
    CallEffect,
    Connect,
    Happened,
    Locate,
    Note,
    Publish,
    RateHop,
    Sip,
    StartTimer,
    StopTimer,
)
from offhook.calls.events import Connected, Located, TimerFired
from offhook.calls.health import SPREAD, Health
from offhook.calls.inbound import Matcher
from offhook.calls.trunk import Caps, Trunk, TrunkTarget, target_of
from offhook.calls.trunk_day import Day
from offhook.sip.commands import SendRequest
from offhook.sip.events import Failure, RequestSettled
from offhook.sip.flow import Flow, FlowId
from offhook.sip.hop import Hop, Target
from offhook.sip.ids import Ids
from offhook.sip.message import Headers, Response
from offhook.sip.registration import Changed, Line, LineState, Register, Step, Wake, retry_after
from offhook.sip.uri import Uri

Effects = list[CallEffect]


@dataclass(frozen=True, slots=True)
class OfLine:
    """Token: a step of a registration. `turn` tells an old answer from the present one."""

    trunk: str
    turn: int
    expires: int = 0
    cseq: int = 0
    hop: Hop | None = None


@dataclass(frozen=True, slots=True)
class OfTarget:
    """Token: the addresses of one target, or OPTIONS to one of them."""

    trunk: str
    uri: str
    hop: Hop | None = None


@dataclass(frozen=True, slots=True)
class TrunkTimer:
    """`what` is line, options, silent or aside; `hop` the address that has not answered yet, or is set aside."""

    trunk: str
    what: str
    hop: Hop | None = None


@dataclass(slots=True, eq=False)
class TrunkState:
    """One trunk at work. `since` is when its state last changed, on the core's clock."""

    trunk: Trunk
    line: Line
    health: Health
    usage: Usage = field(default_factory=Usage)
    share: Share = WHOLE
    since: float = 0.0
    shown: str = "unknown"
    turn: int = 0
    place: int = 0
    """Which of the targets the next REGISTER goes to, counting on after every failure."""
    flow: FlowId | None = None
    day: Day = field(default_factory=Day)
    alarm: str = ""

    @property
    def caps(self) -> Caps:
        """What it may carry here."""
        return self.share.of(self.trunk.caps)

    @property
    def registers(self) -> bool:
        """True if it registers, and this node is the one that does."""
        return self.trunk.register and self.trunk.enabled and self.share.registers

    @property
    def state(self) -> str:
        """up, degraded, down, unknown or disabled (API.md 12.1)."""
        if not self.trunk.enabled:
            return "disabled"
        if self.trunk.register and self.line.state is LineState.FAILED:
            return "down" if self.line.code == "trunk_auth_failed" else "degraded"
        if self.trunk.register and self.line.state is LineState.REGISTERED and self.health.state == "unknown":
            return "up"
        return self.health.state

    @property
    def code(self) -> str:
        """What is wrong, as a code of the catalogue; "" if nothing is."""
        return self.line.code or self.health.code


class Trunks:
    """Owned by the switchboard. `domain` is ours, for From of OPTIONS; `key` makes the line tokens, so that a restart
    registers the Contact that the carrier has already, and leaves none behind that leads nowhere. `longest_aside` seconds is
    as long as one Retry-After keeps calls from an address."""

    def __init__(self, domain: str, ids: Ids, key: bytes, longest_aside: float = 300.0) -> None:
        self._domain = domain
        self._key = key
        self._ids = ids
        self._longest_aside = longest_aside
        self._states: dict[str, TrunkState] = {}
        self._flows: dict[str, Flow] = {}
        self._shares: Mapping[str, Share] = {}
        self._otherwise = WHOLE
        self.matcher = Matcher()

    def __iter__(self) -> Iterator[TrunkState]:
        return iter(self._states.values())

    def get(self, trunk_id: str) -> TrunkState | None:
        """By id."""
        return self._states.get(trunk_id)

    # ---- settings

    def use(self, trunk: Trunk, now: float) -> Effects:
        """A trunk is new or has changed: what it did so far ends, and its registration and health begin anew."""
        before = self._states.get(trunk.id)
        effects = self._stop(before) if before is not None else []
        token = trunk.contact_user or self._line_token(trunk.id)
        instance = f"urn:uuid:{self._ids.ref()}"
        line = Line(self._ids, self._ids.token(), token, instance, trunk.expires)
        share = self._shares.get(trunk.id, self._otherwise)
        state = TrunkState(trunk, line, Health(trunk.health), share=share, since=now)
        if before is not None:
            state.usage, state.turn = before.usage, before.turn + 1
            state.day = before.day
        self._states[trunk.id] = state
        self.matcher.use(trunk, token)
        return [*effects, *self._start(state, now)]

    def _line_token(self, trunk_id: str) -> str:
        return hmac.new(self._key, trunk_id.encode(), hashlib.sha256).hexdigest()[:32]

    def drop(self, trunk_id: str) -> Effects:
        """A trunk is deleted."""
        state = self._states.pop(trunk_id, None)
        self.matcher.drop(trunk_id)
        effects = self._stop(state) if state is not None else []
        self._flows.pop(trunk_id, None)
        return effects

    def _start(self, state: TrunkState, now: float) -> Effects:
        if not state.trunk.enabled:
            return self._told(state, now)
        effects = self._locate_targets(state)
        if state.registers:
            effects += self._steps(state, state.line.start(now), now)
        return [*effects, *self._told(state, now)]

    def divide(self, shares: Mapping[str, Share], otherwise: Share, now: float) -> Effects:
        """What this node may take of each trunk from now on; `otherwise` of those that are not named."""
        self._shares, self._otherwise = shares, otherwise
        effects: Effects = []
        for state in self._states.values():
            before, state.share = state.registers, shares.get(state.trunk.id, otherwise)
            if state.registers and not before:
                effects += self._steps(state, state.line.start(now), now)
            elif before and not state.registers:
                effects += [*self._end_line(state), *self._told(state, now)]
        return effects

    def _stop(self, state: TrunkState) -> Effects:
        effects: Effects = [StopTimer(TrunkTimer(state.trunk.id, "options"))]
        for hop in state.health.places:
            effects += [StopTimer(TrunkTimer(state.trunk.id, what, hop)) for what in ("silent", "aside")]
        return [*effects, *self._end_line(state)]

    def _end_line(self, state: TrunkState) -> Effects:
        effects: Effects = [StopTimer(TrunkTimer(state.trunk.id, "line"))]
        flow = self._flows.get(state.trunk.id)
        for step in state.line.stop():
            if isinstance(step, Register) and flow is not None:
                # Nobody waits for the answer: the trunk is gone, or another of its name begins.
                token = OfLine(state.trunk.id, -1, 0, step.cseq)
                effects.append(Sip(self._register(state, flow, token)))
        return effects

    def register_now(self, trunk_id: str, now: float) -> Effects:
        """Registers at once, whatever it waited for."""
        state = self._states.get(trunk_id)
        if state is None or not state.registers:
            return []
        return self._steps(state, state.line.again(now), now)

    # ---- events

    def located(self, event: Located, now: float) -> Effects:
        """The addresses of a target."""
        token = event.token
        if isinstance(token, OfTarget):
            return self._targets_located(token, event, now)
        if isinstance(token, OfLine):
            return self._line_located(token, event, now)
        return []

    def connected(self, event: Connected, now: float) -> Effects:
        """A flow to one address, or none."""
        token = event.token
        if isinstance(token, OfTarget) and token.hop is not None:
            return self._ask(token, event, now)
        if isinstance(token, OfLine):
            return self._line_connected(token, event, now)
        return []

    def settled(self, event: RequestSettled, now: float) -> Effects:
        """The end of an OPTIONS or REGISTER."""
        token = event.token
        if isinstance(token, OfTarget) and token.hop is not None:
            return self._options_settled(token, event, now)
        if isinstance(token, OfLine):
            return self._line_settled(token, event, now)
        return []

    def timer(self, event: TimerFired, now: float) -> Effects:
        """A timer of a trunk."""
        key = event.key
        state = self._states.get(key.trunk) if isinstance(key, TrunkTimer) else None
        if state is None or not isinstance(key, TrunkTimer):
            return []
        if key.what == "line":
            return self._steps(state, state.line.due(now), now)
        if key.what == "options":
            return self._locate_targets(state)
        if key.what == "aside" and key.hop is not None:
            state.health.back(key.hop)
            return self._told(state, now)
        return self._silent(state, key.hop, now)

    def flow_lost(self, flow: FlowId, now: float) -> Effects:
        """A connection is gone; a registration that stood on it has no way back to us, so it is made anew."""
        lost = [one for one in self._states.values() if one.flow == flow and one.line.state is LineState.REGISTERED]
        effects: Effects = []
        for state in lost:
            state.flow = None
            effects += self._steps(state, state.line.again(now), now)
        return effects

    # ---- health

    def _locate_targets(self, state: TrunkState) -> Effects:
        trunk = state.trunk
        effects: Effects = [
            Locate(OfTarget(trunk.id, str(one.uri)), first_hop(trunk, one)) for one in trunk.targets if one.enabled
        ]
        # Addresses are asked for at every round, OPTIONS or not, because inbound calls are matched by them.
        interval = trunk.health.interval or ADDRESS_ROUND
        spread = self._ids.uniform(1 - SPREAD, 1 + SPREAD)
        return [*effects, StartTimer(TrunkTimer(trunk.id, "options"), interval * spread)]

    def _targets_located(self, token: OfTarget, event: Located, now: float) -> Effects:
        state = self._states.get(token.trunk)
        if state is None:
            return []
        trunk, health = state.trunk, state.health
        if not event.hops:
            return [Note("trunk-dns-failed", {"trunk": trunk.name, "text": event.error})]
        self.matcher.resolved(trunk.id, (hop.address for hop in event.hops))
        others = {hop for hop, place in health.places.items() if place.uri != token.uri}
        health.keep(others | set(event.hops))
        effects: Effects = []
        for hop in event.hops:
            health.known(hop, token.uri)
            if trunk.health.interval:
                effects.append(Connect(OfTarget(trunk.id, token.uri, hop), hop))
        return [*effects, *self._told(state, now)]

    def _ask(self, token: OfTarget, event: Connected, now: float) -> Effects:
        state = self._states.get(token.trunk)
        hop = token.hop
        if state is None or hop is None or hop not in state.health.places:
            return []
        if event.flow is None:
            state.health.silent(hop, event.code or "trunk_unreachable")
            return self._told(state, now)
        state.health.asked(hop, now)
        target = next((one for one in state.trunk.targets if str(one.uri) == token.uri), state.trunk.targets[0])
        uri = Uri("sip", None, target.uri.host, target.uri.port)
        ask = SendRequest(
            token,
            "OPTIONS",
            event.flow.id,
            uri,
            f"<sip:ping@{self._domain}>",
            f"<{uri}>",
            Headers([("Accept", "application/sdp")]),
            routes=proxy_route(state.trunk),
            credentials=state.trunk.credentials,
        )
        return [Sip(ask), StartTimer(TrunkTimer(state.trunk.id, "silent", hop), state.trunk.health.timeout)]

    def _options_settled(self, token: OfTarget, event: RequestSettled, now: float) -> Effects:
        state = self._states.get(token.trunk)
        hop = token.hop
        if state is None or hop is None or event.response is None:
            # Silence has been judged by our own, shorter clock; a flow that broke is silence too.
            return []
        state.health.answered(hop, event.response.status, now)
        stop = StopTimer(TrunkTimer(state.trunk.id, "silent", hop))
        return [stop, RateHop(hop, event.response.status != 503), *self._told(state, now)]

    def _silent(self, state: TrunkState, hop: Hop | None, now: float) -> Effects:
        if hop is None:
            return []
        state.health.silent(hop, "trunk_timeout")
        rated: Effects = [RateHop(hop, False)] if state.health.is_down(hop) else []
        return [*rated, *self._told(state, now)]

    def unavailable(self, trunk_id: str, hop: Hop, uri: str, response: Response, now: float) -> Effects:
        """503 to a call: with Retry-After the address is set aside, by the clock alone. OPTIONS that it answers meanwhile
        say that it lives, and not that it has room for calls (RFC 3261 section 21.5.4, RFC 3263 section 4.3)."""
        state = self._states.get(trunk_id)
        seconds = min(float(retry_after(response) or 0), self._longest_aside)
        if state is None or not seconds:
            return []
        until = state.health.set_aside(hop, uri, now + seconds)
        return [StartTimer(TrunkTimer(trunk_id, "aside", hop), until - now), *self._told(state, now)]

    # ---- registrations

    def _steps(self, state: TrunkState, steps: list[Step], now: float) -> Effects:
        effects: Effects = []
        timer = TrunkTimer(state.trunk.id, "line")
        for step in steps:
            match step:
                case Register(cseq, expires):
                    state.turn += 1
                    token = OfLine(state.trunk.id, state.turn, expires, cseq)
                    effects.append(Locate(token, first_hop(state.trunk, _turn(state))))
                case Wake(None):
                    effects.append(StopTimer(timer))
                case Wake(float() | int() as seconds):
                    effects.append(StartTimer(timer, seconds))
                case Changed(line_state, alarm):
                    effects += self._line_changed(state, line_state, alarm)
        return [*effects, *self._told(state, now)]

    def _line_changed(self, state: TrunkState, line_state: LineState, alarm: bool) -> Effects:
        line, trunk = state.line, state.trunk
        details = {"trunk": trunk.name, "status": str(line.status or ""), "text": line.reason, "code": line.code}
        effects: Effects = [_happened(f"trunk.registration_{line_state}", trunk, **details)]
        if alarm:
            state.alarm = line.code
            effects.append(Note("alarm-trunk-auth-failed", details))
            effects.append(_happened("trunk.alarm", trunk, **details))
        elif line_state is LineState.REGISTERED:
            state.alarm = ""
        return effects

    def _line_of(self, token: OfLine) -> TrunkState | None:
        state = self._states.get(token.trunk)
        return state if state is not None and state.turn == token.turn else None

    def _line_located(self, token: OfLine, event: Located, now: float) -> Effects:
        state = self._line_of(token)
        if state is None:
            return []
        if not event.hops:
            return self._line_failed(state, "trunk_dns_failed", event.error, now)
        self.matcher.resolved(token.trunk, (hop.address for hop in event.hops))
        hop = event.hops[state.place % len(event.hops)]
        return [Connect(OfLine(token.trunk, token.turn, token.expires, token.cseq, hop), hop)]

    def _line_connected(self, token: OfLine, event: Connected, now: float) -> Effects:
        state = self._line_of(token)
        if state is None:
            return []
        if event.flow is None:
            return self._line_failed(state, event.code or "trunk_unreachable", event.error, now)
        return [Sip(self._register(state, event.flow, token))]

    def _register(self, state: TrunkState, flow: Flow, token: OfLine) -> SendRequest:
        trunk = state.trunk
        if flow.transport.reliable:
            state.flow = flow.id
        self._flows[trunk.id] = flow
        registrar = Uri("sip", None, trunk.targets[0].uri.host, trunk.targets[0].uri.port)
        address = f"<sip:{trunk.username or trunk.from_user or state.line.contact_user}@{trunk.domain}>"
        return SendRequest(
            token,
            "REGISTER",
            flow.id,
            registrar,
            address,
            address,
            state.line.headers(flow, token.expires),
            routes=proxy_route(trunk),
            credentials=trunk.credentials,
            call_id=state.line.call_id,
            cseq=token.cseq,
        )

    def _line_settled(self, token: OfLine, event: RequestSettled, now: float) -> Effects:
        state = self._line_of(token)
        flow = self._flows.get(token.trunk)
        if state is None or flow is None:
            return []
        if event.response is None:
            code = "trunk_timeout" if event.failure is Failure.NO_RESPONSE else "trunk_unreachable"
            rated: Effects = [RateHop(token.hop, False)] if token.hop is not None else []
            return [*rated, *self._line_failed(state, code, "no answer to REGISTER", now)]
        steps = state.line.answered(event.response, event.cseq, flow, now)
        if state.line.state is LineState.FAILED:
            state.place += 1
        return self._steps(state, steps, now)

    def _line_failed(self, state: TrunkState, code: str, text: str, now: float) -> Effects:
        state.place += 1
        return self._steps(state, state.line.failed(None, code, text, now), now)

    # ---- what is told

    def _told(self, state: TrunkState, now: float) -> Effects:
        shown = state.state
        if shown == state.shown:
            return []
        before, state.shown, state.since = state.shown, shown, now
        return [_happened(f"trunk.{shown}", state.trunk, trunk=state.trunk.name, before=before, code=state.code)]


ADDRESS_ROUND = 300.0
"""Seconds between look-ups of a trunk without OPTIONS, whose inbound calls are matched by address."""


def first_hop(trunk: Trunk, target: TrunkTarget) -> Target:
    """The outbound proxy, if there is one, else the target itself."""
    stranger = trunk.foreign and not trunk.chosen
    if trunk.outbound_proxy is not None:
        return target_of(trunk.outbound_proxy, None, trunk.secure, stranger)
    return target.hop(trunk.secure, stranger)


def proxy_route(trunk: Trunk) -> tuple[str, ...]:
    """The Route value that names the outbound proxy."""
    if trunk.outbound_proxy is None:
        return ()
    proxy = trunk.outbound_proxy
    params = proxy.params if "lr" in proxy.params else {**proxy.params, "lr": None}
    return (f"<{Uri(proxy.scheme, proxy.user, proxy.host, proxy.port, None, params)}>",)


def _turn(state: TrunkState) -> TrunkTarget:
    enabled = [one for one in state.trunk.targets if one.enabled] or list(state.trunk.targets)
    return sorted(enabled, key=lambda one: one.priority)[state.place % len(enabled)]


def _happened(type_: str, of: Trunk, **details: str) -> Publish:
    return Publish(Happened(type_, of.id, "", tuple(details.items())))


def is_ours(token: Hashable) -> bool:
    """True for a token or timer key of this file."""
    return isinstance(token, OfLine | OfTarget | TrunkTimer)
