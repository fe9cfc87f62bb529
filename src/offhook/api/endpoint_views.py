"""A SIP endpoint as the API shows it: the legacy view, the fabric view, and flat among a subscriber's (API.md 2, 4.2)."""

from typing import Any

from offhook.api.endpoint_options import with_defaults
from offhook.api.handler_fields import OF_ENDPOINTS_FIELDS
from offhook.api.ports import EndpointRow, Platform
from offhook.api.schemas import CIPHERS, CODECS
from offhook.api.times import seconds
from offhook.sip.domains import aor_of

POLICIES = ("default", "passthrough", "block-pstn")
"""Outbound policies: the profile's, may dial numbers, may not."""


def legacy(row: EndpointRow, platform: Platform) -> dict[str, Any]:
    """Flat, with every call_* field of its kind, null when unused; `call_handler` runs the calls that the endpoint makes."""
    return {
        "type": "sip_endpoint",
        **_common(row, platform),
        "call_handler": row.handler.get("call_handler"),
        "calling_handler_resource_id": row.handler.get("calling_handler_resource_id"),
        **{name: row.handler.get(name) for name in OF_ENDPOINTS_FIELDS},
        "offhook": own_part(row, platform),
    }


def fabric(row: EndpointRow, platform: Platform) -> dict[str, Any]:
    """The wrapper of all resources, with the inner fields once more at top level; `call_handler` is the outbound policy."""
    inner = {**_common(row, platform), **_policy(row)}
    return {
        "id": row.id,
        "project_id": row.project_id,
        "display_name": row.username,
        "type": "sip_endpoint",
        "created_at": seconds(row.created_at),
        "updated_at": seconds(row.updated_at),
        "sip_endpoint": inner,
        **{name: value for name, value in inner.items() if name != "id"},
        "offhook": own_part(row, platform),
    }


def flat(row: EndpointRow, platform: Platform) -> dict[str, Any]:
    """One of a subscriber's."""
    return {**_common(row, platform), "offhook": own_part(row, platform)}


def _common(row: EndpointRow, platform: Platform) -> dict[str, Any]:
    project = platform.projects.get(row.project_id)
    profile = project.profile if project is not None else {}
    return {
        "id": row.id,
        "username": row.username,
        "caller_id": row.caller_id,
        "send_as": row.send_as,
        "ciphers": list(row.ciphers or profile.get("default_ciphers") or CIPHERS),
        "codecs": list(row.codecs or profile.get("default_codecs") or CODECS),
        "encryption": row.encryption,
    }


def _policy(row: EndpointRow) -> dict[str, Any]:
    resource = row.handler.get("calling_handler_resource_id")
    word = "resource" if row.handler.get("call_handler") else row.handler.get("policy", POLICIES[0])
    return {"call_handler": word, "calling_handler_resource_id": resource}


def own_part(row: EndpointRow, platform: Platform) -> dict[str, Any]:
    """What is under `offhook`."""
    registered = platform.registered(row.name)
    return {
        "extension": None,
        "max_calls": 10,
        "max_calls_per_hour": None,
        "ring_seconds": 60,
        "ring": "parallel",
        "do_not_disturb": False,
        "direct_media": False,
        "status_events": ["completed"],
        **row.offhook,
        **with_defaults(row.offhook),
        "enabled": row.enabled,
        "aor": aor_of(row.name, platform.domain),
        "registered": registered,
        "reachable": registered,
    }
