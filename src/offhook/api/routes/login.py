"""The dashboard's login: `/api/offhook/login` (API.md 1.2)."""

from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.auth import AnyToken, Attempts, check_origin_of_write, source_of, unauthorized
from offhook.api.describe import described, identifier, list_of, moment, nullable, record, text
from offhook.api.errors import Fault, Invalid
from offhook.api.ports import Platform, TokenRow
from offhook.api.requests import body_object, unknown_fields
from offhook.api.sessions import Session, Sessions
from offhook.api.times import milliseconds

PATH = "/api/offhook/login"
FIELDS = ("project", "token")
LOGIN = record("Login", *FIELDS, project=text(), token=text())
SHOWN = record(
    "WhoAmI", "project_id", "name", "permissions", "expires_at",
    project_id=identifier(), project=text(), name=text(), permissions=list_of(text()), expires_at=nullable(moment()),
)  # fmt: skip
router = APIRouter(tags=["Login"])


def _shown(platform: Platform, token: TokenRow, session: Session | None) -> dict[str, Any]:
    row, project = platform.api_tokens.get(token.id), platform.projects.get(token.project_id)
    return {
        "project_id": token.project_id,
        "project": project.name if project is not None else "",
        "name": row.name if row is not None else "",
        "permissions": sorted(token.permissions),
        "expires_at": milliseconds(session.ends_at) if session is not None else None,
    }


@router.post(PATH, **described(takes=LOGIN, gives=SHOWN, errors=(401,)))
async def log_in(request: Request, response: Response) -> dict[str, Any]:
    """An API token for a cookie, which opens the same for twelve hours; every write by it carries X-Offhook-Request: 1."""
    platform: Platform = request.app.state.platform
    attempts: Attempts = request.app.state.attempts
    sessions: Sessions = request.app.state.sessions
    attempts.check(source_of(request))
    body = await body_object(request)
    faults = unknown_fields(body, FIELDS)
    for name in FIELDS:
        if body.get(name) in (None, ""):
            faults.append(Fault(name, "missing_required_parameter", f"{name} is required"))
        elif not isinstance(body[name], str):
            faults.append(Fault(name, "invalid_parameter", f"{name} must be text"))
    if faults:
        raise Invalid(*faults)
    # Once more: many may have come while this one's body was on its way.
    attempts.check(source_of(request))
    token = platform.token(body["project"], body["token"])
    if token is None:
        attempts.failed(source_of(request))
        raise unauthorized("credentials_wrong", "No such project id and API token", request)
    response.headers["Cache-Control"] = "no-store"
    return _shown(platform, token, sessions.begin(token.id, request, response))


@router.get(PATH, **described(gives=SHOWN))
async def who_am_i(request: Request, response: Response, token: AnyToken) -> dict[str, Any]:
    """Whom the credentials of this request belong to; `expires_at` is that of the cookie."""
    sessions: Sessions = request.app.state.sessions
    response.headers["Cache-Control"] = "no-store"
    return _shown(request.app.state.platform, token, sessions.read(request))


@router.delete(PATH, status_code=204, **described(errors=(403,)))
async def log_out(request: Request, response: Response) -> None:
    """The cookie opens nothing from now on, wherever else it is kept; without one nothing happens."""
    sessions: Sessions = request.app.state.sessions
    session = sessions.read(request)
    if session is not None:
        check_origin_of_write(request)
        await sessions.end(session, request, response)
