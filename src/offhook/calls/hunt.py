"""Finding a way out: trunk by trunk, target by target, address by address, until one answers (TRK-5).

A hunt is the one branch of a fork that changes its place: each try is a leg of its own, an abandoned one is cancelled, and
its late answers are settled by the SIP layer (late 1xx: CANCEL, late 2xx: ACK and BYE). Never here: which trunks may carry
a call (outbound.py), what a failure means (trunk_outcome.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from offhook.calls import bridge, fork, guards
from offhook.calls.call import SDP, Call, Effects, origin_id
from offhook.calls.caller_id import Shown
from offhook.calls.description import speech_of, wanted
from offhook.calls.effects import CloseMediaLeg, Connect, Locate, RateHop, Sip, StartTimer, StopTimer
from offhook.calls.encryption import Security
from offhook.calls.events import Connected, Located
from offhook.calls.fork import Fork, RingTimer
from offhook.calls.leg import Leg
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.trunk import Trunk, TrunkTarget
from offhook.calls.trunk_outcome import all_failed, goes_on, of_carrier
from offhook.calls.trunks import Trunks, TrunkState, first_hop, proxy_route
from offhook.sip.commands import CancelInvite, SendInvite
from offhook.sip.events import Failure, UsageId
from offhook.sip.fields import sip_reason
from offhook.sip.hop import Hop
from offhook.sip.message import Headers, Response
from offhook.sip.replaces import Named
from offhook.sip.uri import Uri

WAY = frozenset({"transport", "maddr", "ttl", "method", "lr"})
"""Parameters of a URI that say how to get there: of no use to whoever is there."""

ABANDONED = sip_reason(408, "Another way is tried")


@dataclass(frozen=True, slots=True)
class OfHunt:
    """Token of a look-up or connection; `step` tells an old answer from the present one."""

    call_ref: str
    fork_ref: str
    step: int
    hop: Hop | None = None


@dataclass(frozen=True, slots=True)
class SilenceTimer:
    """Nothing at all has come to a try's INVITE."""

    call_ref: str
    leg_ref: str


@dataclass(frozen=True, slots=True)
class CallLimit:
    """A call has lasted as long as its trunk lets it."""

    call_ref: str


def time_limit(call: Call, leg: Leg, used: float = 0.0) -> Effects:
    """The clock of a confirmed leg, `used` seconds after its answer. A carrier's own call has none, nor has a call for help
    (TRK-9)."""
    out = call.index.outbound
    if leg.trunk is None or not leg.placed or leg.trunk.foreign or (out is not None and out.is_emergency(leg.shown)):
        return []
    return [StartTimer(CallLimit(call.ref), max(0.0, leg.trunk.caps.call_seconds - used))]


