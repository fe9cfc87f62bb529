"""What the four transaction machines share: the events they take, the effects they return, the record of their timers.

A machine changes its state first and then returns effects: those of effects.py, and the words to the transaction user
below, which the endpoint consumes. `Terminated` is always the last effect of a machine; the table then forgets it.
"""

from collections.abc import Hashable
from typing import Protocol

from offhook.record import record
from offhook.sip.effects import Send, SipEffect, StartTimer, StopTimer
from offhook.sip.events import Failure
from offhook.sip.flow import Flow
from offhook.sip.message import Message, Request, Response
from offhook.sip.timers import Timer, TimerKey, Timers


@record
class Received:
    """A message from the peer that matches this transaction."""

    message: Message


@record
class Respond:
    """The transaction user answers."""

    response: Response


@record
class TimerFired:
    """One of the machine's timers."""

    timer: Timer


@record
class SendFailed:
    """The flow is gone or refused the request (RFC 3261 section 17.1.4)."""


Event = Received | Respond | TimerFired | SendFailed


@record
class ResponsePassed:
    """To the user: a response to its request."""

    key: Hashable
    owner: "Owner"
    response: Response


@record
class RequestFailed:
    """To the user: no final response will come."""

    key: Hashable
    owner: "Owner"
    failure: Failure


@record
class AckPassed:
    """To the user: an ACK that carries the branch of its INVITE although that was answered 2xx (CALL-10)."""

    key: Hashable
    request: Request


@record
class Terminated:
    """To the table: forget this transaction."""

    key: Hashable


class Owner(Protocol):
    """The transaction user of one request of ours."""

    def answered(self, response: Response) -> "list[Effect]":
        """A response passed up, 1xx and repeated 2xx included."""
        ...

    def failed(self, failure: Failure) -> "list[Effect]":
        """No final response will come."""
        ...


class ServerUser(Protocol):
    """The transaction user of an INVITE of a peer."""

    def cancelled(self, key: Hashable, reason: str | None) -> "list[Effect]":
        """CANCEL came for it; `reason` is its Reason field."""
        ...

    def tag(self) -> str:
        """Our To tag, so that the answer to CANCEL carries the same (RFC 3261 section 9.2)."""
        ...


Effect = SipEffect | ResponsePassed | RequestFailed | AckPassed | Terminated


class Machine:
    """Bookkeeping common to all four: which key, which flow, which timers run."""

    def __init__(self, key: Hashable, flow: Flow, timers: Timers) -> None:
        self.key = key
        self.flow = flow
        self._timers = timers
        self._running: set[Timer] = set()
        self.compact = False

    @property
    def running(self) -> frozenset[Timer]:
        """The timers that are set."""
        return frozenset(self._running)

    def fired(self, timer: Timer) -> bool:
        """Marks a timer as run out; False if it had been stopped meanwhile and is to be ignored."""
        if timer not in self._running:
            return False
        self._running.discard(timer)
        return True

    def _send(self, message: Message) -> Send:
        return Send(self.flow.id, message, self.compact)

    def _start(self, timer: Timer, seconds: float) -> StartTimer:
        self._running.add(timer)
        return StartTimer(TimerKey(self.key, timer), seconds)

    def _stop_all(self) -> list[Effect]:
        stopped: list[Effect] = [StopTimer(TimerKey(self.key, timer)) for timer in sorted(self._running)]
        self._running.clear()
        return stopped

    def terminate(self) -> list[Effect]:
        """Stops every timer and asks to be forgotten."""
        return [*self._stop_all(), Terminated(self.key)]
