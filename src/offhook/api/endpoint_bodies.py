"""SIP endpoints as OpenAPI states them: what is taken and what is shown (API.md 2.2)."""

from offhook.api.describe import Schema, flag, identifier, list_of, loose, nullable, one_of, record, text, whole
from offhook.api.endpoint_options import RINGS
from offhook.api.schemas import ENCRYPTIONS, HANDLER_FIELDS, OFFHOOK_FIELDS

_OFFHOOK: dict[str, Schema] = {
    **dict.fromkeys(OFFHOOK_FIELDS, loose()),
    "extension": nullable(text(8, 2, r"^\d{2,8}$")),
    "max_calls": whole(1, 100),
    "ring_seconds": whole(5, 600),
    "ring": one_of(*RINGS),
    "do_not_disturb": flag(),
    "enabled": flag(),
}
_FIELDS: dict[str, Schema] = {
    "username": text(64, 1, r"^[A-Za-z0-9._\-+~!]{1,64}$"),
    "caller_id": nullable(text(64)),
    "send_as": text(16),
    "codecs": nullable(list_of(text())),
    "ciphers": nullable(list_of(text())),
    "encryption": one_of(*ENCRYPTIONS),
    "call_handler": nullable(text()),
}
NEW = record(
    "NewSipEndpoint",
    "username",
    "password",
    **_FIELDS,
    password=text(128, 1),
    offhook=record("NewSipEndpointOffhook", **_OFFHOOK),
)
SHOWN = record(
    "SipEndpoint",
    "type",
    "id",
    *_FIELDS,
    "calling_handler_resource_id",
    "offhook",
    type=one_of("sip_endpoint"),
    id=identifier(),
    **_FIELDS,
    calling_handler_resource_id=nullable(identifier()),
    **dict.fromkeys(HANDLER_FIELDS, nullable(text())),
    offhook=record("SipEndpointOffhook", **_OFFHOOK, aor=text(), registered=flag(), reachable=flag()),
)
