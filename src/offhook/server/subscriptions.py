"""Events to webhook subscriptions, and word of webhooks that could not be delivered (API.md 12.5)."""

import json
from datetime import UTC, datetime
from typing import Any

from offhook.api.urls import without_password
from offhook.calls.event_types import matches
from offhook.server.events import Events
from offhook.server.outbox import Outbox
from offhook.store.deliveries import Delivery
from offhook.store.events import Event
from offhook.store.webhooks import Webhook, Webhooks

PING, FAILED = "webhook.ping", "webhook.failed"
CODE = "webhook_undeliverable"
"""The row of the error catalogue for what is given up."""


class Subscriptions:
    """Listens to events: whoever subscribed to one gets it, committed with the event itself."""

    def __init__(self, webhooks: Webhooks, events: Events, outbox: Outbox) -> None:
        self._webhooks, self._events, self._outbox = webhooks, events, outbox
        events.listen(self.happened)

    def happened(self, event: Event) -> None:
        """One event. Those of a call go out in order; those of an endpoint or a trunk too."""
        body: dict[str, Any] | None = None
        for webhook in self._webhooks:
            if webhook.enabled and webhook.project_id == event.project_id and matches(event.type, webhook.types):
                body = body or event.view()
                self._put(webhook, event, body)

    def _put(self, webhook: Webhook, event: Event, body: dict[str, Any]) -> None:
        self._outbox.enqueue(
            event.project_id,
            webhook.url,
            json=body,
            call_ref=event.call_ref,
            event_id=event.id,
            sequence=event.sequence,
            request_id=event.request_id,
            order=event.call_ref or str(next(iter(event.endpoints), "") or event.data.get("trunk_id") or ""),
        )

    def ping(self, webhook: Webhook, request_id: str) -> str:
        """Sends a trial to a subscription's URL, enabled or not; returns the delivery's id."""
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {"type": PING, "at": at, "project_id": webhook.project_id, "data": {"webhook_id": webhook.id}}
        return self._outbox.enqueue(webhook.project_id, webhook.url, json=body, request_id=request_id)

    def failed(self, delivery: Delivery, attempt: dict[str, Any]) -> None:
        """A delivery has been given up; a webhook that was to tell of this is not told of in its turn."""
        if delivery.kind == "json" and json.loads(delivery.body).get("type") == FAILED:
            return
        data = {
            "delivery_id": delivery.id,
            "event_id": delivery.event_id,
            "call_ref": delivery.call_ref or None,
            "url": without_password(delivery.url),
            "code": CODE,
            "status": attempt["status"],
            "error": attempt["error"],
            "tries": delivery.tries + 1,
        }
        self._events.publish(FAILED, delivery.project_id, data=data)
