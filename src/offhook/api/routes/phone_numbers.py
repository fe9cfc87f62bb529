"""Phone numbers: `/api/relay/rest/phone_numbers` and what makes, finds and routes them (API.md section 5)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api import fabric, handlers
from offhook.api.alone import alone
from offhook.api.auth import Calling, Numbers
from offhook.api.describe import described, listing, one_of, text, whole
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.fabric import RESOURCES
from offhook.api.fabric_bodies import ADDRESS
from offhook.api.handler_fields import FIELDS, Handler
from offhook.api.number_bodies import CHANGE, CLAIM, FREE, IMPORT, ROUTE, SHOWN
from offhook.api.number_facts import type_of
from offhook.api.number_fields import CAPABILITIES, KINDS, KNOWN, number_fault, number_values, shown
from offhook.api.number_search import delivered, search
from offhook.api.paging import page
from offhook.api.ports import NumberRow, Platform
from offhook.api.requests import body_object, note_ignored

PATH = "/api/relay/rest/phone_numbers"
IMPORTED = "/api/relay/rest/imported_phone_numbers"
router = APIRouter(tags=["Phone numbers"])
_TAKEN = Fault("number", "not_available_for_assignment", "Number belongs to a project already")
_UNDELIVERED = Fault(
    "number", "not_available_for_assignment", "Number is not delivered by any trunk; import it instead"
)


def _own(platform: Platform, project: str, id_: str) -> NumberRow:
    row = platform.numbers.get(id_)
    if row is None or row.project_id != project:
        raise not_found("phone_number_not_found", "No phone number has this id")
    return row


@router.get(PATH, **described(gives=listing(SHOWN), query={"filter_name": text(), "filter_number": text()}))
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


@router.get(
    PATH + "/search",
    **described(
        gives=listing(FREE),
        query={
            "areacode": text(), "number_type": one_of(*KINDS), "starts_with": text(), "contains": text(),
            "ends_with": text(), "region": text(), "city": text(), "max_results": whole(1, 100),
        },
    ),
)  # fmt: skip
async def search_numbers(request: Request, token: Numbers) -> dict[str, Any]:
    """Free numbers that a trunk delivers, ready to be claimed."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    link = str(request.url.path) + (f"?{request.url.query}" if request.url.query else "")
    return {
        "links": {"self": link, "first": link},
        "data": search(platform, query, platform.reception.country(token.project_id)),
    }


@router.post(PATH, **described(takes=CLAIM, gives=SHOWN))
async def claim_number(request: Request, response: Response, token: Numbers) -> dict[str, Any]:
    """A free number of a trunk's `did_ranges` becomes the project's."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    faults = _number_faults(body)
    number = body.get("number")
    if not faults and not delivered(platform, str(number)):
        faults.append(_UNDELIVERED)
    return await _make(platform, token.project_id, body, faults, type_of(number) if isinstance(number, str) else "")


@router.post(IMPORTED, status_code=201, **described(takes=IMPORT, gives=SHOWN))
async def import_number(request: Request, response: Response, token: Numbers) -> dict[str, Any]:
    """A number that a trunk delivers by whatever arrangement, or will."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    faults = _number_faults(body)
    kind = body.get("number_type") or "longcode"
    if not isinstance(kind, str) or kind not in KINDS:
        faults.append(
            Fault("number_type", "invalid_parameter_value", f"number_type must be one of: {', '.join(KINDS)}")
        )
        kind = "longcode"
    capabilities = body.get("capabilities")
    if capabilities is not None:
        faults += _capability_faults(capabilities)
    return await _make(platform, token.project_id, body, faults, KINDS[kind], capabilities or ["voice"])


def _number_faults(body: Mapping[str, Any]) -> list[Fault]:
    wrong = number_fault(body.get("number"))
    return [wrong] if wrong else []


def _capability_faults(given: Any) -> list[Fault]:
    if not isinstance(given, list):
        return [Fault("capabilities", "invalid_parameter", "Capabilities must be a list of names")]
    wrong = next((one for one in given if one not in CAPABILITIES), None)
    if wrong is None:
        return []
    return [Fault("capabilities", "list_contains_invalid_entries", f"Capabilities contains an invalid entry: {wrong}")]


