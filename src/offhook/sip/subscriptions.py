"""All subscriptions of the node, and the fields by which SUBSCRIBE names one.

Lives here: the index by id, flow, dialog and peer. Never here: what a subscription does (subscription.py).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from offhook.sip.config import SubscriptionLimits
from offhook.sip.envelope import DialogKey
from offhook.sip.errors import PeerError
from offhook.sip.events import SubscriptionId
from offhook.sip.fields import parse_number, parse_params
from offhook.sip.flow import Flow, FlowId
from offhook.sip.message import Headers
from offhook.sip.transaction.machine import Effect

if TYPE_CHECKING:
    from offhook.sip.subscription import Subscription


@dataclass(frozen=True, slots=True)
class EventField:
    """The Event header field (RFC 6665 section 8.2.1): package in lower case, `id` "" if absent."""

    package: str
    id: str = ""

    def __str__(self) -> str:
        return f"{self.package};id={self.id}" if self.id else self.package


def read_event(headers: Headers) -> EventField | None:
    """The Event field; None if there is none that can be read."""
    package, semicolon, rest = (headers.get("Event") or "").partition(";")
    if not package.strip():
        return None
    try:
        params = parse_params(semicolon + rest)
    except PeerError:
        return None
    return EventField(package.strip().lower(), params.get("id") or "")


def read_expires(headers: Headers, limits: SubscriptionLimits) -> int | None:
    """The seconds asked for, at most the longest we give; None if more than nothing and too short (EVT-3)."""
    text = headers.get("Expires")
    if text is None:
        return limits.expires_default
    asked = parse_number(text.strip(), "Expires", 2**32 - 1)
    if 0 < asked < limits.expires_min:
        return None
    return min(asked, limits.expires_max)


class Subscriptions:
    """All subscriptions of the node: by id, by flow, counted by peer. Owned by the core."""

    def __init__(self) -> None:
        self._by_id: dict[SubscriptionId, Subscription] = {}
        self._by_flow: dict[FlowId, dict[SubscriptionId, Subscription]] = {}
        self._implied: dict[tuple[DialogKey, EventField], Subscription] = {}
        self._of_peer: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def running_timers(self) -> int:
        """Timers that are set."""
        return sum(one.running_timers for one in self._by_id.values())

    def get(self, subscription: SubscriptionId) -> "Subscription | None":
        """By id, those that only wait for their last answer included."""
        return self._by_id.get(subscription)

    def implied(self, dialog: DialogKey, headers: Headers) -> "Subscription | None":
        """The one that a REFER in this dialog has implied and this request's Event field names."""
        event = read_event(headers)
        return None if event is None else self._implied.get((dialog, event))

    def of_peer(self, peer: str) -> int:
        """How many an endpoint has."""
        return self._of_peer.get(peer, 0)

    def on_flow(self, flow: FlowId) -> tuple[SubscriptionId, ...]:
        """Those that call control knows and whose messages go down this flow; implied ones follow their call."""
        return tuple(one.id for one in self._by_flow.get(flow, {}).values() if not one.over)

    def add(self, subscription: "Subscription") -> None:
        """A new one."""
        self._by_id[subscription.id] = subscription
        self._of_peer[subscription.peer] = self.of_peer(subscription.peer) + 1
        if subscription.host is None:
            self._by_flow.setdefault(subscription.flow.id, {})[subscription.id] = subscription
        else:
            self._implied[subscription.dialog.key, subscription.event] = subscription

    def remove(self, subscription: "Subscription") -> None:
        """It has ended; a second time does nothing."""
        if self._by_id.pop(subscription.id, None) is None:
            return
        left = self._of_peer.pop(subscription.peer) - 1
        if left:
            self._of_peer[subscription.peer] = left
        self._implied.pop((subscription.dialog.key, subscription.event), None)
        self._leave(subscription)

    def moved(self, subscription: "Subscription", flow: Flow) -> None:
        """From now on its messages go down this flow."""
        self._leave(subscription)
        subscription.dialog.flow = flow
        self._by_flow.setdefault(flow.id, {})[subscription.id] = subscription

    def _leave(self, subscription: "Subscription") -> None:
        on_flow = self._by_flow.get(subscription.flow.id, {})
        on_flow.pop(subscription.id, None)
        if not on_flow:
            self._by_flow.pop(subscription.flow.id, None)

    def flow_lost(self, flow: FlowId) -> list[Effect]:
        """Those on the flow pause."""
        return [effect for one in self._through(flow) for effect in one.pause()]

    def resumed(self, flow: FlowId, now: float) -> list[Effect]:
        """Those that were moved to the flow, or whose call was, say their state once."""
        return [effect for one in self._through(flow) for effect in one.resumed(now)]

    def _through(self, flow: FlowId) -> "list[Subscription]":
        # Few transfers are under way at a time, so implied ones need no index of their own.
        implied = [one for one in self._implied.values() if one.flow.id == flow]
        return [*self._by_flow.get(flow, {}).values(), *implied]
