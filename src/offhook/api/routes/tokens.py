"""API tokens: `/api/project/tokens` (API.md section 7)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.auth import KEPT_SCOPES, SCOPES, Management
from offhook.api.describe import described, identifier, list_of, listing, moment, nullable, one_of, record, text
from offhook.api.errors import Fault, Invalid, not_found, project_gone
from offhook.api.paging import page
from offhook.api.ports import Platform, TokenRow
from offhook.api.project_ports import ApiTokenRow
from offhook.api.requests import body_object, note_ignored
from offhook.api.times import seconds

PATH = "/api/project/tokens"
KNOWN = frozenset({"name", "permissions", "subproject_id"})
LONGEST = 64
_FIELDS = {"name": text(LONGEST, 1), "permissions": list_of(one_of(*SCOPES, *KEPT_SCOPES), least=1)}
NEW = record("NewApiToken", "name", "permissions", **_FIELDS, subproject_id=nullable(identifier()))
CHANGE = record("ApiTokenChange", **_FIELDS)
SHOWN = record(
    "ApiToken", "id", "name", "permissions", "token",
    id=identifier(), project_id=identifier(), **_FIELDS, token=nullable(text()), created_at=moment(),
)  # fmt: skip
router = APIRouter(tags=["API tokens"])


def shown(row: ApiTokenRow, secret: str | None = None) -> dict[str, Any]:
    """The object; `token` only in the answer that made it."""
    return {
        "id": row.id,
        "project_id": row.project_id,
        "name": row.name,
        "permissions": sorted(row.permissions),
        "token": secret,
        "created_at": seconds(row.created_at),
    }


def _projects(platform: Platform, token: TokenRow) -> set[str]:
    """Projects whose tokens a token may manage: its own and the subprojects."""
    return {one.id for one in platform.projects if token.project_id in (one.id, one.parent_id)}


def _one(platform: Platform, token: TokenRow, id_: str) -> ApiTokenRow:
    row = platform.api_tokens.get(id_)
    if row is None or row.project_id not in _projects(platform, token):
        raise not_found("token_not_found", "No API token has this id")
    return row


@router.get(PATH, **described(gives=listing(SHOWN)))
async def list_tokens(request: Request, token: Management) -> dict[str, Any]:
    """Tokens of the project and its subprojects, newest first, without their secrets."""
    platform: Platform = request.app.state.platform
    theirs = _projects(platform, token)
    rows = [one for one in platform.api_tokens if one.project_id in theirs]
    return page(rows, lambda row: row.id, shown, PATH, dict(request.query_params))


@router.post(PATH, **described(takes=NEW, gives=SHOWN))
async def create_token(request: Request, response: Response, token: Management) -> dict[str, Any]:
    """A token, shown this once. `subproject_id` makes it one of a subproject."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    faults: list[Fault] = []
    name, permissions = _fields(body, faults, ("name", "permissions"))
    project = body.get("subproject_id") or token.project_id
    if not isinstance(project, str) or project not in _projects(platform, token):
        faults.append(Fault("subproject_id", "invalid_subproject_id", "Subproject_id must be the id of a subproject"))
    if faults:
        raise Invalid(*faults)
    made = await platform.api_tokens.create(project, name, permissions)
    if made is None:
        raise project_gone()
    response.headers["Cache-Control"] = "no-store"
    return shown(*made)


@router.patch(PATH + "/{id_}", **described(takes=CHANGE, gives=SHOWN))
async def change_token(id_: str, request: Request, response: Response, token: Management) -> dict[str, Any]:
    """Another name, or other permissions; a token may not take permissions from itself."""
    platform: Platform = request.app.state.platform
    row = _one(platform, token, id_)
    body = await body_object(request)
    note_ignored(response, body, KNOWN - {"subproject_id"})
    faults: list[Fault] = []
    name, permissions = _fields(body, faults, ())
    if id_ == token.id and "permissions" in body and not row.permissions <= set(permissions):
        faults.append(Fault("permissions", "cannot_process", "A token cannot take permissions from itself"))
    if faults:
        raise Invalid(*faults)
    given: dict[str, Any] = {"name": name} if name else {}
    given |= {"permissions": frozenset(permissions)} if "permissions" in body else {}
    changed = await platform.api_tokens.change(id_, **given)
    if changed is None:
        raise not_found("token_not_found", "No API token has this id")
    return shown(changed)


@router.delete(PATH + "/{id_}", status_code=204, **described(errors=(422,)))
async def delete_token(id_: str, request: Request, token: Management) -> None:
    """The token opens nothing from now on. A token cannot delete itself."""
    platform: Platform = request.app.state.platform
    row = _one(platform, token, id_)
    if row.id == token.id:
        raise Invalid(Fault("id", "cannot_process", "A token cannot delete itself"))
    await platform.api_tokens.remove(row.id)


def _fields(body: Mapping[str, Any], faults: list[Fault], required: tuple[str, ...]) -> tuple[str, list[str]]:
    name, permissions = body.get("name"), body.get("permissions")
    if "name" in required and name in (None, ""):
        faults.append(Fault("name", "missing_required_parameter", "name is required"))
    elif name is not None and not (isinstance(name, str) and 1 <= len(name) <= LONGEST and name.isprintable()):
        message = f"Name must be text of 1 to {LONGEST} printable characters"
        faults.append(Fault("name", "invalid_parameter", message))
    if permissions in (None, []):
        if "permissions" in required or "permissions" in body:
            faults.append(Fault("permissions", "missing_required_parameter", "permissions is required"))
        permissions = []
    elif not isinstance(permissions, list):
        faults.append(Fault("permissions", "invalid_parameter", "Permissions must be a list of scopes"))
        permissions = []
    for one in permissions:
        if one not in SCOPES and one not in KEPT_SCOPES:
            message = f"Permissions contains an invalid entry: {str(one)[:64]}; scopes are {', '.join(SCOPES)}"
            faults.append(Fault("permissions", "list_contains_invalid_entries", message))
    return name or "", [one for one in permissions if isinstance(one, str)]
