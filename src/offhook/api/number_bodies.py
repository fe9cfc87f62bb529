"""Phone numbers, caller ids and look-ups as OpenAPI states them (API.md section 5)."""

from offhook.api.describe import (
    Schema,
    flag,
    identifier,
    list_of,
    loose,
    moment,
    nullable,
    one_of,
    record,
    text,
    whole,
    without_required,
)
from offhook.api.handler_fields import COMPANIONS, FIELDS
from offhook.api.number_fields import CAPABILITIES, EVENTS, KINDS, MESSAGES

_NUMBER = text(16, pattern=r"^\+[1-9]\d{6,14}$")
_OWN = record(
    "NumberOptions",
    trunk_id=nullable(identifier()),
    caller_name=nullable(text(64)),
    ring_seconds=whole(5, 600),
    fallback=nullable(text(255)),
    status_events=list_of(one_of(*EVENTS), 4),
)
_HANDLER: dict[str, Schema] = {
    "call_handler": nullable(one_of(*COMPANIONS)),
    "calling_handler_resource_id": nullable(text(255)),
    **{name: nullable(text(2048)) for name in FIELDS},
}
_MESSAGES: dict[str, Schema] = {name: nullable(text(2048)) for name in MESSAGES}
_CHANGEABLE: dict[str, Schema] = {"name": nullable(text(64)), **_HANDLER, **_MESSAGES, "offhook": _OWN}
CLAIM = record("NumberClaim", "number", number=_NUMBER, **_CHANGEABLE)
IMPORT = record(
    "NumberImport", "number", number=_NUMBER, number_type=one_of(*KINDS), capabilities=list_of(one_of(*CAPABILITIES), 4),
    **_CHANGEABLE,
)  # fmt: skip
CHANGE = without_required("NumberChange", record("", **_CHANGEABLE))
_SHOWN: dict[str, Schema] = {
    "id": identifier(),
    "number": _NUMBER,
    "number_type": one_of("longcode", "toll-free"),
    "capabilities": list_of(one_of(*CAPABILITIES)),
    "country_code": nullable(text(2)),
    "e911_address_id": nullable(text()),
    "e911_status": nullable(text()),
    "created_at": moment(),
    "updated_at": moment(),
    "next_billed_at": nullable(moment()),
    "call_receive_mode": one_of("voice"),
    "messaging_handler_resource_id": nullable(text()),
    **_CHANGEABLE,
}
SHOWN = record("PhoneNumber", "id", "number", "name", "call_handler", "offhook", **_SHOWN)
FREE = record(
    "FreeNumber", "number", "e164", number=_NUMBER, e164=_NUMBER, region=nullable(text()), city=nullable(text()),
    rate_center=nullable(text()), lata=nullable(text()), capabilities=loose(),
)  # fmt: skip
ROUTE = record("PhoneRoute", "phone_route_id", phone_route_id=text(), handler=one_of("calling", "messaging"))

NEW_CALLER = record(
    "NewCallerId", "number", number=_NUMBER, name=nullable(text(64)), extension=nullable(text(8)), offhook=loose()
)
CALLER_CHANGE = record("CallerIdChange", name=nullable(text(64)), offhook=record("CallerIdDecision", verified=flag()))
CODE = record("VerificationCode", "verification_code", verification_code=text(16))
CALLER = record(
    "CallerId", "type", "id", "number", "verified", "status", type=text(), id=identifier(), number=_NUMBER,
    name=nullable(text()), extension=nullable(text()), verified=flag(), verified_at=nullable(moment()),
    status=one_of("Verified", "Awaiting Verification"),
)  # fmt: skip
LOOKUP = record(
    "NumberFacts", "e164", country_code_number=whole(), national_number=text(), possible_number=flag(),
    valid_number=flag(), national_number_formatted=text(), international_number_formatted=text(), e164=_NUMBER,
    location=nullable(text()), country_code=nullable(text()), timezones=list_of(text()), number_type=text(),
    carrier=loose(), cnam=loose(),
)  # fmt: skip
