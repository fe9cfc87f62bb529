"""Stations on a bad network with a virtual clock: real messages, encoded and parsed, between SIP endpoints in memory.

A station drives one node, anything with the methods of `SipEndpoint`. `Link.run` moves time to the next event; rules drop,
double or delay single messages; `Link.ladder` draws what happened.

    link = Link()
    alice, bob = link.station("alice", endpoint), link.station("bob", other)
    there, back = link.connect(alice, bob)          # alice's flow to bob, bob's flow to alice
    link.drop("bob", "200 INVITE")                  # the next one
    alice.perform(SendInvite(...))
    link.run(3)
"""

import heapq
import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Protocol

from offhook.sip.commands import SipCommand
from offhook.sip.effects import (
    CloseFlow,
    Deliver,
    FindRegistration,
    Note,
    OpenStream,
    Send,
    SendText,
    SipEffect,
    StartTimer,
    StopTimer,
    UpdateBindings,
)
from offhook.sip.encode import encode
from offhook.sip.errors import PeerError
from offhook.sip.events import SipEvent
from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.location import Account, Binding
from offhook.sip.message import Message, Request
from offhook.sip.parse import parse_datagram


class Node(Protocol):
    """What a station drives: `SipEndpoint`, or anything that wraps one."""

    def receive(self, message: Message, flow: Flow, now: float) -> list[SipEffect]: ...
    def receive_malformed(self, error: PeerError, flow: Flow, now: float) -> list[SipEffect]: ...
    def timer_fired(self, key: Hashable, now: float) -> list[SipEffect]: ...
    def stream_opened(self, key: Hashable, flow: Flow | None, now: float) -> list[SipEffect]: ...
    def send_failed(self, flow: FlowId, message: Message, now: float) -> list[SipEffect]: ...
    def flow_opened(self, flow: Flow, now: float) -> list[SipEffect]: ...
    def flow_lost(self, flow: FlowId, now: float) -> list[SipEffect]: ...
    def registration_found(
        self, token: Hashable, account: Account | None, bindings: tuple[Binding, ...], now: float
    ) -> list[SipEffect]: ...
    def perform(self, command: SipCommand, now: float) -> list[SipEffect]: ...


def summary(message: Message) -> str:
    """`INVITE`, or `180 INVITE` for a response."""
    if isinstance(message, Request):
        return message.method
    return f"{message.status} {(message.headers.get('CSeq') or '').split()[-1]}"


@dataclass
class Rule:
    """Applies to the next `times` messages with this summary from this station; `delay` None drops."""

    sender: str
    summary: str
    times: int
    delay: float | None
    copies: int = 1


@dataclass
class Step:
    """One arrow of the ladder."""

    time: float
    sender: str
    receiver: str
    text: str
    lost: bool


@dataclass(eq=False)
class Station:
    """A node with its timers, its location table and what it told call control."""

    link: "Link"
    name: str
    node: Node
    events: list[SipEvent] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    received: list[Message] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    closed: list[CloseFlow] = field(default_factory=list)
    updates: list[UpdateBindings] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    bindings: dict[str, tuple[Binding, ...]] = field(default_factory=dict)
    timers: dict[Hashable, int] = field(default_factory=dict)
    on_event: Callable[[SipEvent], None] | None = None

    def perform(self, command: SipCommand) -> None:
        """A command of call control."""
        self.apply(self.node.perform(command, self.link.now))

    def feed(self, message: Message, flow: Flow) -> None:
        """A message out of thin air."""
        self.received.append(message)
        self.apply(self.node.receive(message, flow, self.link.now))

    def apply(self, effects: list[SipEffect]) -> None:
        """Performs effects in order, as a driver does."""
        for effect in effects:
            match effect:
                case Send(flow, message, compact):
                    self.sent.append(message)
                    self.link.carry(self, flow, message, compact)
                case SendText(flow, data):
                    message = parse_datagram(data)
                    self.sent.append(message)
                    self.link.carry(self, flow, message)
                case OpenStream(key, flow):
                    self.link.open_stream(self, key, flow)
                case StartTimer(key, seconds):
                    self.timers[key] = self.link.at(seconds, self, key)
                case StopTimer(key):
                    self.timers.pop(key, None)
                case Deliver(event):
                    self.events.append(event)
                    if self.on_event is not None:
                        self.on_event(event)
                case FindRegistration(token, username, aor):
                    account = None if username is None else self.accounts.get(username)
                    found = self.bindings.get(aor, ())
                    self.apply(self.node.registration_found(token, account, found, self.link.now))
                case UpdateBindings():
                    self.updates.append(effect)
                    self.bindings[effect.aor] = effect.bindings
                case CloseFlow(flow):
                    self.closed.append(effect)
                    self.link.disconnect(flow)
                case Note():
                    self.notes.append(effect)

    def of(self, kind: type) -> list[SipEvent]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def saw(self) -> list[str]:
        """Summaries of what came in."""
        return [summary(message) for message in self.received]


