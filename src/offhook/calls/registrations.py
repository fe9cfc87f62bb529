"""What the events API hears of registrations (REG-16)."""

from offhook.calls.effects import CallEffect, Happened, Publish
from offhook.sip.events import BindingsChanged
from offhook.sip.location import Change, Changed


def changed(event: BindingsChanged) -> list[CallEffect]:
    """`registration.added` and `registration.removed`; a mere refresh is not told."""
    return [_publish(one) for one in event.changed if one.change is not Change.REFRESHED]


def _publish(one: Changed) -> Publish:
    binding = one.binding
    details = {
        "id": binding.id,
        "aor": binding.aor,
        "contact": str(binding.contact),
        "instance": binding.instance or "",
        "flow": binding.flow.id,
        "user_agent": binding.user_agent,
    }
    if one.change.active:
        return Publish(Happened("registration.added", "", "", tuple(details.items())))
    return Publish(Happened("registration.removed", "", "", (*details.items(), ("reason", one.change.value))))
