"""OPTIONS to UDP phones: a datagram that is lost tells nobody, so a phone that left two unanswered is gone (REG-12).

Lives here: whom to ask when, at a bounded rate. Never here: what becomes of a silent phone's bindings (registrar.py).
A phone behind a proxy (Path) is not asked: its flow is the proxy's.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from offhook.sip.core import Core, Outline
from offhook.sip.effects import StartTimer, StopTimer
from offhook.sip.events import Failure
from offhook.sip.flow import Flow, FlowId
from offhook.sip.location import Binding
from offhook.sip.message import Response
from offhook.sip.timers import Timer, TimerKey
from offhook.sip.transaction.machine import Effect
from offhook.sip.uri import Uri

TICK = 1.0
"""Seconds between looks at who is due."""
MISSES = 2
"""Unanswered OPTIONS that end a phone's bindings: one may be lost with its repetitions in a Wi-Fi hand-over."""


@dataclass(frozen=True, slots=True)
class ProbeClock:
    """Owner of the one timer of all probes."""


KEY = TimerKey(ProbeClock(), Timer.PROBE)


@dataclass(slots=True)
class _Phone:
    flow: Flow
    contact: Uri
    due: float
    misses: int = 0
    asked: float = 0.0
    heard: float = 0.0
    rtt: float | None = None


class Probes:
    """Owned by the registrar. `silent` makes the effects of a phone that is gone."""

    def __init__(self, core: Core, silent: Callable[[FlowId], list[Effect]]) -> None:
        self._core = core
        self._silent = silent
        self._after = core.config.registrar.probe_after
        self._rate = core.config.registrar.probe_rate
        # In the order of their due times, for each is due equally long after it was heard.
        self._phones: OrderedDict[FlowId, _Phone] = OrderedDict()
        self._running = False

    @property
    def running_timers(self) -> int:
        """1 while there is somebody to ask."""
        return int(self._running)

    def watch(self, bindings: tuple[Binding, ...], now: float) -> list[Effect]:
        """These bindings stand: their phones are asked from now on."""
        if not self._after:
            return []
        for binding in bindings:
            if not binding.flow.transport.reliable and not binding.path and binding.flow.id not in self._phones:
                self._phones[binding.flow.id] = _Phone(binding.flow, binding.contact, now + self._after)
        return self._clock()

    def forget(self, flow: FlowId) -> list[Effect]:
        """No binding is left on the flow."""
        self._phones.pop(flow, None)
        return self._clock()

    def heard(self, flow: FlowId, now: float) -> None:
        """Something came from there."""
        phone = self._phones.get(flow)
        if phone is not None:
            phone.due, phone.misses, phone.heard = now + self._after, 0, now
            self._phones.move_to_end(flow)

    def tick(self, now: float) -> list[Effect]:
        """Asks who is due, no more than the rate at a time."""
        self._running = False
        effects: list[Effect] = []
        for _ in range(self._rate):
            phone = next(iter(self._phones.values()), None)
            if phone is None or phone.due > now:
                break
            phone.due = now + self._after
            self._phones.move_to_end(phone.flow.id)
            phone.asked = now
            effects += self._ask(phone)
        return [*effects, *self._clock()]

    def _ask(self, phone: _Phone) -> list[Effect]:
        domain, ids = self._core.config.domain, self._core.ids
        ours, theirs = f"<sip:{domain}>;tag={ids.token()}", f"<{phone.contact}>"
        outline = Outline("OPTIONS", phone.contact, ours, theirs, ids.token(), 1)
        return self._core.send(outline, phone.flow, _Question(self, phone.flow.id))[1]

    def answered(self, flow: FlowId) -> None:
        """The answer was heard a moment ago."""
        phone = self._phones.get(flow)
        if phone is not None:
            phone.rtt = max(0.0, phone.heard - phone.asked)

    def rtt(self, flow: FlowId) -> float | None:
        """Seconds of the last question and its answer; retransmissions count."""
        phone = self._phones.get(flow)
        return phone.rtt if phone is not None else None

    def missed(self, flow: FlowId) -> list[Effect]:
        """No answer came for 64*T1."""
        phone = self._phones.get(flow)
        if phone is None:
            return []
        phone.misses += 1
        if phone.misses >= MISSES:
            return self._silent(flow)
        # The second one goes out at the next tick.
        phone.due = 0.0
        self._phones.move_to_end(flow, last=False)
        return []

    def _clock(self) -> list[Effect]:
        if bool(self._phones) == self._running:
            return []
        self._running = not self._running
        return [StartTimer(KEY, TICK)] if self._running else [StopTimer(KEY)]


@dataclass(slots=True)
class _Question:
    """Transaction user of one OPTIONS. Any answer will do: 401 and 404 come from phones that are alive."""

    probes: Probes
    flow: FlowId

    def answered(self, response: Response) -> list[Effect]:
        """See machine.Owner; that something was heard has been noted already."""
        self.probes.answered(self.flow)
        return []

    def failed(self, failure: Failure) -> list[Effect]:
        """See machine.Owner. A flow that failed has taken its bindings along."""
        return self.probes.missed(self.flow) if failure is Failure.NO_RESPONSE else []
