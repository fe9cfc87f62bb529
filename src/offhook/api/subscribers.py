"""Subscribers as rows: their fields, and whom a reference names (API.md 4.1, 4.3)."""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any

from offhook.api.errors import Fault
from offhook.api.fabric_ports import ResourceRow
from offhook.api.ports import Platform

SUBSCRIBER = "subscriber"
PROFILE = ("first_name", "last_name", "display_name", "job_title", "timezone", "country", "region", "company_name")
LONGEST, LONGEST_EMAIL = 128, 254
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 72
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
SCRYPT_COST, SCRYPT_BLOCK = 2**14, 8
"""16 MiB and about 50 ms for each guess (RFC 7914)."""


def subscriber_fields(
    body: Mapping[str, Any], before: Mapping[str, Any], platform: Platform, project: str, id_: str | None = None
) -> tuple[dict[str, Any], list[Fault]]:
    """The settings after a create or a change, without the password, and every fault, in field order."""
    settings = dict(before)
    faults: list[Fault] = []
    if "email" in body or not before:
        settings["email"] = body.get("email")
        faults += _email_faults(settings["email"], platform, project, id_)
    faults += password_faults(body)
    for name in PROFILE:
        given = body.get(name, settings.get(name))
        settings[name] = given or None
        if given and not (isinstance(given, str) and len(given) <= LONGEST and given.isprintable()):
            message = f"{name.capitalize()} must be text of at most {LONGEST} printable characters"
            faults.append(Fault(name, "invalid_parameter", message))
    return settings, faults


def _email_faults(email: Any, platform: Platform, project: str, id_: str | None) -> list[Fault]:
    if email in (None, ""):
        return [Fault("email", "missing_required_parameter", "email is required")]
    if not isinstance(email, str) or len(email) > LONGEST_EMAIL or not _EMAIL.fullmatch(email):
        return [Fault("email", "invalid_parameter", f"Email must be an address of at most {LONGEST_EMAIL} characters")]
    holder = with_email(platform, project, email)
    if holder is not None and holder.id != id_:
        return [Fault("email", "not_unique_within_project", "Email has already been taken")]
    return []


def password_faults(body: Mapping[str, Any]) -> list[Fault]:
    """The rule for a subscriber's own password."""
    password = body.get("password")
    if password in (None, ""):
        return []
    if isinstance(password, str) and SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return []
    message = f"Password must be {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"
    return [Fault("password", "invalid_parameter", message)]


async def sealed(body: Mapping[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with the hash of the password that the body gives, if it gives one."""
    if body.get("password") in (None, ""):
        return settings
    salt = secrets.token_bytes(16)
    made = await asyncio.to_thread(
        hashlib.scrypt, str(body["password"]).encode(), salt=salt, n=SCRYPT_COST, r=SCRYPT_BLOCK, p=1
    )
    return {**settings, "secret_password": base64.b64encode(salt + made).decode()}


async def knows_password(settings: Mapping[str, Any], password: str) -> bool:
    """True for the password that `sealed` has kept; without one the same work is done, and nothing fits."""
    kept = base64.b64decode(settings.get("secret_password") or "") or bytes(16 + 64)
    made = await asyncio.to_thread(
        hashlib.scrypt, password.encode(), salt=kept[:16], n=SCRYPT_COST, r=SCRYPT_BLOCK, p=1
    )
    return hmac.compare_digest(made, kept[16:]) and bool(settings.get("secret_password"))


def shown_name(settings: Mapping[str, Any]) -> str:
    """What people call a subscriber: the display name, else the names, else what stands before the @."""
    names = " ".join(str(settings[name]) for name in ("first_name", "last_name") if settings.get(name))
    return str(settings.get("display_name") or names or _before_at(settings))[:LONGEST]


def _before_at(settings: Mapping[str, Any]) -> str:
    """A subscriber made by a reference may have no e-mail."""
    return str(settings.get("email") or settings.get("reference")).partition("@")[0]


def with_email(platform: Platform, project: str, email: str) -> ResourceRow | None:
    """By e-mail, without regard to case."""
    wanted = email.casefold()
    rows = platform.resources.of_type(project, SUBSCRIBER)
    return next((row for row in rows if str(row.settings.get("email") or "").casefold() == wanted), None)


def referred(platform: Platform, project: str, reference: str) -> ResourceRow | None:
    """Whom a reference names: a subscriber's id, its e-mail, or the reference that it was made with."""
    row = platform.resources.get(reference.lower())
    if row is not None and row.project_id == project and row.type == SUBSCRIBER:
        return row
    rows = platform.resources.of_type(project, SUBSCRIBER)
    return with_email(platform, project, reference) or next(
        (one for one in rows if one.settings.get("reference") == reference), None
    )
