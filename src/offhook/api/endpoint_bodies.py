"""SIP endpoints as OpenAPI states them: what is taken and what is shown (API.md 2.2)."""

from offhook.api.describe import Schema, flag, identifier, list_of, loose, nullable, one_of, record, text, whole
from offhook.api.endpoint_options import RINGS
from offhook.api.fabric_bodies import wrapper
from offhook.api.handler_fields import OF_ENDPOINTS, OF_ENDPOINTS_FIELDS
from offhook.api.schemas import ENCRYPTIONS, MOST_HOURLY, OFFHOOK_FIELDS, STATUS_EVENTS

_OFFHOOK: dict[str, Schema] = {
    **dict.fromkeys(OFFHOOK_FIELDS, loose()),
    "extension": nullable(text(8, 2, r"^\d{2,8}$")),
    "max_calls": whole(1, 100),
    "max_calls_per_hour": nullable(whole(1, MOST_HOURLY)),
    "ring_seconds": whole(5, 600),
    "ring": one_of(*RINGS),
    "do_not_disturb": flag(),
    "enabled": flag(),
    "direct_media": flag(),
    "status_events": list_of(one_of(*STATUS_EVENTS)),
}
_FIELDS: dict[str, Schema] = {
    "username": text(64, 1, r"^[A-Za-z0-9._\-+~!]{1,64}$"),
    "caller_id": nullable(text(64)),
    "send_as": text(16),
    "codecs": nullable(list_of(text())),
    "ciphers": nullable(list_of(text())),
    "encryption": one_of(*ENCRYPTIONS),
}
_HANDLER: dict[str, Schema] = {
    "call_handler": nullable(one_of(*OF_ENDPOINTS)),
    **dict.fromkeys(OF_ENDPOINTS_FIELDS, nullable(text())),
}
_POLICY: dict[str, Schema] = {
    "call_handler": one_of("default", "passthrough", "block-pstn", "resource"),
    "calling_handler_resource_id": nullable(identifier()),
}
_PASSWORD = text(128, 1)
_OWN = record("SipEndpointOffhook", **_OFFHOOK, aor=text(), registered=flag(), reachable=flag())
_OPTIONS = record("NewSipEndpointOffhook", **_OFFHOOK)
NEW = record("NewSipEndpoint", "username", "password", **_FIELDS, **_HANDLER, password=_PASSWORD, offhook=_OPTIONS)
SHOWN = record(
    "SipEndpoint",
    "type",
    "id",
    *_FIELDS,
    "call_handler",
    "calling_handler_resource_id",
    "offhook",
    type=one_of("sip_endpoint"),
    id=identifier(),
    **_FIELDS,
    **_HANDLER,
    calling_handler_resource_id=nullable(identifier()),
    offhook=_OWN,
)
NEW_FABRIC = record(
    "NewFabricSipEndpoint", "username", **_FIELDS, **_POLICY, id=identifier(), password=_PASSWORD, offhook=_OPTIONS
)
_INNER = record("FabricSipEndpoint", "id", *_FIELDS, *_POLICY, id=identifier(), **_FIELDS, **_POLICY)
SHOWN_FABRIC = wrapper("SipEndpointResource", "sip_endpoint", _INNER)
NEW_OF_SUBSCRIBER = record(
    "NewSubscriberSipEndpoint", "username", "password", **_FIELDS, password=_PASSWORD, offhook=_OPTIONS
)
SHOWN_FLAT = record("SubscriberSipEndpoint", "id", *_FIELDS, "offhook", id=identifier(), **_FIELDS, offhook=_OWN)