class Link:
    """The network and the clock."""

    def __init__(self, latency: float = 0.01) -> None:
        self.now = 0.0
        self.latency = latency
        self.steps: list[Step] = []
        self.takes_tcp: set[str] = set()
        self.sizes: list[tuple[str, int, Transport]] = []
        self._transports: dict[FlowId, Transport] = {}
        self.stations: dict[str, Station] = {}
        self._rules: list[Rule] = []
        self._ends: dict[FlowId, tuple[Station, Station, Flow]] = {}
        self._other: dict[FlowId, FlowId] = {}
        self._queue: list[tuple[float, int, Callable[[int], None]]] = []
        self._numbers = itertools.count(1)
        self._ports = itertools.count(20000)

    def station(self, name: str, node: Node) -> Station:
        """Adds a node."""
        self.stations[name] = Station(self, name, node)
        return self.stations[name]

    def connect(
        self, a: Station, b: Station, transport: Transport = Transport.UDP, port: int = 0, address: str = "127.0.0.1"
    ) -> tuple[Flow, Flow]:
        """A way between two stations: a's flow to b, and b's flow to a. `port` and `address` are a's."""
        here, there = (address, port or next(self._ports)), ("127.0.0.2", 5060)
        number = next(self._numbers)
        flows = (
            self._flow(f"{a.name}-{b.name}-{number}", transport, here, there),
            self._flow(f"{b.name}-{a.name}-{number}", transport, there, here),
        )
        self._ends[flows[0].id], self._ends[flows[1].id] = (a, b, flows[1]), (b, a, flows[0])
        self._other[flows[0].id], self._other[flows[1].id] = flows[1].id, flows[0].id
        self._transports |= {flow.id: transport for flow in flows}
        a.apply(a.node.flow_opened(flows[0], self.now))
        if transport.reliable:
            b.apply(b.node.flow_opened(flows[1], self.now))
        return flows

    @staticmethod
    def _flow(name: str, transport: Transport, local: tuple[str, int], remote: tuple[str, int]) -> Flow:
        secure = transport in (Transport.TLS, Transport.WSS)
        return Flow(FlowId(name), transport, remote, local, f"{local[0]}:{local[1]}", secure, loopback=False)

    def disconnect(self, flow: FlowId) -> None:
        """Both ends of a connection see it go."""
        for end in (flow, self._other[flow]):
            if end in self._ends:
                station = self._ends.pop(end)[0]
                station.apply(station.node.flow_lost(end, self.now))

    def drop(self, sender: str, what: str, times: int = 1) -> None:
        """Loses the next messages with this summary."""
        self._rules.append(Rule(sender, what, times, None))

    def delay(self, sender: str, what: str, seconds: float, times: int = 1) -> None:
        """Delivers them late, behind whatever overtakes them."""
        self._rules.append(Rule(sender, what, times, seconds))

    def double(self, sender: str, what: str, times: int = 1) -> None:
        """Delivers them twice."""
        self._rules.append(Rule(sender, what, times, 0.0, 2))

    def open_stream(self, station: Station, key: Hashable, flow: Flow) -> None:
        """TCP to the peer of a flow, if its name is in `takes_tcp`; the answer comes after a round trip."""
        end = self._ends.get(flow.id)

        def answer(_: int) -> None:
            if end is None or end[1].name not in self.takes_tcp:
                station.apply(station.node.stream_opened(key, None, self.now))
                return
            there, _back = self.connect(station, end[1], Transport.TCP)
            station.apply(station.node.stream_opened(key, there, self.now))

        self._push(2 * self.latency, answer)

    def carry(self, sender: Station, flow: FlowId, message: Message, compact: bool = False) -> None:
        """Takes one message into the network."""
        end = self._ends.get(flow)
        if end is None:
            sender.apply(sender.node.send_failed(flow, message, self.now))
            return
        _, receiver, back = end
        data, text = encode(message, compact), summary(message)
        self.sizes.append((text, len(data), self._transports.get(flow, Transport.UDP)))
        rule = next((r for r in self._rules if r.times and (r.sender, r.summary) == (sender.name, text)), None)
        if rule is not None:
            rule.times -= 1
        lost = rule is not None and rule.delay is None
        self.steps.append(Step(self.now, sender.name, receiver.name, text, lost))
        if lost:
            return
        late = self.latency + ((rule.delay or 0.0) if rule is not None else 0.0)
        for _ in range(rule.copies if rule is not None else 1):
            self._push(late, lambda _, data=data: self._arrive(receiver, back, data))

    def _arrive(self, receiver: Station, flow: Flow, data: bytes) -> None:
        if flow.id not in self._ends:
            return
        try:
            message = parse_datagram(data)
        except PeerError as error:
            receiver.apply(receiver.node.receive_malformed(error, flow, self.now))
            return
        receiver.feed(message, flow)

    def at(self, seconds: float, station: Station, key: Hashable) -> int:
        """Sets a timer; the number given back tells it from an earlier one with the same key."""

        def fire(number: int) -> None:
            if station.timers.get(key) == number:
                del station.timers[key]
                station.apply(station.node.timer_fired(key, self.now))

        return self._push(seconds, fire)

    def _push(self, seconds: float, action: Callable[[int], None]) -> int:
        number = next(self._numbers)
        heapq.heappush(self._queue, (self.now + seconds, number, action))
        return number

    def step(self) -> bool:
        """The next event; False when nothing is left to happen."""
        if not self._queue:
            return False
        self.now, number, action = heapq.heappop(self._queue)
        action(number)
        return True

    def run(self, seconds: float) -> None:
        """Lets this much time pass."""
        until = self.now + seconds
        while self._queue and self._queue[0][0] <= until:
            self.step()
        self.now = until

    def arrows(self) -> list[str]:
        """The messages so far without their times: `alice: INVITE`, with `x` behind a lost one."""
        return [f"{step.sender}: {step.text}{' x' if step.lost else ''}" for step in self.steps]

    def times(self, arrow: str) -> list[float]:
        """When these messages were sent, to the millisecond."""
        return [round(step.time, 3) for step in self.steps if f"{step.sender}: {step.text}" == arrow]

    def ladder(self) -> str:
        """The messages so far, one arrow a line; `x` marks a lost one."""
        names = list(self.stations)
        width = 24
        lines = ["          " + "".join(name.ljust(width) for name in names)]
        for step in self.steps:
            left, right = sorted((names.index(step.sender), names.index(step.receiver)))
            forward = names.index(step.sender) == left
            span = (right - left) * width - 3
            text = f" {step.text} ".center(span, "-")
            arrow = f"{text}{'x' if step.lost else '>'}" if forward else f"{'x' if step.lost else '<'}{text}"
            lines.append(f"{step.time:8.3f}  {' ' * (left * width)}|{arrow}|")
        return "\n".join(lines)
