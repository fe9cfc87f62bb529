"""The registrar under any order of REGISTERs, expiries, lost flows, kicks and marks (REG-9 to REG-12, REG-16).

Invariants after every step: one binding per key, never above the limit, no binding on a dead stream that cannot be dialled
back, none beyond its time, one clock for each address of record with bindings and none without, what was told adds up to
what is kept; and nothing is left at the end.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from offhook.sip.commands import Attach, MarkFlow, Unbind
from offhook.sip.config import RegistrarLimits, SipConfig
from offhook.sip.contacts import same_key
from offhook.sip.events import BindingsChanged, DeviceReturned
from offhook.sip.flow import Flow, FlowId, Reachability, Transport
from offhook.sip.location import Binding
from tests.support.link import Link
from tests.support.nodes import DOMAIN, authorized
from tests.support.registering import AOR, Registering

LIMIT = 3
CONFIG = SipConfig(
    DOMAIN,
    registrar=RegistrarLimits(
        contacts_per_aor=LIMIT, contacts_per_request=2, rate_per_aor=1e6, rate_per_source=1e6, burst_per_source=1e6
    ),
)
NUMBERS = st.integers(0, 3)
TRANSPORTS = [Transport.UDP, Transport.TCP, Transport.WSS, Transport.TLS]


class AnyOrder(RuleBasedStateMachine):
    """Four devices of one endpoint, each with a flow of its own transport."""

    @initialize()
    def begin(self) -> None:
        self.link = Link()
        self.phone = Registering(self.link, Transport.UDP, CONFIG)
        self.flows = [self.open(number, 0) for number in range(4)]
        self.lives = [0] * 4
        self.told: dict[str, Binding] = {}

    def open(self, number: int, life: int) -> Flow:
        transport = TRANSPORTS[number]
        secure = transport in (Transport.TLS, Transport.WSS)
        remote = (f"10.0.0.{number + 1}", 5060)
        flow = Flow(
            FlowId(f"f{number}-{life}"), transport, remote, ("127.0.0.1", 5060), "127.0.0.1:5060", secure, False
        )
        return self.phone.open(flow)

    def hear(self) -> None:
        """Follows what call control is told."""
        for event in self.phone.node.events:
            if isinstance(event, BindingsChanged):
                for one in event.changed:
                    if one.change.active:
                        self.told[one.binding.id] = one.binding
                    else:
                        assert self.told.pop(one.binding.id).id == one.binding.id
                assert event.aor == AOR
            elif isinstance(event, DeviceReturned):
                assert event.binding in self.phone.bindings
        self.phone.node.events.clear()

    # ---- what may happen

    @rule(
        number=NUMBERS,
        host=st.integers(1, 2),
        instance=st.sampled_from(["", "a", "b"]),
        reg_id=st.sampled_from(["", "1", "2"]),
        seconds=st.sampled_from([0, 30, 60, 100, 5000]),
        call=st.integers(0, 1),
        two=st.booleans(),
    )
    def register(self, number: int, host: int, instance: str, reg_id: str, seconds: int, call: int, two: bool) -> None:
        flow = self.flows[number]
        where = f"<sip:bob@10.0.0.{host}>;expires={seconds}"
        if instance:
            where += f';+sip.instance="<urn:uuid:{instance}>"'
        if reg_id:
            where += f";reg-id={reg_id}"
        if two:
            where += ", <sip:bob@10.0.0.9>"
        before = self.phone.bindings
        request = self.phone.request(where, call_id=f"call-{call}", Supported="outbound, gruu")
        answer = self.phone.send(request, flow)
        if answer.status == 401:
            self.phone._cseq += 1
            answer = self.phone.send(authorized(request, answer, "bob"), flow)
        assert answer.status in (200, 403, 423, 500), answer
        if answer.status != 200:
            # One fault fails the whole request: nothing is written.
            assert self.phone.bindings == before

    @rule(number=NUMBERS)
    def fetch(self, number: int) -> None:
        before = self.phone.bindings
        request = self.phone.request(None)
        answer = self.phone.send(request, self.flows[number])
        if answer.status == 401:
            self.phone._cseq += 1
            answer = self.phone.send(authorized(request, answer, "bob"), self.flows[number])
        assert answer.status == 200
        assert self.phone.bindings == tuple(one for one in before if one.expires_at > self.link.now)

    @rule(number=NUMBERS)
    def clear(self, number: int) -> None:
        request = self.phone.request("*", Expires="0", call_id="clearing")
        answer = self.phone.send(request, self.flows[number])
        if answer.status == 401:
            self.phone._cseq += 1
            self.phone.send(authorized(request, answer, "bob"), self.flows[number])
        assert self.phone.bindings == ()

    @rule(number=NUMBERS)
    def lose(self, number: int) -> None:
        if self.flows[number].transport.reliable:
            self.phone.close(self.flows[number])
            self.lives[number] += 1
            self.flows[number] = self.open(number, self.lives[number])

    @rule(seconds=st.sampled_from([0.5, 29, 61, 700, 4000]))
    def wait(self, seconds: float) -> None:
        self.link.run(seconds)

    @rule(which=st.integers(0, LIMIT), everything=st.booleans())
    def kick(self, which: int, everything: bool) -> None:
        bindings = self.phone.bindings
        id_ = "" if everything else bindings[which].id if which < len(bindings) else "nobody"
        self.phone.node.perform(Unbind(AOR, id_))

    @rule(number=NUMBERS, reachability=st.sampled_from(list(Reachability)))
    def mark(self, number: int, reachability: Reachability) -> None:
        self.phone.node.perform(MarkFlow(self.flows[number].id, reachability))

    @rule(which=st.integers(0, LIMIT), number=NUMBERS)
    def dial_back(self, which: int, number: int) -> None:
        if which < len(self.phone.bindings):
            self.phone.node.perform(Attach(AOR, self.phone.bindings[which].id, self.flows[number]))

    # ---- what must hold

    @invariant()
    def one_binding_per_key(self) -> None:
        self.hear()
        bindings = self.phone.bindings
        for at, one in enumerate(bindings):
            assert not any(same_key(one, other) for other in bindings[at + 1 :]), bindings

    @invariant()
    def within_the_limit_and_in_time(self) -> None:
        assert len(self.phone.bindings) <= LIMIT
        assert all(self.link.now <= one.expires_at <= self.link.now + 3600 for one in self.phone.bindings)

    @invariant()
    def no_binding_without_a_way(self) -> None:
        alive = {flow.id for flow in self.flows}
        for one in self.phone.bindings:
            if not one.attached:
                assert one.dial_back is not None
            elif one.flow.transport.reliable:
                assert one.flow.id in alive

    @invariant()
    def one_clock_while_there_is_something_to_run_out(self) -> None:
        assert self.phone.node.node._registrar.running_timers == bool(self.phone.bindings)  # type: ignore[attr-defined]

    @invariant()
    def what_was_told_is_what_is_kept(self) -> None:
        assert set(self.told) == {one.id for one in self.phone.bindings}

    def teardown(self) -> None:
        if not hasattr(self, "phone"):
            return
        self.link.run(8000)
        assert self.phone.bindings == ()
        assert self.phone.node.node.timers == 0  # type: ignore[attr-defined]
        assert self.phone.node.node.transactions == 0  # type: ignore[attr-defined]
        assert self.phone.node.node._registrar._carried._aors == {}  # type: ignore[attr-defined]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