@dataclass(frozen=True, slots=True)
class Written:
    """How one trunk wants this call: the number, From and identities, further fields."""

    number: str
    shown: Shown
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, eq=False)
class Hunt:
    """`number` is what was dialled, in our own form; `left` are trunks not tried yet, `write` words the call for one.

    `capped` is False for emergency calls, which no limit stops (TRK-9).
    """

    number: str
    left: list[Trunk]
    write: Callable[[Trunk], Written]
    trunks: Trunks
    max_forwards: int
    tries_left: int
    ring_seconds: float
    capped: bool = True
    opens_party: bool = False
    """The party has no leg of the engine yet, and none is asked for: the first try does so."""
    day_ends: float | None = None
    exactly: Uri | None = None
    """The Request-URI, where it is not the number at the target."""
    replaces: Named | None = None
    trunk: Trunk | None = None
    target: TrunkTarget | None = None
    targets: list[TrunkTarget] = field(default_factory=list)
    hops: list[Hop] = field(default_factory=list)
    aside: list[tuple[Trunk, TrunkTarget, Hop]] = field(default_factory=list)
    """Addresses that have asked for no calls for a while: tried once nothing else is left."""
    hop: Hop | None = None
    tries: int = 0
    tries_here: int = 0
    step: int = 0
    rang: bool = False
    began_at: float = 0.0
    failures: list[tuple[str, Outcome]] = field(default_factory=list)

    def failed(self, outcome: Outcome) -> None:
        """A try came to nothing."""
        self.failures.append((self.trunk.name if self.trunk is not None else "", outcome))

    @property
    def state(self) -> TrunkState | None:
        """What the present trunk carries; None for a foreign URI."""
        return self.trunks.get(self.trunk.id) if self.trunk is not None else None

    # ---- what the fork tells

    def invite(self, call: Call, ringing: Fork) -> Effects:
        """The engine has opened legs: those that have media and no INVITE yet get one."""
        fresh = [leg for leg in ringing.branches.values() if leg.media is not None and not leg.body]
        return [effect for leg in fresh for effect in _invite(call, self, leg)]

    def heard(self, call: Call, leg: Leg, rang: bool, now: float) -> Effects:
        """The carrier has said something: this address is alive, and silence is over."""
        if rang and not self.rang and self.state is not None:
            self.state.day.rang(now, now - self.began_at)
        self.rang = self.rang or rang
        rated: Effects = [RateHop(self.hop, True)] if self.hop is not None else []
        return [StopTimer(SilenceTimer(call.ref, leg.ref)), *rated]

    def answered(self, call: Call, leg: Leg, now: float) -> Effects:
        """The callee has answered; the trunk's time limit runs."""
        if self.state is not None:
            self.state.day.answered(now)
        limit: Effects = []
        if self.trunk is not None and self.capped and not self.trunk.foreign:
            limit = [StartTimer(CallLimit(call.ref), self.trunk.caps.call_seconds)]
        return [*self.heard(call, leg, True, now), *limit]

    def rejected(
        self, call: Call, ringing: Fork, leg: Leg, response: Response | None, failure: Failure | None, now: float
    ) -> Effects:
        """The try ended without an answer: on, or up."""
        assert self.trunk is not None
        outcome = of_carrier(self.trunk, self.number, response, failure)
        self.failed(outcome)
        if response is not None:
            leg.sip_code, leg.sip_text = response.status, response.reason
        effects: Effects = [StopTimer(SilenceTimer(call.ref, leg.ref)), *_abandon(call, leg, outcome.row.code)]
        if response is None and self.hop is not None:
            effects.append(RateHop(self.hop, False))
        if response is not None and response.status == 503 and self.hop is not None and self.target is not None:
            uri = str(self.target.uri)
            effects += self.trunks.unavailable(self.trunk.id, self.hop, uri, response, now)
        if goes_on(self.trunk, response, failure, self.rang):
            return [*effects, *advance(call, ringing, self, now)]
        return [*effects, *fork.give_up(call, ringing, outcome, "", outcome.row.code, now)]


def start(call: Call, ringing: Fork, hunt: Hunt, now: float) -> Effects:
    """Begins; the fork is the call's from now on."""
    ringing.hunt = hunt
    ringing.rung = True
    call.forks.append(ringing)
    ring = StartTimer(RingTimer(call.ref, ringing.ref), hunt.ring_seconds)
    return [ring, *advance(call, ringing, hunt, now)]