async def _make(
    platform: Platform,
    project: str,
    body: Mapping[str, Any],
    faults: list[Fault],
    kind: str,
    capabilities: list[str] | None = None,
) -> dict[str, Any]:
    async with alone("numbers"):
        number = body.get("number")
        if isinstance(number, str) and platform.numbers.find(number) is not None:
            faults.insert(0, _TAKEN)
        values = await number_values(platform, project, body, None, faults)
        if faults:
            raise Invalid(*faults)
        values["settings"]["capabilities"] = capabilities or ["voice"]
        row = await platform.numbers.create(project_id=project, number=number, number_type=kind, **values)
    if row is None:
        raise Invalid(_TAKEN)
    return shown(row)


@router.get(PATH + "/{id_}", **described(gives=SHOWN))
async def show_number(id_: str, request: Request, token: Numbers) -> dict[str, Any]:
    """One number."""
    return shown(_own(request.app.state.platform, token.project_id, id_))


@router.put(PATH + "/{id_}", **described(takes=CHANGE, gives=SHOWN))
async def change_number(id_: str, request: Request, response: Response, token: Numbers) -> dict[str, Any]:
    """Changes the fields given; a new `call_handler` clears the companions of the old, null ends calls with
    number_not_assigned."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    faults: list[Fault] = []
    async with alone("numbers"):
        row = _own(platform, token.project_id, id_)
        values = await number_values(platform, token.project_id, body, row, faults)
        if faults:
            raise Invalid(*faults)
        changed = await platform.numbers.change(id_, **values)
    if changed is None:
        raise not_found("phone_number_not_found", "No phone number has this id")
    return shown(changed)


@router.delete(PATH + "/{id_}", status_code=204, **described())
async def delete_number(id_: str, request: Request, token: Numbers) -> None:
    """Calls to it are refused from now on, and it is free again; live ones go on."""
    platform: Platform = request.app.state.platform
    await platform.numbers.remove(_own(platform, token.project_id, id_).id)


@router.post(PATH + "/{id_}/e911_address", **described(errors=(422,)))
async def set_emergency_address(id_: str, request: Request, token: Numbers) -> None:
    """Not served: emergency calls go by the trunks that are marked for them."""
    _refuse_emergency(request.app.state.platform, token.project_id, id_)


@router.delete(PATH + "/{id_}/e911_address", **described(errors=(422,)))
async def drop_emergency_address(id_: str, request: Request, token: Numbers) -> None:
    """Not served either."""
    _refuse_emergency(request.app.state.platform, token.project_id, id_)


def _refuse_emergency(platform: Platform, project: str, id_: str) -> None:
    _own(platform, project, id_)
    message = "Emergency routing is not by address here: set `emergency` on the trunk that carries emergency calls"
    raise Invalid(Fault("e911_address", "feature_not_available", message))


@router.post(RESOURCES + "/{id_}/phone_routes", **described(takes=ROUTE, gives=ADDRESS))
async def assign_phone_route(id_: str, request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """The number's calls come to this resource from now on (API.md 5.3)."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, frozenset({"phone_route_id", "handler"}))
    owner = fabric.find(platform, token.project_id, id_)
    if owner is None:
        raise not_found("resource_not_found", "No resource has this id")
    number = body.get("phone_route_id")
    if number in (None, ""):
        raise Invalid(Fault("phone_route_id", "missing_required_parameter", "phone_route_id is required"))
    if body.get("handler", "calling") == "messaging":
        raise Invalid(Fault("handler", "feature_not_available", "Texts to numbers are not served; use handler calling"))
    if body.get("handler", "calling") != "calling":
        raise Invalid(Fault("handler", "invalid_parameter_value", "handler must be one of: calling, messaging"))
    handler = handlers.of_resource(owner)
    if handler is None:
        message = f"A {fabric.type_of(owner)} takes no calls from numbers"
        raise Invalid(Fault("id", "invalid_resource_for_handler", message))
    async with alone("numbers"):
        await _route(platform, _own(platform, token.project_id, str(number)), handler)
    address = platform.addresses.of(id_)
    if address is None:
        raise not_found("address_not_found", "The resource has no address")
    return fabric.address(address, platform)


async def _route(platform: Platform, row: NumberRow, handler: Handler) -> None:
    plain = {
        name: value
        for name, value in row.settings.items()
        if name not in ("call_handler", "calling_handler_resource_id", *FIELDS)
    }
    endpoint = handler.get("call_sip_endpoint_id")
    await platform.numbers.change(row.id, settings={**plain, **handler}, endpoint_id=endpoint)
