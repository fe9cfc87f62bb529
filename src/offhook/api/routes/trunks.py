"""Trunks: `/api/offhook/trunks` (API.md 12.1)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.alone import alone
from offhook.api.auth import Management, Reading
from offhook.api.describe import described, listing, one_of, text
from offhook.api.errors import ApiError, Fault, Invalid, in_order, not_found
from offhook.api.number_fields import E164
from offhook.api.paging import page
from offhook.api.ports import Platform, TrunkRow
from offhook.api.requests import body_object, unknown_fields
from offhook.api.schemas import CIPHERS
from offhook.api.times import milliseconds
from offhook.api.trunk_bodies import CHANGE, NEW, SHOWN, TEST, TESTED
from offhook.api.trunk_fields import ORDER, overlaps, secret_fault, trunk_fields

PATH = "/api/offhook/trunks"
STATES = ("up", "degraded", "down", "unknown", "disabled")
router = APIRouter(tags=["Trunks"])


def shown(row: TrunkRow, platform: Platform) -> dict[str, Any]:
    """The object of API.md 12.1: every field, no secret, and the state as it is now."""
    inbound = {**row.settings["inbound"], "digest_password_set": row.digest_password is not None}
    return {
        "type": "trunk",
        "id": row.id,
        **row.settings,
        "ciphers": row.settings["ciphers"] or list(CIPHERS),
        "inbound": inbound,
        "password_set": row.password is not None,
        "created_at": milliseconds(row.created_at),
        "updated_at": milliseconds(row.updated_at),
        "status": platform.trunk_status(row.id),
    }


def _own(platform: Platform, project: str, id_: str) -> TrunkRow:
    row = platform.trunks.get(id_)
    if row is None or row.project_id != project:
        raise not_found("trunk_not_found", "No trunk has this id")
    return row


@router.get(PATH, **described(gives=listing(SHOWN), query={"name": text(), "state": one_of(*STATES)}))
async def list_trunks(request: Request, token: Reading) -> dict[str, Any]:
    """Newest first; `name` matches a substring, `state` one of up, degraded, down, unknown, disabled."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    name, state = query.get("name", "").casefold(), query.get("state", "")
    rows = [
        row
        for row in platform.trunks
        if row.project_id == token.project_id
        and name in row.name.casefold()
        and state in ("", platform.trunk_status(row.id)["state"])
    ]
    return page(rows, lambda row: row.id, lambda row: shown(row, platform), PATH, query)


@router.post(PATH, status_code=201, **described(takes=NEW, gives=SHOWN))
async def create_trunk(request: Request, token: Management) -> dict[str, Any]:
    """Takes calls and registers the instant this answers."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    values, faults = trunk_fields(body)
    secrets = _secrets(body, faults)
    async with alone("trunks"):
        _judge(platform, values, None, faults)
        row = await platform.trunks.create(
            token.project_id, values, secrets.get("password"), secrets.get("digest_password")
        )
    if row is None:
        raise Invalid(_taken())
    await platform.trunk_changed(row.id)
    return shown(row, platform)


@router.get(PATH + "/{id_}", **described(gives=SHOWN))
async def show_trunk(id_: str, request: Request, token: Reading) -> dict[str, Any]:
    """One trunk with its state."""
    platform: Platform = request.app.state.platform
    return shown(_own(platform, token.project_id, id_), platform)


@router.patch(PATH + "/{id_}", **described(takes=CHANGE, gives=SHOWN))
async def change_trunk(id_: str, request: Request, token: Management) -> dict[str, Any]:
    """Changes the fields given and keeps the rest; live calls go on, registration and health begin anew."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    row = _own(platform, token.project_id, id_)
    values, faults = trunk_fields(body, row.settings)
    secrets = _secrets(body, faults)
    async with alone("trunks"):
        _judge(platform, values, id_, faults)
        if row.settings.get("draining") and not values["enabled"]:
            # Only switching it on takes a deletion back.
            values["draining"] = True
        changed = await platform.trunks.change(id_, values, **secrets)
    if changed is None:
        _own(platform, token.project_id, id_)
        raise Invalid(_taken())
    await platform.trunk_changed(id_)
    return shown(changed, platform)


@router.delete(PATH + "/{id_}", status_code=204, **described(errors=(409,)))
async def delete_trunk(id_: str, request: Request, response: Response, token: Management, drain: bool = False) -> None:
    """Refused while it has calls; `drain=true` takes no new ones and deletes it after the last."""
    platform: Platform = request.app.state.platform
    row = _own(platform, token.project_id, id_)
    busy = sum(platform.trunk_status(row.id)["channels"].values())
    if busy and not drain:
        raise ApiError(409, "trunk_in_use", f"The trunk has {busy} calls; hang them up, or delete it with drain=true")
    if busy:
        settings = {**row.settings, "enabled": False, "draining": True}
        await platform.trunks.change(row.id, settings)
        await platform.trunk_changed(row.id)
        return
    await platform.remove_trunk(row.id)


@router.post(PATH + "/{id_}/register", status_code=202, **described(gives=SHOWN))
async def register_trunk(id_: str, request: Request, token: Management) -> dict[str, Any]:
    """Registers at once, whatever it waits for."""
    platform: Platform = request.app.state.platform
    row = _own(platform, token.project_id, id_)
    if not row.settings["register"]:
        raise Invalid(Fault("register", "trunk_does_not_register", "register must be true first"))
    await platform.register_trunk(row.id)
    return shown(row, platform)


@router.post(PATH + "/{id_}/test", **described(takes=TEST, gives=TESTED))
async def test_trunk(id_: str, request: Request, token: Management) -> dict[str, Any]:
    """Tries DNS, connection, TLS, OPTIONS, the registration and, with `to`, a call of ten seconds, and says of each what to
    mend."""
    platform: Platform = request.app.state.platform
    row = _own(platform, token.project_id, id_)
    body = await body_object(request)
    faults, to = unknown_fields(body, ("to",)), body.get("to")
    if to is not None and not (isinstance(to, str) and E164.fullmatch(to)):
        faults.append(Fault("to", "invalid_number_format", "To must be in E.164 format, like +15558675309"))
    if faults:
        raise Invalid(*faults)
    return await platform.test_trunk(row.id, to)


def _secrets(body: Mapping[str, Any], faults: list[Fault]) -> dict[str, str | None]:
    """The secrets that the request gives; an absent one keeps what is stored."""
    found: dict[str, str | None] = {}
    inbound = body.get("inbound")
    places = [("password", "password", body)]
    if isinstance(inbound, dict):
        places.append(("inbound.digest_password", "digest_password", inbound))
    for field, name, place in places:
        if name in place:
            fault = secret_fault(field, place[name])
            faults += [fault] if fault else []
            found[name] = place[name]
    return found


def _judge(platform: Platform, values: Mapping[str, Any], id_: str | None, faults: list[Fault]) -> None:
    """What only the other rows can tell. Raises Invalid with every fault."""
    if not faults:
        named = platform.trunks.named(values["name"])
        if named is not None and named.id != id_:
            faults.append(_taken())
        for other in platform.trunks:
            shared = overlaps(values["did_ranges"], other.settings["did_ranges"]) if other.id != id_ else None
            if shared is not None:
                words = f"did_ranges {shared} is delivered by trunk {other.name} already"
                faults.append(Fault("did_ranges", "value_not_unique", words))
    if faults:
        raise Invalid(*in_order(faults, ORDER))


def _taken() -> Fault:
    return Fault("name", "value_not_unique", "name is that of another trunk")
