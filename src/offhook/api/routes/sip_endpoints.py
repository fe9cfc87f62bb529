"""SIP endpoints, legacy view: `/api/relay/rest/endpoints/sip` (API.md section 2)."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.auth import Calling
from offhook.api.deleting import delete
from offhook.api.describe import described, listing, text, without_required
from offhook.api.endpoint_bodies import NEW, SHOWN
from offhook.api.endpoint_options import merged
from offhook.api.endpoint_views import legacy
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.paging import page
from offhook.api.ports import EndpointRow, Platform
from offhook.api.requests import body_object, note_ignored
from offhook.api.schemas import KNOWN, endpoint_fields, password_fault

PATH = "/api/relay/rest/endpoints/sip"
router = APIRouter(tags=["SIP endpoints"])
_writing = asyncio.Lock()


def _own(platform: Platform, project: str, id_: str) -> EndpointRow:
    row = platform.endpoints.get(id_)
    if row is None or row.project_id != project:
        raise not_found("endpoint_not_found", "No SIP endpoint has this id")
    return row


def _taken(faults: list[Fault]) -> Invalid:
    return Invalid(*faults, Fault("username", "not_unique_within_project", "Username has already been taken"))


def _split_enabled(values: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """`offhook.enabled` is a column of its own; the other keys are kept together, given ones over old ones."""
    if "offhook" in values:
        after = merged(before, values["offhook"])
        if "enabled" in after:
            values["enabled"] = after.pop("enabled")
        values["offhook"] = after
    return values


@router.get(PATH, **described(gives=listing(SHOWN), query={"filter_username": text(), "filter_caller_id": text()}))
async def list_endpoints(request: Request, token: Calling) -> dict[str, Any]:
    """Newest first; `filter_username` and `filter_caller_id` match substrings without regard to case."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)

    def wanted(row: EndpointRow) -> bool:
        name, caller = query.get("filter_username", ""), query.get("filter_caller_id", "")
        return (
            row.project_id == token.project_id
            and name.casefold() in row.username.casefold()
            and caller.casefold() in (row.caller_id or "").casefold()
        )

    rows = [row for row in platform.endpoints if wanted(row)]
    return page(rows, lambda row: row.id, lambda row: legacy(row, platform), PATH, query)


@router.post(PATH, status_code=201, **described(takes=NEW, gives=SHOWN))
async def create_endpoint(request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """Username and password are required. The endpoint can register the instant this answers."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    values, faults = endpoint_fields(body, ("username", "password"))
    name, password = str(values.get("username")), body.get("password")
    if password not in (None, ""):
        fault = password_fault(password, name, request.app.state.password_min_length)
        faults += [fault] if fault else []
    async with _writing:
        taken = platform.endpoints.named(name) is not None
        if taken:
            raise _taken(faults)
        if faults:
            raise Invalid(*faults)
        md5, sha256 = request.app.state.ha1(name, platform.realm, password)
        fields = {"ha1_md5": md5, "ha1_sha256": sha256, **_split_enabled(values, {})}
        row = await platform.endpoints.create(project_id=token.project_id, **fields)
    if row is None:
        raise _taken([])
    return legacy(row, platform)


@router.get(PATH + "/{id_}", **described(gives=SHOWN))
async def show_endpoint(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """One endpoint."""
    platform: Platform = request.app.state.platform
    return legacy(_own(platform, token.project_id, id_), platform)


@router.put(PATH + "/{id_}", **described(takes=without_required("SipEndpointChange", NEW), gives=SHOWN))
async def change_endpoint(id_: str, request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """Changes the fields given and keeps the rest; a new user name needs a password in the same request."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    row = _own(platform, token.project_id, id_)
    given = {name: value for name, value in body.items() if name != "password"}
    values, faults = endpoint_fields(given, ("username",) if "username" in body else ())
    name, password = str(values.get("username") or row.username), body.get("password")
    if password not in (None, ""):
        fault = password_fault(password, name, request.app.state.password_min_length)
        faults += [fault] if fault else []
    elif name != row.username:
        text = "password is required when username changes, because only its digest is stored"
        faults.append(Fault("password", "password_required", text))
    async with _writing:
        other = platform.endpoints.named(name)
        if other is not None and other.id != row.id:
            raise _taken(faults)
        if faults:
            raise Invalid(*faults)
        values = _split_enabled(values, row.offhook)
        if password not in (None, ""):
            values["ha1_md5"], values["ha1_sha256"] = request.app.state.ha1(name, platform.realm, password)
            values["credential_version"] = row.credential_version + 1
        changed = await platform.endpoints.change(id_, **values)
    if changed is None:
        raise _taken([])
    if "credential_version" in values or values.get("enabled") is False:
        await platform.unbind(row.username)
    return legacy(changed, platform)


@router.delete(PATH + "/{id_}", status_code=204)
async def delete_endpoint(id_: str, request: Request, token: Calling, hangup: bool = False) -> None:
    """Drops the bindings at once and lets live calls finish; `hangup=true` ends them."""
    platform: Platform = request.app.state.platform
    await delete(platform, _own(platform, token.project_id, id_), hangup)
