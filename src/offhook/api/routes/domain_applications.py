"""Domain applications, URIs of ours that strangers may call: `/api/relay/rest/domain_applications` (API.md 6.2)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api import fabric, handlers
from offhook.api.alone import alone
from offhook.api.application_bodies import APPLICATION, APPLICATION_CHANGE, ASSIGNMENT, ENCRYPTIONS, NEW_APPLICATION
from offhook.api.auth import Calling
from offhook.api.describe import described, listing, text
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.fabric import RESOURCES
from offhook.api.fabric_bodies import ADDRESS
from offhook.api.gateway_fields import label, media_lists, networks
from offhook.api.gateway_fields import one_of as chosen
from offhook.api.handler_fields import COMPANIONS, FIELDS, Handler, handler_fields
from offhook.api.number_fields import handler_faults
from offhook.api.number_ports import ApplicationRow
from offhook.api.paging import page
from offhook.api.ports import Platform
from offhook.api.requests import body_object, note_ignored
from offhook.api.schemas import BUILT_INS, CIPHERS

PATH = "/api/relay/rest/domain_applications"
TYPE = "domain_application"
CODECS = ("PCMU", "PCMA")
router = APIRouter(tags=["Domain applications"])
_SETTINGS = ("user", "ip_auth_enabled", "ip_auth", "encryption", "codecs", "ciphers")
KNOWN = frozenset({"name", "identifier", *_SETTINGS, "call_handler", "calling_handler_resource_id", *FIELDS})


def shown(row: ApplicationRow, platform: Platform) -> dict[str, Any]:
    """The object of API.md 6.2."""
    settings = row.settings
    return {
        "type": TYPE,
        "id": row.id,
        "name": row.name,
        "identifier": row.identifier,
        "domain": f"{platform.domain.partition('.')[0]}-{row.identifier}",
        "user": settings["user"],
        "ip_auth_enabled": settings["ip_auth_enabled"],
        "ip_auth": settings["ip_auth"],
        "encryption": settings["encryption"],
        "codecs": settings["codecs"] or list(CODECS),
        "ciphers": settings["ciphers"] or list(CIPHERS),
        "call_handler": settings.get("call_handler"),
        "calling_handler_resource_id": settings.get("calling_handler_resource_id"),
        **{name: settings.get(name) for name in FIELDS},
        "offhook": {"uri": platform.reception.uri_of(row)},
    }


def own(platform: Platform, project: str, id_: str, type_: str = TYPE) -> ApplicationRow:
    """An application or address of the project. Raises 404."""
    row = platform.reception.applications.get(id_)
    if row is None or row.project_id != project or row.type != type_:
        raise not_found(f"{type_}_not_found", f"No {type_.replace('_', ' ')} has this id")
    return row


def taken(platform: Platform, identifier: str, field: str, id_: str | None) -> list[Fault]:
    """What speaks against an identifier: another has it, or an endpoint or built-in is called so."""
    known = platform.reception.applications.named(identifier)
    ours = platform.endpoints.named(identifier) is not None or identifier in BUILT_INS
    if platform.has_domain_suffix:
        ours = ours or any(one.profile.get("domain_identifier") == identifier for one in platform.projects)
    if ours or identifier.startswith("conference-") or (known is not None and known.id != id_):
        return [Fault(field, "value_not_unique", f"{field.capitalize()} has already been taken")]
    return []


def shared_settings(
    platform: Platform, body: Mapping[str, Any], before: dict[str, Any], faults: list[Fault]
) -> dict[str, Any]:
    """What domain applications and SIP addresses have in common."""
    user = body.get("user", before.get("user")) or "*"
    if not isinstance(user, str) or len(user) > 64 or not user.isprintable():
        faults.append(Fault("user", "invalid_parameter", "User must be text of at most 64 printable characters"))
    encryption = chosen(body, "encryption", ENCRYPTIONS, before.get("encryption", "optional"), faults)
    return {
        "user": user,
        **networks(body, before, platform.reception.ip_auth_entries, faults),
        "encryption": encryption,
        **media_lists(body, before, faults),
    }


@router.get(PATH, **described(gives=listing(APPLICATION), query={"filter_name": text(), "filter_domain": text()}))
async def list_applications(request: Request, token: Calling) -> dict[str, Any]:
    """Newest first; `filter_name` and `filter_domain` match substrings."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    name, domain = query.get("filter_name", "").casefold(), query.get("filter_domain", "").casefold()
    rows = [
        row
        for row in platform.reception.applications
        if (row.project_id, row.type) == (token.project_id, TYPE)
        and name in row.name.casefold()
        and domain in shown(row, platform)["domain"]
    ]
    return page(rows, lambda row: row.id, lambda row: shown(row, platform), PATH, query)


