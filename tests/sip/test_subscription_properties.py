"""A subscription under any order of refreshes, states, answers, lost flows and returns (EVT-3, EVT-4).

Invariants after every step: one NOTIFY on its way at most, nothing said while it pauses, one clock while it lives and none
after, and nothing is left once it has ended and its last NOTIFY is settled.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from offhook.sip.commands import MoveSubscription
from offhook.sip.events import NotifyDue, SubscriptionEnded
from offhook.sip.flow import Flow
from tests.support.link import Link
from tests.support.subscribing import ONE, Subscribing


class AnyOrder(RuleBasedStateMachine):
    """One subscriber that answers as it likes, or not at all."""

    @initialize()
    def begin(self) -> None:
        self.link = Link()
        self.one = Subscribing(self.link)
        self.flow: Flow | None = self.one.flow
        self.over = False
        self.answered = 0
        self.one.subscribe(Expires="600")

    @property
    def core(self):  # type: ignore[no-untyped-def]
        return self.one.node.node._core  # type: ignore[attr-defined]

    @property
    def waiting(self) -> int:
        """NOTIFYs that have no answer yet."""
        return len({m.headers.get("CSeq") for m in self.one.notifies}) - self.answered

    def hear(self) -> None:
        """Does what call control would, and notices the end."""
        for event in self.one.told:
            if isinstance(event, SubscriptionEnded):
                self.over = True
        due = [event for event in self.one.told if isinstance(event, NotifyDue)]
        self.one.node.events = [event for event in self.one.node.events if not isinstance(event, NotifyDue)]
        if due and not self.over:
            self.one.say("full")

    @precondition(lambda self: not self.over)
    @rule(body=st.sampled_from(["early", "confirmed"]))
    def say(self, body: str) -> None:
        count = len(self.one.notifies)
        self.one.say(body)
        if self.flow is None:
            assert len(self.one.notifies) == count, "the pause sends nothing"

    @precondition(lambda self: not self.over)
    @rule()
    def end(self) -> None:
        self.one.say("over", "terminated", "noresource")
        self.over = True

    @precondition(lambda self: self.flow is not None and self.waiting > 0)
    @rule(status=st.sampled_from([200, 200, 200, 481, 503]))
    def answer(self, status: int) -> None:
        self.one.answer(status, self.flow)
        self.answered += 1
        self.hear()

    @precondition(lambda self: self.flow is not None)
    @rule(expires=st.sampled_from(["600", "0", "60"]))
    def refresh(self, expires: str) -> None:
        self.one.send(self.one.request(to_tag=self.one.tag, Expires=expires), self.flow)
        self.hear()

    @precondition(lambda self: self.flow is not None)
    @rule()
    def lose(self) -> None:
        assert self.flow is not None
        self.one.close(self.flow)
        self.flow = None
        self.answered = len({m.headers.get("CSeq") for m in self.one.notifies})
        self.hear()

    @precondition(lambda self: self.flow is None)
    @rule()
    def come_back(self) -> None:
        self.flow = self.one.open()
        if not self.over:
            self.one.node.perform(MoveSubscription(ONE, self.flow.id))
        self.hear()

    @rule(seconds=st.sampled_from([1.0, 40.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.link.run(seconds)
        if seconds > 32:
            # Timer F: what had no answer never will.
            self.answered = len({m.headers.get("CSeq") for m in self.one.notifies})
        self.hear()

    @invariant()
    def one_notify_at_a_time(self) -> None:
        if not hasattr(self, "one"):
            return
        assert self.waiting <= 1
        clocks = self.core.subscriptions.running_timers
        assert clocks == (0 if self.over else 1)
        assert len(self.core.subscriptions) <= 1

    def teardown(self) -> None:
        if not hasattr(self, "one"):
            return
        if not self.over:
            self.one.say("over", "terminated", "noresource")
        self.one.assert_nothing_left(100.0)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
