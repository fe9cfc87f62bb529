"""Live calls and what is wrong with them: `/api/offhook/calls` (API.md 12.3, 12.4)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response

from offhook.api.auth import Calling, Reading, need
from offhook.api.describe import (
    described,
    identifier,
    list_of,
    listing,
    loose,
    moment,
    nullable,
    one_of,
    record,
    text,
    whole,
)
from offhook.api.errors import not_found
from offhook.api.paging import page
from offhook.api.ports import Platform, TokenRow

PATH = "/api/offhook/calls"
FILTERS = ("endpoint_id", "trunk_id", "state", "finding")
STATES = ("routing", "ringing", "talking", "held", "ended")
CALL = record(
    "Call", "call_ref", "state", "direction", "legs",
    call_ref=identifier(), state=text(), direction=text(), to=text(), created_at=moment(), answered_at=nullable(moment()),
    duration_ms=whole(), verdict=text(), findings=list_of(text()), legs=list_of(loose()), **{"from": text()},
)  # fmt: skip
router = APIRouter(tags=["Calls"])


async def _call(request: Request, token: TokenRow, ref: str) -> dict[str, Any]:
    platform: Platform = request.app.state.platform
    call = await platform.call(ref)
    if call is None or not _is_of(call, token):
        raise not_found("call_not_found", "No call has this id, or it ended too long ago")
    return call


def _is_of(call: Mapping[str, Any], token: TokenRow) -> bool:
    """A call of another project is not there."""
    return call["project_id"] in (token.project_id, "")


def _wanted(row: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    if query.get("state") not in (None, "", row["state"]):
        return False
    if query.get("finding") and query["finding"] not in row["findings"]:
        return False
    return all(
        not query.get(name) or any(leg[name] == query[name] for leg in row["legs"])
        for name in ("endpoint_id", "trunk_id")
    )


@router.get(PATH, **described(gives=listing(CALL), query={**dict.fromkeys(FILTERS, text()), "state": one_of(*STATES)}))
async def list_calls(request: Request, token: Reading) -> dict[str, Any]:
    """Live calls, newest first; with `state=ended` those that ended last."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    rows = [
        row
        for row in (platform.ended_calls() if query.get("state") == "ended" else platform.calls())
        if _is_of(row, token) and _wanted(row, query)
    ]
    return page(rows, lambda row: str(row["call_ref"]), lambda row: row, PATH, query)


@router.get(PATH + "/{ref}", **described(gives=CALL))
async def show_call(ref: str, request: Request, token: Reading) -> dict[str, Any]:
    """One call, by the id of any of its legs, with the facts of its media and why it is silent, if it is."""
    return await _call(request, token, ref)


@router.get(PATH + "/{ref}/diagnosis", **described(gives=loose()))
async def diagnose_call(ref: str, request: Request, token: Reading) -> dict[str, Any]:
    """What is wrong with a call, in one sentence and one finding for each cause."""
    platform: Platform = request.app.state.platform
    found = platform.diagnosis(await _call(request, token, ref))
    base = f"{request.url.scheme}://{request.url.netloc}/docs/errors"
    return {**found, "findings": [{**one, "url": f"{base}#{one['code']}"} for one in found["findings"]]}


@router.get(PATH + "/{ref}/trace", response_model=None)
async def trace_call(
    ref: str,
    request: Request,
    token: Reading,
    format: Annotated[Literal["json", "ladder", "pcap"], Query()] = "json",
    raw: bool = False,
) -> dict[str, Any] | Response:
    """Every message, media event and decision of a call, in order. Capture files and whole messages need `management`."""
    platform: Platform = request.app.state.platform
    document = await platform.trace(ref, token.project_id)
    if document is None:
        raise not_found("call_not_found", "No call has this id, or its trace is not kept any more")
    if raw or format == "pcap":
        need(token, "management")
    if format == "ladder":
        return PlainTextResponse(platform.ladder(document))
    if format == "pcap":
        name = f'attachment; filename="{document["call_ref"]}.pcap"'
        headers = {"Content-Disposition": name}
        return Response(platform.capture(document), media_type="application/vnd.tcpdump.pcap", headers=headers)
    return document if raw else {**document, "data": [_without_raw(row) for row in document["data"]]}


def _without_raw(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "raw"}


@router.delete(PATH + "/{ref}", status_code=204)
async def hang_up_call(ref: str, request: Request, token: Calling) -> None:
    """Hangs up every leg of a live call."""
    platform: Platform = request.app.state.platform
    if platform.project_of_call(ref) != token.project_id or not await platform.hang_up(ref):
        raise not_found("call_not_found", "No live call has this id")
