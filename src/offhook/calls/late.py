"""Devices that are away for a moment: calls wait for them (LIVE-4), and pages that sleep are found out (WS-10).

Lives here: who was lost lately, and the clocks. Never here: what a device that comes joins (joining.py).
"""

from collections import OrderedDict
from typing import TYPE_CHECKING

from offhook.calls.effects import CallEffect, Sip, StartTimer, StopTimer
from offhook.record import record
from offhook.sip.commands import MarkFlow, RespondInvite
from offhook.sip.domains import name_of
from offhook.sip.events import BindingsChanged
from offhook.sip.flow import Reachability
from offhook.sip.location import Change

if TYPE_CHECKING:
    from offhook.calls.call import Call
    from offhook.calls.fork import Fork
    from offhook.calls.leg import Leg

Effects = list[CallEffect]

LATELY = 60.0
"""Seconds after the loss of an endpoint's last connection in which its return is awaited: libraries try for 30."""
UNHEARD = 3.0
"""Seconds without any response to an INVITE after which a page is asleep: a page that runs answers 100 in milliseconds."""
REMEMBERED = 10_000
"""Endpoints of which it is known that they were lost lately; the longest gone is forgotten first."""


@record
class LateArrival:
    """A fork has waited long enough for a device."""

    call_ref: str
    fork_ref: str


@record
class PageCheck:
    """Has the page said anything at all to our INVITE?"""

    call_ref: str
    leg_ref: str


class Away:
    """Endpoints whose last connection was lost, by user name."""

    def __init__(self, domain: str = "") -> None:
        self._domain = domain
        self._lost: OrderedDict[str, float] = OrderedDict()

    def changed(self, event: BindingsChanged, now: float) -> None:
        """An endpoint whose last device is gone with its connection."""
        if event.bindings or not any(one.change is Change.FLOW_LOST for one in event.changed):
            return
        username = name_of(event.aor, self._domain)
        self._lost.pop(username.casefold(), None)
        self._lost[username.casefold()] = now
        if len(self._lost) > REMEMBERED:
            self._lost.popitem(last=False)

    def back(self, username: str) -> None:
        """A device of it has registered."""
        self._lost.pop(username.casefold(), None)

    def lately(self, username: str, now: float) -> bool:
        """True while it is worth a caller's time to wait."""
        return now - self._lost.get(username.casefold(), -LATELY) < LATELY


def wait(call: "Call", fork: "Fork") -> Effects:
    """The caller hears that it rings, for as long as a device may come back."""
    fork.waits = True
    if fork.callee is not None:
        call.index.awaited.setdefault(fork.callee.username.casefold(), {})[call.ref] = call
    effects: Effects = [
        StartTimer(LateArrival(call.ref, fork.ref), call.config.late_arrival),
        call.explain(f"{fork.invitation.to_name}'s connection broke lately: a device that comes back is rung"),
    ]
    if fork.party.request is not None and not fork.party.confirmed and not fork.ringing_told:
        fork.ringing_told = True
        effects.append(Sip(RespondInvite(fork.party.usage, 180)))
    return effects


def waits_no_more(call: "Call", fork: "Fork") -> Effects:
    """A device is there, awake, or no longer wanted."""
    if not fork.waits:
        return []
    fork.waits = False
    if fork.callee is not None:
        waiting = call.index.awaited.get(fork.callee.username.casefold(), {})
        waiting.pop(call.ref, None)
        if not waiting:
            call.index.awaited.pop(fork.callee.username.casefold(), None)
    return [StopTimer(LateArrival(call.ref, fork.ref))]


# ---- pages asleep


def invited(call: "Call", leg: "Leg") -> Effects:
    """An INVITE has gone to a page."""
    if not leg.flow.transport.websocket:
        return []
    leg.unheard = True
    return [StartTimer(PageCheck(call.ref, leg.ref), UNHEARD)]


def heard(call: "Call", fork: "Fork", leg: "Leg") -> Effects:
    """The page has said something, if only 100."""
    stop: Effects = [StopTimer(PageCheck(call.ref, leg.ref))] if leg.unheard else []
    leg.unheard = False
    if not leg.asleep:
        return stop
    leg.asleep = False
    return [*stop, *waits_no_more(call, fork)]


def unheard(call: "Call", fork: "Fork", leg: "Leg") -> Effects:
    """The socket stands, the page sleeps: a frozen tab. When nobody else rings, the call waits for it to wake, or for
    another device."""
    if not leg.unheard:
        return []
    leg.unheard, leg.asleep = False, True
    effects: Effects = [
        Sip(MarkFlow(leg.flow.id, Reachability.ASLEEP)),
        call.explain(f"The page of {fork.invitation.to_name} does not answer: it is asleep", leg),
    ]
    if not all(one.asleep for one in fork.branches.values()) or fork.waits:
        return effects
    fork.waits = True
    return [*effects, StartTimer(LateArrival(call.ref, fork.ref), call.config.late_asleep)]
