"""Verified caller ids, look-ups and short codes: `/api/relay/rest/verified_caller_ids`, `…/lookup`, `…/short_codes`
(API.md 5.4)."""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.auth import Numbers
from offhook.api.describe import described, listing, loose, text
from offhook.api.errors import ApiError, Fault, Invalid, not_found
from offhook.api.number_bodies import CALLER, CALLER_CHANGE, CODE, LOOKUP, NEW_CALLER
from offhook.api.number_facts import facts_of
from offhook.api.number_fields import number_fault
from offhook.api.number_ports import CallerIdRow
from offhook.api.paging import page
from offhook.api.ports import Platform
from offhook.api.requests import body_object, note_ignored
from offhook.api.times import seconds

PATH = "/api/relay/rest/verified_caller_ids"
router = APIRouter(tags=["Caller ids"])
TRIES = 5
"""Wrong codes before a new call is needed: of a million codes, five tries find one in two hundred thousand calls."""
BETWEEN = timedelta(seconds=60)
"""From one verification call to the next: nobody is to be rung at without end."""
CODE_LIFE = timedelta(minutes=10)
"""A code that was read out is good for so long."""


def shown(row: CallerIdRow) -> dict[str, Any]:
    """The object of API.md 5.4."""
    return {
        "type": "verified_caller_id",
        "id": row.id,
        "number": row.number,
        "name": row.name,
        "extension": row.extension,
        "verified": row.verified_at is not None,
        "verified_at": seconds(row.verified_at) if row.verified_at is not None else None,
        "status": "Verified" if row.verified_at is not None else "Awaiting Verification",
    }


def _own(platform: Platform, project: str, id_: str) -> CallerIdRow:
    row = platform.reception.caller_ids.get(id_)
    if row is None or row.project_id != project:
        raise not_found("verified_caller_id_not_found", "No verified caller id has this id")
    return row


@router.get(PATH, **described(gives=listing(CALLER), query={"filter_name": text(), "filter_number": text()}))
async def list_caller_ids(request: Request, token: Numbers) -> dict[str, Any]:
    """Newest first; `filter_name` and `filter_number` match substrings."""
    platform: Platform = request.app.state.platform
    query = dict(request.query_params)
    name, number = query.get("filter_name", "").casefold(), query.get("filter_number", "")
    rows = [
        row
        for row in platform.reception.caller_ids
        if row.project_id == token.project_id and name in row.name.casefold() and number in row.number
    ]
    return page(rows, lambda row: row.id, shown, PATH, query)


@router.post(PATH, status_code=201, **described(takes=NEW_CALLER, gives=CALLER))
async def create_caller_id(request: Request, response: Response, token: Numbers) -> dict[str, Any]:
    """A number that waits for its verification."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, frozenset({"number", "name", "extension"}))
    wrong = number_fault(body.get("number"))
    faults = [*([wrong] if wrong else []), *_name(body.get("name"))]
    extension = body.get("extension") or None
    if extension is not None and not (isinstance(extension, str) and _is_extension(extension)):
        faults.append(Fault("extension", "invalid_parameter", "Extension must be at most 8 of the digits 0-9 * # w"))
    if faults:
        raise Invalid(*faults)
    row = await platform.reception.caller_ids.create(
        project_id=token.project_id, number=body["number"], name=body.get("name") or "", extension=extension
    )
    if row is None:
        raise Invalid(Fault("number", "not_unique_within_project", "Number has already been taken"))
    return shown(row)


def _is_extension(value: str) -> bool:
    return len(value) <= 8 and all(one in "0123456789*#w" for one in value)


def _name(value: Any) -> list[Fault]:
    if value is None or (isinstance(value, str) and len(value) <= 64 and value.isprintable()):
        return []
    return [Fault("name", "invalid_parameter", "Name must be text of at most 64 printable characters")]


@router.get(PATH + "/{id_}", **described(gives=CALLER))
async def show_caller_id(id_: str, request: Request, token: Numbers) -> dict[str, Any]:
    """One caller id."""
    return shown(_own(request.app.state.platform, token.project_id, id_))


@router.put(PATH + "/{id_}", **described(takes=CALLER_CHANGE, gives=CALLER))
async def change_caller_id(id_: str, request: Request, response: Response, token: Numbers) -> dict[str, Any]:
    """Its name; with `management` also `offhook.verified`, which verifies by decision or takes it back."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_ignored(response, body, frozenset({"name", "offhook"}))
    row = _own(platform, token.project_id, id_)
    faults = _name(body.get("name"))
    changed: dict[str, Any] = {"name": body["name"] or ""} if "name" in body else {}
    given = body.get("offhook")
    decided = given.get("verified") if isinstance(given, dict) else None
    if given is not None and not (isinstance(given, dict) and isinstance(decided, bool | None)):
        faults.append(Fault("offhook.verified", "invalid_parameter", "Offhook.verified must be true or false"))
    if faults:
        raise Invalid(*faults)
    if decided is not None:
        if "management" not in token.permissions:
            raise ApiError(403, "scope_missing", "Verifying by decision needs the scope 'management'")
        changed["verified_at"] = (row.verified_at or datetime.now(UTC)) if decided else None
    return shown(await platform.reception.caller_ids.change(row.id, **changed) or row)


