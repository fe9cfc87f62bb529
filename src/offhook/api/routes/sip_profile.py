"""The SIP profile of a project: `/api/relay/rest/sip_profile` (API.md section 3)."""

from typing import Any

from fastapi import APIRouter, Request, Response

from offhook.api.alone import alone
from offhook.api.auth import Calling
from offhook.api.describe import described, flag, list_of, nullable, one_of, record, text
from offhook.api.errors import Fault, Invalid, project_gone
from offhook.api.ports import Platform
from offhook.api.profile_fields import (
    DEFAULT_ENCRYPTIONS,
    EXTERNAL,
    MOST,
    POLICIES,
    ignored,
    profile_fields,
)
from offhook.api.project_ports import ProjectRow
from offhook.api.requests import body_object, note_names
from offhook.api.schemas import CIPHERS, CODECS

PATH = "/api/relay/rest/sip_profile"
_OFFHOOK = {
    "outbound_policy": one_of(*POLICIES),
    "pstn_enabled": flag(),
    "external_sip": one_of(*EXTERNAL),
    "aliases": list_of(text(253), MOST),
    "origins": list_of(text(260), MOST),
    "country": nullable(text(2)),
}
_FIELDS = {
    "domain_identifier": nullable(text(63)),
    "default_codecs": list_of(text(), least=1),
    "default_ciphers": list_of(text(), least=1),
    "default_encryption": one_of(*DEFAULT_ENCRYPTIONS),
    "default_send_as": nullable(text(16)),
}
CHANGE = record("SipProfileChange", **_FIELDS, offhook=record("SipProfileOffhookChange", **_OFFHOOK))
SHOWN = record(
    "SipProfile", "domain", *_FIELDS, "offhook",
    domain=text(), **_FIELDS,
    offhook=record("SipProfileOffhook", *_OFFHOOK, "realm", "websocket_urls",
        **_OFFHOOK, realm=text(), websocket_urls=list_of(text())),
)  # fmt: skip
DEFAULTS: dict[str, Any] = {
    "outbound_policy": "passthrough", "pstn_enabled": True, "external_sip": "all", "aliases": [], "origins": [],
}  # fmt: skip
router = APIRouter(tags=["SIP profile"])


def _row(platform: Platform, project: str) -> ProjectRow:
    row = platform.projects.get(project)
    if row is None:
        raise project_gone()
    return row


def shown(row: ProjectRow, platform: Platform) -> dict[str, Any]:
    """The object, its lists resolved."""
    stored, live = row.profile, platform.profile(row.id)
    own = stored.get("offhook", {})
    return {
        "domain": live["domain"],
        "domain_identifier": stored.get("domain_identifier"),
        "default_codecs": list(stored.get("default_codecs") or CODECS),
        "default_ciphers": list(stored.get("default_ciphers") or CIPHERS),
        "default_encryption": stored.get("default_encryption") or DEFAULT_ENCRYPTIONS[0],
        "default_send_as": stored.get("default_send_as"),
        "offhook": {
            **{name: own.get(name, default) for name, default in DEFAULTS.items()},
            "country": live["country"],
            "realm": live["realm"],
            "websocket_urls": live["websocket_urls"],
        },
    }


def _hosts(platform: Platform, project: str, aliases: list[str]) -> list[Fault]:
    """What speaks against hosts that are to mean the project's domain."""
    found = [(one, platform.alias_refusal(project, one.lower())) for one in aliases]
    return [
        Fault("offhook.aliases", why[0], f"offhook.aliases: {host} {why[1]}") for host, why in found if why is not None
    ]


@router.get(PATH, **described(gives=SHOWN))
async def show_profile(request: Request, token: Calling) -> dict[str, Any]:
    """What the endpoints of the project have unless they say otherwise."""
    platform: Platform = request.app.state.platform
    return shown(_row(platform, token.project_id), platform)


@router.put(PATH, status_code=201, **described(takes=CHANGE, gives=SHOWN))
async def change_profile(request: Request, response: Response, token: Calling) -> dict[str, Any]:
    """Changes the fields given and keeps the rest; the next call and the next registration obey."""
    platform: Platform = request.app.state.platform
    body = await body_object(request)
    note_names(response, ignored(body, platform.has_domain_suffix))
    async with alone("profiles"):
        row = _row(platform, token.project_id)
        numbers = frozenset(one.number for one in platform.numbers if one.project_id == row.id)
        values, faults = profile_fields(
            body, numbers, row.parent_id is None or platform.domain_of(row.id) != platform.domain
        )
        label = values.get("domain_identifier")
        taken = {one.profile.get("domain_identifier") for one in platform.projects if one.id != row.id}
        if platform.has_domain_suffix:
            taken |= {one.identifier for one in platform.reception.applications}
        if label is not None and label in taken:
            faults.append(Fault("domain_identifier", "value_not_unique", "Domain_identifier has already been taken"))
        faults += _hosts(platform, row.id, values.get("offhook", {}).get("aliases", []) if not faults else [])
        if faults:
            raise Invalid(*faults)
        own = {**row.profile.get("offhook", {}), **values.get("offhook", {})}
        changed = await platform.projects.change(row.id, profile={**row.profile, **values, "offhook": own})
    if changed is None:
        raise project_gone()
    await platform.profile_changed(changed.id)
    return shown(changed, platform)
