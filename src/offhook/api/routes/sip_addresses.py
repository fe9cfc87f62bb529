"""SIP addresses, each a URI of ours bound to one resource: `/api/fabric/sip_addresses` (API.md 6.3)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api import fabric, handlers
from offhook.api.alone import alone
from offhook.api.application_bodies import ADDRESS_CHANGE, NEW_ADDRESS, SIP_ADDRESS
from offhook.api.auth import Calling
from offhook.api.describe import described, listing
from offhook.api.errors import Fault, Invalid
from offhook.api.gateway_fields import label
from offhook.api.number_ports import ApplicationRow
from offhook.api.paging import page
from offhook.api.ports import Ha1, Platform
from offhook.api.requests import body_object, note_ignored
from offhook.api.routes.domain_applications import CODECS, own, shared_settings, taken
from offhook.api.schemas import CIPHERS, password_fault
from offhook.api.times import seconds
from offhook.sip.secret import Secret

PATH = "/api/fabric/sip_addresses"
TYPE = "sip_address"
router = APIRouter(tags=["SIP addresses"])
KNOWN = frozenset(
    {"name", "user", "context_id", "calling_handler_resource_id", "ip_auth_enabled", "ip_auth", "codecs", "ciphers",
     "encryption", "password"}
)  # fmt: skip


def shown(row: ApplicationRow, platform: Platform) -> dict[str, Any]:
    """The object of API.md 6.3; the password is never shown."""
    settings = row.settings
    resource = settings["calling_handler_resource_id"]
    owner = fabric.find(platform, row.project_id, resource)
    return {
        "type": TYPE,
        "id": row.id,
        "name": row.identifier,
        "resource_id": resource,
        "calling_handler_resource_id": resource,
        "display_name": fabric.display_name(owner) if owner is not None else row.identifier,
        "context": "public",
        "context_id": settings.get("context_id"),
        "uri": platform.reception.uri_of(row),
        "user": settings["user"],
        "ip_auth_enabled": settings["ip_auth_enabled"],
        "ip_auth": settings["ip_auth"],
        "codecs": settings["codecs"] or list(CODECS),
        "ciphers": settings["ciphers"] or list(CIPHERS),
        "encryption": settings["encryption"],
        "created_at": seconds(row.created_at),
        "updated_at": seconds(row.updated_at),
    }


@router.get(PATH, **described(gives=listing(SIP_ADDRESS)))
async def list_addresses(request: Request, token: Calling) -> dict[str, Any]:
    """Newest first, with how many there are in all."""
    platform: Platform = request.app.state.platform
    rows = [one for one in platform.reception.applications if (one.project_id, one.type) == (token.project_id, TYPE)]
    listed = page(rows, lambda row: row.id, lambda row: shown(row, platform), PATH, dict(request.query_params))
    return {**listed, "items_count": len(rows)}


@router.post(PATH, status_code=201, **described(takes=NEW_ADDRESS, gives=SIP_ADDRESS))
async def create_address(request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """Dialable the instant this answers."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    faults: list[Fault] = []
    async with alone("applications"):
        values = _values(request, body, None, faults)
        handler = _handler(platform, token.project_id, body.get("calling_handler_resource_id"), faults)
        if faults:
            raise Invalid(*faults)
        values["settings"] |= handler
        row = await platform.reception.applications.create(project_id=token.project_id, type=TYPE, **values)
    if row is None:
        raise Invalid(Fault("name", "value_not_unique", "Name has already been taken"))
    platform.reception.application_changed(row.id)
    return shown(row, platform)


def _values(
    request: Request, body: Mapping[str, Any], row: ApplicationRow | None, faults: list[Fault]
) -> dict[str, Any]:
    platform: Platform = request.app.state.platform
    name = row.identifier if row is not None else ""
    if "name" in body or row is None:
        name = label(body.get("name"), "name", faults)
        faults += taken(platform, name, "name", row.id if row is not None else None)
    before = row.settings if row is not None else {}
    settings = {**before, **shared_settings(platform, body, before, faults)}
    if "context_id" in body:
        context = body["context_id"] or None
        if context is not None and not (isinstance(context, str) and len(context) <= 64 and context.isprintable()):
            faults.append(Fault("context_id", "invalid_parameter", "Context_id must be text of at most 64 characters"))
        settings["context_id"] = context
    values = {"identifier": name, "name": name, "settings": settings}
    return values | _password(request, body, name, row, faults)


def _password(
    request: Request, body: Mapping[str, Any], name: str, row: ApplicationRow | None, faults: list[Fault]
) -> dict[str, Any]:
    """Its HA1 values, by the rule of API.md 2.3; "" or null takes the password away."""
    given = body.get("password")
    if "password" not in body:
        if row is not None and row.ha1_md5.reveal() and name != row.identifier:
            text = "password is required when name changes, because only its digest is stored"
            faults.append(Fault("password", "password_required", text))
        return {}
    ha1: Ha1 = request.app.state.ha1
    if given in (None, ""):
        return {"ha1_md5": Secret(""), "ha1_sha256": Secret("")}
    wrong = password_fault(given, name, request.app.state.password_min_length)
    if wrong is not None:
        faults.append(wrong)
        return {}
    md5, sha256 = ha1(name, request.app.state.platform.realm, given)
    return {"ha1_md5": md5, "ha1_sha256": sha256}


def _handler(platform: Platform, project: str, id_: Any, faults: list[Fault]) -> dict[str, Any]:
    field = "calling_handler_resource_id"
    if id_ in (None, ""):
        faults.append(Fault(field, "missing_required_parameter", f"{field} is required"))
        return {}
    owner = fabric.find(platform, project, id_) if isinstance(id_, str) else None
    if owner is None:
        faults.append(Fault(field, "does_not_exist", f"{field.capitalize()} does not exist"))
        return {}
    handler = handlers.of_resource(owner)
    if handler is None:
        message = f"A {fabric.type_of(owner)} takes no calls"
        faults.append(Fault(field, "invalid_resource_for_handler", message))
    return handler or {}


@router.get(PATH + "/{id_}", **described(gives=SIP_ADDRESS))
async def show_address(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """One address."""
    platform: Platform = request.app.state.platform
    return shown(own(platform, token.project_id, id_, TYPE), platform)


@router.patch(PATH + "/{id_}", **described(takes=ADDRESS_CHANGE, gives=SIP_ADDRESS))
async def change_address(id_: str, request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """Changes the fields given and keeps the rest; its resource is fixed."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN - {"calling_handler_resource_id"})
    faults: list[Fault] = []
    async with alone("applications"):
        values = _values(request, body, own(platform, token.project_id, id_, TYPE), faults)
        if faults:
            raise Invalid(*faults)
        changed = await platform.reception.applications.change(id_, **values)
    if changed is None:
        raise Invalid(Fault("name", "value_not_unique", "Name has already been taken"))
    platform.reception.application_changed(id_)
    return shown(changed, platform)


@router.delete(PATH + "/{id_}", status_code=204, **described())
async def delete_address(id_: str, request: Request, token: Calling) -> None:
    """Nobody may call it any more; live calls go on."""
    platform: Platform = request.app.state.platform
    await platform.reception.applications.remove(own(platform, token.project_id, id_, TYPE).id)
    platform.reception.application_changed(id_)
