"""SIP endpoints, legacy view: `/api/relay/rest/endpoints/sip` (API.md section 2)."""

from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api import endpoint_writing
from offhook.api.auth import Calling
from offhook.api.deleting import delete
from offhook.api.describe import described, listing, text, without_required
from offhook.api.endpoint_bodies import NEW, SHOWN
from offhook.api.endpoint_views import legacy
from offhook.api.endpoint_writing import LEGACY, own
from offhook.api.paging import page
from offhook.api.ports import EndpointRow, Platform

PATH = "/api/relay/rest/endpoints/sip"
router = APIRouter(tags=["SIP endpoints"])


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
    row, _ = await endpoint_writing.create(request, response, token.project_id, LEGACY)
    return legacy(row, request.app.state.platform)


@router.get(PATH + "/{id_}", **described(gives=SHOWN))
async def show_endpoint(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """One endpoint."""
    platform: Platform = request.app.state.platform
    return legacy(own(platform, token.project_id, id_), platform)


@router.put(PATH + "/{id_}", **described(takes=without_required("SipEndpointChange", NEW), gives=SHOWN))
async def change_endpoint(id_: str, request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """Changes the fields given and keeps the rest; a new user name needs a password in the same request."""
    platform: Platform = request.app.state.platform
    row = own(platform, token.project_id, id_)
    return legacy(await endpoint_writing.change(request, response, row, LEGACY), platform)


@router.delete(PATH + "/{id_}", status_code=204, **described(errors=(422,)))
async def delete_endpoint(id_: str, request: Request, token: Calling, hangup: bool = False) -> None:
    """Drops the bindings at once and lets live calls finish; `hangup=true` ends them."""
    platform: Platform = request.app.state.platform
    await delete(platform, own(platform, token.project_id, id_), hangup)
