"""Webhook subscriptions and deliveries: `/api/offhook/webhooks`, `/api/offhook/webhook_deliveries` (API.md 12.5)."""

from typing import Any

import structlog
from fastapi import APIRouter, Request

from offhook.api.auth import Management, Monitor
from offhook.api.describe import (
    described,
    flag,
    identifier,
    list_of,
    listing,
    moment,
    nullable,
    one_of,
    record,
    text,
    whole,
    without_required,
)
from offhook.api.errors import Fault, Invalid, not_found, project_gone
from offhook.api.event_ports import WebhookRow
from offhook.api.paging import page, stored_page
from offhook.api.ports import Platform
from offhook.api.requests import body_object, unknown_fields
from offhook.api.times import milliseconds
from offhook.api.urls import without_password
from offhook.calls.event_types import FAMILIES, known

WEBHOOKS, DELIVERIES = "/api/offhook/webhooks", "/api/offhook/webhook_deliveries"
NAME, TYPES, MOST = 64, 50, 100
"""Characters of a name, types of one subscription, subscriptions of one project: each event is matched with all."""
KNOWN = ("name", "url", "types", "enabled")
STATES = ("pending", "delivered", "failed")

NEW = record(
    "NewSubscription", "name", "url",
    name=text(NAME, 1), url=text(2048, 1), types=list_of(text(48), TYPES), enabled=flag(),
)  # fmt: skip
SHOWN = record(
    "Subscription", "id", *KNOWN, "created_at", "updated_at",
    id=identifier(), name=text(), url=text(), types=list_of(text()), enabled=flag(), created_at=moment(),
    updated_at=moment(),
)  # fmt: skip
PINGED = record("Pinged", "delivery_id", delivery_id=identifier())
ATTEMPT = record(
    "WebhookAttempt", "at", "status", "ms", "error",
    at=moment(), status=nullable(whole()), ms=whole(), error=nullable(text()),
)  # fmt: skip
DELIVERY = record(
    "WebhookDelivery", "id", "event_id", "url", "state", "attempts", "next_attempt_at",
    id=identifier(), event_id=text(), call_ref=nullable(text()), sequence=nullable(whole()), url=text(), method=text(),
    state=one_of(*STATES), attempts=list_of(ATTEMPT), next_attempt_at=nullable(moment()), created_at=moment(),
    finished_at=nullable(moment()),
)  # fmt: skip
router = APIRouter(tags=["Webhooks"])


def shown(row: WebhookRow) -> dict[str, Any]:
    """The object."""
    return {
        "id": row.id,
        "name": row.name,
        "url": without_password(row.url),
        "types": list(row.types),
        "enabled": row.enabled,
        "created_at": milliseconds(row.created_at),
        "updated_at": milliseconds(row.updated_at),
    }


def _one(platform: Platform, project: str, id_: str) -> WebhookRow:
    row = platform.webhooks.get(id_)
    if row is None or row.project_id != project:
        raise not_found("webhook_not_found", "No webhook has this id")
    return row


@router.get(WEBHOOKS, **described(gives=listing(SHOWN)))
async def list_webhooks(request: Request, token: Monitor) -> dict[str, Any]:
    """Newest first; passwords in URLs are not shown."""
    rows: list[WebhookRow] = request.app.state.platform.webhooks.of_project(token.project_id)
    return page(rows, lambda row: row.id, shown, WEBHOOKS, dict(request.query_params))


