"""Registered devices: `/api/offhook/registrations` (API.md 12.2)."""

from collections import Counter
from typing import Any

from fastapi import APIRouter, Request

from offhook.api.auth import Calling, Reading
from offhook.api.describe import described, flag, list_of, listing, loose, moment, nullable, one_of, record, text, whole
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.paging import page
from offhook.api.ports import Platform
from offhook.sip.flow import Reachability, Transport

PATH = "/api/offhook/registrations"
FILTERS = ("endpoint_id", "username", "state", "transport", "source", "user_agent")
STATES = (*Reachability, "unknown")
TRANSPORTS = tuple(one.value.lower() for one in Transport)
SHOWN = record(
    "Registration", "id", "endpoint_id", "aor", "contact", "state", "transport", "source",
    id=text(), endpoint_id=nullable(text()), device_id=nullable(text()), aor=text(), contact=text(), state=text(),
    transport=text(), source=text(), last_seen_at=moment(), auth=nullable(text()), rtt_ms=nullable(whole(0)),
    warnings=list_of(text()),
)  # fmt: skip
SUMMARY = record(
    "RegistrationSummary", "total", total=whole(0), reachable=whole(0), by_transport=loose(), by_node=loose()
)
REMOVED = record("RemovedRegistrations", "removed", removed=whole(0))
LONGEST_BLOCK = 86_400
"""Seconds: a day; for longer the device itself is blocked."""
QUERY = {**dict.fromkeys(FILTERS, text()), "state": one_of(*STATES), "transport": one_of(*TRANSPORTS)}
router = APIRouter(tags=["Registrations"])


def _seconds(query: dict[str, str]) -> int:
    """How long the device is kept away, 0 for not at all."""
    text = query.get("block_seconds") or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 5 or int(text) > LONGEST_BLOCK:
        message = f"block_seconds must be between 0 and {LONGEST_BLOCK}"
        raise Invalid(Fault("block_seconds", "invalid_parameter", message))
    return int(text)


def _own(platform: Platform, project: str) -> list[dict[str, Any]]:
    """The registrations of a project's endpoints."""
    theirs = {row.id for row in platform.endpoints if row.project_id == project}
    return [row for row in platform.registrations() if row["endpoint_id"] in theirs]


def _one(platform: Platform, project: str, id_: str) -> dict[str, Any]:
    row = next((one for one in _own(platform, project) if one["id"] == id_), None)
    if row is None:
        raise not_found("registration_not_found", "No registration has this id, or it has ended")
    return row


@router.get(
    PATH,
    **described(
        gives=listing(SHOWN),
        query={**dict.fromkeys(FILTERS, text()), "state": one_of(*STATES), "transport": one_of(*TRANSPORTS)},
    ),
)
async def list_registrations(request: Request, token: Reading) -> dict[str, Any]:
    """Newest first. `endpoint_id`, `username`, `state` and `transport` match whole, `source` and `user_agent` in part."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)

    def wanted(row: dict[str, Any]) -> bool:
        for name in FILTERS:
            text, value = query.get(name, ""), str(row[name] or "")
            partly = name in ("source", "user_agent")
            if text and not (text.casefold() in value.casefold() if partly else text.casefold() == value.casefold()):
                return False
        return True

    rows = [row for row in _own(platform, token.project_id) if wanted(row)]
    return page(rows, lambda row: str(row["id"]), lambda row: row, PATH, query)


@router.get(PATH + "/summary", **described(gives=SUMMARY))
async def count_registrations(request: Request, token: Reading) -> dict[str, Any]:
    """How many devices are registered, and how."""
    platform: Platform = request.app.state.platform
    rows = _own(platform, token.project_id)
    by_transport, by_node = Counter(row["transport"] for row in rows), Counter(row["node"] for row in rows)
    reachable = sum(row["state"] in ("reachable", "unknown") for row in rows)
    return {"total": len(rows), "reachable": reachable, "by_transport": by_transport, "by_node": by_node}


@router.get(PATH + "/{id_}", **described(gives=SHOWN))
async def show_registration(id_: str, request: Request, token: Reading) -> dict[str, Any]:
    """One device's registration."""
    platform: Platform = request.app.state.platform
    return _one(platform, token.project_id, id_)


@router.delete(
    PATH + "/{id_}", status_code=204, **described(query={"hangup": flag(), "block_seconds": whole(0, LONGEST_BLOCK)})
)
async def remove_registration(id_: str, request: Request, token: Calling) -> None:
    """Takes a device's registration away and closes its WebSocket; its calls wait out the grace time unless `hangup`."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    seconds, hang_up = _seconds(query), query.get("hangup") == "true"
    row = _one(platform, token.project_id, id_)
    if seconds and row["device_id"] is None:
        message = "The device gives no instance id and cannot be told from others; disable the endpoint instead"
        raise Invalid(Fault("block_seconds", "invalid_parameter", message))
    if hang_up or not seconds:
        await platform.kick(row["id"], hang_up)
    if seconds:
        await platform.devices.block_for(row["device_id"], seconds)


@router.delete(PATH, **described(gives=REMOVED, query={"endpoint_id": text(), "hangup": flag()}))
async def remove_registrations(request: Request, token: Calling) -> dict[str, int]:
    """Takes all registrations of one endpoint away."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    endpoint, hang_up = query.get("endpoint_id"), query.get("hangup") == "true"
    if not endpoint:
        raise Invalid(Fault("endpoint_id", "missing_required_parameter", "endpoint_id is required"))
    rows = [row["id"] for row in _own(platform, token.project_id) if row["endpoint_id"] == endpoint]
    return {"removed": sum([await platform.kick(id_, hang_up) for id_ in rows])}
