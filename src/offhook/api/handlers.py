"""The resource behind a handler (API.md 2, 5.3): a webhook's is made or found, any other is named by a companion."""

from collections.abc import Mapping
from typing import Any

from offhook.api import fabric
from offhook.api.errors import Fault, Invalid, project_gone
from offhook.api.fabric import Owner
from offhook.api.fabric_ports import ResourceRow
from offhook.api.handler_fields import FALLBACK, FIELDS, REQUEST, STATUS, Handler
from offhook.api.ports import Platform

LONGEST_NAME = 128
"""Characters of a resource's name."""
SWML, CXML = "swml_webhook", "cxml_webhook"
WEBHOOKS = {"relay_script": SWML, "laml_webhooks": CXML}
"""Handlers that are webhooks, and the type of resource that stands for each."""
_PARTS = {REQUEST: "primary_request", FALLBACK: "fallback_request", STATUS: "status_callback"}
_OF_TYPE = {
    SWML: "relay_script",
    CXML: "laml_webhooks",
    fabric.SIP_ENDPOINT: "relay_sip_endpoint",
    "subscriber": "fabric_subscriber",
    "sip_gateway": "sip_gateway",
}
"""The handler that a resource of a type comes to (API.md 5.3)."""


async def unsafe_urls(platform: Platform, project: str, fields: Mapping[str, Any]) -> list[Fault]:
    """Faults of every URL that leads to an address we do not send to (API.md 10.3)."""
    faults = []
    for name, value in fields.items():
        refused = await platform.call_desk.url_refusal(project, value) if name.endswith("_url") and value else None
        if refused is not None:
            faults.append(Fault(name, refused[0], refused[1].replace("Url", name.capitalize(), 1)))
    return faults


async def settled(platform: Platform, project: str, handler: Handler) -> Handler:
    """The handler with the id of its resource: a webhook's is found among those of the project, or made. Raises Invalid for
    URLs that lead where we do not send."""
    wrong = await unsafe_urls(platform, project, handler)
    if wrong:
        raise Invalid(*wrong)
    type_ = WEBHOOKS.get(handler.get("call_handler", ""))
    if type_ is not None:
        resource = await _webhook(platform, project, type_, _as_webhook(handler))
        return {**handler, "calling_handler_resource_id": resource.id}
    named = next((handler[field] for field in _RESOURCE_IDS if field in handler), None)
    return {**handler, "calling_handler_resource_id": named} if named else handler


_RESOURCE_IDS = (
    "call_sip_endpoint_id", "calling_handler_resource_id", "call_laml_application_id", "call_video_room_id", "call_flow_id",
    "call_relay_connector_id", "call_dialogflow_agent_id", "call_ai_agent_id",
)  # fmt: skip


def _as_webhook(handler: Handler) -> dict[str, Any]:
    """The settings of the webhook resource that does what the handler says."""
    url = handler.get("call_relay_script_url")
    fields = {**handler, "call_request_url": url} if url else handler
    settings: dict[str, Any] = {"used_for": "calling"}
    for (address, method), part in _PARTS.items():
        settings[_url(part)] = fields.get(address)
        settings[f"{part}_method"] = fields.get(method) or "POST"
    return settings


def _url(part: str) -> str:
    return f"{part}_url"


async def _webhook(platform: Platform, project: str, type_: str, settings: dict[str, Any]) -> ResourceRow:
    for row in platform.resources.of_type(project, type_):
        if row.settings == settings:
            return row
    name = str(settings["primary_request_url"]).partition("?")[0][:LONGEST_NAME]
    made = await platform.resources.create(project, type_, name, settings)
    if made is None:
        raise project_gone()
    return made


def of_resource(row: Owner) -> Handler | None:
    """The handler by which calls come to a resource; None for what takes no calls."""
    name = _OF_TYPE.get(fabric.type_of(row))
    if name is None:
        return None
    if name == "relay_sip_endpoint":
        return {"call_handler": name, "call_sip_endpoint_id": row.id, "calling_handler_resource_id": row.id}
    handler: Handler = {"call_handler": name, "calling_handler_resource_id": row.id}
    for (address, method), part in _PARTS.items() if name in WEBHOOKS else ():
        settings: dict[str, Any] = getattr(row, "settings", {})
        if settings.get(_url(part)):
            handler[address], handler[method] = settings[_url(part)], settings[f"{part}_method"]
    if name == "relay_script":
        handler["call_relay_script_url"] = handler.pop("call_request_url")
    return handler


async def spread(platform: Platform, row: ResourceRow) -> None:
    """A webhook resource has changed: so have the numbers, endpoints and applications that it handles."""
    handler = of_resource(row) or {}
    for endpoint in platform.endpoints:
        if endpoint.handler.get("calling_handler_resource_id") == row.id:
            policy = {name: value for name, value in endpoint.handler.items() if name == "policy"}
            await platform.endpoints.change(endpoint.id, handler={**policy, **handler})
    for number in platform.numbers:
        if number.settings.get("calling_handler_resource_id") == row.id:
            kept = {name: value for name, value in number.settings.items() if name not in FIELDS}
            await platform.numbers.change(number.id, settings={**kept, **handler})
    for other in platform.resources:
        if other.settings.get("calling_handler_resource_id") == row.id:
            kept = {name: value for name, value in other.settings.items() if name not in FIELDS}
            await platform.resources.change(other.id, other.name, {**kept, **handler})
    for application in platform.reception.applications:
        if application.settings.get("calling_handler_resource_id") == row.id:
            kept = {name: value for name, value in application.settings.items() if name not in FIELDS}
            await platform.reception.applications.change(application.id, settings={**kept, **handler})
