"""The fields of a SIP profile (API.md section 3): checks and words."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from offhook.api.errors import Fault
from offhook.api.schemas import CIPHERS, CODECS, OPUS_FORM

E164 = re.compile(r"\+[1-9]\d{6,14}")
IDENTIFIER = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.IGNORECASE
)
ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,250}|null")
COUNTRY = re.compile(r"[A-Z]{2}")
MOST = 50
"""Aliases and origins of one project: each is looked up for every message."""
DEFAULT_ENCRYPTIONS = ("optional", "required")
POLICIES = ("passthrough", "block-pstn")
EXTERNAL = ("all", "api_only", "none")
FIELDS = ("domain_identifier", "default_codecs", "default_ciphers", "default_encryption", "default_send_as")
OWN_FIELDS = ("outbound_policy", "pstn_enabled", "external_sip", "aliases", "origins", "country")
READ_ONLY = ("domain", "type", "id")
OWN_READ_ONLY = ("realm", "websocket_urls")

Values = dict[str, Any]


def profile_fields(body: Mapping[str, Any], numbers: frozenset[str], own_domain: bool) -> tuple[Values, list[Fault]]:
    """The stored fields that a body gives, and every fault in field order. `numbers` are ours or verified; hosts and country
    are of a domain, so that a project which shares the root project's cannot choose them."""
    faults: list[Fault] = []
    values: Values = {}
    for name in FIELDS:
        if name in body:
            values[name] = _CHECKS[name](name, body[name], faults)
    if values.get("default_send_as") is not None and values["default_send_as"] not in numbers:
        message = "Default_send_as must be a number of this project or a verified caller id"
        faults.append(Fault("default_send_as", "not_purchased_or_verified", message))
    own = body.get("offhook", {})
    if not isinstance(own, dict):
        faults.append(Fault("offhook", "invalid_parameter", "Offhook must be an object"))
        own = {}
    given: Values = {}
    for name in OWN_FIELDS:
        if name in own:
            given[name] = _CHECKS[name](f"offhook.{name}", own[name], faults)
    for name in ("aliases", "country"):
        if given.get(name) and not own_domain:
            message = f"offhook.{name} must be set by the root project, whose domain this project shares"
            faults.append(Fault(f"offhook.{name}", "invalid_parameter", message))
    if given:
        values["offhook"] = given
    return values, faults


def ignored(body: Mapping[str, Any], suffix: bool) -> list[str]:
    """Fields that have no effect, by their names."""
    names = [name for name in body if name not in (*FIELDS, *READ_ONLY, "offhook")]
    own = body.get("offhook")
    names += (
        [f"offhook.{one}" for one in own if one not in (*OWN_FIELDS, *OWN_READ_ONLY)] if isinstance(own, dict) else []
    )
    return names + (["domain_identifier"] if "domain_identifier" in body and not suffix else [])


def _say(faults: list[Fault], field: str, rule: str, code: str = "invalid_parameter") -> None:
    faults.append(Fault(field, code, f"{field[:1].upper()}{field[1:]} {rule}"))


Check = Callable[[str, Any, list[Fault]], Any]


def _names(fits: Callable[[str], bool]) -> Check:
    def check(field: str, value: Any, faults: list[Fault]) -> Any:
        if not isinstance(value, list) or not value or any(not isinstance(one, str) for one in value):
            _say(faults, field, "must be a list of at least one name")
            return []
        for one in value:
            if not fits(one.upper()):
                _say(faults, field, f"contains an invalid entry: {one[:64]}", "list_contains_invalid_entries")
        return list(dict.fromkeys(one.upper() for one in value))

    return check


def _one_of(*words: str) -> Check:
    def check(field: str, value: Any, faults: list[Fault]) -> Any:
        if value not in words:
            faults.append(Fault(field, "invalid_parameter_value", f"{field} must be one of: {', '.join(words)}"))
        return value

    return check


def _like(pattern: re.Pattern[str], rule: str, code: str = "invalid_parameter") -> Check:
    def check(field: str, value: Any, faults: list[Fault]) -> Any:
        if value in (None, ""):
            return None
        if not isinstance(value, str) or not pattern.fullmatch(value):
            _say(faults, field, f"must be {rule}", code)
        return value if isinstance(value, str) else None  # what comes next looks texts up

    return check


def _entries(fits: Callable[[str], bool], what: str) -> Check:
    def check(field: str, value: Any, faults: list[Fault]) -> Any:
        if not isinstance(value, list) or len(value) > MOST or any(not isinstance(one, str) for one in value):
            _say(faults, field, f"must be a list of at most {MOST} {what}")
            return []
        for one in value:
            if not fits(one):
                _say(faults, field, f"contains an invalid entry: {one[:64]}", "list_contains_invalid_entries")
        return list(dict.fromkeys(value))

    return check


def _flag(field: str, value: Any, faults: list[Fault]) -> Any:
    if not isinstance(value, bool):
        _say(faults, field, "must be true or false")
    return value


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return HOST.fullmatch(text) is not None
    return True


_CHECKS: dict[str, Check] = {
    "domain_identifier": _like(
        re.compile(rf"(?=.{{1,63}}$){IDENTIFIER.pattern}"), "at most 63 lower-case letters, digits and single hyphens"
    ),
    "default_codecs": _names(lambda name: name in (*CODECS, "G729") or OPUS_FORM.fullmatch(name) is not None),
    "default_ciphers": _names(lambda name: name in CIPHERS),
    "default_encryption": _one_of(*DEFAULT_ENCRYPTIONS),
    "default_send_as": _like(E164, "in E.164 format, like +15558675309", "invalid_number_format"),
    "outbound_policy": _one_of(*POLICIES),
    "pstn_enabled": _flag,
    "external_sip": _one_of(*EXTERNAL),
    "aliases": _entries(_is_host, "hosts"),
    "origins": _entries(lambda one: ORIGIN.fullmatch(one) is not None, "origins like https://app.example.com"),
    "country": _like(COUNTRY, "an ISO 3166 country, like US"),
}
