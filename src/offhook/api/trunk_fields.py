"""The fields of a trunk (API.md 12.1): defaults, limits and words, in one place for every way in.

`trunk_fields` gives the plain form that `calls.trunk.read_trunk` reads and the store keeps. Secrets (`password`,
`inbound.digest_password`) are checked here and kept elsewhere.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from offhook.api.errors import Fault
from offhook.api.schemas import CIPHERS, CODECS
from offhook.calls.description import SPEECH
from offhook.sip.errors import PeerError
from offhook.sip.grammar import TOKEN
from offhook.sip.uri import parse_host_port, parse_uri

Values = dict[str, Any]
Check = Callable[[str, Any, list[Fault]], Any]

E164 = re.compile(r"\+[1-9]\d{1,14}")
PREFIX = re.compile(r"\+\d{0,15}")
_RANGE = re.compile(r"(\+[1-9]\d{6,14})(?:-(\+[1-9]\d{6,14}))?")
_DIALABLE = re.compile(r"\+?[\d*#]*")
_COUNTRY = re.compile(r"[A-Z]{2}|[1-9]\d{0,2}")
_USER = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/%]{1,128}")

STATUSES = range(400, 700)
NEVER = (486, 600, 603)


def _say(faults: list[Fault], field: str, text: str, code: str = "invalid_parameter") -> None:
    faults.append(Fault(field, code, f"{field} {text}"))


def _text(longest: int, shortest: int = 0, none: bool = False) -> Check:
    def check(field: str, value: Any, faults: list[Fault]) -> Any:
        if none and value in (None, ""):
            return None
        if not isinstance(value, str) or not shortest <= len(value) <= longest or not value.isprintable():
            _say(faults, field, f"must be text of {shortest} to {longest} printable characters")
        return value

    return check


def _flag(field: str, value: Any, faults: list[Fault]) -> Any:
    if not isinstance(value, bool):
        _say(faults, field, "must be true or false")
    return value


def _whole(low: int, high: int, none: bool = False, or_zero: bool = False) -> Check:
    def check(field: str, value: Any, faults: list[Fault]) -> Any:
        if none and value is None:
            return None
        fits = (
            isinstance(value, int)
            and not isinstance(value, bool)
            and (low <= value <= high or (or_zero and value == 0))
        )
        if not fits:
            also = " or 0" if or_zero else ""
            _say(faults, field, f"must be a whole number from {low} to {high}{also}{', or null' if none else ''}")
        return value

    return check


def _one_of(*names: str) -> Check:
    def check(field: str, value: Any, faults: list[Fault]) -> Any:
        if value not in names:
            _say(faults, field, f"must be one of: {', '.join(names)}", "invalid_parameter_value")
        return value

    return check


def _like(pattern: re.Pattern[str], words: str, none: bool = False) -> Check:
    def check(field: str, value: Any, faults: list[Fault]) -> Any:
        if none and value in (None, ""):
            return None
        if not isinstance(value, str) or not pattern.fullmatch(value):
            _say(faults, field, f"must be {words}")
        return value

    return check


def _list(most: int, each: Check, least: int = 0) -> Check:
    def check(field: str, value: Any, faults: list[Fault]) -> Any:
        if not isinstance(value, list) or not least <= len(value) <= most:
            _say(faults, field, f"must be a list of {least} to {most} entries")
            return []
        return [each(f"{field}[{at}]", one, faults) for at, one in enumerate(value)]

    return check


def _object(fields: Mapping[str, tuple[Any, Check]], required: tuple[str, ...] = ()) -> Check:
    def check(field: str, value: Any, faults: list[Fault]) -> Any:
        if not isinstance(value, dict):
            _say(faults, field, "must be an object")
            return {name: default for name, (default, _) in fields.items()}
        for name in required:
            if name not in value:
                _say(faults, f"{field}.{name}", "is required", "missing_required_parameter")
        for name in value:
            if name not in fields:
                _say(faults, f"{field}.{name}", f"is not known; known: {', '.join(fields)}", "unknown_parameter")
        return {
            name: each(f"{field}.{name}", value[name], faults) if name in value else default
            for name, (default, each) in fields.items()
        }

    return check


def _sip_uri(field: str, value: Any, faults: list[Fault]) -> Any:
    try:
        uri = parse_uri(value) if isinstance(value, str) else None
    except PeerError:
        uri = None
    if uri is None or uri.scheme not in ("sip", "sips") or not uri.host:
        _say(faults, field, "must be a SIP URI, like sip:carrier.example or sip:198.51.100.7:5080")
    elif (uri.params.get("transport") or "udp") not in ("udp", "tcp", "tls"):
        _say(faults, field, "names a transport that trunks do not have; use udp, tcp or tls")
    return value


def _proxy(field: str, value: Any, faults: list[Fault]) -> Any:
    return None if value in (None, "") else _sip_uri(field, value, faults)


def _host(field: str, value: Any, faults: list[Fault]) -> Any:
    if value in (None, ""):
        return None
    try:
        parse_host_port(value) if isinstance(value, str) else None
    except PeerError:
        _say(faults, field, "must be a domain or an address")
    if not isinstance(value, str):
        _say(faults, field, "must be a domain or an address")
    return value


def _network(field: str, value: Any, faults: list[Fault]) -> Any:
    try:
        ipaddress.ip_network(value, strict=False)
    except (ValueError, TypeError):
        _say(faults, field, "must be an address or a network, like 198.51.100.0/24")
    return value


def _did_range(field: str, value: Any, faults: list[Fault]) -> Any:
    found = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        _say(faults, field, 'must be a number or a range, like "+15125550100" or "+15125550100-+15125550199"')
    elif found.group(2) and (len(found.group(1)) != len(found.group(2)) or found.group(1) > found.group(2)):
        _say(faults, field, "must run from the lower to the higher number of one length")
    return value


def _status(field: str, value: Any, faults: list[Fault]) -> Any:
    if not isinstance(value, int) or isinstance(value, bool) or value not in STATUSES:
        _say(faults, field, "must be a SIP status from 400 to 699")
    elif value in NEVER:
        _say(faults, field, f"is the callee's own answer; {', '.join(map(str, NEVER))} never lead to another target")
    return value


def _field_name(field: str, value: Any, faults: list[Fault]) -> Any:
    if not isinstance(value, str) or not TOKEN.fullmatch(value.rstrip("*")):
        _say(faults, field, "must be the name of a header field, like Diversion or X-*")
    elif value.casefold() in OWN_FIELDS:
        _say(faults, field, f"{value} is written by the server and cannot be passed")
    return value


OWN_FIELDS = frozenset(
    {"via", "from", "to", "call-id", "cseq", "contact", "route", "record-route", "max-forwards", "content-length"}
    | {"content-type", "authorization", "proxy-authorization", "allow", "supported", "require", "session-expires"}
    | {"min-se", "privacy", "p-asserted-identity", "p-preferred-identity", "remote-party-id"}
)
"""Fields of a dialog, and those that caller-ID policy owns (TRK-8: hints are never passed)."""


def _codec(field: str, value: Any, faults: list[Fault]) -> Any:
    name = value.upper() if isinstance(value, str) else ""
    if name not in (*CODECS, "G729"):
        _say(faults, field, f"{value!r} is no codec; known: {', '.join(CODECS)}, G729", "list_contains_invalid_entries")
    return name


def _cipher(field: str, value: Any, faults: list[Fault]) -> Any:
    if value not in CIPHERS:
        _say(faults, field, f"{value!r} is no cipher; known: {', '.join(CIPHERS)}", "list_contains_invalid_entries")
    return value


_RULE = _object(
    {
        "prefix": ("", _like(_DIALABLE, "digits, perhaps with a leading +")),
        "strip": (0, _whole(0, 15)),
        "prepend": ("", _like(_DIALABLE, "digits, perhaps with a leading +")),
    },
    ("prefix",),
)
_TARGET = _object(
    {
        "uri": (None, _sip_uri),
        "transport": ("auto", _one_of("auto", "udp", "tcp", "tls")),
        "priority": (10, _whole(0, 65535)),
        "weight": (10, _whole(0, 65535)),
        "enabled": (True, _flag),
    },
    ("uri",),
)
INBOUND: Values = {
    "enabled": True,
    "allow": [],
    "trust_targets": True,
    "digest_username": None,
}
NUMBERS: Values = {
    "called_from": "request_uri",
    "country_code": None,
    "national_prefix": "",
    "international_prefix": "00",
    "outbound_format": "e164_plus",
    "outbound_rules": [],
    "inbound_rules": [],
}
CALLER_ID: Values = {"policy": "endpoint", "number": None, "name": True, "identity": "pai"}
FAILOVER: Values = {"statuses": [408, 500, 502, 503, 504], "timeout_ms": 4000, "max_attempts": 4}
HEALTH: Values = {"options_interval": 30, "options_timeout_ms": 4000, "down_after": 2, "up_after": 1}


def _nested(defaults: Values, **checks: Check) -> Check:
    return _object({name: (defaults[name], check) for name, check in checks.items()})


FIELDS: dict[str, tuple[Any, Check]] = {
    "name": (None, _text(64, 1)),
    "description": ("", _text(500)),
    "enabled": (True, _flag),
    "targets": (None, _list(16, _TARGET, 1)),
    "outbound_proxy": (None, _proxy),
    "username": (None, _text(128, 1, none=True)),
    "auth_username": (None, _text(128, 1, none=True)),
    "realm": (None, _text(255, 1, none=True)),
    "from_user": (None, _like(_USER, "the user part of a SIP address", none=True)),
    "from_domain": (None, _host),
    "contact_user": (None, _like(_USER, "the user part of a SIP address", none=True)),
    "register": (False, _flag),
    "expires": (3600, _whole(60, 86_400)),
    "inbound": (
        INBOUND,
        _nested(
            INBOUND,
            enabled=_flag,
            allow=_list(256, _network),
            trust_targets=_flag,
            digest_username=_text(128, 1, none=True),
        ),
    ),
    "numbers": (
        NUMBERS,
        _nested(
            NUMBERS,
            called_from=_one_of("request_uri", "to", "p_called_party_id", "diversion"),
            country_code=_like(_COUNTRY, "an ISO country code like US, or a calling code like 49", none=True),
            national_prefix=_like(re.compile(r"\d{0,5}"), "up to five digits"),
            international_prefix=_like(re.compile(r"\d{0,8}"), "up to eight digits"),
            outbound_format=_one_of("e164_plus", "e164", "international", "national"),
            outbound_rules=_list(100, _RULE),
            inbound_rules=_list(100, _RULE),
        ),
    ),
    "did_ranges": ([], _list(1000, _did_range)),
    "caller_id": (
        CALLER_ID,
        _nested(
            CALLER_ID,
            policy=_one_of("endpoint", "fixed", "passthrough"),
            number=_like(E164, "E.164, like +15125550100", none=True),
            name=_flag,
            identity=_one_of("pai", "rpid", "none"),
        ),
    ),
    "allowed_prefixes": ([], _list(500, _like(PREFIX, "a prefix in E.164, like +1512, or + for every number"))),
    "blocked_prefixes": ([], _list(500, _like(PREFIX, "a prefix in E.164, like +1900"))),
    "emergency": (False, _flag),
    "priority": (10, _whole(0, 65535)),
    "weight": (10, _whole(0, 65535)),
    "max_channels": (30, _whole(1, 10_000)),
    "max_channels_in": (None, _whole(1, 10_000, none=True)),
    "max_channels_out": (None, _whole(1, 10_000, none=True)),
    "max_calls_per_second": (10, _whole(1, 10_000)),
    "max_calls_per_hour": (None, _whole(1, 1_000_000, none=True)),
    "max_call_seconds": (14_400, _whole(10, 604_800)),
    "max_daily_minutes": (None, _whole(1, 1_000_000, none=True)),
    "pass_headers": ([], _list(50, _field_name)),
    "user_phone": (False, _flag),
    "accept_refer": (False, _flag),
    "accept_messages": (False, _flag),
    "codecs": (["PCMU", "PCMA"], _list(10, _codec, 1)),
    "encryption": ("optional", _one_of("optional", "required", "forbidden")),
    "ciphers": ([], _list(6, _cipher)),
    "dtmf": ("auto", _one_of("auto", "rfc4733", "info", "inband")),
    "ptime": (20, _whole(10, 60)),
    "session_timer": ("allowed", _one_of("off", "allowed", "required")),
    "failover": (
        FAILOVER,
        _nested(FAILOVER, statuses=_list(100, _status), timeout_ms=_whole(500, 30_000), max_attempts=_whole(1, 16)),
    ),
    "health": (
        HEALTH,
        _nested(
            HEALTH,
            options_interval=_whole(10, 3600, or_zero=True),
            options_timeout_ms=_whole(500, 30_000),
            down_after=_whole(1, 10),
            up_after=_whole(1, 10),
        ),
    ),
}
"""Every field with its default and its check. The order is that of API.md 12.1, and of the faults."""

ORDER = (
    "name",
    "description",
    "enabled",
    "targets",
    "outbound_proxy",
    "username",
    "auth_username",
    "password",
    *FIELDS,
)
"""Of the faults: the password stands where API.md 12.1 has it."""
NESTED = ("inbound", "numbers", "caller_id", "failover", "health")
"""Objects whose given members are laid over the ones that stand."""
SECRETS = ("password",)
READ_ONLY = ("id", "status", "password_set", "created_at", "updated_at", "type", "project_id")


def trunk_fields(body: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> tuple[Values, list[Fault]]:
    """All settings of a trunk after a request, and every fault in it. `before` are those that stand, None for a new one.

    Members of nested objects that are not given keep their value; lists are replaced as a whole.
    """
    faults: list[Fault] = []
    values: Values = {}
    for name in [one for one in body if one not in FIELDS and one not in (*SECRETS, *READ_ONLY)]:
        _say(faults, name, "is not a field of a trunk", "unknown_parameter")
    for name, (default, check) in FIELDS.items():
        standing = before[name] if before is not None else default
        if name not in body:
            if standing is None and name in ("name", "targets"):
                _say(faults, name, "is required", "missing_required_parameter")
            values[name] = standing
            continue
        given = body[name]
        if name in NESTED and isinstance(given, dict):
            # The digest password of inbound calls is a secret, and stands beside these.
            given = {**standing, **{key: value for key, value in given.items() if key != "digest_password"}}
        values[name] = check(name, given, faults)
    if not faults:
        _together(values, faults)
    return values, faults


def _together(values: Values, faults: list[Fault]) -> None:
    """What two fields must agree on."""
    if not set(values["codecs"]) & set(SPEECH):
        _say(
            faults,
            "codecs",
            f"must have one that can be understood here: {', '.join(SPEECH)}",
            "list_contains_invalid_entries",
        )
    if values["register"] and not values["username"]:
        _say(faults, "username", "is required to register", "missing_required_parameter")
    if values["caller_id"]["policy"] == "fixed" and not values["caller_id"]["number"]:
        _say(faults, "caller_id.number", "is required with policy fixed", "missing_required_parameter")
    if values["encryption"] == "required":
        for at, target in enumerate(values["targets"]):
            if target["transport"] in ("udp", "tcp"):
                _say(faults, f"targets[{at}].transport", "must be tls or auto when encryption is required")
    for name in ("max_channels_in", "max_channels_out"):
        if values[name] is not None and values[name] > values["max_channels"]:
            _say(faults, name, f"must not be above max_channels ({values['max_channels']})")


def secret_fault(field: str, value: Any) -> Fault | None:
    """A password of a carrier: theirs to choose, ours only to carry."""
    if value is None or (isinstance(value, str) and 1 <= len(value) <= 256 and value.isprintable()):
        return None
    return Fault(field, "invalid_parameter", f"{field} must be text of 1 to 256 printable characters, or null")


def overlaps(ranges: list[str], others: list[str]) -> str | None:
    """The first of our DID ranges that another trunk has too."""
    theirs = [_ends(one) for one in others]
    for one in ranges:
        first, last = _ends(one)
        if any(len(first) == len(a) and first <= b and a <= last for a, b in theirs):
            return one
    return None


def _ends(text: str) -> tuple[str, str]:
    first, _, last = text.partition("-")
    return first, last or first
