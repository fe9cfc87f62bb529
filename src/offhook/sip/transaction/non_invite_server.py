"""Non-INVITE server transaction: RFC 3261 section 17.2.2 with RFC 4320."""

from collections.abc import Hashable
from enum import StrEnum

from offhook.sip.flow import Flow
from offhook.sip.message import Request, Response
from offhook.sip.response import response_to
from offhook.sip.timers import Timer, Timers
from offhook.sip.transaction.machine import Effect, Event, Machine, Received, Respond, TimerFired


class State(StrEnum):
    """Figure 8 of RFC 3261."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    TERMINATED = "terminated"


class NonInviteServer(Machine):
    """One request of a peer other than INVITE and ACK. Events in, effects out."""

    def __init__(self, key: Hashable, request: Request, flow: Flow, timers: Timers, stranger: bool = False) -> None:
        super().__init__(key, flow, timers)
        self._stranger = stranger
        self.request = request
        self.state = State.TRYING
        self._last: Response | None = None

    def start(self) -> list[Effect]:
        """Starts the two clocks of RFC 4320: when 100 may be said, and when an answer is of no use any more."""
        return [
            self._start(Timer.TRYING, self._timers.trying),
            self._start(Timer.F, self._timers.give_up),
        ]

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
            case TimerFired(Timer.TRYING):
                # RFC 4320 4.1: 100 only now, when it spares the peer's retransmissions instead of slowing them early.
                self.state = State.PROCEEDING
                self._last = response_to(self.request, 100)
                return [self._send(self._last)]
            case _:
                return self._ends(event)

    def _proceeding(self, event: Event) -> list[Effect]:
        match event:
            case Received(Request()) if self._last is not None:
                return [self._send(self._last)]
            case _:
                return self._ends(event)

    def _ends(self, event: Event) -> list[Effect]:
        match event:
            case Respond(response) if response.status >= 200:
                effects: list[Effect] = [*self._stop_all(), self._send(response)]
                self._last = response
                forgotten = self._stranger and (response.status >= 300 or self.request.method == "OPTIONS")
                if self.flow.transport.reliable or forgotten:
                    # 17.2.2: Timer J is zero where no copies of the request can come. 8.2.7: a stranger is refused without
                    # state, and his copy is refused again.
                    self.state = State.TERMINATED
                    return [*effects, *self.terminate()]
                self.state = State.COMPLETED
                return [*effects, self._start(Timer.J, self._timers.give_up)]
            case TimerFired(Timer.F):
                # RFC 4320 4.2: the peer has given up by now; 408 would only start a storm, so nothing is said.
                self.state = State.TERMINATED
                return self.terminate()
            case _:
                return []

    def _completed(self, event: Event) -> list[Effect]:
        match event:
            case Received(Request()) if self._last is not None:
                return [self._send(self._last)]
            case TimerFired(Timer.J):
                self.state = State.TERMINATED
                return self.terminate()
            case _:
                return []
