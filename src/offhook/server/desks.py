"""Events and webhooks as the API sees them (offhook.api.event_ports)."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from offhook.api.urls import without_password
from offhook.server.telling import Telling
from offhook.store.deliveries import Delivery
from offhook.store.events import Wanted
from offhook.store.projects import Projects
from offhook.store.webhooks import Webhook
from offhook.store.writer import Writer

LOOK_OFTEN, LOOK_SELDOM = 1.0, 15.0
"""Seconds between two looks where other nodes write too, and where none do."""


class EventViews:
    """Implements `offhook.api.event_ports.EventDesk`."""

    def __init__(self, telling: Telling, streams: int) -> None:
        self._telling, self._rows, self._free = telling, telling.event_rows, streams

    @property
    def news(self) -> asyncio.Event:
        return self._telling.events.news

    def closed(self) -> bool:
        return self._telling.events.closed

    @property
    def oldest(self) -> int:
        return self._rows.oldest

    @property
    def look(self) -> float:
        return LOOK_SELDOM if self._rows.alone else LOOK_OFTEN

    async def last(self) -> int:
        return await self._rows.last()

    async def read(
        self, project_id: str, types: tuple[str, ...], call_ref: str, endpoint_id: str, after: int, most: int
    ) -> tuple[list[dict[str, Any]], int, bool]:
        reading = await self._rows.read(Wanted(project_id, types, call_ref, endpoint_id), after, most)
        return [one.view() for one in reading.events], reading.cursor, reading.more

    def stream(self) -> bool:
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    def stream_ended(self) -> None:
        self._free += 1

    def config_changed(self, project_id: str, data: dict[str, Any], request_id: str) -> None:
        self._telling.events.publish("config.changed", project_id, data=data, request_id=request_id)


class WebhookViews:
    """Implements `offhook.api.event_ports.WebhookDesk`."""

    def __init__(self, telling: Telling, writer: Writer, projects: Projects) -> None:
        self._telling, self._writer, self._projects = telling, writer, projects
        self._webhooks, self._rows = telling.webhooks, telling.delivery_rows

    def of_project(self, project_id: str) -> list[Webhook]:
        return self._webhooks.of_project(project_id)

    def get(self, id_: str) -> Webhook | None:
        return self._webhooks.get(id_)

    async def create(
        self, project_id: str, name: str, url: str, types: tuple[str, ...], enabled: bool
    ) -> Webhook | None:
        return await self._webhooks.create(project_id, name, url, types, enabled)

    async def change(self, id_: str, **fields: Any) -> Webhook | None:
        return await self._webhooks.change(id_, **fields)

    async def remove(self, id_: str) -> None:
        await self._webhooks.remove(id_)

    async def ping(self, id_: str, request_id: str) -> str:
        webhook = self._webhooks.get(id_)
        assert webhook is not None
        delivery = self._telling.subscriptions.ping(webhook, request_id)
        await self._writer.drained()
        return delivery

    async def refusal(self, project_id: str, url: str) -> tuple[str, str] | None:
        failed = await self._telling.http.refusal(url)
        if failed is not None and failed.code == "url_is_unsafe":
            return failed.code, f"must not point to {failed}"
        if failed is not None:
            return failed.code, f"must be an http or https URL: {failed}"
        project = self._projects.get(project_id)
        if project is not None and project.settings.get("force_https_requests") and url.lower().startswith("http:"):
            return "not_an_http_url", "must be an https URL, because the project forces HTTPS requests"
        return None

    async def deliveries(
        self, project_id: str, most: int, before: str, after: str, state: str, call_ref: str, url: str
    ) -> list[dict[str, Any]]:
        found = await self._rows.find(
            project_id, most, before=before, after=after, state=state, call_ref=call_ref, url=url
        )
        return [delivery_view(one) for one in found]

    async def delivery(self, project_id: str, id_: str) -> dict[str, Any] | None:
        found = await self._rows.get(project_id, id_)
        return delivery_view(found) if found is not None else None

    async def retry(self, project_id: str, id_: str) -> dict[str, Any] | None:
        found = await self._rows.get(project_id, id_)
        if found is None:
            return None
        self._rows.again(found, time.time())
        await self._writer.drained()
        self._telling.deliverer.kick()
        return await self.delivery(project_id, id_)


def delivery_view(row: Delivery) -> dict[str, Any]:
    """As API.md 12.5 shows it."""
    return {
        "id": row.id,
        "event_id": row.event_id,
        "call_ref": row.call_ref or None,
        "sequence": row.sequence,
        "url": without_password(row.url),
        "method": row.method,
        "state": row.state,
        "attempts": list(row.attempts),
        "next_attempt_at": _time(datetime.fromtimestamp(row.due_at, UTC)) if row.due_at is not None else None,
        "created_at": _time(row.created_at),
        "finished_at": _time(row.finished_at),
    }


def _time(at: datetime | None) -> str | None:
    if at is None:
        return None
    utc = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"
