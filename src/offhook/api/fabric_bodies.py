"""Resources and addresses as OpenAPI states them (API.md 2.2, 4.4)."""

from offhook.api.describe import Schema, flag, identifier, loose, moment, nullable, one_of, record, text

_WRAPPER: dict[str, Schema] = {
    "id": identifier(),
    "project_id": identifier(),
    "display_name": text(),
    "type": text(),
    "created_at": moment(),
    "updated_at": moment(),
}
RESOURCE = record("Resource", *_WRAPPER, **_WRAPPER, offhook=loose())
_ADDRESS: dict[str, Schema] = {
    "id": identifier(),
    "name": text(),
    "display_name": text(),
    "cover_url": nullable(text()),
    "preview_url": nullable(text()),
    "locked": flag(),
    "channels": record("AddressChannels", audio=text(), video=text()),
    "created_at": moment(),
    "type": one_of("subscriber", "call", "room", "app"),
}
ADDRESS = record("Address", *_ADDRESS, **_ADDRESS)


def wrapper(name: str, key: str, inner: Schema) -> Schema:
    """The wrapper of one type, with its own fields under `key`."""
    return record(name, *_WRAPPER, key, **_WRAPPER, **{key: inner}, offhook=loose())
