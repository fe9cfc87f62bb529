"""Devices that come back: the legs they left behind move to their new flow (LIVE-5).

Lives here: which device is behind which flow, and which of its legs follow it. Never here: the legs' clocks (survival.py).
"""

from collections import OrderedDict
from collections.abc import Callable

from offhook.calls.call import Call, Effects
from offhook.calls.effects import CloseFlow, ProbeFlow, Sip
from offhook.calls.leg import Leg
from offhook.record import record
from offhook.sip.commands import MoveUsage
from offhook.sip.events import BindingsChanged, DeviceReturned, UsageId
from offhook.sip.flow import FlowId
from offhook.sip.location import Binding, Change

PROBE = 2.0
"""Seconds in which a flow that is still up has to answer a ping: a living one needs a round trip."""


LegsOn = Callable[[FlowId], list[tuple[Call, Leg]]]
"""Finds the live legs of a flow."""


@record
class Device:
    """What stays the same when a device comes back: its instance, without one the user and host of its Contact."""

    username: str
    instance: str
    contact: str = ""


def device_of(username: str, binding: Binding) -> Device:
    """The device that a binding leads to."""
    if binding.instance:
        return Device(username.casefold(), binding.instance)
    return Device(username.casefold(), "", f"{binding.contact.user}@{binding.contact.host}")


class Devices:
    """Who is behind each connection, and which legs have lost theirs. Over UDP nothing is ever lost, so nothing is kept."""

    def __init__(self, tombstone: float) -> None:
        self._tombstone = tombstone
        self._of_flow: dict[FlowId, dict[str, Device]] = {}
        self._flow_of: dict[Device, FlowId] = {}
        self._leaving: set[FlowId] = set()
        self._detached: dict[Device, set[UsageId]] = {}
        self._tombs: OrderedDict[UsageId, tuple[Device, float]] = OrderedDict()
        self._probed: dict[FlowId, tuple[Device, FlowId]] = {}

    def of(self, flow: FlowId, username: str) -> Device | None:
        """The device of an endpoint behind a flow."""
        return self._of_flow.get(flow, {}).get(username.casefold())

    # ---- registrations

    def returned(self, event: DeviceReturned, legs_on: LegsOn) -> Effects:
        """A device has registered: what it left behind follows it, and what hangs on a flow of its that may be dead is
        asked after."""
        flow = event.binding.flow
        if not flow.transport.reliable:
            return []
        device = device_of(event.username, event.binding)
        before = self._flow_of.get(device)
        self._of_flow.setdefault(flow.id, {})[device.username] = device
        self._flow_of[device] = flow.id
        self._leaving.discard(flow.id)
        adopted = [Sip(MoveUsage(usage, flow.id)) for usage in sorted(self._detached.pop(device, ()))]
        if before is None or before == flow.id or not legs_on(before):
            return [*adopted]
        # LIVE-5: two tabs may share one instance, or the old flow is half open.
        self._probed[before] = (device, flow.id)
        return [*adopted, ProbeFlow(before, PROBE)]

    def changed(self, event: BindingsChanged) -> None:
        """LIVE-3: a device that unregisters before its connection closes has left."""
        for one in event.changed:
            if one.change is Change.UNREGISTERED and one.binding.flow.id in self._of_flow:
                self._leaving.add(one.binding.flow.id)

    # ---- flows

    def probed(self, flow: FlowId, alive: bool, legs_on: LegsOn) -> Effects:
        """The answer to `ProbeFlow`: a dead flow is closed, after its device's legs have moved."""
        device, to = self._probed.pop(flow, (None, FlowId("")))
        if alive or device is None or self._flow_of.get(device) != to:
            return []
        moves = [Sip(MoveUsage(leg.usage, to)) for _, leg in legs_on(flow) if self._belongs(leg, device)]
        return [*moves, CloseFlow(flow, 1012, "flow-half-open")]

    def lost(self, flow: FlowId) -> bool:
        """A flow is gone, its legs have been `left_behind`; True if its device had said that it leaves."""
        for device in self._of_flow.pop(flow, {}).values():
            if self._flow_of.get(device) == flow:
                del self._flow_of[device]
        self._probed.pop(flow, None)
        left = flow in self._leaving
        self._leaving.discard(flow)
        return left

    # ---- legs without a flow

    def left_behind(self, leg: Leg) -> Effects:
        """A leg has lost its flow and waits for its device. If that is back already, by another flow, it follows at once."""
        device = leg.device or self.of(leg.flow.id, leg.account.username if leg.account is not None else "")
        leg.device = device
        if device is None:
            return []
        there = self._flow_of.get(device)
        if there is not None and there != leg.flow.id:
            return [Sip(MoveUsage(leg.usage, there))]
        self._detached.setdefault(device, set()).add(leg.usage)
        return []

    def owed(self, flow: FlowId, usage: UsageId, username: str, now: float) -> Effects:
        """A call ended just before its device's connection did: the BYE waits as for a leg that ended detached (LIVE-14)."""
        device = self.of(flow, username)
        if device is None:
            return []
        there = self._flow_of.get(device)
        if there is not None and there != flow:
            return [Sip(MoveUsage(usage, there))]
        self._detached.setdefault(device, set()).add(usage)
        self._tombs[usage] = (device, now + self._tombstone)
        return []

    def attached(self, leg: Leg) -> None:
        """The leg has a flow again."""
        if leg.device is not None:
            self._forget(leg.usage, leg.device)
            leg.device = None

    def buried(self, leg: Leg, now: float) -> None:
        """LIVE-14: a leg ended while it was detached. Its device still gets the BYE, if it returns in time."""
        if leg.device is not None and leg.usage in self._detached.get(leg.device, ()):
            self._tombs[leg.usage] = (leg.device, now + self._tombstone)
        while self._tombs:
            usage, (device, until) = next(iter(self._tombs.items()))
            if until > now:
                return
            del self._tombs[usage]
            self._forget(usage, device)

    def _forget(self, usage: UsageId, device: Device) -> None:
        waiting = self._detached.get(device, set())
        waiting.discard(usage)
        if not waiting:
            self._detached.pop(device, None)

    def _belongs(self, leg: Leg, device: Device) -> bool:
        return leg.account is not None and leg.account.username.casefold() == device.username
