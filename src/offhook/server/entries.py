"""What numbers and addresses lead to, read from the store's memory for the call path (calls.entry).

Lives here: rows to entries. Never here: what a call does about them (calls/handling.py).
"""

from typing import TYPE_CHECKING, Any

from offhook.api.handlers import of_resource as handler_of
from offhook.calls.caller_id import CallerNumbers
from offhook.calls.entry import (
    BeyondTier,
    Entry,
    Fetch,
    ForwardsTo,
    Handler,
    Locked,
    Member,
    NotRun,
    RingsMembers,
    RunsDocument,
    rights_of,
)
from offhook.calls.routing import PRIVATE, RESUME
from offhook.sip import guests
from offhook.sip.domains import parted
from offhook.sip.guests import Guest
from offhook.sip.location import Account
from offhook.sip.uri import parse_uri
from offhook.store.profiles import Profile, read

if TYPE_CHECKING:
    from offhook.server.directory import Store
    from offhook.store.addresses import Address
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
            domain=self._store.endpoints.domain_of(row.project_id),
        )

    def called(self, name: str, by: str | None, project: str = "") -> Account | Entry | None:
        """Whom a name means in the project of the endpoint that calls, else in the one given: an endpoint by its name, an
        extension, an address (API.md 1.8). `/private/NAME` is an address and nothing else. A name at the domain of a project
        is meant there, whoever calls."""
        store = self._store
        caller = store.endpoints.named(by) if by else None
        guest = guests.read(parted(by)[0]) if by and caller is None else None
        if guest is not None:
            return self._called_by(guest, name)
        endpoint = store.endpoints.named(name)
        project = caller.project_id if caller is not None else project or store.space.project_id
        name, domain = parted(name)
        if domain != self._store.endpoints.domain_of(project):
            project = store.endpoints.project_at(domain) or store.space.project_id
        if name.startswith(PRIVATE):
            address = store.addresses.named(project, name.removeprefix(PRIVATE))
            return self._of_address(address) if address is not None else None
        endpoint = endpoint or store.endpoints.with_extension(project, name)
        if endpoint is not None:
            own = store.addresses.of(endpoint.id)
            return self._of_address(own) if own is not None and own.locked else store.account(endpoint.name)
        address = store.addresses.named(project, name)
        if address is not None:
            return self._of_address(address)
        application = store.applications.named(name.casefold())
        if application is None or self._store.endpoints.domain_of(application.project_id) != domain:
            return None
        return self._application(application)

    def _called_by(self, guest: Guest, name: str) -> Account | Entry | None:
        """Whom a name means for somebody who may call a few addresses and nothing else."""
        store = self._store
        project, full = store.guests.project(guest), name
        name, domain = parted(name)
        if project is not None and domain != self._store.endpoints.domain_of(project):
            project = None
        if name.casefold() == RESUME:
            return None
        address = store.addresses.named(project, name.removeprefix(PRIVATE)) if project is not None else None
        if address is None and project is not None and not name.startswith(PRIVATE):
            endpoint = store.endpoints.named(full) or store.endpoints.with_extension(project, name)
            address = store.addresses.of(endpoint.id) if endpoint is not None else None
        if address is not None and address.id in guest.addresses:
            return self._of_address(address)
        return Entry(name, name, BeyondTier(), "address", project or "")

    def _of_address(self, address: "Address") -> Account | Entry | None:
        """What an address leads to; an endpoint's own leads to it like its name."""
        name, domain = f"{PRIVATE}{address.name}", self._store.endpoints.domain_of(address.project_id)
        if address.locked:
            return Entry(address.id, name, Locked(), "address", address.project_id, domain=domain)
        endpoint = self._store.endpoints.get(address.owner_id)
        if endpoint is not None:
            return self._store.account(endpoint.name)
        resource = self._store.resources.get(address.owner_id)
        fields = (handler_of(resource) or resource.settings) if resource is not None else {}
        handler = self.handler(fields.get("call_handler"), fields, fields.get("call_sip_endpoint_id"))
        return Entry(address.id, name, handler, "address", address.project_id, domain=domain)

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

    def _application(self, row: "ApplicationRow") -> Entry:
        settings = row.settings
        handler = self.handler(settings.get("call_handler"), settings, settings.get("call_sip_endpoint_id"))
        domain = self._store.endpoints.domain_of(row.project_id)
        return Entry(row.id, row.identifier, handler, row.type, row.project_id, domain=domain)

    def gateway(self, id_: str) -> ForwardsTo | None:
        """A SIP gateway by its id."""
        row = self._store.resources.get(id_)
        if row is None or row.type != "sip_gateway":
            return None
        own, settings = row.settings.get("offhook", {}), row.settings
        project = self._store.projects.get(row.project_id)
        profile = read(project.profile) if project is not None else Profile()
        chosen = settings.get("encryption") or "default"
        return ForwardsTo(
            name=row.name,
            uri=parse_uri(settings["uri"]),
            trunk_id=own.get("trunk_id") or "",
            encryption=profile.encryption if chosen == "default" else chosen,
            ciphers=tuple(settings.get("ciphers") or profile.ciphers),
            codecs=tuple(one for one in settings.get("codecs") or profile.codecs if one in AUDIO),
        )

    def _members(self, subscriber_id: str | None) -> tuple[Member, ...]:
        theirs = self._store.endpoints.of_subscriber(subscriber_id or "")
        members = (self._member(one.id) for one in theirs)
        return tuple(one for one in members if one is not None)

    def _member(self, endpoint_id: str | None) -> Member | None:
        row = self._store.endpoints.get(endpoint_id) if endpoint_id else None
        account = self._store.account(row.name) if row is not None else None
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
        return Entry(row.id, row.username, handler, "endpoint", row.project_id, status_events=events, domain=row.domain)

    def caller_numbers(self, username: str, project: str = "") -> CallerNumbers | None:
        """What may be shown to the outside of an endpoint, of a number that calls on to its fallback, or, "", of a call that
        the project places: its own numbers, and those it has verified."""
        numbers = self._store.numbers
        ours, endpoint = numbers.find(username), self._store.endpoints.named(username)
        owner = ours or endpoint
        if owner is None and username:
            return None
        of = owner.project_id if owner is not None else project or self._store.space.project_id
        own, first = numbers.of_project(of)
        verified = self._store.caller_ids.verified(of)
        shown = own | verified if verified else own
        if ours is not None:
            return CallerNumbers((ours.number,), shown, first, ours.number, numbers.names)
        if endpoint is None:
            return CallerNumbers((), shown, first, None, numbers.names)
        chosen = endpoint.send_as if endpoint.send_as in shown else None
        return CallerNumbers(numbers.of_endpoint(endpoint.id), shown, first, chosen, numbers.names)


def _document(name: str, fields: dict[str, Any]) -> RunsDocument:
    if name == "relay_script":
        # A webhook resource may say more than the URL, which is all that call_* fields have for SWML.
        primary = Fetch(fields["call_relay_script_url"], fields.get("call_request_method") or "POST")
    else:
        primary = _fetch(fields, "call_request") or Fetch("")
    fallback, status = _fetch(fields, "call_fallback"), _fetch(fields, "call_status_callback")
    return RunsDocument(DOCUMENTS[name], primary, fallback, status, fields.get("calling_handler_resource_id") or "")


def _fetch(fields: dict[str, Any], name: str) -> Fetch | None:
    url = fields.get(f"{name}_url")
    return Fetch(url, fields.get(f"{name}_method") or "POST") if url else None
