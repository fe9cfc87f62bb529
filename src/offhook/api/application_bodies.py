"""Domain applications and SIP addresses as OpenAPI states them (API.md 6.2, 6.3)."""

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
    without_required,
)
from offhook.api.handler_fields import COMPANIONS, FIELDS
from offhook.api.schemas import CIPHERS

ENCRYPTIONS = ("optional", "required", "forbidden")
_LABEL = text(50, 1, r"^[a-z0-9]+(-[a-z0-9]+)*$")
_SHARED: dict[str, Schema] = {
    "user": text(64),
    "ip_auth_enabled": flag(),
    "ip_auth": list_of(text(49), 256),
    "encryption": one_of(*ENCRYPTIONS),
    "codecs": list_of(text()),
    "ciphers": list_of(one_of(*CIPHERS)),
}
_APPLICATION: dict[str, Schema] = {
    "name": nullable(text(64)),
    "identifier": _LABEL,
    **_SHARED,
    "call_handler": nullable(one_of(*COMPANIONS)),
    "calling_handler_resource_id": nullable(text(255)),
    **{name: nullable(text(2048)) for name in FIELDS},
}
NEW_APPLICATION = record("NewDomainApplication", "identifier", **_APPLICATION)
APPLICATION_CHANGE = without_required("DomainApplicationChange", record("", **_APPLICATION))
APPLICATION = record(
    "DomainApplication", "id", "type", "identifier", "domain", "offhook", id=identifier(), type=text(), domain=text(),
    offhook=record("DomainApplicationOptions", "uri", uri=text()), **_APPLICATION,
)  # fmt: skip
ASSIGNMENT = record("DomainApplicationRoute", "domain_application_id", domain_application_id=text())

_ADDRESS: dict[str, Schema] = {"name": _LABEL, "context_id": nullable(text(64)), **_SHARED}
NEW_ADDRESS = record(
    "NewSipAddress", "name", "calling_handler_resource_id", calling_handler_resource_id=text(), password=text(128),
    **_ADDRESS,
)  # fmt: skip
ADDRESS_CHANGE = without_required("SipAddressChange", record("", password=nullable(text(128)), **_ADDRESS))
SIP_ADDRESS = record(
    "SipAddress", "id", "type", "name", "resource_id", "uri", id=identifier(), type=text(), resource_id=identifier(),
    calling_handler_resource_id=identifier(), display_name=text(), context=text(), uri=text(), created_at=moment(),
    updated_at=moment(), **_ADDRESS,
)  # fmt: skip
ANY = loose()
