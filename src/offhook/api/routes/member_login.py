"""A subscriber signs in to the web phone with e-mail and password: `POST /api/offhook/subscribers/login` (API.md 4.1, 11).

No cookie is set, so nobody else's page can use a login, and what is answered is read by pages of allowed origins only.
"""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.auth import Attempts, source_of
from offhook.api.describe import described, loose, record, text, whole
from offhook.api.errors import ApiError, Fault, Invalid
from offhook.api.fabric_ports import ResourceRow
from offhook.api.ports import Platform
from offhook.api.requests import body_object, unknown_fields
from offhook.api.routes.fabric_tokens import member
from offhook.api.routes.provision import device_faults, provisioned, ttl_faults
from offhook.api.subscribers import LONGEST_EMAIL, LONGEST_PASSWORD, knows_password, with_email

PATH = "/api/offhook/subscribers/login"
USUAL = 43_200
"""Seconds that the credentials live: the dashboard's twelve hours."""
KNOWN = ("email", "password", "project", "ttl", "device")
AT_ONCE = 2
"""Passwords that are tried at a time: each takes 16 MiB and a processor for 50 ms."""
router = APIRouter(tags=["Login"])
_TAKES = record(
    "MemberLogin",
    "email",
    "password",
    email=text(LONGEST_EMAIL, 1),
    password=text(LONGEST_PASSWORD, 1),
    project=text(),
    ttl=whole(60, 86_400),
    device=record("MemberLoginDevice", instance_id=text(36, 36), name=text(64)),
)
_GIVES = record("SignedIn", "sip", "jssip", "token", sip=loose(), jssip=loose(), token=loose(), media=loose())


@router.post(PATH, **described(takes=_TAKES, gives=_GIVES, errors=(401,)))
async def sign_in(request: Request, response: Response) -> dict[str, Any]:
    """What a page with JsSIP needs, and a bearer token, for who knows a subscriber's password. Whether the e-mail or the
    password was wrong is not told, neither in words nor by the time it takes."""
    platform: Platform = request.app.state.platform
    attempts: Attempts = request.app.state.attempts
    attempts.check(source_of(request))
    body = await body_object(request)
    faults = [*unknown_fields(body, KNOWN), *_faults(body)]
    if faults:
        raise Invalid(*faults)
    row = _subscriber(platform, request.url.hostname or "", body)
    guessing: asyncio.Semaphore = request.app.state.guessing
    async with guessing:
        # Those that have waited meanwhile count, too.
        attempts.check(source_of(request))
        # Without a subscriber the same work is done for nothing.
        right = await knows_password(row.settings if row is not None else {}, body["password"])
    if row is None or not right:
        attempts.failed(source_of(request))
        # A scheme that no browser opens a window for: the page itself asks again.
        challenge = {"WWW-Authenticate": 'Password realm="offhook"'}
        raise ApiError(401, "credentials_wrong", "No subscriber has this e-mail and password", challenge)
    _, endpoint = await member(request, row.project_id, row.id, {})
    device = body.get("device") or {}
    response.headers["Cache-Control"] = "no-store"
    return await provisioned(request, endpoint.name, body.get("ttl", USUAL), "", device)


def _faults(body: dict[str, Any]) -> list[Fault]:
    faults = [*ttl_faults(body), *device_faults(body)]
    for name, most in (("email", LONGEST_EMAIL), ("password", LONGEST_PASSWORD)):
        if body.get(name) in (None, ""):
            faults.append(Fault(name, "missing_required_parameter", f"{name} is required"))
        elif not isinstance(body[name], str) or len(body[name]) > most:
            faults.append(Fault(name, "invalid_parameter", f"{name} must be text of at most {most} characters"))
    if not isinstance(body.get("project") or "", str):
        faults.append(Fault("project", "invalid_parameter", "project must be a project's id"))
    return faults


def _subscriber(platform: Platform, host: str, body: dict[str, Any]) -> ResourceRow | None:
    """By the project that the body names, else among those whose domain the page was loaded from; two of one e-mail there
    have to name it."""
    wanted = body.get("project") or ""
    domain = platform.domain_at(host.lower())
    projects = [one.id for one in platform.projects if wanted in ("", one.id)]
    found = [
        with_email(platform, one, body["email"]) for one in projects if wanted or platform.domain_of(one) == domain
    ]
    rows = [one for one in found if one is not None]
    return rows[0] if len(rows) == 1 else None
