"""Browser tokens: members, guests, invitees, pages with a widget (API.md 4.3)."""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.alone import alone
from offhook.api.auth import Calling, source_of
from offhook.api.bearers import API_TOKEN, Asking, tier_not_allowed
from offhook.api.describe import described, identifier, list_of, nullable, record, text, whole
from offhook.api.errors import ApiError, Fault, Invalid, not_found, project_gone
from offhook.api.fabric_ports import ResourceRow
from offhook.api.ports import EndpointRow, Platform
from offhook.api.requests import body_object, note_ignored
from offhook.api.subscribers import PROFILE, SUBSCRIBER, password_faults, referred, sealed, shown_name
from offhook.api.token_ports import Wrong
from offhook.api.widgets import with_key
from offhook.sip.guests import GUEST, INVITEE, WIDGET
from offhook.sip.tokens import MEMBER

router = APIRouter(tags=["Browser tokens"])
USUAL, LONGEST, WITHOUT_FINGERPRINT, OF_WIDGET = 7200, 30 * 86_400, 60, 300
"""Seconds that tokens live: unless asked otherwise, at most, with `sat:refresh` and no fingerprint, and a widget's."""
MOST_REFERENCE = 254
_FINGERPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_IGNORED = ("region", "ch", "application_id")
_TEXT = nullable(text())
_MEMBER = record(
    "NewSubscriberToken",
    "reference",
    reference=text(MOST_REFERENCE, 1),
    expire_at=whole(),
    scope=text(),
    fingerprint=text(43, 43),
    password=text(72, 8),
    **dict.fromkeys((*PROFILE, "time_zone", *_IGNORED), _TEXT),
)
_PAIR = record("TokenPair", "token", "refresh_token", token=text(), refresh_token=text())
_OF_MEMBER = record(
    "SubscriberToken", "subscriber_id", "token", "refresh_token", subscriber_id=identifier(), token=text(),
    refresh_token=text(),
)  # fmt: skip
_ONE = record("CallToken", "token", token=text())


