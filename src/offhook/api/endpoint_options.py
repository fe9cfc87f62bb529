"""The nested options of an endpoint, `offhook.forward` and `offhook.sip` (API.md 2.2): defaults and checks."""

from collections.abc import Callable
from typing import Any

from offhook.api.errors import Fault

DTMF = ("auto", "rfc4733", "info", "inband")
RINGS = ("parallel", "serial", "q")
FORWARDS: dict[str, Any] = {"always": None, "busy": None, "no_answer": None, "unreachable": None}
SIP: dict[str, Any] = {
    "dtmf": "auto",
    "unsolicited_mwi": False,
    "early_media": True,
    "single_provisional": False,
    "force_rport": False,
    "may_page": False,
    "may_alert": False,
    "may_watch": False,
    "pickup_group": None,
    "challenge_every_invite": False,
}
BLOCK: dict[str, Any] = {"callers": [], "targets": []}
MOST_BLOCKED = 500
"""Entries of one list: it is read for every call."""
DEFAULTS: dict[str, dict[str, Any]] = {"forward": FORWARDS, "sip": SIP, "block": BLOCK}
"""Options that are objects of their own."""


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _dtmf(value: Any) -> str:
    return "" if value in DTMF else f"must be one of: {', '.join(DTMF)}"


def _group(value: Any) -> str:
    fine = value is None or (isinstance(value, str) and 1 <= len(value) <= 64 and value.isprintable())
    return "" if fine else "must be a name of at most 64 printable characters, or null"


def _target(value: Any) -> str:
    fine = value is None or (isinstance(value, str) and 1 <= len(value) <= 250 and value.isprintable())
    return "" if fine and " " not in (value or "") else "must be a name, a number or a SIP URI, or null"


def _names(value: Any) -> str:
    entries = isinstance(value, list) and len(value) <= MOST_BLOCKED
    fine = entries and all(isinstance(one, str) and 1 <= len(one) <= 64 and one.isprintable() for one in value)
    return "" if fine else f"must be a list of at most {MOST_BLOCKED} names or numbers"


_CHECKS: dict[str, dict[str, Callable[[Any], str]]] = {
    "forward": dict.fromkeys(FORWARDS, _target),
    "sip": {
        "dtmf": _dtmf,
        "unsolicited_mwi": _flag,
        "early_media": _flag,
        "single_provisional": _flag,
        "force_rport": _flag,
        "may_page": _flag,
        "may_alert": _flag,
        "may_watch": _flag,
        "pickup_group": _group,
        "challenge_every_invite": _flag,
    },
    "block": {"callers": _names, "targets": _names},
}


def nested_faults(name: str, given: Any) -> list[Fault]:
    """Every fault of one nested object."""
    field = f"offhook.{name}"
    if not isinstance(given, dict):
        return [Fault(field, "invalid_parameter", f"{field} must be an object")]
    faults: list[Fault] = []
    for key, value in given.items():
        check = _CHECKS[name].get(key)
        if check is None:
            continue
        if wrong := check(value):
            code = "invalid_parameter_value" if wrong.startswith("must be one of: ") else "invalid_parameter"
            faults.append(Fault(f"{field}.{key}", code, f"{field}.{key} {wrong}"))
    return faults


def merged(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The options after a change: keys given over old ones, inside the nested objects too."""
    after = {**before, **given}
    for name in DEFAULTS:
        if name in given:
            known = {key: value for key, value in given[name].items() if key in DEFAULTS[name]}
            after[name] = {**before.get(name, {}), **known}
    return after


def with_defaults(stored: dict[str, Any]) -> dict[str, Any]:
    """The nested objects as they are shown, every key present."""
    return {name: {**default, **stored.get(name, {})} for name, default in DEFAULTS.items()}
