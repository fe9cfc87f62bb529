"""Webhook resources, whose documents say what becomes of a call: `/api/fabric/resources/swml_webhooks`, `…/cxml_webhooks`
(API.md 13.2)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api import fabric, handlers
from offhook.api.auth import Calling
from offhook.api.deleting import delete
from offhook.api.describe import (
    Schema,
    described,
    identifier,
    listing,
    nullable,
    one_of,
    record,
    text,
    without_required,
)
from offhook.api.errors import Fault, Invalid
from offhook.api.fabric import RESOURCES
from offhook.api.fabric_bodies import ADDRESS, wrapper
from offhook.api.fabric_fields import name_fault, own_id
from offhook.api.handler_fields import method_fault, url_fault
from offhook.api.paging import page
from offhook.api.ports import Platform
from offhook.api.requests import body_object, note_ignored

router = APIRouter(tags=["Webhook resources"])
PARTS = ("primary_request", "fallback_request", "status_callback")
_FIELDS: dict[str, Schema] = {
    "name": text(128),
    "used_for": one_of("calling"),
    **{f"{part}_url": nullable(text(2048)) for part in PARTS},
    **{f"{part}_method": one_of("GET", "POST") for part in PARTS},
}
_KNOWN = frozenset(_FIELDS) | {"id"}
_NEW = record("NewWebhook", "primary_request_url", **_FIELDS | {"primary_request_url": text(2048, 1)}, id=identifier())
_CHANGE = without_required("WebhookChange", _NEW)


def webhook_fields(body: Mapping[str, Any], before: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The settings after a create or a change, and every fault, in field order."""
    faults = [Fault("used_for", "invalid_parameter_value", "used_for must be one of: calling")]
    settings: dict[str, Any] = {"used_for": "calling"}
    if body.get("used_for") in (None, "", "calling"):
        faults.clear()
    for part in PARTS:
        url, method = (f"{part}_{one}" for one in ("url", "method"))
        settings[url] = body[url] if url in body else before.get(url)
        settings[method] = body.get(method) or before.get(method) or "POST"
        if settings[url] in (None, ""):
            settings[url] = None
        elif wrong := url_fault(url, settings[url]):
            faults.append(wrong)
        if wrong := method_fault(method, settings[method]):
            faults.append(wrong)
    if settings["primary_request_url"] is None:
        faults.append(Fault("primary_request_url", "missing_required_parameter", "primary_request_url is required"))
    return settings, faults


def _serve(type_: str) -> None:
    """The routes of one type."""
    path = f"{RESOURCES}/{type_}s"
    inner = record(f"{type_[:4].capitalize()}Webhook", **_FIELDS, id=identifier())
    shape = wrapper(f"{type_[:4].capitalize()}WebhookResource", type_, inner)

    @router.get(path, **described(gives=listing(shape)))
    async def list_webhooks(request: Request, token: Calling) -> dict[str, Any]:
        """Newest first."""
        platform: Platform = request.app.state.platform
        rows = platform.resources.of_type(token.project_id, type_)
        return page(rows, lambda row: row.id, fabric.wrapped, path, dict(request.query_params))

    @router.post(path, status_code=201, **described(takes=_NEW, gives=shape))
    async def create_webhook(request: Request, response: Response, token: Calling) -> dict[str, Any]:
        """A URL that is asked for a document when a call comes to it."""
        platform: Platform = request.app.state.platform
        body = await body_object(request)
        note_ignored(response, body, _KNOWN)
        faults = name_fault(body)
        settings, more = webhook_fields(body, {})
        id_, taken = own_id(platform, body)
        more = more or await handlers.unsafe_urls(platform, token.project_id, settings)
        if faults or more or taken:
            raise Invalid(*faults, *more, *taken)
        name = body.get("name") or str(settings["primary_request_url"])[: handlers.LONGEST_NAME]
        row = await platform.resources.create(token.project_id, type_, name, settings, id_)
        if row is None:
            raise Invalid(Fault("id", "value_not_unique", "Id has already been taken"))
        return fabric.wrapped(row)

    @router.get(path + "/{id_}", **described(gives=shape))
    async def show_webhook(id_: str, request: Request, token: Calling) -> dict[str, Any]:
        """One webhook."""
        return fabric.wrapped(fabric.own(request.app.state.platform, token.project_id, id_, type_))

    @router.patch(path + "/{id_}", **described(takes=_CHANGE, gives=shape))
    async def change_webhook(id_: str, request: Request, response: Response, token: Calling) -> dict[str, Any]:
        """Changes the fields given and keeps the rest; whoever it handles follows."""
        platform: Platform = request.app.state.platform
        body = await body_object(request)
        note_ignored(response, body, _KNOWN)
        row = fabric.own(platform, token.project_id, id_, type_)
        faults = name_fault(body)
        settings, more = webhook_fields(body, row.settings)
        more = more or await handlers.unsafe_urls(platform, token.project_id, settings)
        if faults or more:
            raise Invalid(*faults, *more)
        changed = await platform.resources.change(id_, body.get("name") or row.name, settings) or row
        await handlers.spread(platform, changed)
        return fabric.wrapped(changed)

    @router.delete(path + "/{id_}", status_code=204, **described(errors=(422,)))
    async def delete_webhook(id_: str, request: Request, token: Calling) -> None:
        """Refused while it is the handler of something."""
        platform: Platform = request.app.state.platform
        await delete(platform, fabric.own(platform, token.project_id, id_, type_))

    @router.get(path + "/{id_}/addresses", **described(gives=listing(ADDRESS)))
    async def list_addresses(id_: str, request: Request, token: Calling) -> dict[str, Any]:
        """The address under which it is called."""
        platform: Platform = request.app.state.platform
        row = fabric.own(platform, token.project_id, id_, type_)
        where = f"{path}/{row.id}/addresses"
        return fabric.address_page(platform, row.id, where, dict(request.query_params))


_serve(handlers.SWML)
_serve(handlers.CXML)
