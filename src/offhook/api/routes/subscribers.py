"""Subscribers and their endpoints: `/api/fabric/resources/subscribers` (API.md 4.1, 4.2)."""

from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api import endpoint_writing, fabric
from offhook.api.alone import alone
from offhook.api.auth import Calling
from offhook.api.deleting import delete
from offhook.api.describe import Schema, described, identifier, listing, nullable, record, text, without_required
from offhook.api.endpoint_bodies import NEW_OF_SUBSCRIBER, SHOWN_FLAT
from offhook.api.endpoint_views import flat
from offhook.api.endpoint_writing import OF_SUBSCRIBER
from offhook.api.errors import Fault, Invalid, not_found
from offhook.api.fabric import RESOURCES
from offhook.api.fabric_bodies import ADDRESS, wrapper
from offhook.api.fabric_fields import own_id
from offhook.api.fabric_ports import ResourceRow
from offhook.api.paging import page
from offhook.api.ports import EndpointRow, Platform
from offhook.api.requests import body_object, note_ignored
from offhook.api.subscribers import PROFILE, SUBSCRIBER, sealed, shown_name, subscriber_fields

PATH = f"{RESOURCES}/subscribers"
THEIRS = PATH + "/{subscriber_id}/sip_endpoints"
router = APIRouter(tags=["Subscribers"])
_KNOWN = frozenset({"id", "email", "password", *PROFILE})
_PROFILE: dict[str, Schema] = dict.fromkeys(PROFILE, nullable(text(128)))
_NEW = record("NewSubscriber", "email", email=text(254, 3), password=text(72, 8), **_PROFILE, id=identifier())
_SHOWN = wrapper(
    "SubscriberResource", SUBSCRIBER, record("Subscriber", "id", id=identifier(), email=nullable(text()), **_PROFILE)
)


def _own(request: Request, project: str, id_: str) -> ResourceRow:
    return fabric.own(request.app.state.platform, project, id_, SUBSCRIBER)


@router.get(PATH, **described(gives=listing(_SHOWN)))
async def list_subscribers(request: Request, token: Calling) -> dict[str, Any]:
    """Newest first."""
    platform: Platform = request.app.state.platform
    rows = platform.resources.of_type(token.project_id, SUBSCRIBER)
    return page(rows, lambda row: row.id, fabric.wrapped, PATH, dict(request.query_params))


@router.post(PATH, status_code=201, **described(takes=_NEW, gives=_SHOWN))
async def create_subscriber(request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """A person, whose endpoints ring together under one address."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, _KNOWN)
    async with alone("subscribers"):
        settings, faults = subscriber_fields(body, {}, platform, token.project_id)
        id_, more = own_id(platform, body)
        if faults or more:
            raise Invalid(*faults, *more)
        settings = await sealed(body, settings)
        row = await platform.resources.create(token.project_id, SUBSCRIBER, shown_name(settings), settings, id_)
    if row is None:
        raise Invalid(Fault("id", "value_not_unique", "Id has already been taken"))
    return fabric.wrapped(row)


@router.get(PATH + "/{id_}", **described(gives=_SHOWN))
async def show_subscriber(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """One subscriber."""
    return fabric.wrapped(_own(request, token.project_id, id_))


@router.put(PATH + "/{id_}", **described(takes=without_required("SubscriberChange", _NEW), gives=_SHOWN))
async def change_subscriber(id_: str, request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """Changes the fields given and keeps the rest; the address keeps its name."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, _KNOWN - {"id"})
    row = _own(request, token.project_id, id_)
    async with alone("subscribers"):
        settings, faults = subscriber_fields(body, row.settings, platform, token.project_id, id_)
        if faults:
            raise Invalid(*faults)
        settings = await sealed(body, settings)
        changed = await platform.resources.change(id_, shown_name(settings), settings)
    if changed is None:
        raise not_found("resource_not_found", "No resource has this id")
    return fabric.wrapped(changed)


@router.delete(PATH + "/{id_}", status_code=204, **described(errors=(422,)))
async def delete_subscriber(id_: str, request: Request, token: Calling) -> None:
    """Deletes its endpoints too; refused while a number rings it."""
    await delete(request.app.state.platform, _own(request, token.project_id, id_))


@router.get(PATH + "/{id_}/addresses", **described(gives=listing(ADDRESS)))
async def list_subscriber_addresses(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """The address under which all its endpoints ring."""
    row = _own(request, token.project_id, id_)
    path = f"{PATH}/{row.id}/addresses"
    return fabric.address_page(request.app.state.platform, row.id, path, dict(request.query_params))


# ---- its endpoints


def _theirs(request: Request, project: str, subscriber_id: str, id_: str) -> EndpointRow:
    subscriber = _own(request, project, subscriber_id)
    row = endpoint_writing.own(request.app.state.platform, project, id_)
    if row.subscriber_id != subscriber.id:
        raise not_found("endpoint_not_found", "This subscriber has no SIP endpoint of this id")
    return row


@router.get(THEIRS, **described(gives=listing(SHOWN_FLAT)))
async def list_subscriber_endpoints(subscriber_id: str, request: Request, token: Calling) -> dict[str, Any]:
    """Newest first."""
    platform: Platform = request.app.state.platform
    subscriber = _own(request, token.project_id, subscriber_id)
    rows = platform.endpoints.of_subscriber(subscriber.id)
    path = f"{PATH}/{subscriber.id}/sip_endpoints"
    return page(rows, lambda row: row.id, lambda row: flat(row, platform), path, dict(request.query_params))


@router.post(THEIRS, status_code=201, **described(takes=NEW_OF_SUBSCRIBER, gives=SHOWN_FLAT))
async def create_subscriber_endpoint(
    subscriber_id: str, request: Request, response: Response, token: Calling
) -> dict[str, Any]:
    """It can register the instant this answers, and rings whenever the subscriber is called."""
    subscriber = _own(request, token.project_id, subscriber_id)
    row, _ = await endpoint_writing.create(request, response, token.project_id, OF_SUBSCRIBER, subscriber.id)
    return flat(row, request.app.state.platform)


@router.get(THEIRS + "/{id_}", **described(gives=SHOWN_FLAT))
async def show_subscriber_endpoint(subscriber_id: str, id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """One endpoint of a subscriber."""
    return flat(_theirs(request, token.project_id, subscriber_id, id_), request.app.state.platform)


@router.patch(
    THEIRS + "/{id_}",
    **described(takes=without_required("SubscriberSipEndpointChange", NEW_OF_SUBSCRIBER), gives=SHOWN_FLAT),
)
async def change_subscriber_endpoint(
    subscriber_id: str, id_: str, request: Request, response: Response, token: Calling
) -> dict[str, Any]:
    """Changes the fields given and keeps the rest; a new user name needs a password in the same request."""
    row = _theirs(request, token.project_id, subscriber_id, id_)
    return flat(await endpoint_writing.change(request, response, row, OF_SUBSCRIBER), request.app.state.platform)


@router.delete(THEIRS + "/{id_}", status_code=204, **described(errors=(422,)))
async def delete_subscriber_endpoint(
    subscriber_id: str, id_: str, request: Request, token: Calling, hangup: bool = False
) -> None:
    """Drops the bindings at once and lets live calls finish; `hangup=true` ends them."""
    await delete(request.app.state.platform, _theirs(request, token.project_id, subscriber_id, id_), hangup)
