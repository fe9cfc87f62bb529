"""Between the space and the carriers: calls that come in by a trunk, and the events of trunks and hunts.

Lives here: whose call comes in, what it may reach; which hunt or trunk an event belongs to. Never here: the way out
(outbound.py, hunt.py), the state of trunks (trunks.py), the match (inbound.py).
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from offhook.calls import bridge, ending, guards, hunt, passing
from offhook.calls.call import Call, CallState, Effects
from offhook.calls.caller_id import identity_of, shown_inside
from offhook.calls.commands import (
    CallCommand,
    DivideTrunks,
    DropApplication,
    DropTrunk,
    RegisterTrunk,
    UseApplication,
    UseTrunk,
)
from offhook.calls.effects import Connect, LookUp, Sip, StopTimer
from offhook.calls.encryption import Security
from offhook.calls.events import CallEvent, Connected, FactsFound, Located, TimerFired
from offhook.calls.fork import Fork
from offhook.calls.hunt import CallLimit, OfHunt, SilenceTimer
from offhook.calls.inbound import Matched, called_number, comes_as_trunk, is_endpoints, numbered_elsewhere
from offhook.calls.index import Index
from offhook.calls.numbers import dialled_in, from_trunk
from offhook.calls.outbound import Outbound
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.text_out import OfText, TextsOut
from offhook.calls.trunk import Trunk
from offhook.calls.trunks import is_ours
from offhook.calls.visitors import UNPROVEN, Unproven, Visitors
from offhook.sip.commands import FromCarrier, MoveUsage
from offhook.sip.credentials import Authenticator, Challenged
from offhook.sip.digest import both_ha1
from offhook.sip.domains import parted, qualified
from offhook.sip.events import FlowLost, RequestSettled, UsageId
from offhook.sip.fields import sip_reason
from offhook.sip.flow import Flow, FlowId
from offhook.sip.gate import TurnedAway
from offhook.sip.location import Account
from offhook.sip.message import Request
from offhook.sip.session_timer import supports
from offhook.sip.uri import Uri


@dataclass(frozen=True, slots=True)
class OfLeg:
    """Token of a connection that is made anew for a call that goes on."""

    usage: UsageId


TIME_LIMIT = sip_reason(480, "The trunk's time limit is reached")

HEARD = frozenset({Located, Connected, RequestSettled, TimerFired})
"""Events that may be of a trunk or of a hunt."""


@dataclass(slots=True)
class Gateway:
    """Owned by the switchboard; implements `sip.gate.Gate`. `hosts` are ours."""

    outbound: Outbound
    index: Index
    hosts: AbstractSet[str]
    texts: TextsOut
    authenticator: Authenticator
    visitors: Visitors = field(init=False)

    def __post_init__(self) -> None:
        self.visitors = Visitors(self.hosts, self.authenticator)

    # ---- the gate

    def expects(self, request: Request, flow: Flow) -> bool:
        """See sip.gate.Gate."""
        return self.outbound.trunks.matcher.match(request, flow) is not None or self.visitors.expects(request, flow)

    def turn_away(self, request: Request, flow: Flow, known: bool) -> TurnedAway | None:
        """See sip.gate.Gate: a stranger's call to a number is no endpoint's, and gets no challenge (TRK-10)."""
        matcher = self.outbound.trunks.matcher
        if known or flow.transport.websocket or request.uri.host not in self.hosts:
            return None
        if not comes_as_trunk(request, self.hosts) or self.visitors.concerns(request):
            return None
        if matcher.match(request, flow, frozenset(flow.identities)) is not None or matcher.demands_digest:
            return None
        why = matcher.why_not(flow)
        row = refusal(why.code).row
        return TurnedAway(
            row.sip, row.slug, f"{why.text}; a phone of ours has a From of ours, and is asked for its password"
        )

    def is_emergency(self, uri: Uri) -> bool:
        """True if an emergency number was dialled (TRK-9)."""
        return not self.outbound.is_foreign(uri) and self.outbound.is_emergency(
            dialled_in(uri), self.outbound.country(self.authenticator.domains.of(uri.host))
        )

    # ---- a call comes in

    def match(self, request: Request, flow: Flow, claimed: bool) -> Matched | None:
        """The trunk that an INVITE comes from. What an endpoint has proved or claims goes before an address, because phones
        and carriers may share one."""
        if flow.transport.websocket:
            return None
        matcher = self.outbound.trunks.matcher
        if claimed or is_endpoints(request, self.hosts):
            return matcher.by_line(request, flow)
        return matcher.match(request, flow, frozenset(flow.identities))

    def judge(self, request: Request, flow: Flow, username: str | None, now: float) -> Trunk | Unproven | None:
        """Whose call an INVITE is: a trunk's, nobody's until the digest that its trunk demands is there, or, None, no
        trunk's. `username` is the endpoint that it claims to be from."""
        matched = self.match(request, flow, username is not None)
        if matched is not None and not matched.challenge:
            return matched.trunk
        trunk = self.outbound.trunks.matcher.by_digest(parted(username)[0]) if username is not None else None
        if trunk is not None:
            return trunk if self._proves(request, flow, trunk, now) else UNPROVEN
        return UNPROVEN if matched is not None else None

    def _proves(self, request: Request, flow: Flow, trunk: Trunk, now: float) -> bool:
        """It makes no flow trusted, because no endpoint has proved itself."""
        inbound = trunk.inbound
        if inbound.digest_username is None or inbound.digest_password is None:
            return False
        # Its From may be of a domain of a project: it is asked in that one's realm.
        domain = self.authenticator.domain_of(request)
        realm = self.authenticator.realm_of(domain)
        md5, sha256 = both_ha1(inbound.digest_username, realm, inbound.digest_password.reveal())
        name = qualified(inbound.digest_username, domain)
        account = Account(f"trunk-{trunk.id}", name, realm, md5, sha256)
        return not isinstance(self.authenticator.verify(request, flow, account, now, proxy=True), Challenged)

    def arrive(self, call: Call, trunk: Trunk, now: float) -> Effects:
        """A trunk's call: who calls, which number, and whether there is room."""
        leg, settings = call.caller, self.outbound.settings
        leg.trunk, leg.security = trunk, Security(trunk.encryption, trunk.ciphers)
        leg.may_refer = trunk.accept_refer
        identity = identity_of(call.request, lambda text: from_trunk(text, trunk, settings.country, self.outbound.plan))
        leg.identity = shown_inside(identity, call.config.domain)
        leg.shown = "anonymous" if identity.withheld else identity.number or identity.shown
        number, text = called_number(call.request, trunk, settings.country, self.outbound.plan)
        wrong = self._refused(call, trunk, number, text, now)
        if wrong is not None:
            return [*guards.told(call, None, wrong), *ending.refuse(call, wrong, now)]
        self.index.took(leg)
        return [
            Sip(FromCarrier(leg.usage, trunk.credentials, trunk.session_timer)),
            call.happened("call.created"),
            LookUp(call.ref, None, None, number, trunk=trunk.id),
        ]

    def _refused(self, call: Call, trunk: Trunk, number: str | None, text: str, now: float) -> Outcome | None:
        if trunk.secure and not call.caller.flow.secure:
            return refusal(
                "tls_required", f"Trunk {trunk.name} requires encryption, and this call came over plain transport"
            )
        state = self.outbound.trunks.get(trunk.id)
        code = state.usage.over(state.caps, now, inbound=True) if state is not None else None
        if code is not None:
            return refusal(code, f"Trunk {trunk.name} carries as many calls as it may")
        if number is None:
            return refusal("number_not_assigned", self._no_number(call, trunk, text))
        if trunk.session_timer == "required" and not supports(call.request):
            return refusal("session_timer_required", f"Trunk {trunk.name} requires session timers (RFC 4028)")
        return passing.privacy_refusal(call.request.headers) or bridge.read_offer(call.caller)

    def _no_number(self, call: Call, trunk: Trunk, text: str) -> str:
        where = trunk.numbers.called_from.replace("_", "-")
        said = f"Trunk {trunk.name} delivers {text or 'no number'} ({where}), which is none"
        place = numbered_elsewhere(call.request, trunk, self.outbound.settings.country, self.outbound.plan)
        if not place:
            return said
        return f"{said}; one stands elsewhere: `offhook trunk set {trunk.name} numbers.called_from={place}`"

    def unassigned(self, call: Call, facts: FactsFound) -> Outcome:
        """The number is delivered, but leads to nobody here: named, and never 486."""
        trunk = call.caller.trunk
        name = trunk.name if trunk is not None else ""
        if facts.entry is None:
            return refusal("number_not_assigned", f"Trunk {name} delivers a number that is not ours; add it first")
        return refusal("number_not_assigned", f"{facts.entry.name}, delivered by trunk {name}, has no handler")

    def ended(self, call: Call, now: float) -> Effects:
        """A call is over: what was talked counts for its trunk's day, and its clock stops."""
        out = [leg for leg in call.legs if leg.placed]
        if not out or call.answered_at is None or call.ended_at is None:
            return []
        seconds = call.ended_at - call.answered_at
        for leg in out:
            state = self.outbound.trunks.get(leg.trunk.id) if leg.trunk is not None else None
            if state is not None and leg.chosen:
                state.usage.talked(seconds)
                state.day.ended(now, seconds)
        return [StopTimer(CallLimit(call.ref))]

    def scored(self, call: Call) -> None:
        """The engine has said its last about the legs of a call: how they sounded counts for their trunks."""
        for leg in call.legs:
            state = self.outbound.trunks.get(leg.trunk.id) if leg.trunk is not None else None
            if state is not None and leg.facts is not None and leg.facts.quality.mos > 0:
                state.day.sounded(call.ended_at or call.created_at, leg.facts.quality.mos)

    # ---- commands and events

    def perform(self, command: CallCommand, now: float) -> Effects | None:
        """A command about trunks; None for any other."""
        match command:
            case UseTrunk(trunk):
                return list(self.outbound.trunks.use(trunk, now))
            case DropTrunk(trunk_id):
                return list(self.outbound.trunks.drop(trunk_id))
            case DivideTrunks(shares, otherwise):
                return list(self.outbound.trunks.divide(shares, otherwise, now))
            case RegisterTrunk(trunk_id):
                return list(self.outbound.trunks.register_now(trunk_id, now))
            case UseApplication(application):
                self.visitors.applications.use(application)
                return []
            case DropApplication(id_):
                self.visitors.applications.drop(id_)
                return []
            case _:
                return None

    def handle(self, event: CallEvent, now: float) -> Effects | None:
        """An event of a trunk or of a hunt; None for any other."""
        trunks = self.outbound.trunks
        match event:
            case Located(token=OfHunt() as token):
                return self._hunting(token, event, now)
            case Connected(token=OfHunt() as token):
                return self._hunting(token, event, now)
            case Connected(token=OfLeg(usage)):
                return [Sip(MoveUsage(usage, event.flow.id))] if event.flow is not None else []
            case Located(token=OfText() as text):
                return self.texts.located(event, text)
            case Connected(token=OfText() as text):
                return self.texts.connected(event, text)
            case RequestSettled(token=OfText() as text):
                return self.texts.settled(event, text)
            case TimerFired(key=OfText() as text):
                return self.texts.impatient(text)
            case Located() if is_ours(event.token):
                return trunks.located(event, now)
            case Connected() if is_ours(event.token):
                return trunks.connected(event, now)
            case RequestSettled() if is_ours(event.token):
                return trunks.settled(event, now)
            case TimerFired() if is_ours(event.key):
                return trunks.timer(event, now)
            case TimerFired(key=SilenceTimer() as key):
                return self._silent(key, now)
            case TimerFired(key=CallLimit() as key):
                call = self.index.calls.get(key.call_ref)
                return ending.end(call, "max_duration", "server", now, TIME_LIMIT) if call is not None else []
            case _:
                return None

    def flow_lost(self, event: FlowLost, now: float) -> Effects:
        """A registration may have stood on it, and calls that go on: the way back to a carrier is ours to make."""
        effects: Effects = list(self.outbound.trunks.flow_lost(event.flow, now))
        for usage in event.usages:
            call = self.index.usages.get(usage)
            leg = call.by_usage(usage) if call is not None else None
            if leg is not None and leg.hop is not None and leg.confirmed:
                effects.append(Connect(OfLeg(usage), leg.hop))
        return effects

    def ways_back(self) -> Effects:
        """The same for calls that were taken back after a restart."""
        legs = [leg for call in self.index.calls.values() for leg in call.parties if leg.detached and leg.confirmed]
        return [Connect(OfLeg(leg.usage), leg.hop) for leg in legs if leg.hop is not None]

    def holds(self, flow: FlowId) -> bool:
        """True for a connection that a registration stands on."""
        return any(state.flow == flow for state in self.outbound.trunks)

    def _hunting(self, token: OfHunt, event: Located | Connected, now: float) -> Effects:
        call = self.index.calls.get(token.call_ref)
        ringing = self._fork(call, token.fork_ref)
        if call is None or ringing is None:
            return []
        if isinstance(event, Located):
            return hunt.located(call, ringing, event, token, now)
        return hunt.connected(call, ringing, event, token, now)

    def _fork(self, call: Call | None, ref: str) -> Fork | None:
        forks = call.forks if call is not None and call.state is not CallState.ENDED else []
        return next((one for one in forks if one.ref == ref), None)

    def _silent(self, key: SilenceTimer, now: float) -> Effects:
        call = self.index.calls.get(key.call_ref)
        leg = call.by_ref(key.leg_ref) if call is not None else None
        return hunt.silent(call, leg, now) if call is not None and leg is not None else []
