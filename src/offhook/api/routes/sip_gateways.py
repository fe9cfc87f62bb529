"""SIP gateways: `/api/fabric/resources/sip_gateways` (API.md 6.1)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api import fabric
from offhook.api.auth import Calling
from offhook.api.deleting import delete
from offhook.api.describe import (
    described,
    identifier,
    list_of,
    listing,
    nullable,
    one_of,
    record,
    text,
    without_required,
)
from offhook.api.errors import Fault, Invalid
from offhook.api.fabric import RESOURCES
from offhook.api.fabric_bodies import ADDRESS, wrapper
from offhook.api.fabric_fields import own_id
from offhook.api.fabric_ports import ResourceRow
from offhook.api.gateway_fields import media_lists, outside_uri, required_text
from offhook.api.gateway_fields import one_of as chosen
from offhook.api.paging import page
from offhook.api.ports import Platform
from offhook.api.requests import body_object, note_ignored
from offhook.api.schemas import CIPHERS, CODECS, ENCRYPTIONS

TYPE = "sip_gateway"
PATH = f"{RESOURCES}/sip_gateways"
router = APIRouter(tags=["SIP gateways"])
KNOWN = frozenset({"id", "name", "uri", "encryption", "ciphers", "codecs", "offhook"})
_FIELDS = {
    "name": text(64, 1),
    "uri": text(255, 1),
    "encryption": one_of(*ENCRYPTIONS),
    "ciphers": list_of(one_of(*CIPHERS)),
    "codecs": list_of(text()),
}
_OWN = record("GatewayOptions", trunk_id=nullable(identifier()))
NEW = record("NewSipGateway", "name", "uri", **_FIELDS, id=identifier(), offhook=_OWN)
CHANGE = without_required("SipGatewayChange", record("", **_FIELDS, offhook=_OWN))
SHOWN = wrapper("SipGateway", TYPE, record("SipGatewayFields", **_FIELDS, id=identifier()))


def shown(row: ResourceRow) -> dict[str, Any]:
    """The wrapper; lists are resolved."""
    whole = fabric.wrapped(row)
    inner: dict[str, Any] = whole[TYPE]
    inner |= {"codecs": inner["codecs"] or list(CODECS), "ciphers": inner["ciphers"] or list(CIPHERS)}
    return whole


def _settings(platform: Platform, project: str, body: Mapping[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The settings after this body. Raises Invalid with every fault."""
    faults: list[Fault] = []
    if "name" in body or not before:
        required_text(body, "name", 64, faults)
    uri = str(before.get("uri", ""))
    if "uri" in body or not before:
        read = outside_uri(body.get("uri"), "uri", faults)
        if read is not None and platform.reception.is_ours(read.host):
            message = f"Uri must be outside: {read.host} is a host of this server"
            faults.append(Fault("uri", "sip_gateway_uri_must_be_external", message))
        uri = str(body.get("uri"))
    settings = {
        "uri": uri,
        "encryption": chosen(body, "encryption", ENCRYPTIONS, before.get("encryption", "default"), faults),
        **media_lists(body, before, faults),
        "offhook": {"trunk_id": _trunk(platform, project, body, before, faults)},
    }
    if faults:
        raise Invalid(*faults)
    return settings


def _trunk(
    platform: Platform, project: str, body: Mapping[str, Any], before: dict[str, Any], faults: list[Fault]
) -> str | None:
    own = body.get("offhook")
    if own is not None and not isinstance(own, dict):
        faults.append(Fault("offhook", "invalid_parameter", "Offhook must be an object"))
    if not isinstance(own, dict) or "trunk_id" not in own:
        kept: str | None = before.get("offhook", {}).get("trunk_id")
        return kept
    id_ = own["trunk_id"] or None
    trunk = platform.trunks.get(id_) if isinstance(id_, str) else None
    if id_ is not None and trunk is None:
        faults.append(Fault("offhook.trunk_id", "does_not_exist", "Offhook.trunk_id does not exist"))
    elif trunk is not None and trunk.project_id != project:
        message = "The offhook.trunk_id must belong to the project"
        faults.append(Fault("offhook.trunk_id", "must_belong_to_project", message))
    return id_


@router.get(PATH, **described(gives=listing(SHOWN)))
async def list_gateways(request: Request, token: Calling) -> dict[str, Any]:
    """Newest first."""
    platform: Platform = request.app.state.platform
    rows = platform.resources.of_type(token.project_id, TYPE)
    return page(rows, lambda row: row.id, shown, PATH, dict(request.query_params))


@router.post(PATH, status_code=201, **described(takes=NEW, gives=SHOWN))
async def create_gateway(request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """One outside URI that numbers, addresses and forwardings may lead to."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN)
    settings = _settings(platform, token.project_id, body, {})
    id_, taken = own_id(platform, body)
    row = await platform.resources.create(token.project_id, TYPE, body["name"], settings, id_) if not taken else None
    if row is None:
        raise Invalid(*(taken or [Fault("id", "value_not_unique", "Id has already been taken")]))
    return shown(row)


@router.get(PATH + "/{id_}", **described(gives=SHOWN))
async def show_gateway(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """One gateway."""
    return shown(fabric.own(request.app.state.platform, token.project_id, id_, TYPE))


@router.patch(PATH + "/{id_}", **described(takes=CHANGE, gives=SHOWN))
async def change_gateway(id_: str, request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """Changes the fields given and keeps the rest; the next call goes by them."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, KNOWN - {"id"})
    row = fabric.own(platform, token.project_id, id_, TYPE)
    settings = _settings(platform, token.project_id, body, row.settings)
    return shown(await platform.resources.change(id_, body.get("name") or row.name, settings) or row)


@router.delete(PATH + "/{id_}", status_code=204, **described(errors=(422,)))
async def delete_gateway(id_: str, request: Request, token: Calling) -> None:
    """Refused while it is the handler of something."""
    platform: Platform = request.app.state.platform
    await delete(platform, fabric.own(platform, token.project_id, id_, TYPE))


@router.get(PATH + "/{id_}/addresses", **described(gives=listing(ADDRESS)))
async def list_gateway_addresses(id_: str, request: Request, token: Calling) -> dict[str, Any]:
    """The address under which it is called."""
    platform: Platform = request.app.state.platform
    row = fabric.own(platform, token.project_id, id_, TYPE)
    return fabric.address_page(platform, row.id, f"{PATH}/{row.id}/addresses", dict(request.query_params))
