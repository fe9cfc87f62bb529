"""SIP endpoints, fabric view: `/api/fabric/resources/sip_endpoints` (API.md section 2)."""

from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api import endpoint_writing, fabric
from offhook.api.auth import Calling
from offhook.api.deleting import delete
from offhook.api.describe import described, identifier, listing, record, text, without_required
from offhook.api.endpoint_bodies import NEW_FABRIC, SHOWN_FABRIC
from offhook.api.endpoint_writing import FABRIC, assigned, own
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.fabric import RESOURCES
from offhook.api.fabric_bodies import ADDRESS
from offhook.api.paging import page
from offhook.api.ports import Platform
from offhook.api.requests import body_object, note_ignored

PATH = f"{RESOURCES}/sip_endpoints"
router = APIRouter(tags=["SIP endpoints"])
_ASSIGN = record("SipEndpointAssignment", "sip_endpoint_id", sip_endpoint_id=identifier())
_ASSIGNED = record("AssignedSipEndpoint", "id", "name", "type", id=identifier(), name=text(), type=text())


@router.get(PATH, **described(gives=listing(SHOWN_FABRIC)))
async def list_fabric_endpoints(request: Request, token: Calling) -> dict[str, Any]:
    """Newest first."""
    platform: Platform = request.app.state.platform
    rows = [row for row in platform.endpoints if row.project_id == token.project_id]
    return page(rows, lambda row: row.id, lambda row: fabric.show(row, platform), PATH, dict(request.query_params))


@router.post(PATH, status_code=200, **described(takes=NEW_FABRIC, gives=SHOWN_FABRIC))
async def create_fabric_endpoint(request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """A password is made where none is given, and shown this once. `call_handler` is what the endpoint may call."""
    row, password = await endpoint_writing.create(request, response, token.project_id, FABRIC)
    made = {"password": password} if password is not None else {}
    return fabric.show(row, request.app.state.platform) | made


@router.get(PATH + "/{id_}", **described(gives=SHOWN_FABRIC))
async def show_fabric_endpoint(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """One endpoint."""
    platform: Platform = request.app.state.platform
    return fabric.show(own(platform, token.project_id, id_), platform)


@router.put(
    PATH + "/{id_}", **described(takes=without_required("FabricSipEndpointChange", NEW_FABRIC), gives=SHOWN_FABRIC)
)
async def change_fabric_endpoint(id_: str, request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """Changes the fields given and keeps the rest; a new user name needs a password in the same request."""
    platform: Platform = request.app.state.platform
    row = own(platform, token.project_id, id_)
    return fabric.show(await endpoint_writing.change(request, response, row, FABRIC), platform)


@router.delete(PATH + "/{id_}", status_code=204, **described(errors=(422,)))
async def delete_fabric_endpoint(id_: str, request: Request, token: Calling, hangup: bool = False) -> None:
    """Drops the bindings at once and lets live calls finish; `hangup=true` ends them."""
    platform: Platform = request.app.state.platform
    await delete(platform, own(platform, token.project_id, id_), hangup)


@router.get(PATH + "/{id_}/addresses", **described(gives=listing(ADDRESS)))
async def list_endpoint_addresses(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """The address under which it is called."""
    platform: Platform = request.app.state.platform
    row = own(platform, token.project_id, id_)
    return fabric.address_page(platform, row.id, f"{PATH}/{row.id}/addresses", dict(request.query_params))


@router.post(RESOURCES + "/{resource_id}/sip_endpoints", status_code=200, **described(takes=_ASSIGN, gives=_ASSIGNED))
async def assign_endpoint(resource_id: str, request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """From now on the resource handles the calls that the endpoint makes."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, frozenset({"sip_endpoint_id"}))
    resource = fabric.find(platform, token.project_id, resource_id)
    if resource is None:
        raise not_found("resource_not_found", "No resource has this id")
    id_ = body.get("sip_endpoint_id")
    if id_ in (None, ""):
        message = "sip_endpoint_id is required"
        raise Invalid(Fault("sip_endpoint_id", "missing_required_parameter", message))
    row = own(platform, token.project_id, str(id_))
    handler = assigned(platform, token.project_id, resource_id, row)
    await platform.endpoints.change(row.id, handler=handler)
    address = platform.addresses.of(row.id)
    if address is None:
        raise not_found("endpoint_not_found", "No SIP endpoint has this id")
    shown = fabric.address(address, platform)
    return {name: shown[name] for name in ("id", "name", "type", "cover_url", "preview_url", "channels")}
