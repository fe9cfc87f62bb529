"""The fields of SIP gateways, domain applications and SIP addresses that they share (API.md section 6)."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from offhook.api.errors import Fault
from offhook.api.schemas import CIPHERS, CODECS
from offhook.sip.errors import PeerError
from offhook.sip.uri import Uri, parse_uri

LABEL = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_LABEL = 50
_OPUS_FORM = re.compile(r"OPUS@(48000|24000|16000|8000)H@20I")

Values = dict[str, Any]


def required_text(body: Mapping[str, Any], field: str, longest: int, faults: list[Fault]) -> str:
    """A name that must be there."""
    value = body.get(field)
    if value in (None, ""):
        faults.append(Fault(field, "missing_required_parameter", f"{field} is required"))
    elif not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
        message = f"{field.capitalize()} must be text of 1 to {longest} printable characters"
        faults.append(Fault(field, "invalid_parameter", message))
    return value if isinstance(value, str) else ""


def label(value: Any, field: str, faults: list[Fault]) -> str:
    """A host label."""
    if value in (None, ""):
        faults.append(Fault(field, "missing_required_parameter", f"{field} is required"))
        return ""
    if not isinstance(value, str) or len(value) > LONGEST_LABEL or not LABEL.fullmatch(value):
        message = f"{field.capitalize()} must be a host label of at most {LONGEST_LABEL} of a-z, 0-9 and single hyphens"
        faults.append(Fault(field, "invalid_parameter", message))
        return ""
    return value


def outside_uri(value: Any, field: str, faults: list[Fault]) -> Uri | None:
    """A sip: or sips: URI."""
    if value in (None, ""):
        faults.append(Fault(field, "missing_required_parameter", f"{field} is required"))
        return None
    try:
        uri = parse_uri(value) if isinstance(value, str) and len(value) <= 255 else None
    except PeerError:
        uri = None
    if uri is None or uri.scheme not in ("sip", "sips") or uri.headers:
        message = f"{field.capitalize()} must be a SIP URI, like sip:reception@pbx.example.net"
        faults.append(Fault(field, "invalid_sip_destination", message))
        return None
    return uri


def one_of(body: Mapping[str, Any], field: str, allowed: tuple[str, ...], before: str, faults: list[Fault]) -> str:
    """A word of an enumeration; the first is the default."""
    if field not in body:
        return before
    value = body[field]
    if value in (None, ""):
        return allowed[0]
    if value not in allowed:
        faults.append(Fault(field, "invalid_parameter_value", f"{field} must be one of: {', '.join(allowed)}"))
        return before
    return str(value)


def media_lists(body: Mapping[str, Any], before: Values, faults: list[Fault]) -> Values:
    """`codecs` and `ciphers`, in capitals; [] means the default list."""
    return {
        field: _list(body[field], field, allowed, faults) if field in body else list(before.get(field) or ())
        for field, allowed in (("codecs", (*CODECS, "G729")), ("ciphers", CIPHERS))
    }


def _list(value: Any, field: str, allowed: tuple[str, ...], faults: list[Fault]) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or any(not isinstance(one, str) for one in value):
        faults.append(Fault(field, "invalid_parameter", f"{field.capitalize()} must be a list of names"))
        return []
    names = list(dict.fromkeys(one.upper() for one in value))
    for one in names:
        if one not in allowed and not (field == "codecs" and _OPUS_FORM.fullmatch(one)):
            message = f"{field.capitalize()} contains an invalid entry: {one[:64]}"
            faults.append(Fault(field, "list_contains_invalid_entries", message))
            return []
    return names


def networks(body: Mapping[str, Any], before: Values, most: int, faults: list[Fault]) -> Values:
    """`ip_auth_enabled` and `ip_auth`: at most so many addresses or networks, at least one where they count."""
    enabled = body.get("ip_auth_enabled", before.get("ip_auth_enabled", False)) or False
    if not isinstance(enabled, bool):
        faults.append(Fault("ip_auth_enabled", "invalid_parameter", "Ip_auth_enabled must be true or false"))
        enabled = False
    entries = body.get("ip_auth", before.get("ip_auth", ())) or []
    if not isinstance(entries, list | tuple) or len(entries) > most:
        message = f"Ip_auth must be a list of at most {most} addresses or networks (limits.ip_auth_entries)"
        faults.append(Fault("ip_auth", "invalid_parameter", message))
        entries = []
    for one in entries:
        if not _is_network(one):
            message = f"Ip_auth contains an invalid entry: {str(one)[:64]}"
            faults.append(Fault("ip_auth", "list_contains_invalid_entries", message))
            break
    if enabled and not entries:
        faults.append(
            Fault("ip_auth", "must_specify_related_parameter", "ip_auth is required when ip_auth_enabled is true")
        )
    return {"ip_auth_enabled": enabled, "ip_auth": list(entries)}


def _is_network(text: Any) -> bool:
    if not isinstance(text, str):
        return False
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
