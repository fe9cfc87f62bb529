"""A device that registers while its endpoint is called joins the fork (CALL-14, LIVE-4).

Lives here: which fork it joins, and the end of the waiting. Never here: who waits for it (late.py).
"""

from offhook.calls import bridge, fork, late
from offhook.calls.call import Call, Effects
from offhook.calls.effects import CloseMediaLeg, Sip
from offhook.calls.fork import Fork
from offhook.calls.outcome import best, refusal
from offhook.sip.commands import CancelInvite
from offhook.sip.events import DeviceReturned
from offhook.sip.fields import sip_reason
from offhook.sip.location import Account, Binding

REPLACED = sip_reason(480, "The device has come back by another connection")


def joins(calls: list[Call], event: DeviceReturned) -> Effects:
    """Every fork that waits for this endpoint, or rings its other devices, gets one branch more."""
    name = event.username.casefold()
    forks = [(call, one) for call in calls for one in call.forks]
    return [effect for call, one in forks for effect in _join(call, one, _called(one, name), event.binding)]


def _called(one: Fork, name: str) -> Account | None:
    if one.callee is not None and one.callee.username.casefold() == name:
        return one.callee
    return one.members.get(name)


def _join(call: Call, one: Fork, callee: Account | None, binding: Binding) -> Effects:
    rings = callee is not None and (one.waits or (one.rung and callee.ring not in ("serial", "q")))
    if callee is None or one.hunt is not None or not rings or binding.flow.id == one.party.flow.id:
        return []
    if one.destination is not None and one.destination.gruu is not None and not one.destination.gruu.means(binding):
        return []
    if not callee.rings(binding):
        return []
    if any(one.bindings[ref].flow.id == binding.flow.id for ref in one.branches):
        return []
    if any(_beside(one.bindings[ref], binding) for ref in one.branches):
        return []
    left = _replaced(call, one, binding)
    if len(one.branches) >= call.config.fork_targets:
        return left
    legs = fork.start(call, one, callee, (binding,))
    newcomer = next(leg for leg in legs if one.bindings[leg.ref] is binding)
    if one.rung:
        one.late.add(newcomer.ref)
    decided = call.explain(f"A device of {callee.username} registers and is rung too", newcomer)
    return [*late.waits_no_more(call, one), *left, decided, *bridge.open_legs(call, [newcomer])]


def _beside(rings: Binding, refreshed: Binding) -> bool:
    """The device that rings has refreshed another of the flows that it keeps (RFC 5626): it rings already."""
    both = rings.reg_id is not None and refreshed.reg_id is not None and rings.reg_id != refreshed.reg_id
    return both and rings.instance == refreshed.instance


def _replaced(call: Call, one: Fork, binding: Binding) -> Effects:
    """The same device rings by a connection that it has left."""
    effects: Effects = []
    for ref, leg in list(one.branches.items()):
        known = one.bindings[ref]
        same = (
            known.instance == binding.instance
            if known.instance or binding.instance
            else known.contact == binding.contact
        )
        if not same:
            continue
        call.retire(leg, "flow_lost")
        effects.append(Sip(CancelInvite(leg.usage, REPLACED)))
        if leg.media is not None:
            effects.append(CloseMediaLeg(leg.media.leg))
    return effects


def over(call: Call, one: Fork, now: float) -> Effects:
    """Nobody has come or woken in time."""
    if not one.waits:
        return []
    name = one.invitation.to_name
    if one.branches:
        outcome = refusal("device_silent", f"The page of {name} is asleep")
    elif one.failures:
        outcome = best(one.failures)
    else:
        outcome = refusal("flow_lost", f"The connection to {name}'s device broke, and it has not come back")
    return fork.give_up(call, one, outcome, sip_reason(480, outcome.text), outcome.row.code, now)