@router.post(PATH, status_code=201, **described(takes=NEW_APPLICATION, gives=APPLICATION))
async def create_application(request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """Whoever its list lets in may call it the instant this answers."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    async with alone("applications"):
        values = await _values(platform, token.project_id, body, None)
        row = await platform.reception.applications.create(project_id=token.project_id, type=TYPE, **values)
    if row is None:
        raise Invalid(Fault("identifier", "value_not_unique", "Identifier has already been taken"))
    platform.reception.application_changed(row.id)
    return shown(row, platform)


async def _values(
    platform: Platform, project: str, body: Mapping[str, Any], row: ApplicationRow | None
) -> dict[str, Any]:
    """Name, identifier and settings after this body. Raises Invalid with every fault."""
    faults: list[Fault] = []
    before = row.settings if row is not None else {}
    name = body.get("name", row.name if row is not None else "") or ""
    if not isinstance(name, str) or len(name) > 64 or not name.isprintable():
        faults.append(Fault("name", "invalid_parameter", "Name must be text of at most 64 printable characters"))
    identifier = row.identifier if row is not None else ""
    if "identifier" in body or row is None:
        identifier = label(body.get("identifier"), "identifier", faults)
        faults += taken(platform, identifier, "identifier", row.id if row is not None else None)
    settings = {**before, **shared_settings(platform, body, before, faults)}
    handler, wrong = handler_fields(body, before, tuple(COMPANIONS))
    faults += wrong or handler_faults(platform, project, handler)
    if faults:
        raise Invalid(*faults)
    if handler is not None:
        settings = routed(settings, await handlers.settled(platform, project, handler))
    return {"name": name, "identifier": identifier, "settings": settings}


def routed(settings: Mapping[str, Any], handler: Handler) -> dict[str, Any]:
    """The settings with another handler; the companions of the old are gone."""
    gone = {"call_handler", "calling_handler_resource_id", *FIELDS}
    return {name: value for name, value in settings.items() if name not in gone} | handler


@router.get(PATH + "/{id_}", **described(gives=APPLICATION))
async def show_application(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """One application."""
    platform: Platform = request.app.state.platform
    return shown(own(platform, token.project_id, id_), platform)


@router.put(PATH + "/{id_}", **described(takes=APPLICATION_CHANGE, gives=APPLICATION))
async def change_application(id_: str, request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """Changes the fields given and keeps the rest; live calls go on."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    async with alone("applications"):
        row = own(platform, token.project_id, id_)
        changed = await platform.reception.applications.change(
            id_, **await _values(platform, token.project_id, body, row)
        )
    if changed is None:
        raise Invalid(Fault("identifier", "value_not_unique", "Identifier has already been taken"))
    platform.reception.application_changed(id_)
    return shown(changed, platform)


@router.delete(PATH + "/{id_}", status_code=204, **described())
async def delete_application(id_: str, request: Request, token: Calling) -> None:
    """Nobody may call it any more; live calls go on."""
    platform: Platform = request.app.state.platform
    await platform.reception.applications.remove(own(platform, token.project_id, id_).id)
    platform.reception.application_changed(id_)


@router.post(RESOURCES + "/{id_}/domain_applications", **described(takes=ASSIGNMENT, gives=ADDRESS))
async def assign_domain_application(id_: str, request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """The application's calls come to this resource from now on."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, frozenset({"domain_application_id"}))
    owner = fabric.find(platform, token.project_id, id_)
    if owner is None:
        raise not_found("resource_not_found", "No resource has this id")
    named = body.get("domain_application_id")
    if named in (None, ""):
        message = "domain_application_id is required"
        raise Invalid(Fault("domain_application_id", "missing_required_parameter", message))
    handler = handlers.of_resource(owner)
    if handler is None:
        raise Invalid(Fault("id", "invalid_resource_for_handler", f"A {fabric.type_of(owner)} takes no calls"))
    async with alone("applications"):
        row = own(platform, token.project_id, str(named))
        await platform.reception.applications.change(row.id, settings=routed(row.settings, handler))
    address = platform.addresses.of(id_)
    if address is None:
        raise not_found("address_not_found", "The resource has no address")
    return fabric.address(address, platform)
