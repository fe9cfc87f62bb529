"""Projects and signing keys: `/api/projects` (API.md section 7)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.auth import Management
from offhook.api.describe import described, flag, identifier, listing, moment, nullable, record, text, without_required
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.paging import page
from offhook.api.ports import Platform, TokenRow
from offhook.api.project_ports import ProjectRow
from offhook.api.requests import body_object, note_ignored
from offhook.api.times import seconds

PATH = "/api/projects"
FLAGS = {
    "protect_recordings": True,
    "protect_message_media": False,
    "protect_fax_media": False,
    "force_https_requests": False,
}
"""Settings of a project with their defaults."""
KNOWN = frozenset({"name", *FLAGS})
LONGEST = 250
NEW = record("NewProject", "name", name=text(LONGEST, 1), **dict.fromkeys(FLAGS, flag()))
SHOWN = record(
    "Project", "id", "name", *FLAGS,
    id=identifier(), name=text(), parent_project_id=nullable(identifier()), subproject=flag(), region_preference=text(),
    **dict.fromkeys(FLAGS, flag()), created_at=moment(), updated_at=moment(),
)  # fmt: skip
KEYED = record("ProjectWithKey", "signing_key", **SHOWN["properties"], signing_key=text())
router = APIRouter(tags=["Projects"])


def shown(row: ProjectRow) -> dict[str, Any]:
    """The object, without its signing key."""
    return {
        "id": row.id,
        "name": row.name,
        "parent_project_id": row.parent_id,
        "subproject": row.parent_id is not None,
        "region_preference": "local",
        **FLAGS,
        **row.settings,
        "created_at": seconds(row.created_at),
        "updated_at": seconds(row.updated_at),
    }


def _keyed(row: ProjectRow, response: Response) -> dict[str, Any]:
    """The object with its key, which is told this once."""
    response.headers["Cache-Control"] = "no-store"
    return {**shown(row), "signing_key": row.signing_key.reveal()}


def _mine(platform: Platform, token: TokenRow) -> list[ProjectRow]:
    """The token's project and its subprojects."""
    return [one for one in platform.projects if token.project_id in (one.id, one.parent_id)]


def _one(platform: Platform, token: TokenRow, id_: str) -> ProjectRow:
    row = next((one for one in _mine(platform, token) if one.id == id_), None)
    if row is None:
        raise not_found("project_not_found", "No project has this id")
    return row


@router.get(PATH, **described(gives=listing(SHOWN), query={"name": text()}))
async def list_projects(request: Request, token: Management) -> dict[str, Any]:
    """The token's project and its subprojects, newest first; `name` matches a substring."""
    query = dict(request.query_params)
    name = query.get("name", "").casefold()
    rows = [one for one in _mine(request.app.state.platform, token) if name in one.name.casefold()]
    return page(rows, lambda row: row.id, shown, PATH, query)


@router.post(PATH, status_code=201, **described(takes=NEW, gives=KEYED))
async def create_project(request: Request, response: Response, token: Management) -> dict[str, Any]:
    """A subproject, with its own endpoints, numbers and tokens. The signing key is in this answer only."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    faults: list[Fault] = []
    own = platform.projects.get(token.project_id)
    if own is None or own.parent_id is not None:
        message = "A subproject has no subprojects; use a token of the root project"
        faults.append(Fault("parent_project_id", "nested_subprojects_not_allowed", message))
    name, settings = _fields(body, faults, new=True)
    if faults:
        raise Invalid(*faults)
    made = await platform.projects.create(token.project_id, name, settings, platform.new_profile(name))
    await platform.profile_changed(made.id)
    return _keyed(made, response)


@router.get(PATH + "/{id_}", **described(gives=SHOWN))
async def show_project(id_: str, request: Request, token: Management) -> dict[str, Any]:
    """One project."""
    return shown(_one(request.app.state.platform, token, id_))


@router.patch(PATH + "/{id_}", **described(takes=without_required("ProjectChange", NEW), gives=SHOWN))
async def change_project(id_: str, request: Request, response: Response, token: Management) -> dict[str, Any]:
    """Changes the fields given and keeps the rest."""
    platform: Platform = request.app.state.platform
    row = _one(platform, token, id_)
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    faults: list[Fault] = []
    name, settings = _fields(body, faults, new=False)
    if faults:
        raise Invalid(*faults)
    changed = await platform.projects.change(id_, name=name or row.name, settings={**row.settings, **settings})
    if changed is None:
        raise not_found("project_not_found", "No project has this id")
    return shown(changed)


@router.delete(PATH + "/{id_}", status_code=204, **described(errors=(422,)))
async def delete_project(id_: str, request: Request, token: Management) -> None:
    """Deletes a subproject with its endpoints, trunks and tokens; its numbers must go first."""
    platform: Platform = request.app.state.platform
    row = _one(platform, token, id_)
    if row.parent_id is None:
        raise Invalid(Fault("id", "only_subprojects_can_be_deleted", "Only subprojects can be deleted"))
    count = sum(one.project_id == id_ for one in platform.numbers)
    if count:
        message = f"The project has {count} phone numbers; release them first"
        raise Invalid(Fault("id", "phone_numbers_must_be_removed", message))
    await platform.remove_project(id_)


@router.post(PATH + "/{id_}/signing-key/rotate", **described(gives=KEYED))
async def rotate_signing_key(id_: str, request: Request, response: Response, token: Management) -> dict[str, Any]:
    """A new signing key, which new deliveries and retries use at once. It is in this answer only."""
    platform: Platform = request.app.state.platform
    row = await platform.projects.rotate(_one(platform, token, id_).id)
    if row is None:
        raise not_found("project_not_found", "No project has this id")
    return _keyed(row, response)


def _fields(body: Mapping[str, Any], faults: list[Fault], new: bool) -> tuple[str, dict[str, Any]]:
    name = body.get("name")
    if new or "name" in body:
        if name in (None, ""):
            faults.append(Fault("name", "missing_required_parameter", "Name must be present"))
        elif not isinstance(name, str) or len(name) > LONGEST or not name.isprintable():
            message = f"Name must be text of 1 to {LONGEST} printable characters"
            faults.append(Fault("name", "invalid_parameter", message))
    settings = {one: body[one] for one in FLAGS if one in body}
    for one, value in settings.items():
        if not isinstance(value, bool):
            faults.append(Fault(one, "invalid_parameter", f"{one.capitalize()} must be true or false"))
    return name or "", settings
