"""The fields of a phone number: what a body may say, and the object that is answered (API.md 5.2)."""

import re
from collections.abc import Mapping
from typing import Any

from offhook.api import handlers
from offhook.api.errors import Fault
from offhook.api.fabric_ports import ResourceRow
from offhook.api.handler_fields import COMPANIONS, FIELDS, Handler, handler_fields, url_fault
from offhook.api.number_facts import country_of
from offhook.api.ports import NumberRow, Platform
from offhook.api.times import seconds

E164 = re.compile(r"\+[1-9]\d{6,14}")
KINDS = {"longcode": "longcode", "tollfree": "toll-free", "toll-free": "toll-free"}
CAPABILITIES = ("voice", "sms", "mms", "fax")
MESSAGES = (
    "message_handler",
    "message_request_url",
    "message_request_method",
    "message_fallback_url",
    "message_fallback_method",
    "message_laml_application_id",
    "message_relay_topic",
    "message_relay_context",
    "message_relay_application",
)
"""Stored and returned; texts to numbers are not served."""
EVENTS = ("initiated", "ringing", "answered", "completed")
OWN = ("caller_name", "ring_seconds", "fallback", "status_events")
DEFAULTS: dict[str, Any] = {
    "trunk_id": None,
    "caller_name": None,
    "ring_seconds": 60,
    "fallback": None,
    "status_events": ["completed"],
}
KNOWN = frozenset(
    {"number", "number_type", "capabilities", "name", "call_handler", "calling_handler_resource_id", "call_receive_mode",
     "offhook", *FIELDS, *MESSAGES}
)  # fmt: skip
RESOURCES = {"fabric_subscriber": "subscriber", "sip_gateway": "sip_gateway"}
"""Handlers that name a resource, and its type."""
LONGEST_TARGET = 255

Values = dict[str, Any]


def shown(row: NumberRow) -> dict[str, Any]:
    """The object of API.md 5.2: every field, null when unused."""
    settings = row.settings
    return {
        "id": row.id,
        "number": row.number,
        "name": row.name,
        "capabilities": settings.get("capabilities", ["voice"]),
        "number_type": row.number_type,
        "country_code": country_of(row.number),
        "e911_address_id": None,
        "e911_status": None,
        "created_at": seconds(row.created_at),
        "updated_at": seconds(row.updated_at),
        "next_billed_at": None,
        "call_receive_mode": "voice",
        **handler_of(row),
        "messaging_handler_resource_id": None,
        **{name: settings.get(name) for name in MESSAGES},
        "offhook": {**DEFAULTS, **settings.get("offhook", {})},
    }


def handler_of(row: NumberRow) -> dict[str, Any]:
    """Every `call_*` field of a number."""
    settings = row.settings
    named = settings.get("call_handler")
    found = {
        "call_handler": named,
        "calling_handler_resource_id": settings.get("calling_handler_resource_id"),
        **{name: settings.get(name) for name in FIELDS},
    }
    if named is None and row.endpoint_id is not None:
        # Rows from before handlers had names have only an endpoint.
        found |= {
            "call_handler": "relay_sip_endpoint",
            "calling_handler_resource_id": row.endpoint_id,
            "call_sip_endpoint_id": row.endpoint_id,
        }
    return found


async def number_values(
    platform: Platform, project: str, body: Mapping[str, Any], row: NumberRow | None, faults: list[Fault]
) -> Values:
    """`name`, `settings` and `endpoint_id` of a row after this body, and every fault; without one, the webhook of a new
    handler is made."""
    values: Values = {}
    if "name" in body:
        values["name"] = body["name"] or ""
        faults += _text("name", body["name"], 64)
    settings = dict(row.settings) if row is not None else {}
    handler, wrong = handler_fields(body, handler_of(row) if row is not None else {}, tuple(COMPANIONS))
    faults += wrong or handler_faults(platform, project, handler)
    if body.get("call_receive_mode") not in (None, "voice"):
        message = "call_receive_mode must be one of: voice"
        faults.append(Fault("call_receive_mode", "invalid_parameter_value", message))
    settings |= _messages(body, faults)
    settings["offhook"] = settings.get("offhook", {}) | _own(body.get("offhook"), faults)
    if handler is not None and not faults:
        plain = {name: value for name, value in settings.items() if name not in _OF_HANDLERS}
        settings = plain | await handlers.settled(platform, project, handler)
        values["endpoint_id"] = settings.get("call_sip_endpoint_id")
    values["settings"] = settings
    return values