@router.delete(PATH + "/{id_}", status_code=204, **described())
async def delete_caller_id(id_: str, request: Request, token: Numbers) -> None:
    """It may not be shown any more."""
    platform: Platform = request.app.state.platform
    await platform.reception.caller_ids.remove(_own(platform, token.project_id, id_).id)


@router.post(PATH + "/{id_}/verification", **described(gives=CALLER, errors=(422,)))
async def call_for_verification(id_: str, request: Request, token: Numbers) -> dict[str, Any]:
    """Calls the number and reads six digits, good for ten minutes."""
    platform: Platform = request.app.state.platform
    row = _own(platform, token.project_id, id_)
    if row.verified_at is not None:
        raise _verified_already()
    now = datetime.now(UTC)
    again = row.code_until - CODE_LIFE + BETWEEN if row.code_until is not None else now
    if again > now:
        wait = {"Retry-After": str(int((again - now).total_seconds()) + 1)}
        raise ApiError(429, "rate_limit_exceeded", "The number was called for its verification a moment ago", wait)
    code = f"{secrets.randbelow(1_000_000):06d}"
    refused = await platform.reception.read_code(row, code)
    if refused is not None:
        raise Invalid(Fault("number", *refused))
    changed = await platform.reception.caller_ids.change(
        row.id, code_sha256=_hash(row, code), code_until=now + CODE_LIFE, tries=0
    )
    return shown(changed or row)


@router.put(PATH + "/{id_}/verification", **described(takes=CODE, gives=CALLER))
async def submit_verification(id_: str, request: Request, token: Numbers) -> dict[str, Any]:
    """The six digits that the call has read."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    row, given = _own(platform, token.project_id, id_), body.get("verification_code")
    if row.verified_at is not None:
        raise _verified_already()
    if given in (None, ""):
        message = "verification_code is required"
        raise Invalid(Fault("verification_code", "missing_required_parameter", message))
    if row.tries >= TRIES:
        message = f"{TRIES} wrong codes; have a new one read by POST {PATH}/{{id}}/verification"
        raise Invalid(Fault("verification_code", "too_many_verification_attempts", message))
    if not _fits(row, given):
        await platform.reception.caller_ids.change(row.id, tries=row.tries + 1)
        message = "Verification_code must be the six digits of the last verification call"
        raise Invalid(Fault("verification_code", "invalid_parameter", message))
    changed = await platform.reception.caller_ids.change(
        row.id, verified_at=datetime.now(UTC), code_sha256="", code_until=None, tries=0
    )
    return shown(changed or row)


def _verified_already() -> Invalid:
    return Invalid(Fault("id", "already_verified", "Number has already been verified"))


def _hash(row: CallerIdRow, code: str) -> str:
    return hashlib.sha256(f"{row.id} {code}".encode()).hexdigest()


def _fits(row: CallerIdRow, given: Any) -> bool:
    if not isinstance(given, str) or not row.code_sha256 or row.code_until is None:
        return False
    return row.code_until > datetime.now(UTC) and hmac.compare_digest(_hash(row, given), row.code_sha256)


# ---- look-ups


@router.get("/api/relay/rest/lookup/phone_number/{e164}", **described(gives=LOOKUP))
async def look_up_number(e164: str, request: Request, token: Numbers) -> dict[str, Any]:
    """What the numbering plan says of a number; no carrier is asked."""
    facts = facts_of(e164 if e164.startswith("+") else f"+{e164}")
    if facts is None:
        raise not_found("phone_number_not_found", f"{e164[:32]} is no phone number in E.164 format")
    return facts


@router.get("/api/relay/rest/short_codes", **described(gives=listing(loose())))
async def list_short_codes(request: Request, token: Numbers) -> dict[str, Any]:
    """None: carriers lease them, and texts to them are not served."""
    nothing: list[str] = []
    return page(nothing, str, lambda row: {"id": row}, "/api/relay/rest/short_codes", dict(request.query_params))
