"""Fields that say what handles a call: `call_handler` and its companions (API.md 1.9, 5.3).

One set of rules for numbers, endpoints and domain applications. A handler is kept as a flat dictionary: `call_handler`, the
companions that it has, and `calling_handler_resource_id`; {} is none. Resources behind it: handlers.py.
"""

import re
from collections.abc import Mapping
from typing import Any

from offhook.api.errors import Fault

Handler = dict[str, Any]

REQUEST = ("call_request_url", "call_request_method")
FALLBACK = ("call_fallback_url", "call_fallback_method")
STATUS = ("call_status_callback_url", "call_status_callback_method")
COMPANIONS: dict[str, tuple[str, ...]] = {
    "relay_script": ("call_relay_script_url",),
    "laml_webhooks": (*REQUEST, *FALLBACK, *STATUS),
    "relay_sip_endpoint": ("call_sip_endpoint_id",),
    "fabric_subscriber": ("calling_handler_resource_id",),
    "sip_gateway": ("calling_handler_resource_id",),
    "laml_application": ("call_laml_application_id",),
    "video_room": ("call_video_room_id",),
    "call_flow": ("call_flow_id", "call_flow_version"),
    "call_queue": ("calling_handler_resource_id",),
    "relay_application": ("call_relay_application",),
    "relay_topic": ("call_relay_topic", "call_relay_topic_status_callback_url"),
    "relay_context": ("call_relay_context", "call_relay_context_status_callback_url"),
    "relay_connector": ("call_relay_connector_id",),
    "relay_verto_endpoint": ("call_verto_resource",),
    "dialogflow": ("call_dialogflow_agent_id",),
    "ai_agent": ("call_ai_agent_id",),
}
"""Handlers and their fields; the first is required."""
OF_ENDPOINTS = tuple(
    name for name in COMPANIONS if name not in ("relay_sip_endpoint", "fabric_subscriber", "sip_gateway", "call_queue")
)
"""What may handle the calls that an endpoint makes."""
FIELDS = tuple(
    dict.fromkeys(name for names in COMPANIONS.values() for name in names if name != "calling_handler_resource_id")
)
"""Every companion."""
OF_ENDPOINTS_FIELDS = tuple(name for name in FIELDS if name != "call_sip_endpoint_id")
"""Those that an endpoint shows."""
URL = re.compile(r"https?://[^\s/?#]+[^\s]*", re.IGNORECASE)
LONGEST_URL = 2048


def url_fault(field: str, value: Any) -> Fault | None:
    """An http or https URL, without control characters."""
    if isinstance(value, str) and len(value) <= LONGEST_URL and value.isprintable() and URL.fullmatch(value):
        return None
    return Fault(field, "not_an_http_url", f"{field.capitalize()} must be an http or https URL")


def method_fault(field: str, value: Any) -> Fault | None:
    """How a URL is asked."""
    if value in ("GET", "POST"):
        return None
    return Fault(field, "invalid_parameter_value", f"{field} must be one of: GET, POST")


def handler_fields(
    body: Mapping[str, Any], before: Mapping[str, Any], names: tuple[str, ...]
) -> tuple[Handler | None, list[Fault]]:
    """The handler that a body gives, without its resource; None when it says nothing of one. A new handler clears the
    companions of the old."""
    if "call_handler" not in body and not any(name in body for name in FIELDS):
        return None, []
    name = body.get("call_handler", before.get("call_handler"))
    if name in (None, ""):
        return {}, []
    if name not in names:
        message = f"call_handler must be one of: {', '.join(names)}"
        return None, [Fault("call_handler", "invalid_parameter_value", message)]
    kept = before if before.get("call_handler") == name else {}
    found: Handler = {"call_handler": name}
    faults: list[Fault] = []
    for field in COMPANIONS[name]:
        value = body[field] if field in body else kept.get(field)
        if value in (None, ""):
            continue
        wrong = _companion_fault(field, value)
        faults += [wrong] if wrong else []
        found[field] = value
    required = COMPANIONS[name][0]
    if required not in found:
        message = f"{required} is required when call_handler is {name}"
        faults.append(Fault(required, "must_specify_related_parameter", message))
    return found, faults


def _companion_fault(field: str, value: Any) -> Fault | None:
    if field.endswith("_url"):
        return url_fault(field, value)
    if field.endswith("_method"):
        return method_fault(field, value)
    if field == "call_flow_version" and value not in ("working_copy", "current_deployed"):
        return Fault(field, "invalid_parameter_value", f"{field} must be one of: working_copy, current_deployed")
    if not isinstance(value, str) or len(value) > 255 or not value.isprintable():
        return Fault(field, "invalid_parameter", f"{field.capitalize()} must be text of at most 255 characters")
    return None
