"""Live calls and what is wrong with them: `/api/offhook/calls` (API.md 12.3, 12.4)."""

from typing import Any

from fastapi import APIRouter, Request

from offhook.api.auth import Calling, Monitor
from offhook.api.errors import not_found
from offhook.api.paging import page
from offhook.api.ports import Platform

PATH = "/api/offhook/calls"
router = APIRouter(tags=["Calls"])


async def _call(request: Request, ref: str) -> dict[str, Any]:
    platform: Platform = request.app.state.platform
    call = await platform.call(ref)
    if call is None:
        raise not_found("call_not_found", "No call has this id, or it ended too long ago")
    return call


@router.get(PATH)
async def list_calls(request: Request, token: Monitor) -> dict[str, Any]:
    """Live calls, newest first."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    rows = [
        row
        for row in platform.calls()
        if query.get("state") in (None, "", row["state"])
        and ("finding" not in query or query["finding"] in row["findings"])
    ]
    return page(rows, lambda row: str(row["call_ref"]), lambda row: row, PATH, query)


@router.get(PATH + "/{ref}")
async def show_call(ref: str, request: Request, token: Monitor) -> dict[str, Any]:
    """One call, by the id of any of its legs, with the facts of its media and why it is silent, if it is."""
    return await _call(request, ref)


@router.get(PATH + "/{ref}/diagnosis")
async def diagnose_call(ref: str, request: Request, token: Monitor) -> dict[str, Any]:
    """What is wrong with a call, in one sentence and one finding for each cause."""
    platform: Platform = request.app.state.platform
    return platform.diagnosis(await _call(request, ref))


@router.delete(PATH + "/{ref}", status_code=204)
async def hang_up_call(ref: str, request: Request, token: Calling) -> None:
    """Hangs up every leg of a live call."""
    platform: Platform = request.app.state.platform
    if not await platform.hang_up(ref):
        raise not_found("call_not_found", "No live call has this id")
