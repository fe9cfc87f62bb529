"""Addresses: `/api/fabric/addresses` (API.md 4.4)."""

from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api import fabric
from offhook.api.auth import Calling
from offhook.api.bearers import API_TOKEN, Asking
from offhook.api.describe import described, flag, listing, one_of, record, text
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.fabric_bodies import ADDRESS
from offhook.api.fabric_ports import AddressRow
from offhook.api.paging import page
from offhook.api.ports import Platform
from offhook.api.requests import body_object, note_ignored
from offhook.api.token_ports import Holder
from offhook.sip.tokens import MEMBER

PATH = "/api/fabric/addresses"
router = APIRouter(tags=["Addresses"])
_CHANGE = record("AddressChange", locked=flag())


def _own(platform: Platform, project: str, id_: str) -> AddressRow:
    row = platform.addresses.get(id_)
    if row is None or row.project_id != project:
        raise not_found("address_not_found", "No address has this id")
    return row


def _sees(holder: Holder, row: AddressRow) -> bool:
    return row.project_id == holder.project_id and (holder.tier in (API_TOKEN, MEMBER) or row.id in holder.addresses)


@router.get(PATH, **described(gives=listing(ADDRESS), query={"type": one_of(*fabric.KINDS_OF_ADDRESS), "name": text()}))
async def list_every_address(request: Request, holder: Asking) -> dict[str, Any]:
    """Newest first; `type` is one of subscriber, call, room, app, `name` matches a substring. A browser's token sees what it
    may call."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    kind, name = query.get("type", ""), query.get("name", "").casefold()
    rows = [
        row
        for row in platform.addresses
        if _sees(holder, row) and name in row.name and kind in ("", fabric.address_type(row, platform))
    ]
    return page(rows, lambda row: row.id, lambda row: fabric.address(row, platform), PATH, query)


@router.get(PATH + "/{id_}", **described(gives=ADDRESS))
async def show_address(id_: str, request: Request, holder: Asking) -> dict[str, Any]:
    """One address."""
    platform: Platform = request.app.state.platform
    row = _own(platform, holder.project_id, id_)
    if not _sees(holder, row):
        raise not_found("address_not_found", "No address has this id")
    return fabric.address(row, platform)


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
