"""Devices, which outlive their registrations: `/api/offhook/devices` (API.md 12.2)."""

from typing import Any

from fastapi import APIRouter, Request

from offhook.api.auth import Calling, Reading
from offhook.api.describe import (
    described,
    flag,
    identifier,
    list_of,
    listing,
    moment,
    nullable,
    number,
    record,
    text,
    whole,
)
from offhook.api.errors import ApiError, Fault, Invalid, not_found
from offhook.api.paging import page
from offhook.api.ports import Platform
from offhook.api.requests import body_object, unknown_fields

PATH = "/api/offhook/devices"
LONGEST_NAME = 64
SHOWN = record(
    "Device", "id", "endpoint_id", "instance_id", "name", "user_agent", "first_seen_at", "last_seen_at", "registered",
    "ring", "blocked", "warnings",
    id=identifier(), endpoint_id=identifier(), instance_id=text(), name=text(LONGEST_NAME), user_agent=text(),
    first_seen_at=moment(), last_seen_at=nullable(moment()), last_source=nullable(text()), registered=flag(),
    ring=flag(), blocked=flag(), blocked_until=nullable(moment()), calls_30d=nullable(whole(0)),
    mos_30d=nullable(number()), warnings=list_of(text()),
)  # fmt: skip
CHANGE = record("DeviceChange", name=text(LONGEST_NAME), ring=flag(), blocked=flag())
KNOWN = ("name", "ring", "blocked")
router = APIRouter(tags=["Registrations"])


def _gone() -> ApiError:
    return not_found("device_not_found", "No device has this id")


def _own(platform: Platform, project: str, id_: str) -> dict[str, Any]:
    row = platform.devices.one(id_)
    endpoint = platform.endpoints.get(row["endpoint_id"]) if row is not None else None
    if row is None or endpoint is None or endpoint.project_id != project:
        raise _gone()
    return row


@router.get(PATH, **described(gives=listing(SHOWN), query={"endpoint_id": text()}))
async def list_devices(request: Request, token: Reading) -> dict[str, Any]:
    """Newest first; with `endpoint_id` those of one endpoint."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    theirs = {row.id for row in platform.endpoints if row.project_id == token.project_id}
    wanted = query.get("endpoint_id", "")
    rows = [
        row
        for row in platform.devices.all()
        if row["endpoint_id"] in theirs and (not wanted or row["endpoint_id"] == wanted)
    ]
    shown = page(rows, lambda row: str(row["id"]), lambda row: row, PATH, query)
    return {**shown, "data": await platform.devices.with_figures(shown["data"])}


@router.get(PATH + "/{id_}", **described(gives=SHOWN))
async def show_device(id_: str, request: Request, token: Reading) -> dict[str, Any]:
    """One device, registered or not."""
    platform: Platform = request.app.state.platform
    return (await platform.devices.with_figures([_own(platform, token.project_id, id_)]))[0]


@router.patch(PATH + "/{id_}", **described(takes=CHANGE, gives=SHOWN))
async def change_device(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """`ring` false: it registers and calls, but is not rung. `blocked` true: it may do neither, and its registrations go;
    live calls go on."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    _own(platform, token.project_id, id_)
    faults = unknown_fields(body, KNOWN)
    name = body.get("name", "")
    if not (isinstance(name, str) and len(name) <= LONGEST_NAME and name.isprintable()):
        faults.append(Fault("name", "invalid_parameter", f"Name must be at most {LONGEST_NAME} printable characters"))
    for one in ("ring", "blocked"):
        if one in body and not isinstance(body[one], bool):
            faults.append(Fault(one, "invalid_parameter", f"{one.capitalize()} must be true or false"))
    if faults:
        raise Invalid(*faults)
    if not body:
        return (await platform.devices.with_figures([_own(platform, token.project_id, id_)]))[0]
    changed = await platform.devices.change(id_, body)
    if changed is None:
        raise _gone()
    return (await platform.devices.with_figures([changed]))[0]


@router.delete(PATH + "/{id_}", status_code=204, **described())
async def delete_device(id_: str, request: Request, token: Calling) -> None:
    """Forgets a device and takes its registrations away; it may register again, as a new one."""
    platform: Platform = request.app.state.platform
    await platform.devices.remove(_own(platform, token.project_id, id_)["id"])
