"""What endpoints do now: `/api/offhook/endpoints` (API.md 12.2)."""

from typing import Any

from fastapi import APIRouter, Request

from offhook.api.auth import Reading
from offhook.api.describe import described, flag, identifier, listing, one_of, record, text, whole
from offhook.api.errors import not_found
from offhook.api.paging import page
from offhook.api.ports import EndpointRow, Platform

PATH = "/api/offhook/endpoints"
PRESENCES = ("available", "ringing", "busy", "do_not_disturb", "offline")
SHOWN = record(
    "EndpointState", "id", "username", "registered", "reachable", "registrations", "calls", "presence",
    id=identifier(), username=text(), registered=flag(), reachable=flag(), registrations=whole(0), calls=whole(0),
    presence=one_of(*PRESENCES),
)  # fmt: skip
router = APIRouter(tags=["Endpoints now"])


@router.get(PATH, **described(gives=listing(SHOWN), query={"presence": one_of(*PRESENCES)}))
async def list_states(request: Request, token: Reading) -> dict[str, Any]:
    """Newest first; `presence` selects one kind."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    wanted = query.get("presence", "")
    mine = [row for row in platform.endpoints if row.project_id == token.project_id]
    rows = [(row.id, state) for row in mine if wanted in ("", (state := platform.endpoint_state(row.name))["presence"])]
    return page(rows, lambda row: row[0], lambda row: row[1], PATH, query)


@router.get(PATH + "/{id_}", **described(gives=SHOWN))
async def show_state(id_: str, request: Request, token: Reading) -> dict[str, Any]:
    """One endpoint."""
    platform: Platform = request.app.state.platform
    row: EndpointRow | None = platform.endpoints.get(id_)
    if row is None or row.project_id != token.project_id:
        raise not_found("endpoint_not_found", "No SIP endpoint has this id")
    return platform.endpoint_state(row.name)
