"""All resources: `/api/fabric/resources` (API.md 4.5). Its paths take any id, so that this router comes last."""

from typing import Any

from fastapi import APIRouter, Request

from offhook.api import fabric
from offhook.api.auth import Calling
from offhook.api.deleting import delete
from offhook.api.describe import described, listing, one_of
from offhook.api.errors import not_found
from offhook.api.fabric import RESOURCES, Owner
from offhook.api.fabric_bodies import ADDRESS, RESOURCE
from offhook.api.paging import page
from offhook.api.ports import Platform

router = APIRouter(tags=["Resources"])


def _own(platform: Platform, project: str, id_: str) -> Owner:
    row = fabric.find(platform, project, id_)
    if row is None:
        raise not_found("resource_not_found", "No resource has this id")
    return row


@router.get(RESOURCES, **described(gives=listing(RESOURCE), query={"type": one_of(*fabric.RESOURCE_TYPES)}))
async def list_resources(request: Request, token: Calling) -> dict[str, Any]:
    """Newest first; `type` selects one kind."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    wanted = query.get("type", "")
    rows = [row for row in fabric.every(platform, token.project_id) if wanted in ("", fabric.type_of(row))]
    return page(rows, lambda row: row.id, lambda row: fabric.show(row, platform), RESOURCES, query)


@router.get(RESOURCES + "/{id_}", **described(gives=RESOURCE))
async def show_resource(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """One resource."""
    platform: Platform = request.app.state.platform
    return fabric.show(_own(platform, token.project_id, id_), platform)


@router.delete(RESOURCES + "/{id_}", status_code=204, **described(errors=(422,)))
async def delete_resource(id_: str, request: Request, token: Calling) -> None:
    """Refused while a number, an endpoint or another resource hands its calls to it."""
    platform: Platform = request.app.state.platform
    await delete(platform, _own(platform, token.project_id, id_))


@router.get(RESOURCES + "/{id_}/addresses", **described(gives=listing(ADDRESS)))
async def list_addresses(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """The address under which it is called."""
    platform: Platform = request.app.state.platform
    row = _own(platform, token.project_id, id_)
    return fabric.address_page(platform, row.id, f"{RESOURCES}/{row.id}/addresses", dict(request.query_params))
