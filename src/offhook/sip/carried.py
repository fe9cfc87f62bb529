"""Which flows carry which addresses of record, when the first binding of one runs out, and what is known of a flow's device.

Lives here: the registrar's memory, as small as it can be; the bindings themselves are with whoever performs
`UpdateBindings`. Never here: what a REGISTER asks for.
"""

from dataclasses import dataclass, replace

from offhook.sip.effects import StartTimer, StopTimer
from offhook.sip.flow import Flow, FlowId, Reachability
from offhook.sip.location import Binding, Change
from offhook.sip.timers import Timer, TimerKey
from offhook.sip.transaction.machine import Effect
from offhook.sip.uri import Uri


@dataclass(frozen=True, eq=False, slots=True)
class Sweep:
    """Token of a look-up: bindings that ran out are to be taken away, and with them those that `change` befell: every one
    on a `flow` (and of a `contact` there), one by its id in `binding`, or all."""

    aor: str
    change: Change = Change.EXPIRED
    flow: FlowId | None = None
    binding: str = ""
    contact: Uri | None = None

    def ends(self, binding: Binding, now: float) -> Change | None:
        """Why the binding is over; None if it stands."""
        if binding.expires_at <= now:
            return Change.EXPIRED
        if self.change is Change.EXPIRED:
            return None
        if self.flow is not None and binding.flow.id != self.flow:
            return None
        if self.change is Change.FLOW_LOST and binding.dial_back is not None:
            return None
        if self.contact is not None and binding.contact != self.contact:
            return None
        return self.change if self.binding in ("", binding.id) else None

    def left(self, binding: Binding) -> Binding:
        """A binding that stands, as it is now: one on the lost flow waits to be dialled back."""
        lost = self.change is Change.FLOW_LOST and binding.flow.id == self.flow
        return replace(binding, attached=False) if lost else binding


@dataclass(frozen=True, eq=False, slots=True)
class Reattachment:
    """Token of a look-up: a binding that waited to be dialled back has a flow again."""

    aor: str
    binding: str
    flow: Flow


@dataclass(frozen=True, slots=True)
class BindingClock:
    """Owner of the timer at which the first binding of an address of record runs out."""

    aor: str


@dataclass(slots=True)
class Clock:
    """`due` is when the first binding runs out; `rings` when the timer does, which a refresh leaves where it is."""

    due: float
    rings: float


Aors = tuple[str, ...] | set[str]

FEW = 8
"""Addresses of record of one flow that stand in a tuple, which takes a fifth of a set; those of a proxy or PBX, through
which each refresh would have to walk, stand in a set."""


def _and(aors: Aors, aor: str) -> Aors:
    if isinstance(aors, set):
        aors.add(aor)
        return aors
    return (*aors, aor) if len(aors) < FEW else {*aors, aor}


def _without(aors: Aors, aor: str) -> Aors:
    if isinstance(aors, set):
        aors.discard(aor)
        return aors
    return tuple([one for one in aors if one != aor])


def _key(aor: str) -> TimerKey:
    return TimerKey(BindingClock(aor), Timer.EXPIRES)


class Carried:
    """Owned by the registrar. `flows` are the live ones, shared with the endpoint; a UDP flow lives while it carries."""

    def __init__(self, flows: dict[FlowId, Flow]) -> None:
        self._flows = flows
        self._aors: dict[FlowId, Aors] = {}
        self._clocks: dict[str, Clock] = {}
        self._marks: dict[FlowId, Reachability] = {}

    @property
    def running_timers(self) -> int:
        """Clocks that are set."""
        return len(self._clocks)

    def aors(self, flow: FlowId) -> list[str]:
        """The addresses of record with a binding on the flow, sorted."""
        return sorted(self._aors.get(flow, ()))

    def only(self, flow: FlowId) -> str | None:
        """The address of record of the flow, if it carries one and only one."""
        aors = self._aors.get(flow, ())
        return next(iter(aors)) if len(aors) == 1 else None

    def alive(self, flow: Flow) -> bool:
        """False for a stream that is gone: a binding may outlive its flow in the store of another life of this node."""
        return not flow.transport.reliable or flow.id in self._flows

    # ---- after a write

    def rewritten(self, aor: str, before: tuple[Binding, ...], after: tuple[Binding, ...], now: float) -> list[Effect]:
        """An address of record has these bindings now: remembers their flows, so that they die with them; sets the clock."""
        ways = [binding.flow.id for binding in after]
        if ways == [binding.flow.id for binding in before] and all(aor in self._aors.get(way, ()) for way in ways):
            return self.clock(aor, after, now)
        for binding in before:
            self._leave(binding.flow, aor)
        for binding in after:
            aors = self._aors.get(binding.flow.id, ())
            if aor not in aors:
                self._aors[binding.flow.id] = _and(aors, aor)
            if not binding.flow.transport.reliable:
                self._flows.setdefault(binding.flow.id, binding.flow)
        return self.clock(aor, after, now)

    def carries(self, flow: FlowId) -> bool:
        """True while a binding is on the flow."""
        return flow in self._aors

    def _leave(self, flow: Flow, aor: str) -> None:
        aors = self._aors.get(flow.id)
        if aors is None:
            return
        left = _without(aors, aor)
        if left:
            self._aors[flow.id] = left
        else:
            del self._aors[flow.id]
            if not flow.transport.reliable:
                self._flows.pop(flow.id, None)
                self._marks.pop(flow.id, None)

    def clock(self, aor: str, bindings: tuple[Binding, ...], now: float) -> list[Effect]:
        """The timer for the first binding to run out."""
        clock = self._clocks.get(aor)
        if not bindings:
            self._clocks.pop(aor, None)
            return [] if clock is None else [StopTimer(_key(aor))]
        due = min([binding.expires_at for binding in bindings])
        if clock is not None and now < clock.rings <= due:
            clock.due = due
            return []
        self._clocks[aor] = Clock(due, due)
        return [StartTimer(_key(aor), max(0.0, due - now))]

    def fired(self, aor: str, now: float) -> list[Effect] | None:
        """The timer of an address of record ran out. None when a binding has, and the clock is no longer set; else it is
        set anew, for every refresh since has only moved what it is for."""
        clock = self._clocks.get(aor)
        if clock is None:
            return []
        if clock.due > now:
            clock.rings = clock.due
            return [StartTimer(_key(aor), clock.due - now)]
        del self._clocks[aor]
        return None

    def lost(self, flow: FlowId) -> list[str]:
        """The flow is gone: the addresses of record that it carried."""
        self._marks.pop(flow, None)
        return sorted(self._aors.pop(flow, ()))

    # ---- what is known of the devices

    def mark(self, flow: FlowId, reachability: Reachability) -> None:
        """Something was found out about a live flow's device."""
        if reachability is Reachability.REACHABLE:
            self._marks.pop(flow, None)
        elif flow in self._flows:
            self._marks[flow] = reachability

    def heard(self, flow: FlowId) -> None:
        """A message came: the device is awake."""
        if self._marks:
            self._marks.pop(flow, None)

    def reachability(self, flow: FlowId) -> Reachability:
        """What is known of the device behind a live flow."""
        return self._marks.get(flow, Reachability.REACHABLE)
