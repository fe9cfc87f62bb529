"""All that a page with JsSIP needs, in one answer: `POST /api/offhook/provision` (API.md section 11)."""

import re
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.bearers import API_TOKEN, Asking
from offhook.api.describe import described, loose, record, text, whole
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.ports import Platform
from offhook.api.requests import body_object, unknown_fields
from offhook.api.routes.fabric_tokens import MOST_REFERENCE, member
from offhook.api.token_ports import Holder
from offhook.sip.guests import WIDGET

PATH = "/api/offhook/provision"
SHORTEST, LONGEST, USUAL = 60, 86_400, 3600
"""Seconds that credentials may live: a page asks anew at each load, and a day is the longest it stays open."""
KNOWN = ("endpoint", "reference", "ttl", "device", "origin")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,250}")
router = APIRouter(tags=["Provisioning"])
_TAKES = record(
    "Provision",
    endpoint=text(64),
    reference=text(MOST_REFERENCE),
    ttl=whole(SHORTEST, LONGEST),
    device=record("ProvisionDevice", instance_id=text(36, 36), name=text(64)),
    origin=text(),
)
_GIVES = record("Provisioned", "sip", "jssip", "token", sip=loose(), jssip=loose(), token=loose(), media=loose())


@router.post(PATH, status_code=200, **described(takes=_TAKES, gives=_GIVES, errors=(404, 422)))
async def provision(request: Request, response: Response, holder: Asking) -> dict[str, Any]:
    """Credentials that end by themselves, and where to use them. With an API token the body names whom, by `endpoint` (id or
    user name) or `reference`; a browser's token is for its owner."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    faults = _faults(body, holder)
    if faults:
        raise Invalid(*faults)
    subject = holder.subject if holder.tier != API_TOKEN else await _subject(request, holder.project_id, body)
    device, seconds = body.get("device") or {}, body.get("ttl", USUAL)
    if holder.tier != API_TOKEN:
        # No credential outlives the one that it was got with.
        seconds = max(1, min(seconds, holder.ends_at - platform.token_office.unix()))
    response.headers["Cache-Control"] = "no-store"
    # A widget's token is for pages of one origin, and so is what comes of it.
    origin = request.headers.get("origin", "") if holder.tier == WIDGET else body.get("origin") or ""
    return await provisioned(request, subject, seconds, origin, device)


async def provisioned(
    request: Request, subject: str, seconds: int, origin: str, device: Mapping[str, Any]
) -> dict[str, Any]:
    """Credentials for a page of somebody's, which says what it calls itself. Raises 404 when he is gone."""
    platform: Platform = request.app.state.platform
    given = platform.provision(subject, seconds, origin, f"{request.url.scheme}://{request.url.netloc}")
    if given is None:
        raise not_found("endpoint_not_found", "No SIP endpoint has this id or user name")
    await _named(platform, subject, device)
    given["jssip"]["instance_id"] = (device.get("instance_id") or str(uuid.uuid4())).lower()
    return given


async def _named(platform: Platform, subject: str, device: Mapping[str, Any]) -> None:
    """Keeps what a page calls itself, where it is an endpoint's own and can be told from others."""
    endpoint = platform.endpoints.named(subject)
    if endpoint is not None and device.get("instance_id") and device.get("name"):
        await platform.devices.call(endpoint.id, device["instance_id"], device["name"])


async def _subject(request: Request, project: str, body: Mapping[str, Any]) -> str:
    """The name of the endpoint that the body means. Raises 404."""
    platform: Platform = request.app.state.platform
    if body.get("reference"):
        _, endpoint = await member(request, project, body["reference"], {})
        return endpoint.name
    row = platform.endpoints.get(body["endpoint"]) or platform.endpoints.in_project(project, body["endpoint"])
    if row is None or row.project_id != project:
        raise not_found("endpoint_not_found", "No SIP endpoint has this id or user name")
    return row.name


def _faults(body: dict[str, Any], holder: Holder) -> list[Fault]:
    """Everything wrong with the body."""
    faults = unknown_fields(body, KNOWN)
    if holder.tier == API_TOKEN:
        faults += _whom_faults(body)
    faults += ttl_faults(body)
    if not _fits(body.get("origin"), _ORIGIN):
        faults.append(Fault("origin", "invalid_parameter", "origin must be like https://app.example.com"))
    return faults + device_faults(body)


def ttl_faults(body: Mapping[str, Any]) -> list[Fault]:
    """How long credentials may live."""
    ttl = body.get("ttl", USUAL)
    fine = isinstance(ttl, int) and not isinstance(ttl, bool) and SHORTEST <= ttl <= LONGEST
    return [] if fine else [Fault("ttl", "invalid_parameter", f"ttl must be between {SHORTEST} and {LONGEST} seconds")]


def device_faults(body: Mapping[str, Any]) -> list[Fault]:
    """What a page says of itself."""
    device, faults = body.get("device"), list[Fault]()
    if device is not None and not (isinstance(device, dict) and _fits(device.get("instance_id"), _UUID)):
        faults.append(Fault("device", "invalid_parameter", "device.instance_id must be a UUID"))
    name = device.get("name") if isinstance(device, dict) else None
    if name is not None and not (isinstance(name, str) and len(name) <= 64 and name.isprintable()):
        message = "device.name must be text of at most 64 printable characters"
        faults.append(Fault("device.name", "invalid_parameter", message))
    return faults


def _whom_faults(body: Mapping[str, Any]) -> list[Fault]:
    named = [name for name in ("endpoint", "reference") if body.get(name) not in (None, "")]
    if not named:
        message = "endpoint is required: an id or a user name; or reference, a subscriber's"
        return [Fault("endpoint", "missing_required_parameter", message)]
    value = body[named[0]]
    if len(named) == 2 or not isinstance(value, str) or len(value) > MOST_REFERENCE or not value.isprintable():
        message = f"{named[0]} must be text, and endpoint and reference are not given together"
        return [Fault(named[0], "invalid_parameter", message)]
    return []


def _fits(value: Any, pattern: re.Pattern[str]) -> bool:
    return value is None or (isinstance(value, str) and pattern.fullmatch(value) is not None)
