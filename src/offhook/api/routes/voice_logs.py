"""The log of calls, one row per leg: `/api/voice/logs` (API.md section 9)."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request

from offhook.api.auth import Reading
from offhook.api.describe import (
    described,
    flag,
    identifier,
    list_of,
    listing,
    loose,
    moment,
    nullable,
    number,
    one_of,
    record,
    text,
)
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.paging import page
from offhook.api.ports import Platform

PATH = "/api/voice/logs"
STATUSES = ("queued", "initiated", "ringing", "in-progress", "busy", "failed", "no-answer", "canceled", "completed")
DIRECTIONS = ("inbound", "outbound", "outbound-api", "outbound-dial")
PLAIN = ("from", "to", "endpoint_id", "trunk_id", "end_code", "direction", "status")
FILTERS = (
    "created_on", "created_before", "created_after", "include_deleted", "min_mos", "max_mos", *PLAIN,
)  # fmt: skip
QUERY = {
    **dict.fromkeys(FILTERS, text()),
    "direction": one_of(*DIRECTIONS),
    "status": one_of(*STATUSES),
    "include_deleted": flag(),
}
ROW = record(
    "VoiceLog", "id", "created_at",
    id=identifier(), to=text(), direction=text(), status=text(), type=text(), source=nullable(text()), url=nullable(text()),
    parent_id=nullable(identifier()), duration=number(), duration_ms=number(), billing_ms=number(), charge=number(),
    charge_details=list_of(loose()), created_at=moment(), discarded_at=moment(), offhook=loose(), **{"from": text()},
)  # fmt: skip
EVENT = record(
    "VoiceLogEvent", "event_at", "level", "name",
    event_at=moment(), level=text(), name=text(), details=loose(), project_id=identifier(), log_id=identifier(),
)  # fmt: skip
router = APIRouter(tags=["Voice logs"])


@router.get(PATH, **described(gives=listing(ROW), query=QUERY))
async def list_logs(request: Request, token: Reading) -> dict[str, Any]:
    """Legs that have ended, newest first."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    return await platform.call_desk.logs(token.project_id, _filters(query), PATH, query)


@router.get(PATH + "/{id_}", **described(gives=ROW))
async def show_log(id_: str, request: Request, token: Reading) -> dict[str, Any]:
    """One row."""
    platform: Platform = request.app.state.platform
    row = await platform.call_desk.log(token.project_id, id_)
    if row is None:
        raise not_found("log_not_found", "No voice log has this id, or it is not kept any more")
    return row


@router.get(PATH + "/{id_}/events", **described(gives=listing(EVENT)))
async def list_log_events(id_: str, request: Request, token: Reading) -> dict[str, Any]:
    """What happened on the leg, in order of time."""
    platform: Platform = request.app.state.platform
    events = await platform.call_desk.log_events(token.project_id, id_)
    if events is None:
        raise not_found("log_not_found", "No voice log has this id, or it is not kept any more")
    # A list is newest first; these are in order of time, so they are counted from the end.
    count = len(events)
    numbered = [(f"{count - at:06d}", one) for at, one in enumerate(events)]
    return page(numbered, lambda one: one[0], lambda one: one[1], f"{PATH}/{id_}/events", dict(request.query_params))


@router.get("/api/logs/conferences", **described(gives=listing(loose())))
async def list_conferences(request: Request, token: Reading) -> dict[str, Any]:
    """Conferences that have ended: none are logged yet."""
    rows: list[dict[str, Any]] = []
    return page(rows, lambda row: "", lambda row: row, "/api/logs/conferences", dict(request.query_params))


def _filters(query: Mapping[str, str]) -> dict[str, Any]:
    """Checked. Raises Invalid with every fault."""
    faults: list[Fault] = []
    # No text of a database holds U+0000, so nothing is found by it.
    made: dict[str, Any] = {name: query[name][:320].replace("\0", "\ufffd") for name in PLAIN if query.get(name)}
    for name in ("min_mos", "max_mos"):
        if query.get(name):
            made[name] = _number(name, query[name], faults)
    made |= _times(query, faults)
    made["include_deleted"] = query.get("include_deleted") == "true"
    if faults:
        raise Invalid(*faults)
    return made


def _number(name: str, text_: str, faults: list[Fault]) -> float:
    try:
        value = float(text_)
        if 1 <= value <= 5:
            return value
    except ValueError:
        pass
    faults.append(Fault(name, "invalid_parameter", f"{name.capitalize()} must be a number from 1 to 5"))
    return 0.0


def _times(query: Mapping[str, str], faults: list[Fault]) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for name in ("created_on", "created_after", "created_before"):
        if not query.get(name):
            continue
        at = _moment(query[name])
        if at is None:
            rule = "a date like 2026-11-22 or a time like 2026-11-22T10:00:00Z"
            faults.append(Fault(name, "invalid_parameter", f"{name.capitalize()} must be {rule}"))
        elif name == "created_on":
            day = at.replace(hour=0, minute=0, second=0, microsecond=0)
            found["created_after"] = day
            if day.date() < date.max:
                found["created_before"] = day + timedelta(days=1)
        else:
            found[name] = at
    return found


def _moment(text_: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text_.replace(" ", "+"))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
