"""Addresses: `/api/fabric/addresses` (API.md 4.4)."""

from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api import fabric
from offhook.api.auth import Calling
from offhook.api.describe import described, flag, listing, record, text
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.fabric_bodies import ADDRESS
from offhook.api.fabric_ports import AddressRow
from offhook.api.paging import page
from offhook.api.ports import Platform
from offhook.api.requests import body_object, note_ignored

PATH = "/api/fabric/addresses"
router = APIRouter(tags=["Addresses"])
_CHANGE = record("AddressChange", locked=flag())


def _own(platform: Platform, project: str, id_: str) -> AddressRow:
    row = platform.addresses.get(id_)
    if row is None or row.project_id != project:
        raise not_found("address_not_found", "No address has this id")
    return row


@router.get(PATH, **described(gives=listing(ADDRESS), query={"type": text(), "name": text()}))
async def list_every_address(request: Request, token: Calling) -> dict[str, Any]:
    """Newest first; `type` is one of subscriber, call, room, app, `name` matches a substring."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    kind, name = query.get("type", ""), query.get("name", "").casefold()
    rows = [
        row
        for row in platform.addresses
        if row.project_id == token.project_id and name in row.name and kind in ("", fabric.address_type(row, platform))
    ]
    return page(rows, lambda row: row.id, lambda row: fabric.address(row, platform), PATH, query)


@router.get(PATH + "/{id_}", **described(gives=ADDRESS))
async def show_address(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """One address."""
    platform: Platform = request.app.state.platform
    return fabric.address(_own(platform, token.project_id, id_), platform)


@router.patch(PATH + "/{id_}", **described(takes=_CHANGE, gives=ADDRESS))
async def change_address(id_: str, request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """`locked: true` refuses calls from now on; live ones go on."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, frozenset({"locked"}))
    row = _own(platform, token.project_id, id_)
    locked = body.get("locked", row.locked)
    if not isinstance(locked, bool):
        raise Invalid(Fault("locked", "invalid_parameter", "Locked must be true or false"))
    return fabric.address(await platform.addresses.lock(row.id, locked) or row, platform)
