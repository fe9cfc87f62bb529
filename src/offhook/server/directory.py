"""What the core asks the shell for, by name: everything stored, and every way to a peer (server.ports).

Lives here: looking up. Never here: opening and loading (app.py), rules (calls, sip).
"""

import asyncio
from dataclasses import dataclass, replace

from offhook.calls.caller_id import CallerNumbers
from offhook.calls.effects import KeptText
from offhook.calls.entry import Entry, Permits
from offhook.server.entries import Entries
from offhook.server.guests import Guests
from offhook.server.profiles import Profiles
from offhook.sip.domains import aor_of, name_of
from offhook.sip.flow import Flow, FlowId
from offhook.sip.location import Account, Binding, device_name
from offhook.store.addresses import Addresses
from offhook.store.answers import Answers
from offhook.store.applications import ApplicationRows
from offhook.store.bindings import Bindings
from offhook.store.caller_ids import CallerIdRows
from offhook.store.devices import Devices
from offhook.store.endpoints import Endpoints
from offhook.store.numbers import NumberRows
from offhook.store.projects import Projects
from offhook.store.resources import Resources
from offhook.store.space import Space, Spaces
from offhook.store.texts import Texts
from offhook.store.traces import Traces
from offhook.store.trunks import TrunkRows
from offhook.store.writer import Writer
from offhook.transport.datagram import Datagrams
from offhook.transport.flow import FlowTable
from offhook.transport.probe import alive


@dataclass
class Store:
    """Everything that is kept, opened and loaded."""

    space: Space
    spaces: Spaces
    endpoints: Endpoints
    bindings: Bindings
    traces: Traces
    texts: Texts
    writer: Writer
    trunks: TrunkRows
    numbers: NumberRows
    addresses: Addresses
    resources: Resources
    projects: Projects
    caller_ids: CallerIdRows
    applications: ApplicationRows
    answers: Answers
    devices: Devices

    def __post_init__(self) -> None:
        self.guests = Guests(self)

    def domain_of(self, project_id: str) -> str:
        """The domain that a project has for itself; "" where its names are in the canonical one."""
        return self.endpoints.domain_of(project_id)

    def realm_of(self, project_id: str | None) -> str:
        """In which the endpoints of a project prove themselves."""
        return (self.endpoints.realm_of(project_id) if project_id is not None else None) or self.space.realm

    def aor(self, username: str) -> str:
        return aor_of(username, self.space.domain)

    def account(self, username: str) -> Account | None:
        account = self.endpoints.account(username, self.space.realm)
        return self.devices.marks(account) if account is not None else self.guests.account(username)

    def seen(self, aor: str, fresh: list[Binding]) -> None:
        """Devices have registered or refreshed."""
        endpoint = self.endpoints.named(name_of(aor, self.space.domain)) if fresh else None
        if endpoint is not None:
            there = self.instances(aor)
            for one in fresh:
                self.devices.seen(endpoint.id, one, there)

    def instances(self, aor: str) -> set[str]:
        """The instance ids of the devices that are registered."""
        return {device_name(one.instance) for one in self.find(aor)}

    def find(self, aor: str) -> tuple[Binding, ...]:
        return self.bindings.find(aor, asyncio.get_running_loop().time())


@dataclass
class StoreDirectory:
    """The driver's view of the store (server.ports.Directory)."""

    store: Store
    profiles: Profiles

    def __post_init__(self) -> None:
        self.entries = Entries(self.store)

    def aor(self, username: str) -> str:
        return self.store.aor(username)

    def account(self, username: str) -> Account | None:
        return self.store.account(username)

    def bindings(self, aor: str) -> tuple[Binding, ...]:
        return self.store.find(aor)

    def kept_bindings(self, aor: str) -> tuple[Binding, ...]:
        return self.store.bindings.kept(aor)

    def replace_bindings(self, aor: str, bindings: tuple[Binding, ...], now: float) -> None:
        before = self.store.bindings.kept(aor)
        self.store.bindings.replace(aor, bindings, now)
        self.store.seen(aor, [one for one in bindings if one.instance and not any(one is old for old in before)])

    def texts(self, username: str) -> tuple[KeptText, ...]:
        return self.store.texts.find(username)

    def keep_text(self, text: KeptText) -> None:
        self.store.texts.put(text)

    def drop_text(self, ref: str) -> None:
        self.store.texts.drop(ref)

    def number(self, number: str, trunk: str) -> Entry | None:
        if trunk:
            self.store.numbers.delivered(number, trunk)
        return self.entries.of_number(number)

    def application(self, id_: str) -> Entry | None:
        return self.entries.of_application(id_)

    def called(self, name: str, by: str | None, project: str = "") -> Account | Entry | None:
        return self.entries.called(name, by, project)

    def caller_numbers(self, username: str, project: str = "") -> CallerNumbers | None:
        known, endpoint = self.entries.caller_numbers(username, project), self.store.endpoints.named(username)
        if known is None or endpoint is None or known.chosen is not None:
            return known
        wanted = self.profiles.of(endpoint.project_id).send_as
        return replace(known, chosen=wanted) if wanted in known.of_space else known

    def handler(self, username: str) -> Entry | None:
        return self.entries.of_caller(username)

    def permits(self, username: str, project: str = "") -> Permits | None:
        return self.profiles.permits(username, project)


@dataclass
class Sockets:
    """Every way to a peer (server.ports.Wires)."""

    flows: FlowTable
    datagram: Datagrams | None = None

    def send(self, flow: FlowId, data: bytes) -> bool:
        if flow.startswith("udp"):
            return self.datagram is not None and self.datagram.send(flow, data)
        path = self.flows.get(flow)
        return path is not None and path.send(data)

    def close(self, flow: FlowId, code: int, slug: str) -> None:
        path = self.flows.get(flow)
        if path is not None:
            path.close(code, slug)

    def known(self, flow: FlowId) -> Flow | None:
        """The flow of an id, while it lives."""
        if flow.startswith("udp"):
            return self.datagram.known(flow) if self.datagram is not None else None
        path = self.flows.get(flow)
        return path.flow if path is not None else None

    async def probe(self, flow: FlowId, seconds: float) -> bool:
        return await alive(self.flows.get(flow), seconds)