_OF_HANDLERS = frozenset({"call_handler", "calling_handler_resource_id", *FIELDS})


def handler_faults(platform: Platform, project: str, handler: Handler | None) -> list[Fault]:
    """Whether what a handler names is there, and is of its kind."""
    name = (handler or {}).get("call_handler", "")
    field = COMPANIONS[name][0] if name else ""
    if handler is None or name not in (*RESOURCES, "relay_sip_endpoint"):
        return []
    id_ = handler[field] if isinstance(handler[field], str) else ""
    found = platform.endpoints.get(id_) if name == "relay_sip_endpoint" else _resource(platform, id_, name)
    if found is None:
        return [Fault(field, "does_not_exist", f"{field.capitalize()} does not exist")]
    if found.project_id != project:
        return [Fault(field, "must_belong_to_project", f"The {field} must belong to the project")]
    return []


def _resource(platform: Platform, id_: str, name: str) -> ResourceRow | None:
    row = platform.resources.get(id_)
    return row if row is not None and row.type == RESOURCES[name] else None


def _text(field: str, value: Any, longest: int) -> list[Fault]:
    if value is None or (isinstance(value, str) and len(value) <= longest and value.isprintable()):
        return []
    message = f"{field.capitalize()} must be text of at most {longest} printable characters"
    return [Fault(field, "invalid_parameter", message)]


def _messages(body: Mapping[str, Any], faults: list[Fault]) -> Values:
    given = {name: body[name] or None for name in MESSAGES if name in body}
    for name, value in given.items():
        if name.endswith("_url") and value is not None:
            wrong = url_fault(name, value)
            faults += [wrong] if wrong else []
        else:
            faults += _text(name, value, 255)
    return given


def _own(given: Any, faults: list[Fault]) -> Values:
    """What stands under `offhook`; unknown and read-only members are passed over."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        faults.append(Fault("offhook", "invalid_parameter", "Offhook must be an object"))
        return {}
    found: Values = {name: given[name] for name in OWN if name in given}
    faults += _text("offhook.caller_name", found.get("caller_name"), 64)
    faults += _text("offhook.fallback", found.get("fallback"), LONGEST_TARGET)
    if " " in str(found.get("fallback") or ""):
        message = "Offhook.fallback must be a name, a number or a SIP URI, or null"
        faults.append(Fault("offhook.fallback", "invalid_parameter", message))
    seconds_ = found.get("ring_seconds", 60)
    if seconds_ is None:
        found["ring_seconds"] = 60
    elif not isinstance(seconds_, int) or isinstance(seconds_, bool) or not 5 <= seconds_ <= 600:
        message = "Offhook.ring_seconds must be between 5 and 600"
        faults.append(Fault("offhook.ring_seconds", "invalid_parameter", message))
    faults += _events(found)
    return {name: None if value == "" else value for name, value in found.items()}


def _events(found: Values) -> list[Fault]:
    events = found.get("status_events", [])
    if events is None:
        found["status_events"] = ["completed"]
        return []
    if not isinstance(events, list):
        return [Fault("offhook.status_events", "invalid_parameter", "Offhook.status_events must be a list of names")]
    for one in events:
        if one not in EVENTS:
            message = f"Offhook.status_events contains an invalid entry: {one}"
            return [Fault("offhook.status_events", "list_contains_invalid_entries", message)]
    if events:
        found["status_events"] = list(dict.fromkeys(events))
    return []


def number_fault(number: Any) -> Fault | None:
    """E.164, and nothing else."""
    if number in (None, ""):
        return Fault("number", "missing_required_parameter", "number is required")
    if isinstance(number, str) and E164.fullmatch(number):
        return None
    return Fault("number", "invalid_number_format", "Number must be in E.164 format, like +15558675309")
