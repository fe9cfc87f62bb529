"""INVITE client transaction: RFC 3261 section 17.1.1 with the Accepted state of RFC 6026 section 7.2.

Lives here: retransmission of INVITE, ACK to a 3xx-6xx. Never here: ACK to a 2xx, which is the usage's (section 13.2.2.4).
"""

from collections.abc import Hashable
from enum import StrEnum

from offhook.sip.client_auth import credentials_of
from offhook.sip.events import Failure
from offhook.sip.flow import Flow
from offhook.sip.message import Headers, Request, Response
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
    """Figure 5 of RFC 6026."""

    CALLING = "calling"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class InviteClient(Machine):
    """One INVITE of ours until its final response is absorbed. Events in, effects out."""

    def __init__(self, key: Hashable, request: Request, flow: Flow, owner: Owner, timers: Timers) -> None:
        super().__init__(key, flow, timers)
        self.request = request
        self.owner = owner
        self.state = State.CALLING
        self._interval = timers.t1

    def start(self) -> list[Effect]:
        """Sends the INVITE and starts Timers A (UDP only) and B."""
        effects: list[Effect] = [self._send(self.request)]
        if not self.flow.transport.reliable:
            effects.append(self._start(Timer.A, self._interval))
        effects.append(self._start(Timer.B, self._timers.give_up))
        return effects

    def handle(self, event: Event) -> list[Effect]:
        """One step."""
        match self.state:
            case State.CALLING:
                return self._calling(event)
            case State.PROCEEDING:
                return self._proceeding(event)
            case State.COMPLETED:
                return self._completed(event)
            case State.ACCEPTED:
                return self._accepted(event)
            case State.TERMINATED:
                return []

    def _calling(self, event: Event) -> list[Effect]:
        match event:
            case TimerFired(Timer.A):
                # 17.1.1.2: the interval doubles with each retransmission, without a ceiling, until B.
                self._interval *= 2
                return [self._send(self.request), self._start(Timer.A, self._interval)]
            case TimerFired(Timer.B):
                return self._fail(Failure.NO_RESPONSE)
            case SendFailed():
                return self._fail(Failure.FLOW_FAILED)
            case Received(Response() as response) if response.status < 200:
                # 17.1.1.2: a provisional response ends retransmission; the user decides how long to wait from here.
                self.state = State.PROCEEDING
                return [*self._stop_all(), self._pass(response)]
            case Received(Response() as response):
                return self._final(response)
            case _:
                return []

    def _proceeding(self, event: Event) -> list[Effect]:
        match event:
            case Received(Response() as response) if response.status < 200:
                return [self._pass(response)]
            case Received(Response() as response):
                return self._final(response)
            case SendFailed():
                return self._fail(Failure.FLOW_FAILED)
            case _:
                return []

    def _final(self, response: Response) -> list[Effect]:
        stopped = self._stop_all()
        if response.status < 300:
            # RFC 6026 7.2: stay for further 2xx, of this fork or another, each of which the user must acknowledge.
            self.state = State.ACCEPTED
            return [*stopped, self._pass(response), self._start(Timer.M, self._timers.give_up)]
        self.state = State.COMPLETED
        effects: list[Effect] = [*stopped, self._send(self._ack(response)), self._pass(response)]
        if self.flow.transport.reliable:
            # 17.1.1.2: Timer D is zero where the response is not repeated.
            self.state = State.TERMINATED
            return [*effects, *self.terminate()]
        return [*effects, self._start(Timer.D, self._timers.absorb_finals)]

    def _completed(self, event: Event) -> list[Effect]:
        match event:
            case Received(Response() as response) if response.status >= 300:
                # 17.1.1.2: the ACK was lost, so it is sent again; the user has seen this response already.
                return [self._send(self._ack(response))]
            case TimerFired(Timer.D) | SendFailed():
                self.state = State.TERMINATED
                return self.terminate()
            case _:
                return []

    def _accepted(self, event: Event) -> list[Effect]:
        match event:
            case Received(Response() as response) if 200 <= response.status < 300:
                return [self._pass(response)]
            case TimerFired(Timer.M):
                self.state = State.TERMINATED
                return self.terminate()
            case _:
                return []

    def _pass(self, response: Response) -> ResponsePassed:
        return ResponsePassed(self.key, self.owner, response)

    def _fail(self, failure: Failure) -> list[Effect]:
        self.state = State.TERMINATED
        return [*self._stop_all(), RequestFailed(self.key, self.owner, failure), *self.terminate()]

    def _ack(self, response: Response) -> Request:
        """17.1.1.3: the INVITE's Request-URI, Call-ID, From, top Via, CSeq number and Route; To of the response."""
        invite = self.request.headers
        number = (invite.get("CSeq") or "").split(None, 1)[0]
        fields = [("Via", invite.all("Via")[0]), *(("Route", value) for value in invite.all("Route"))]
        fields += [
            ("Max-Forwards", "70"),
            ("From", invite.get("From") or ""),
            ("To", response.headers.get("To") or ""),
            ("Call-ID", invite.get("Call-ID") or ""),
            ("CSeq", f"{number} ACK"),
            # 22.1: an ACK repeats the credentials of its INVITE, because no peer may challenge it.
            *credentials_of(self.request),
        ]
        return Request("ACK", self.request.uri, Headers(fields))
