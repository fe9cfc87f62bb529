"""Phone numbers: `/api/relay/rest/phone_numbers` (API.md section 5), the part that rings endpoints."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.auth import Numbers
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.paging import page
from offhook.api.ports import NumberRow, Platform
from offhook.api.requests import body_object, note_ignored

PATH = "/api/relay/rest/phone_numbers"
IMPORT = "/api/relay/rest/imported_phone_numbers"
router = APIRouter(tags=["Phone numbers"])
_writing = asyncio.Lock()
_E164 = re.compile(r"\+[1-9]\d{6,14}")
KINDS = {"longcode": "longcode", "tollfree": "toll-free", "toll-free": "toll-free"}
KNOWN = frozenset({"number", "number_type", "capabilities", "name", "call_handler", "call_sip_endpoint_id", "offhook"})


def shown(row: NumberRow) -> dict[str, Any]:
    """The object of API.md 5.2."""
    rings = row.endpoint_id is not None
    return {
        "id": row.id,
        "number": row.number,
        "name": row.name,
        "capabilities": ["voice"],
        "number_type": row.number_type,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
        "next_billed_at": None,
        "call_receive_mode": "voice",
        "call_handler": "relay_sip_endpoint" if rings else None,
        "call_sip_endpoint_id": row.endpoint_id,
        "calling_handler_resource_id": row.endpoint_id,
        "offhook": {},
    }


def _own(platform: Platform, project: str, id_: str) -> NumberRow:
    row = platform.numbers.get(id_)
    if row is None or row.project_id != project:
        raise not_found("phone_number_not_found", "No phone number has this id")
    return row


@router.get(PATH)
async def list_numbers(request: Request, token: Numbers) -> dict[str, Any]:
    """Newest first; `filter_name` and `filter_number` match substrings."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    name, number = query.get("filter_name", "").casefold(), query.get("filter_number", "")
    rows = [
        row
        for row in platform.numbers
        if row.project_id == token.project_id and name in row.name.casefold() and number in row.number
    ]
    return page(rows, lambda row: row.id, shown, PATH, query)


@router.post(IMPORT, status_code=201)
async def import_number(request: Request, response: Response, token: Numbers) -> dict[str, Any]:
    """A number that a trunk delivers, or will."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    faults: list[Fault] = []
    number, kind = body.get("number"), KINDS.get(str(body.get("number_type", "longcode")))
    if not isinstance(number, str) or not _E164.fullmatch(number):
        faults.append(Fault("number", "invalid_number_format", "Number must be in E.164 format, like +15558675309"))
    if kind is None:
        faults.append(Fault("number_type", "invalid_parameter", f"number_type must be one of {', '.join(KINDS)}"))
    values = _values(platform, token.project_id, body, faults)
    async with _writing:
        if isinstance(number, str) and platform.numbers.find(number) is not None:
            faults.append(Fault("number", "not_available_for_assignment", "Number belongs to a project already"))
        if faults:
            raise Invalid(*faults)
        row = await platform.numbers.create(
            project_id=token.project_id, number=number, number_type=kind, **{"settings": {}, **values}
        )
    if row is None:
        raise Invalid(Fault("number", "not_available_for_assignment", "Number belongs to a project already"))
    return shown(row)


@router.get(PATH + "/{id_}")
async def show_number(id_: str, request: Request, token: Numbers) -> dict[str, Any]:
    """One number."""
    return shown(_own(request.app.state.platform, token.project_id, id_))


@router.put(PATH + "/{id_}")
async def change_number(id_: str, request: Request, response: Response, token: Numbers) -> dict[str, Any]:
    """Routes the number: `call_handler` relay_sip_endpoint with `call_sip_endpoint_id`, or null."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    _own(platform, token.project_id, id_)
    faults: list[Fault] = []
    values = _values(platform, token.project_id, body, faults)
    if faults:
        raise Invalid(*faults)
    changed = await platform.numbers.change(id_, **values)
    if changed is None:
        raise not_found("phone_number_not_found", "No phone number has this id")
    return shown(changed)


@router.delete(PATH + "/{id_}", status_code=204)
async def delete_number(id_: str, request: Request, token: Numbers) -> None:
    """Calls to it are refused from now on; live ones go on."""
    platform: Platform = request.app.state.platform
    await platform.numbers.remove(_own(platform, token.project_id, id_).id)


def _values(
    platform: Platform,
    project: str,
    body: Mapping[str, Any],
    faults: list[Fault],
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "name" in body:
        name = body["name"]
        if not isinstance(name, str) or len(name) > 64 or not name.isprintable():
            faults.append(Fault("name", "invalid_parameter", "Name must be text of at most 64 printable characters"))
        values["name"] = name
    if "call_handler" in body or "call_sip_endpoint_id" in body:
        values["endpoint_id"] = _endpoint(platform, project, body, faults)
    given = body.get("offhook")
    for name in given if isinstance(given, dict) else ():
        faults.append(
            Fault(f"offhook.{name}", "feature_not_available", f"offhook.{name} of a number is not served yet")
        )
    return values


def _endpoint(platform: Platform, project: str, body: Mapping[str, Any], faults: list[Fault]) -> str | None:
    handler = body.get("call_handler", "relay_sip_endpoint")
    if handler is None:
        return None
    if handler != "relay_sip_endpoint":
        text = f"call_handler {handler} is not served yet; relay_sip_endpoint rings an endpoint"
        faults.append(Fault("call_handler", "feature_not_available", text))
        return None
    id_ = body.get("call_sip_endpoint_id")
    row = platform.endpoints.get(id_) if isinstance(id_, str) else None
    if row is None or row.project_id != project:
        text = "call_sip_endpoint_id must be the id of a SIP endpoint of this project"
        faults.append(Fault("call_sip_endpoint_id", "invalid_parameter", text))
        return None
    return row.id
