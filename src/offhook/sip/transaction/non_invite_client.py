"""Non-INVITE client transaction: RFC 3261 section 17.1.2."""

from collections.abc import Hashable
from enum import StrEnum

from offhook.sip.events import Failure
from offhook.sip.flow import Flow
from offhook.sip.message import Request, Response
from offhook.sip.timers import Timer, Timers
from offhook.sip.transaction.machine import (
    Effect,
    Event,
    Machine,
    Owner,
    Received,
    RequestFailed,
    ResponsePassed,
    SendFailed,
    TimerFired,
)


class State(StrEnum):
    """Figure 6 of RFC 3261."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    TERMINATED = "terminated"


class NonInviteClient(Machine):
    """One request of ours other than INVITE and ACK. Events in, effects out."""

    def __init__(self, key: Hashable, request: Request, flow: Flow, owner: Owner, timers: Timers) -> None:
        super().__init__(key, flow, timers)
        self.request = request
        self.owner = owner
        self.state = State.TRYING
        self._interval = timers.t1

    def start(self) -> list[Effect]:
        """Sends the request and starts Timers E (UDP only) and F."""
        effects: list[Effect] = [self._send(self.request)]
        if not self.flow.transport.reliable:
            effects.append(self._start(Timer.E, self._interval))
        effects.append(self._start(Timer.F, self._timers.give_up))
        return effects

    def handle(self, event: Event) -> list[Effect]:
        """One step."""
        match self.state:
            case State.TRYING:
                return self._trying(event)
            case State.PROCEEDING:
                return self._proceeding(event)
            case State.COMPLETED:
                return self._completed(event)
            case State.TERMINATED:
                return []

    def _trying(self, event: Event) -> list[Effect]:
        match event:
            case TimerFired(Timer.E):
                # 17.1.2.2: doubled up to T2.
                self._interval = self._timers.next(self._interval)
                return [self._send(self.request), self._start(Timer.E, self._interval)]
            case Received(Response() as response) if response.status < 200:
                self.state = State.PROCEEDING
                return [ResponsePassed(self.key, self.owner, response)]
            case _:
                return self._ends(event)

    def _proceeding(self, event: Event) -> list[Effect]:
        match event:
            case TimerFired(Timer.E):
                # 17.1.2.2: a provisional response slows retransmission to T2 but does not end it.
                return [self._send(self.request), self._start(Timer.E, self._timers.t2)]
            case Received(Response() as response) if response.status < 200:
                return [ResponsePassed(self.key, self.owner, response)]
            case _:
                return self._ends(event)

    def _ends(self, event: Event) -> list[Effect]:
        match event:
            case TimerFired(Timer.F):
                return self._fail(Failure.NO_RESPONSE)
            case SendFailed():
                return self._fail(Failure.FLOW_FAILED)
            case Received(Response() as response):
                effects: list[Effect] = [*self._stop_all(), ResponsePassed(self.key, self.owner, response)]
                if self.flow.transport.reliable:
                    # 17.1.2.2: Timer K is zero where no copies can come.
                    self.state = State.TERMINATED
                    return [*effects, *self.terminate()]
                self.state = State.COMPLETED
                return [*effects, self._start(Timer.K, self._timers.t4)]
            case _:
                return []

    def _completed(self, event: Event) -> list[Effect]:
        match event:
            case TimerFired(Timer.K):
                self.state = State.TERMINATED
                return self.terminate()
            case _:
                return []

    def _fail(self, failure: Failure) -> list[Effect]:
        self.state = State.TERMINATED
        return [*self._stop_all(), RequestFailed(self.key, self.owner, failure), *self.terminate()]
