"""All that a page with JsSIP needs, in one answer: `POST /api/offhook/provision` (API.md section 11)."""

import re
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.auth import Calling
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.ports import EndpointRow, Platform
from offhook.api.requests import body_object, unknown_fields

PATH = "/api/offhook/provision"
SHORTEST, LONGEST, USUAL = 60, 86_400, 3600
"""Seconds that credentials may live: a page asks anew at each load, and a day is the longest it stays open."""
KNOWN = ("endpoint", "ttl", "device", "origin")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,250}")
router = APIRouter(tags=["Provisioning"])


@router.post(PATH)
async def provision(request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """Credentials that end by themselves, and where to use them. `endpoint` is an id or a user name."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    faults = _faults(body)
    if faults:
        raise Invalid(*faults)
    row = _endpoint(platform, token.project_id, body["endpoint"])
    device = body.get("device") or {}
    response.headers["Cache-Control"] = "no-store"
    given = platform.provision(row.username, body.get("ttl", USUAL), body.get("origin") or "")
    jssip = given["jssip"]
    if device.get("instance_id"):
        jssip["instance_id"] = device["instance_id"].lower()
    return given


def _faults(body: dict[str, Any]) -> list[Fault]:
    """Everything wrong with the body."""
    faults = unknown_fields(body, KNOWN)
    if not isinstance(body.get("endpoint"), str) or not body["endpoint"]:
        faults.append(Fault("endpoint", "missing_required_parameter", "endpoint is required: an id or a user name"))
    ttl = body.get("ttl", USUAL)
    if not isinstance(ttl, int) or isinstance(ttl, bool) or not SHORTEST <= ttl <= LONGEST:
        faults.append(Fault("ttl", "invalid_parameter", f"ttl must be between {SHORTEST} and {LONGEST} seconds"))
    if not _fits(body.get("origin"), _ORIGIN):
        faults.append(Fault("origin", "invalid_parameter", "origin must be like https://app.example.com"))
    device = body.get("device")
    if device is not None and not (isinstance(device, dict) and _fits(device.get("instance_id"), _UUID)):
        faults.append(Fault("device", "invalid_parameter", "device.instance_id must be a UUID"))
    return faults


def _fits(value: Any, pattern: re.Pattern[str]) -> bool:
    return value is None or (isinstance(value, str) and pattern.fullmatch(value) is not None)


def _endpoint(platform: Platform, project: str, name: str) -> EndpointRow:
    row = platform.endpoints.get(name) or platform.endpoints.named(name)
    if row is None or row.project_id != project:
        raise not_found("endpoint_not_found", "No SIP endpoint has this id or user name")
    return row
