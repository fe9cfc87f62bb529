"""Trunks as OpenAPI states them (API.md 12.1)."""

from offhook.api.describe import (
    Schema,
    flag,
    identifier,
    list_of,
    loose,
    moment,
    nullable,
    number,
    one_of,
    record,
    text,
    whole,
    without_required,
)
from offhook.api.schemas import CIPHERS

_TARGET = record(
    "TrunkTarget", "uri", uri=text(1024, 1), transport=one_of("auto", "udp", "tcp", "tls"), priority=whole(0, 65535),
    weight=whole(0, 65535), enabled=flag(),
)  # fmt: skip
_RULE = record("TrunkPrefixRule", "prefix", prefix=text(pattern=r"^\+?[\d*#]*$"), strip=whole(0, 15), prepend=text())
_PREFIXES = list_of(text(16, pattern=r"^\+\d{0,15}$"), 500)
_NUMBER = text(16, pattern=r"^\+[1-9]\d{1,14}$")
_FIELDS: dict[str, Schema] = {
    "name": text(64, 1),
    "description": text(500),
    "enabled": flag(),
    "targets": list_of(_TARGET, 16, 1),
    "outbound_proxy": nullable(text(1024)),
    "username": nullable(text(128)),
    "auth_username": nullable(text(128)),
    "realm": nullable(text(255)),
    "from_user": nullable(text(128)),
    "from_domain": nullable(text(255)),
    "contact_user": nullable(text(128)),
    "register": flag(),
    "expires": whole(60, 86_400),
    "inbound": record(
        "TrunkInbound", enabled=flag(), allow=list_of(text(49), 256), trust_targets=flag(),
        digest_username=nullable(text(128)), digest_password=nullable(text(128)),
    ),
    "numbers": record(
        "TrunkNumbers", called_from=one_of("request_uri", "to", "p_called_party_id", "diversion"),
        country_code=nullable(text(3)), national_prefix=text(5), international_prefix=text(8),
        outbound_format=one_of("e164_plus", "e164", "international", "national"), outbound_rules=list_of(_RULE, 100),
        inbound_rules=list_of(_RULE, 100),
    ),
    "did_ranges": list_of(text(33), 1000),
    "caller_id": record(
        "TrunkCallerId", policy=one_of("endpoint", "fixed", "passthrough"), number=nullable(_NUMBER), name=flag(),
        identity=one_of("pai", "rpid", "none"),
    ),
    "allowed_prefixes": _PREFIXES,
    "blocked_prefixes": _PREFIXES,
    "emergency": flag(),
    "priority": whole(0, 65535),
    "weight": whole(0, 65535),
    "max_channels": whole(1, 10_000),
    "max_channels_in": nullable(whole(1, 10_000)),
    "max_channels_out": nullable(whole(1, 10_000)),
    "max_calls_per_second": whole(1, 10_000),
    "max_calls_per_hour": nullable(whole(1, 1_000_000)),
    "max_call_seconds": whole(10, 604_800),
    "max_daily_minutes": nullable(whole(1, 1_000_000)),
    "pass_headers": list_of(text(), 50),
    "user_phone": flag(),
    "accept_refer": flag(),
    "accept_messages": flag(),
    "codecs": list_of(text(), 10, 1),
    "encryption": one_of("optional", "required", "forbidden"),
    "ciphers": list_of(one_of(*CIPHERS), 6),
    "dtmf": one_of("auto", "rfc4733", "info", "inband"),
    "ptime": whole(10, 60),
    "session_timer": one_of("off", "allowed", "required"),
    "failover": record(
        "TrunkFailover", statuses=list_of(whole(400, 699), 100), timeout_ms=whole(500, 30_000), max_attempts=whole(1, 16)
    ),
    "health": record(
        "TrunkHealth", options_interval=whole(0, 3600), options_timeout_ms=whole(500, 30_000), down_after=whole(1, 10),
        up_after=whole(1, 10),
    ),
}  # fmt: skip
NEW = record("NewTrunk", "name", "targets", **_FIELDS, password=nullable(text(128)))
CHANGE = without_required("TrunkChange", record("", **_FIELDS, password=nullable(text(128))))
SHOWN = record(
    "Trunk", "id", "name", "targets", "status", id=identifier(), type=text(), password_set=flag(), created_at=moment(),
    updated_at=moment(), status=loose(), **_FIELDS,
)  # fmt: skip
TEST = record("TrunkTest", to=_NUMBER)
_STEP = record(
    "TrunkTestStep", "name", "ok", "ms", name=text(), ok=flag(), ms=number(), sip_code=nullable(whole()),
    code=nullable(text()), remedy=nullable(text()), text=text(),
)  # fmt: skip
TESTED = record("TrunkTested", "ok", "steps", ok=flag(), steps=list_of(_STEP))