@router.post(WEBHOOKS, status_code=201, **described(takes=NEW, gives=SHOWN))
async def create_webhook(request: Request, token: Management) -> dict[str, Any]:
    """Subscribes a URL to events: `types` as in the list of events, none for all."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    fields = await _fields(platform, token.project_id, body, new=True)
    if len(platform.webhooks.of_project(token.project_id)) >= MOST:
        raise Invalid(Fault("name", "invalid_parameter", f"A project has at most {MOST} webhooks; delete one first"))
    row = await platform.webhooks.create(
        token.project_id, fields["name"], fields["url"], fields.get("types", ()), fields.get("enabled", True)
    )
    if row is None:
        raise project_gone()
    return {**shown(row), "url": row.url}


@router.get(WEBHOOKS + "/{id_}", **described(gives=SHOWN))
async def show_webhook(id_: str, request: Request, token: Monitor) -> dict[str, Any]:
    """One subscription."""
    return shown(_one(request.app.state.platform, token.project_id, id_))


@router.patch(WEBHOOKS + "/{id_}", **described(takes=without_required("SubscriptionChange", NEW), gives=SHOWN))
async def change_webhook(id_: str, request: Request, token: Management) -> dict[str, Any]:
    """Changes the fields given and keeps the rest. What is under way goes to the old URL."""
    platform: Platform = request.app.state.platform
    row = _one(platform, token.project_id, id_)
    body = await body_object(request)
    if body.get("url") == without_password(row.url):
        body["url"] = row.url
    fields = await _fields(platform, token.project_id, body, new=False)
    changed = await platform.webhooks.change(row.id, **fields)
    if changed is None:
        raise not_found("webhook_not_found", "No webhook has this id")
    return shown(changed)


@router.delete(WEBHOOKS + "/{id_}", status_code=204)
async def delete_webhook(id_: str, request: Request, token: Management) -> None:
    """Nothing more is sent but what is on its way."""
    platform: Platform = request.app.state.platform
    await platform.webhooks.remove(_one(platform, token.project_id, id_).id)


@router.post(WEBHOOKS + "/{id_}/ping", status_code=202, **described(gives=PINGED))
async def ping_webhook(id_: str, request: Request, token: Management) -> dict[str, str]:
    """Sends `webhook.ping` to the URL, signed as events are; see its delivery for what came of it."""
    platform: Platform = request.app.state.platform
    row = _one(platform, token.project_id, id_)
    request_id = str(structlog.contextvars.get_contextvars().get("request_id", ""))
    return {"delivery_id": await platform.webhooks.ping(row.id, request_id)}


@router.get(
    DELIVERIES,
    **described(gives=listing(DELIVERY), query={"state": one_of(*STATES), "call_ref": text(), "url": text()}),
)
async def list_deliveries(request: Request, token: Monitor) -> dict[str, Any]:
    """Newest first; `state` and `call_ref` match whole, `url` in part."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    state = query.get("state", "")
    call_ref, url = query.get("call_ref", ""), query.get("url", "")

    async def fetch(most: int, before: str, after: str) -> list[dict[str, Any]]:
        return await platform.webhooks.deliveries(token.project_id, most, before, after, state, call_ref, url)

    return await stored_page(fetch, lambda row: str(row["id"]), lambda row: row, DELIVERIES, query)


@router.get(DELIVERIES + "/{id_}", **described(gives=DELIVERY))
async def show_delivery(id_: str, request: Request, token: Monitor) -> dict[str, Any]:
    """One delivery with its attempts."""
    platform: Platform = request.app.state.platform
    return _found(await platform.webhooks.delivery(token.project_id, id_))


@router.post(DELIVERIES + "/{id_}/retry", status_code=202, **described(gives=DELIVERY))
async def retry_delivery(id_: str, request: Request, token: Management) -> dict[str, Any]:
    """Tries it once more, with all its retries; what is pending already stays as it is."""
    platform: Platform = request.app.state.platform
    return _found(await platform.webhooks.retry(token.project_id, id_))


def _found(row: dict[str, Any] | None) -> dict[str, Any]:
    if row is None:
        raise not_found("webhook_delivery_not_found", "No delivery has this id, or it is no longer kept")
    return row


async def _fields(platform: Platform, project: str, body: dict[str, Any], new: bool) -> dict[str, Any]:
    """Checked fields of a body. Raises Invalid."""
    faults = unknown_fields(body, KNOWN)
    fields: dict[str, Any] = {}
    for name in ("name", "url"):
        value = body.get(name)
        if (new or name in body) and value in (None, ""):
            faults.append(Fault(name, "missing_required_parameter", f"{name} is required"))
        elif name in body:
            fields[name] = value
    name = fields.get("name", "x")
    if not isinstance(name, str) or len(name) > NAME or not name.isprintable():
        faults.append(Fault("name", "invalid_parameter", f"Name must be text of 1 to {NAME} printable characters"))
    if "url" in fields:
        faults += await _url_faults(platform, project, fields["url"])
    _types(body, fields, faults)
    if "enabled" in body:
        fields["enabled"] = body["enabled"]
        if not isinstance(body["enabled"], bool):
            faults.append(Fault("enabled", "invalid_parameter", "Enabled must be true or false"))
    if faults:
        raise Invalid(*faults)
    return fields


async def _url_faults(platform: Platform, project: str, url: Any) -> list[Fault]:
    if not isinstance(url, str):
        return [Fault("url", "not_an_http_url", "Url must be an http or https URL")]
    refused = await platform.webhooks.refusal(project, url)
    return [Fault("url", refused[0], f"Url {refused[1]}")] if refused is not None else []


def _types(body: dict[str, Any], fields: dict[str, Any], faults: list[Fault]) -> None:
    if "types" not in body:
        return
    types = body["types"] if body["types"] is not None else []
    if not isinstance(types, list) or len(types) > TYPES:
        faults.append(Fault("types", "invalid_parameter", f"Types must be a list of at most {TYPES} types of events"))
        return
    for one in types:
        if not isinstance(one, str) or not known(one):
            message = f"Types contains an invalid entry: {str(one)[:64]}; write a type, or one of {', '.join(FAMILIES)}"
            faults.append(Fault("types", "list_contains_invalid_entries", message))
    fields["types"] = tuple(dict.fromkeys(one for one in types if isinstance(one, str)))
