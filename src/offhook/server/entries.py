"""What numbers and addresses lead to, read from the store's memory for the call path (calls.entry).

Lives here: rows to entries. Never here: what a call does about them (calls/handling.py).
"""

from typing import TYPE_CHECKING, Any

from offhook.calls.caller_id import CallerNumbers
from offhook.calls.entry import (
    Entry,
    Fetch,
    ForwardsTo,
    Handler,
    Member,
    NotRun,
    RingsMembers,
    RunsDocument,
    rights_of,
)
from offhook.sip.uri import parse_uri

if TYPE_CHECKING:
    from offhook.server.app import Store
    from offhook.store.applications import ApplicationRow
    from offhook.store.numbers import NumberRow

DOCUMENTS = {"relay_script": "swml", "laml_webhooks": "cxml"}
"""Values of `call_handler` that run a document, and its kind."""
AUDIO = ("OPUS", "G722", "PCMU", "PCMA")
"""Codecs that a gateway is offered; its list may name others, which are stored."""


class Entries:
    """Reads never wait."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def of_number(self, number: str) -> Entry | None:
        """What a number of ours leads to; None for any other number."""
        row = self._store.numbers.find(number)
        if row is None:
            return None
        own = row.settings.get("offhook", {})
        return Entry(
            id=row.id,
            name=row.number,
            handler=self._of_row(row),
            project_id=row.project_id,
            ring_seconds=own.get("ring_seconds"),
            fallback=own.get("fallback") or "",
            rights=rights_of(row.id, row.number, self._store.space.realm),
            status_events=tuple(own.get("status_events", ("completed",))),
        )

    def _of_row(self, row: "NumberRow") -> Handler | None:
        # Rows from before handlers had names have only an endpoint.
        name = row.settings.get("call_handler") or ("relay_sip_endpoint" if row.endpoint_id else None)
        return self.handler(name, row.settings, row.endpoint_id)

    def handler(self, name: str | None, fields: dict[str, Any], endpoint_id: str | None) -> Handler | None:
        """The handler that these `call_*` fields mean; None for a number that leads nowhere."""
        match name:
            case None:
                return None
            case "relay_sip_endpoint":
                member = self._member(endpoint_id)
                return RingsMembers((member,)) if member is not None else None
            case "relay_script" | "laml_webhooks":
                return _document(name, fields)
            case "fabric_subscriber":
                return RingsMembers(self._members(fields.get("calling_handler_resource_id")))
            case "sip_gateway":
                return self.gateway(fields.get("calling_handler_resource_id") or "") or NotRun(name)
            case _:
                return NotRun(name)

    def of_application(self, id_: str) -> Entry | None:
        """What a domain application or SIP address leads to."""
        row = self._store.applications.get(id_)
        return self._application(row) if row is not None else None

    def named(self, name: str) -> Entry | None:
        """What a name that is no endpoint's leads to (API.md 1.8)."""
        row = self._store.applications.named(name.casefold())
        return self._application(row) if row is not None else None

    def _application(self, row: "ApplicationRow") -> Entry:
        settings = row.settings
        handler = self.handler(settings.get("call_handler"), settings, settings.get("call_sip_endpoint_id"))
        return Entry(row.id, row.identifier, handler, row.type, row.project_id)

    def gateway(self, id_: str) -> ForwardsTo | None:
        """A SIP gateway by its id."""
        row = self._store.resources.get(id_)
        if row is None or row.type != "sip_gateway":
            return None
        own, settings = row.settings.get("offhook", {}), row.settings
        return ForwardsTo(
            name=row.name,
            uri=parse_uri(settings["uri"]),
            trunk_id=own.get("trunk_id") or "",
            encryption="required" if settings.get("encryption") == "required" else "optional",
            ciphers=tuple(settings.get("ciphers") or ()),
            codecs=tuple(one for one in settings.get("codecs") or () if one in AUDIO),
        )

    def _members(self, subscriber_id: str | None) -> tuple[Member, ...]:
        theirs = [one.id for one in self._store.endpoints if one.subscriber_id == subscriber_id]
        members = (self._member(id_) for id_ in theirs if subscriber_id)
        return tuple(one for one in members if one is not None)

    def _member(self, endpoint_id: str | None) -> Member | None:
        row = self._store.endpoints.get(endpoint_id) if endpoint_id else None
        account = self._store.account(row.username) if row is not None else None
        if account is None:
            return None
        return Member(account, self._store.find(self._store.aor(account.username)))

    def of_caller(self, username: str) -> Entry | None:
        """What runs for every call that an endpoint makes; None: its calls go where they were dialled."""
        row = self._store.endpoints.named(username)
        name = row.handler.get("call_handler") if row is not None else None
        if row is None or name in (None, "", "default", "passthrough", "block-pstn"):
            return None
        events = tuple(row.offhook.get("status_events") or ("completed",))
        handler = self.handler(name, row.handler, None)
        return Entry(row.id, row.username, handler, "endpoint", row.project_id, status_events=events)

    def caller_numbers(self, username: str) -> CallerNumbers | None:
        """What may be shown of an endpoint to the outside, or of a number that calls on to its fallback."""
        numbers = self._store.numbers
        if not username:
            return CallerNumbers((), numbers.every, numbers.first)
        ours = numbers.find(username)
        if ours is not None:
            return CallerNumbers((ours.number,), numbers.every, numbers.first, ours.number, self._names())
        endpoint = self._store.endpoints.named(username)
        if endpoint is None:
            return None
        verified = self._store.caller_ids.verified(endpoint.project_id)
        shown = numbers.every | verified if verified else numbers.every
        chosen = endpoint.send_as if endpoint.send_as in shown else None
        return CallerNumbers(numbers.of_endpoint(endpoint.id), shown, numbers.first, chosen, self._names())

    def _names(self) -> dict[str, str]:
        return self._store.numbers.names


def _document(name: str, fields: dict[str, Any]) -> RunsDocument:
    if name == "relay_script":
        primary, fallback = Fetch(fields["call_relay_script_url"]), None
        status = None
    else:
        primary = _fetch(fields, "call_request") or Fetch("")
        fallback, status = _fetch(fields, "call_fallback"), _fetch(fields, "call_status_callback")
    return RunsDocument(DOCUMENTS[name], primary, fallback, status, fields.get("calling_handler_resource_id") or "")


def _fetch(fields: dict[str, Any], name: str) -> Fetch | None:
    url = fields.get(f"{name}_url")
    return Fetch(url, fields.get(f"{name}_method") or "POST") if url else None
