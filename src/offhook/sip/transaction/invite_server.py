"""INVITE server transaction: RFC 3261 section 17.2.1 with the Accepted state of RFC 6026 section 7.1.

Lives here: 100 at once, repeated 1xx and 3xx-6xx, the ACK to the latter. Never here: repeating a 2xx, which is the
usage's (section 13.3.1.4).
"""

from collections.abc import Hashable
from enum import StrEnum

from offhook.sip.flow import Flow
from offhook.sip.message import Request, Response
from offhook.sip.response import response_to
from offhook.sip.timers import Timer, Timers
from offhook.sip.transaction.machine import AckPassed, Effect, Event, Machine, Received, Respond, ServerUser, TimerFired


class State(StrEnum):
    """Figure 7 of RFC 6026."""

    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class InviteServer(Machine):
    """One INVITE of a peer until our final response is acknowledged. Events in, effects out."""

    def __init__(
        self,
        key: Hashable,
        request: Request,
        flow: Flow,
        timers: Timers,
        user: ServerUser | None = None,
        stranger: bool = False,
    ) -> None:
        super().__init__(key, flow, timers)
        self._stranger = stranger
        self.request = request
        self.user = user
        self.state = State.PROCEEDING
        self._last = response_to(request, 100)
        self._interval = timers.t1

    def start(self) -> list[Effect]:
        """17.2.1: 100 unless the user answers within 200 ms; it never can be sure to, so 100 goes out at once.

        Not to a stranger over UDP, whose address may be forged: he may ask again, and hears it then.
        """
        return [] if self._stranger else [self._send(self._last)]

    def handle(self, event: Event) -> list[Effect]:
        """One step."""
        match self.state:
            case State.PROCEEDING:
                return self._proceeding(event)
            case State.ACCEPTED:
                return self._accepted(event)
            case State.COMPLETED:
                return self._completed(event)
            case State.CONFIRMED:
                return self._confirmed(event)
            case State.TERMINATED:
                return []

    def _proceeding(self, event: Event) -> list[Effect]:
        match event:
            case Received(Request(method="INVITE")):
                return [self._send(self._last)]
            case Respond(response) if response.status < 200:
                self._stranger = False
                self._last = response
                return [self._send(response)]
            case Respond(response) if response.status < 300:
                # RFC 6026 7.1: stay, so that a late copy of the INVITE is absorbed and not taken for a new call.
                self.state = State.ACCEPTED
                return [self._send(response), self._start(Timer.L, self._timers.give_up)]
            case Respond(response):
                return self._refuse(response)
            case _:
                return []

    def _refuse(self, response: Response) -> list[Effect]:
        if self._stranger:
            # 8.2.7: a stranger's first word is refused without state; repeated unasked it would be aimed at somebody.
            self.state = State.TERMINATED
            return [self._send(response), *self.terminate()]
        self.state = State.COMPLETED
        self._last = response
        effects: list[Effect] = [self._send(response)]
        if not self.flow.transport.reliable:
            effects.append(self._start(Timer.G, self._interval))
        return [*effects, self._start(Timer.H, self._timers.give_up)]

    def _accepted(self, event: Event) -> list[Effect]:
        match event:
            case Received(Request(method="ACK") as ack):
                # A shipping client re-uses the INVITE's branch in the ACK to a 2xx; only the user can place it (CALL-10).
                return [AckPassed(self.key, ack)]
            case Respond(response) if 200 <= response.status < 300:
                return [self._send(response)]
            case TimerFired(Timer.L):
                self.state = State.TERMINATED
                return self.terminate()
            case _:
                return []

    def _completed(self, event: Event) -> list[Effect]:
        match event:
            case Received(Request(method="INVITE")):
                return [self._send(self._last)]
            case Received(Request(method="ACK")):
                stopped = self._stop_all()
                if self.flow.transport.reliable:
                    # 17.2.1: Timer I is zero where no copies of the ACK can come.
                    self.state = State.TERMINATED
                    return [*stopped, *self.terminate()]
                self.state = State.CONFIRMED
                return [*stopped, self._start(Timer.I, self._timers.t4)]
            case TimerFired(Timer.G):
                self._interval = self._timers.next(self._interval)
                return [self._send(self._last), self._start(Timer.G, self._interval)]
            case TimerFired(Timer.H):
                # 17.2.1: the ACK never came. The usage ended with the refusal, so nobody needs to hear of it.
                self.state = State.TERMINATED
                return self.terminate()
            case _:
                return []

    def _confirmed(self, event: Event) -> list[Effect]:
        match event:
            case TimerFired(Timer.I):
                self.state = State.TERMINATED
                return self.terminate()
            case _:
                return []
