"""Validation of request bodies: one pass, every fault named, in field order (API.md 1.5, 2.2, 2.3)."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from offhook.api.endpoint_options import DEFAULTS, RINGS, nested_faults
from offhook.api.errors import Fault

CODECS = ("OPUS", "G722", "PCMU", "PCMA", "VP8", "H264")
"""The default list, in order; G729 and OPUS@… forms are accepted too."""
CIPHERS = (
    "AEAD_AES_128_GCM",
    "AEAD_AES_256_GCM_8",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_80",
    "AES_256_CM_HMAC_SHA1_32",
    "AES_CM_128_HMAC_SHA1_32",
)
ENCRYPTIONS = ("default", "required", "optional")
BUILT_INS = frozenset({"echo", "tone", "music", "clock", "test", "resume"})
MOST_HOURLY = 10_000
"""Of `max_calls_per_hour`: each call of the hour is remembered."""
OFFHOOK_FIELDS = (
    "extension",
    "max_calls",
    "max_calls_per_hour",
    "ring_seconds",
    "ring",
    "do_not_disturb",
    "enabled",
    "direct_media",
    "status_events",
    "forward",
    "sip",
    "block",
)
READ_ONLY = ("aor", "registered", "reachable")
STATUS_EVENTS = ("initiated", "ringing", "answered", "completed")
"""Events of form callbacks (API.md 10.2)."""
_USERNAME = re.compile(r"[A-Za-z0-9._\-+~!]{1,64}")
OPUS_FORM = re.compile(r"OPUS@(48000|24000|16000|8000)H@20I")
_E164 = re.compile(r"\+[1-9]\d{6,14}")

Values = dict[str, Any]
Check = Callable[[Any], tuple[Any, Fault | None]]


@cache
def common_passwords() -> frozenset[str]:
    """Passwords too well known to be allowed, in lower case."""
    return frozenset((files("offhook.api") / "common_passwords.txt").read_text(encoding="utf-8").split())


def _fault(field: str, code: str, message: str) -> tuple[None, Fault]:
    return None, Fault(field, code, message)


def _username(value: Any) -> tuple[Any, Fault | None]:
    rule = "Username must be 1 to 64 letters, digits or . _ - + ~ !"
    if not isinstance(value, str) or not _USERNAME.fullmatch(value):
        return _fault("username", "invalid_parameter", rule)
    if value.casefold() in BUILT_INS or value.casefold().startswith("conference-"):
        return _fault("username", "invalid_parameter", f"{rule}, and not the built-in destination '{value}'")
    return value, None


def _caller_id(value: Any) -> tuple[Any, Fault | None]:
    if value in (None, ""):
        return None, None
    if not isinstance(value, str) or len(value) > 64 or not value.isprintable():
        message = "Caller_id must be a name of at most 64 printable characters"
        return _fault("caller_id", "invalid_parameter", message)
    return value, None


def _send_as(value: Any) -> tuple[Any, Fault | None]:
    if value in (None, "", "random"):
        return "random", None
    if not isinstance(value, str) or not _E164.fullmatch(value):
        message = "Send_as must be in E.164 format, like +15558675309"
        return _fault("send_as", "invalid_number_format", message)
    return value, None


def _list_of(field: str, allowed: Callable[[str], bool]) -> Check:
    def check(value: Any) -> tuple[Any, Fault | None]:
        if value is None:
            return (), None
        if not isinstance(value, list) or any(not isinstance(one, str) for one in value):
            return _fault(field, "invalid_parameter", f"{field.capitalize()} must be a list of names")
        for one in value:
            if not allowed(one.upper()):
                message = f"{field.capitalize()} contains an invalid entry: {one}"
                return _fault(field, "list_contains_invalid_entries", message)
        return tuple(dict.fromkeys(one.upper() for one in value)), None

    return check


def _codec(name: str) -> bool:
    return name in (*CODECS, "G729") or OPUS_FORM.fullmatch(name) is not None


def _encryption(value: Any) -> tuple[Any, Fault | None]:
    if value in (None, ""):
        return "default", None
    if value not in ENCRYPTIONS:
        message = f"encryption must be one of: {', '.join(ENCRYPTIONS)}"
        return _fault("encryption", "invalid_parameter_value", message)
    return value, None


_FIELDS: dict[str, Check] = {
    "username": _username,
    "caller_id": _caller_id,
    "send_as": _send_as,
    "codecs": _list_of("codecs", _codec),
    "ciphers": _list_of("ciphers", lambda name: name in CIPHERS),
    "encryption": _encryption,
}
COMMON = frozenset({*_FIELDS, "password", "offhook"})
"""Fields of an endpoint in every view."""


def endpoint_fields(body: Mapping[str, Any], required: tuple[str, ...]) -> tuple[Values, list[Fault]]:
    """The stored fields of a body that all views share, and every fault. Absent fields stay absent."""
    values: Values = {}
    faults: list[Fault] = []
    for field in ("username", "password", *(name for name in _FIELDS if name != "username"), "offhook"):
        given = body.get(field)
        if field in required and given in (None, ""):
            faults.append(Fault(field, "missing_required_parameter", f"{field} is required"))
        elif field in body and field in _FIELDS:
            value, fault = _FIELDS[field](given)
            faults += [fault] if fault else []
            values[field] = value
        elif field == "offhook" and given is not None:
            values["offhook"], more = _offhook(given)
            faults += more
    return values, faults


_RANGES = {"max_calls": (1, 100, False), "ring_seconds": (5, 600, False), "max_calls_per_hour": (1, MOST_HOURLY, True)}
"""Of whole numbers: the least, the most, and whether null is one."""


def _range_faults(field: str, given: Any, low: int, high: int, none: bool) -> list[Fault]:
    fine = (none and given is None) or (isinstance(given, int) and not isinstance(given, bool) and low <= given <= high)
    rule = f"{field} must be between {low} and {high}{', or null' if none else ''}"
    return [] if fine else [Fault(field, "invalid_parameter", rule)]


def _offhook(value: Any) -> tuple[Values, list[Fault]]:
    if not isinstance(value, dict):
        return {}, [Fault("offhook", "invalid_parameter", "Offhook must be an object")]
    faults: list[Fault] = []
    for name, given in value.items():
        field = f"offhook.{name}"
        if name in _RANGES:
            faults += _range_faults(field, given, *_RANGES[name])
        elif name in DEFAULTS:
            faults += nested_faults(name, given)
        elif name == "ring":
            if given not in RINGS:
                message = f"{field} must be one of: {', '.join(RINGS)}"
                faults.append(Fault(field, "invalid_parameter_value", message))
        elif name in ("do_not_disturb", "enabled", "direct_media"):
            if not isinstance(given, bool):
                faults.append(Fault(field, "invalid_parameter", f"{field} must be true or false"))
        elif name == "extension":
            if given is not None and not (isinstance(given, str) and re.fullmatch(r"\d{2,8}", given)):
                faults.append(Fault(field, "invalid_parameter", f"{field} must be 2 to 8 digits"))
        elif name == "status_events":
            faults += _status_events(field, given)
    return {name: given for name, given in value.items() if name in OFFHOOK_FIELDS}, faults


def _status_events(field: str, given: Any) -> list[Fault]:
    if not isinstance(given, list):
        return [Fault(field, "invalid_parameter", f"{field} must be a list of: {', '.join(STATUS_EVENTS)}")]
    wrong = next((one for one in given if one not in STATUS_EVENTS), None)
    if wrong is None:
        return []
    return [Fault(field, "list_contains_invalid_entries", f"{field} contains an invalid entry: {wrong}")]


def ignored_options(body: Mapping[str, Any]) -> list[str]:
    """Names under `offhook` that nothing here reads, as they are named in X-Offhook-Ignored."""
    given = body.get("offhook")
    if not isinstance(given, dict):
        return []
    known = (*OFFHOOK_FIELDS, *READ_ONLY)
    nested = [(name, key) for name in DEFAULTS if isinstance(given.get(name), dict) for key in given[name]]
    return [
        *(f"offhook.{name}" for name in given if name not in known),
        *(f"offhook.{name}.{key}" for name, key in nested if key not in DEFAULTS[name]),
    ]


def password_fault(password: Any, username: str, shortest: int) -> Fault | None:
    """The rule for passwords (API.md 2.3)."""
    message = f"Password must be at least {shortest} characters and not a common password"
    if not isinstance(password, str) or not shortest <= len(password) <= 128:
        return Fault("password", "password_too_weak", message)
    if password.casefold() == username.casefold() or password.casefold() in common_passwords():
        return Fault("password", "password_too_weak", message)
    return None