@router.post("/api/fabric/subscribers/tokens", status_code=200, **described(takes=_MEMBER, gives=_OF_MEMBER))
async def create_subscriber_token(request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """For the subscriber that `reference` names, who is made if there is none; so is an endpoint to register as."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    known = {"reference", "expire_at", "scope", "fingerprint", "password", "time_zone", *PROFILE, *_IGNORED}
    note_ignored(response, body, frozenset(known))
    faults = _member_faults(body)
    ends_at, more = _ends(platform, body, "expire_at")
    if faults or more:
        raise Invalid(*faults, *more)
    now = platform.token_office.unix()
    if body.get("scope") == "sat:refresh" and not body.get("fingerprint"):
        ends_at = min(ends_at, now + WITHOUT_FINGERPRINT)
    row, endpoint = await member(request, token.project_id, body["reference"], body)
    bound = body.get("fingerprint") or "", body.get("scope") or ""
    pair = platform.token_office.issue(endpoint.name, MEMBER, ends_at, "", *bound)
    response.headers["Cache-Control"] = "no-store"
    return {"subscriber_id": row.id, "token": pair.token, "refresh_token": pair.refresh_token}


def _member_faults(body: Mapping[str, Any]) -> list[Fault]:
    faults = []
    reference, fingerprint = body.get("reference"), body.get("fingerprint")
    if reference in (None, ""):
        faults.append(Fault("reference", "missing_required_parameter", "reference is required"))
    elif not isinstance(reference, str) or len(reference) > MOST_REFERENCE or not reference.isprintable():
        message = f"Reference must be text of at most {MOST_REFERENCE} printable characters"
        faults.append(Fault("reference", "invalid_parameter", message))
    if body.get("scope") not in (None, "", "sat:refresh"):
        faults.append(Fault("scope", "invalid_parameter_value", "scope must be one of: sat:refresh"))
    if fingerprint and not (isinstance(fingerprint, str) and _FINGERPRINT.fullmatch(fingerprint)):
        message = "Fingerprint must be 43 letters, digits, - or _"
        faults.append(Fault("fingerprint", "invalid_parameter", message))
    faults += password_faults(body)
    for name in (*PROFILE, "time_zone"):
        if body.get(name) and not (isinstance(body[name], str) and len(body[name]) <= 128 and body[name].isprintable()):
            message = f"{name.capitalize()} must be text of at most 128 printable characters"
            faults.append(Fault(name, "invalid_parameter", message))
    return faults


def _ends(platform: Platform, body: Mapping[str, Any], field: str) -> tuple[int, list[Fault]]:
    """When a token ends, in Unix seconds."""
    now, given = platform.token_office.unix(), body.get(field)
    if given in (None, ""):
        return now + USUAL, []
    named = field.replace("_", " ").capitalize()
    if not isinstance(given, int) or isinstance(given, bool) or given <= now:
        return now, [Fault(field, "invalid_parameter", f"{named} must be greater than {now}")]
    if given > now + LONGEST:
        message = f"{named} must be at most {now + LONGEST}, 30 days from now"
        return now, [Fault(field, "invalid_parameter", message)]
    return given, []


async def member(
    request: Request, project: str, reference: str, profile: Mapping[str, Any]
) -> tuple[ResourceRow, EndpointRow]:
    """The subscriber of a reference and the endpoint that his page registers as; both are made where they are missing."""
    platform: Platform = request.app.state.platform
    given = {name: profile[name] for name in PROFILE if profile.get(name)}
    if profile.get("time_zone"):
        given["timezone"] = profile["time_zone"]
    async with alone("subscribers"):
        row = referred(platform, project, reference)
        if row is None:
            email = reference if "@" in reference else None
            made = dict.fromkeys(PROFILE) | {"email": email, "reference": reference} | given
            made = await sealed(profile, made)
            row = await platform.resources.create(project, SUBSCRIBER, shown_name(made), made)
            if row is None:
                raise project_gone()
        elif given or profile.get("password"):
            settings = await sealed(profile, {**row.settings, **given})
            row = await platform.resources.change(row.id, shown_name(settings), settings) or row
        theirs = platform.endpoints.of_subscriber(row.id)
        return row, theirs[0] if theirs else await _endpoint_of(request, row)


async def _endpoint_of(request: Request, row: ResourceRow) -> EndpointRow:
    """A subscriber's first endpoint, called like his address. Nobody knows its password: tokens are what it is used with."""
    platform: Platform = request.app.state.platform
    address = platform.addresses.of(row.id)
    if address is None:
        raise not_found("resource_not_found", "The subscriber is gone")
    number = 1
    while True:
        name = address.name[:60] if number == 1 else f"{address.name[:60]}-{number}"
        number += 1
        if platform.endpoints.in_project(row.project_id, name) is not None:
            continue
        md5, sha256 = request.app.state.ha1(name, platform.realm_of(row.project_id), secrets.token_urlsafe(24))
        made = await platform.endpoints.create(
            project_id=row.project_id,
            username=name,
            caller_id=row.name[:64],
            ha1_md5=md5,
            ha1_sha256=sha256,
            subscriber_id=row.id,
        )
        if made is not None:
            return made


@router.post(
    "/api/fabric/subscribers/tokens/refresh",
    status_code=201,
    **described(takes=record("Refresh", "refresh_token", refresh_token=text()), gives=_PAIR),
)
async def refresh_token(request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """A new pair for a refresh token, which is spent with it."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, frozenset({"refresh_token"}))
    given = body.get("refresh_token")
    if given in (None, ""):
        raise Invalid(Fault("refresh_token", "missing_required_parameter", "refresh_token is required"))
    pair = await platform.token_office.renew(given) if isinstance(given, str) else None
    if pair is None or isinstance(pair, Wrong):
        code = pair.code if pair is not None else "not_a_refresh_token"
        message = pair.text if pair is not None else "Refresh_token must be text"
        raise Invalid(Fault("refresh_token", code, message))
    response.headers["Cache-Control"] = "no-store"
    return {"token": pair.token, "refresh_token": pair.refresh_token}


@router.post(
    "/api/fabric/guests/tokens",
    status_code=201,
    **described(
        takes=record("NewGuestToken", "allowed_addresses", allowed_addresses=list_of(text(), 10, 1), expire_at=whole()),
        gives=_PAIR,
    ),
)
async def create_guest_token(request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """For somebody who may call these addresses and nothing else."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, frozenset({"allowed_addresses", "expire_at", *_IGNORED}))
    most: int = request.app.state.guest_addresses
    faults = _allowed_faults(platform, token.project_id, body.get("allowed_addresses"), most)
    ends_at, more = _ends(platform, body, "expire_at")
    if faults or more:
        raise Invalid(*faults, *more)
    office = platform.token_office
    pair = office.issue(office.guest(GUEST, tuple(dict.fromkeys(body["allowed_addresses"]))), GUEST, ends_at)
    response.headers["Cache-Control"] = "no-store"
    return {"token": pair.token, "refresh_token": pair.refresh_token}


def _allowed_faults(platform: Platform, project: str, given: Any, most: int) -> list[Fault]:
    field = "allowed_addresses"
    if given in (None, "", []):
        return [Fault(field, "missing_required_parameter", f"{field} is required")]
    if not isinstance(given, list) or len(given) > most:
        message = f"Allowed_addresses must be 1 to {most} ids (limits.guest_addresses)"
        return [Fault(field, "invalid_parameter", message)]
    faults = [_address_fault(platform, project, field, one) for one in given]
    return [fault for fault in faults if fault is not None][:1]


def _address_fault(platform: Platform, project: str, field: str, id_: Any) -> Fault | None:
    if id_ in (None, ""):
        return Fault(field, "missing_required_parameter", f"{field} is required")
    row = platform.addresses.get(id_) if isinstance(id_, str) else None
    if row is None or row.project_id != project:
        return Fault(field, "must_belong_to_project", f"The {field} must belong to the project")
    return None


@router.post(
    "/api/fabric/subscriber/invites",
    status_code=201,
    **described(takes=record("NewInvite", "address_id", address_id=text(), expires_at=whole()), gives=_ONE),
)
async def create_invite(request: Request, response: Response, holder: Asking) -> dict[str, Any]:
    """A member lets somebody call one address."""
    platform: Platform = request.app.state.platform
    if holder.tier not in (MEMBER, API_TOKEN):
        raise tier_not_allowed(holder, "invite others")
    body = await body_object(request)
    note_ignored(response, body, frozenset({"address_id", "expires_at"}))
    fault = _address_fault(platform, holder.project_id, "address_id", body.get("address_id"))
    ends_at, more = _ends(platform, body, "expires_at")
    if fault or more:
        raise Invalid(*([fault] if fault else []), *more)
    office = platform.token_office
    response.headers["Cache-Control"] = "no-store"
    return {"token": office.issue(office.guest(INVITEE, (body["address_id"],)), INVITEE, ends_at).token}


@router.post(
    "/api/fabric/embeds/tokens",
    status_code=201,
    **described(takes=record("EmbedKey", "token", token=text()), gives=_ONE, errors=(403,)),
)
async def create_embed_token(request: Request, response: Response) -> dict[str, Any]:
    """For a page that holds a widget's public key: one call to the widget's address, begun within five minutes."""
    platform: Platform = request.app.state.platform
    attempts = request.app.state.attempts
    attempts.check(source_of(request))
    body = await body_object(request)
    note_ignored(response, body, frozenset({"token"}))
    if body.get("token") in (None, ""):
        raise Invalid(Fault("token", "missing_required_parameter", "token is required"))
    row = with_key(platform, body["token"])
    if row is None:
        attempts.failed(source_of(request))
        raise Invalid(Fault("token", "does_not_exist", "Token does not exist"))
    origin = request.headers.get("origin", "")
    if row.settings["origins"] and origin not in row.settings["origins"]:
        raise ApiError(403, "origin_not_allowed", f"Pages of {origin[:200] or 'no origin'} may not use this widget")
    office = platform.token_office
    name = office.guest(WIDGET, (row.settings["address_id"],), row.id)
    response.headers["Cache-Control"] = "no-store"
    return {"token": office.issue(name, WIDGET, office.unix() + OF_WIDGET, origin).token}