def advance(call: Call, ringing: Fork, hunt: Hunt, now: float) -> Effects:
    """The next address, else the next target, else the next trunk, else one that is set aside, else the end."""
    hunt.step += 1
    if hunt.tries >= hunt.tries_left:
        return _over(call, ringing, hunt, now)
    if hunt.trunk is not None and hunt.tries_here >= hunt.trunk.failover.attempts:
        hunt.hops, hunt.targets = [], []
    if hunt.hops:
        hunt.hop = hunt.hops.pop(0)
        return [Connect(OfHunt(call.ref, ringing.ref, hunt.step, hunt.hop), hunt.hop)]
    if hunt.targets and hunt.trunk is not None:
        hunt.target = hunt.targets.pop(0)
        token = OfHunt(call.ref, ringing.ref, hunt.step)
        return [Locate(token, first_hop(hunt.trunk, hunt.target))]
    while hunt.left:
        hunt.trunk = hunt.left.pop(0)
        capped = _over_cap(call, hunt, now)
        if capped is None:
            hunt.tries_here = 0
            hunt.targets = hunt.trunk.ordered_targets(call.ids.uniform(0, 0.999))
            return advance(call, ringing, hunt, now)
        hunt.failed(capped)
    if hunt.aside:
        trunk, hunt.target, hunt.hop = hunt.aside.pop(0)
        if trunk is not hunt.trunk:
            hunt.trunk, hunt.tries_here = trunk, 0
        return [Connect(OfHunt(call.ref, ringing.ref, hunt.step, hunt.hop), hunt.hop)]
    return _over(call, ringing, hunt, now)


def _over(call: Call, ringing: Fork, hunt: Hunt, now: float) -> Effects:
    outcome = all_failed(hunt.number, hunt.failures) if hunt.failures else refusal("not_routable")
    decided = [call.explain(f"no way out: {one.text}") for _, one in hunt.failures]
    told = guards.told(call, ringing, outcome)
    return [*decided, *told, *fork.give_up(call, ringing, outcome, "", outcome.row.code, now)]


def _over_cap(call: Call, hunt: Hunt, now: float) -> Outcome | None:
    state = hunt.state
    if state is None or not hunt.capped:
        return None
    code = state.usage.over(state.caps, now, day_ends=hunt.day_ends)
    if code is None:
        return None
    return refusal(code, f"{state.trunk.name}: {refusal(code).row.cause}")


# ---- a way


def located(call: Call, ringing: Fork, event: Located, token: OfHunt, now: float) -> Effects:
    """The addresses of a target; those that are down come last (TRK-4), those that are set aside after all others."""
    hunt = ringing.hunt
    if hunt is None or token.step != hunt.step or hunt.trunk is None:
        return []
    if not event.hops:
        hunt.failed(refusal("trunk_dns_failed", f"{hunt.trunk.name}: {event.error}"))
        return advance(call, ringing, hunt, now)
    state = hunt.state
    aside = [hop for hop in event.hops if state is not None and state.health.is_aside(hop)]
    free = [hop for hop in event.hops if hop not in aside]
    hunt.hops = sorted(free, key=lambda hop: state is not None and state.health.is_down(hop))
    if hunt.target is not None:
        hunt.aside += [(hunt.trunk, hunt.target, hop) for hop in aside]
    text = f"trunk {hunt.trunk.name} has asked for no calls to"
    waits = [call.explain(f"{text} {hop} for a while: it is tried once nothing else is left") for hop in aside]
    return [*waits, *advance(call, ringing, hunt, now)]


def connected(call: Call, ringing: Fork, event: Connected, token: OfHunt, now: float) -> Effects:
    """A flow to the address: the try begins with a leg of the engine."""
    hunt = ringing.hunt
    if hunt is None or token.step != hunt.step or hunt.trunk is None:
        return []
    trunk = hunt.trunk
    if event.flow is None:
        hunt.tries, hunt.tries_here = hunt.tries + 1, hunt.tries_here + 1
        hunt.failed(refusal(event.code or "trunk_unreachable", f"{trunk.name}: {event.error}"))
        return advance(call, ringing, hunt, now)
    capped = _over_cap(call, hunt, now)
    if capped is not None:
        # The last place was taken while we looked the way up.
        hunt.hops, hunt.targets = [], []
        hunt.failed(capped)
        return advance(call, ringing, hunt, now)
    hunt.tries, hunt.tries_here = hunt.tries + 1, hunt.tries_here + 1
    hunt.rang = False
    leg = Leg(
        ref=call.ids.ref(),
        role="callee",
        usage=UsageId(call.ids.token()),
        flow=event.flow,
        origin_id=origin_id(call.ids),
        trunk=trunk,
        security=Security(trunk.encryption, trunk.ciphers),
        shown=hunt.number,
        may_refer=trunk.accept_refer,
        hop=hunt.hop,
    )
    fork.stands_for(ringing, leg)
    bridge.prepare_outgoing(leg, wanted(fork.codecs_for(ringing, trunk.codecs), speech_of(ringing.party.formats)))
    ringing.branches[leg.ref] = leg
    call.know(leg)
    state = hunt.state
    if state is not None:
        state.usage.began(now)
        state.day.tried(now)
    hunt.began_at = now
    before = f", after: {hunt.failures[-1][1].text}" if hunt.failures else ""
    decided = call.explain(f"trunk {trunk.name} is tried at {hunt.hop}{before}", leg)
    before_it = [ringing.party] if hunt.opens_party else []
    hunt.opens_party = False
    return [decided, *bridge.open_legs(call, [*before_it, leg])]


