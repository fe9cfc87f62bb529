"""Widgets as rows: public keys by which pages of other people get a token for one call (API.md 4.3)."""

import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any

from offhook.api.errors import Fault
from offhook.api.fabric_ports import ResourceRow
from offhook.api.ports import Platform

WIDGET = "widget"
ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,250}")
MOST_ORIGINS = 20
USUAL_CALLS, MOST_CALLS = 2, 100
LONGEST = 128


def new_key() -> str:
    """A public key."""
    return f"c2c_{secrets.token_hex(16)}"


def with_key(platform: Platform, key: Any) -> ResourceRow | None:
    """By its key."""
    if not isinstance(key, str) or not key.isascii():
        return None
    rows = (row for row in platform.resources if row.type == WIDGET)
    return next((row for row in rows if hmac.compare_digest(row.settings["key"], key)), None)


def is_origin(platform: Platform, origin: str) -> bool:
    """Whether pages of an origin may have a widget."""
    return any(origin in row.settings["origins"] for row in platform.resources if row.type == WIDGET)


def widget_fields(
    body: Mapping[str, Any], before: Mapping[str, Any], platform: Platform, project: str
) -> tuple[dict[str, Any], list[Fault]]:
    """The settings after a create or a change, and every fault, in field order."""
    settings = {"origins": [], "max_calls": USUAL_CALLS, "address_id": None, **before}
    settings |= {name: body[name] for name in ("origins", "max_calls", "address_id") if name in body}
    return settings, [
        *_name_faults(body, bool(before)),
        *_address_faults(settings["address_id"], platform, project),
        *_origin_faults(settings["origins"]),
        *_calls_faults(settings["max_calls"]),
    ]


def _name_faults(body: Mapping[str, Any], exists: bool) -> list[Fault]:
    name = body.get("name")
    if name in (None, ""):
        given = "name" in body or not exists
        return [Fault("name", "missing_required_parameter", "name is required")] if given else []
    if isinstance(name, str) and len(name) <= LONGEST and name.isprintable():
        return []
    return [Fault("name", "invalid_parameter", f"Name must be text of at most {LONGEST} printable characters")]


def _address_faults(id_: Any, platform: Platform, project: str) -> list[Fault]:
    if id_ in (None, ""):
        return [Fault("address_id", "missing_required_parameter", "address_id is required")]
    row = platform.addresses.get(id_) if isinstance(id_, str) else None
    if row is not None and row.project_id == project:
        return []
    return [Fault("address_id", "must_belong_to_project", "The address_id must belong to the project")]


def _origin_faults(origins: Any) -> list[Fault]:
    if isinstance(origins, list) and len(origins) <= MOST_ORIGINS:
        wrong = next((one for one in origins if not (isinstance(one, str) and ORIGIN.fullmatch(one))), None)
        if wrong is None:
            return []
        message = f"Origins contains an invalid entry: {str(wrong)[:100]}; write https://www.example.com"
        return [Fault("origins", "list_contains_invalid_entries", message)]
    return [Fault("origins", "invalid_parameter", f"Origins must be a list of at most {MOST_ORIGINS} origins")]


def _calls_faults(calls: Any) -> list[Fault]:
    if isinstance(calls, int) and not isinstance(calls, bool) and 1 <= calls <= MOST_CALLS:
        return []
    return [Fault("max_calls", "invalid_parameter", f"Max_calls must be between 1 and {MOST_CALLS}")]