def _invite(call: Call, hunt: Hunt, leg: Leg) -> Effects:
    """INVITE, and the clock of silence beside it."""
    if hunt.trunk is None or hunt.target is None:
        return []
    trunk, words = hunt.trunk, hunt.write(hunt.trunk)
    uri = hunt.exactly or request_uri(trunk, hunt.target, words.number)
    # XFER-5: required, because who does not know the field would ring the one who already talks.
    taken = [("Replaces", str(hunt.replaces)), ("Require", "replaces")] if hunt.replaces is not None else []
    to = Uri(uri.scheme, uri.user, uri.host, uri.port)
    command = SendInvite(
        usage=leg.usage,
        flow=leg.flow.id,
        request_uri=uri,
        from_=words.shown.from_,
        to=f"<{to}>",
        max_forwards=hunt.max_forwards,
        headers=Headers([SDP, *words.shown.fields, *words.fields, *taken]),
        body=leg.describe_offer(),
        routes=proxy_route(trunk),
        credentials=trunk.credentials,
        carrier=not trunk.foreign,
        session_timer=trunk.session_timer,
    )
    started: Effects = [Sip(command), StartTimer(SilenceTimer(call.ref, leg.ref), trunk.failover.timeout)]
    if words.shown.refused:
        # TRK-8: a number that may not be shown is replaced, and whoever asked for it can find out.
        replaced = call.happened(
            "call.caller_id_replaced", leg, asked=words.shown.refused, shown=words.shown.number or ""
        )
        started.append(replaced)
    return started


def request_uri(trunk: Trunk, target: TrunkTarget, number: str) -> Uri:
    """Where the call is addressed: the number at the target's host, or a foreign URI as it was dialled."""
    if trunk.foreign:
        uri = target.uri
        kept = {name: value for name, value in uri.params.items() if name not in WAY}
        return Uri("sip", uri.user, uri.host, uri.port, None, kept)
    params: dict[str, str | None] = {"user": "phone"} if trunk.user_phone else {}
    return Uri("sip", number.replace("#", "%23"), target.uri.host, target.uri.port, None, params)


# ---- what the try comes to


def silent(call: Call, leg: Leg, now: float) -> Effects:
    """Nothing came in time: this try is abandoned and the next begins."""
    ringing = call.fork_of(leg)
    hunt = ringing.hunt if ringing is not None else None
    if ringing is None or hunt is None or hunt.trunk is None:
        return []
    hunt.failed(of_carrier(hunt.trunk, hunt.number, None, Failure.NO_RESPONSE))
    rated: Effects = [RateHop(hunt.hop, False)] if hunt.hop is not None else []
    left = _abandon(call, leg, "trunk_timeout")
    return [Sip(CancelInvite(leg.usage, ABANDONED)), *left, *rated, *advance(call, ringing, hunt, now)]


def _abandon(call: Call, leg: Leg, code: str) -> Effects:
    call.retire(leg, code)
    return [CloseMediaLeg(leg.media.leg)] if leg.media is not None else []
