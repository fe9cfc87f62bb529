"""What the driver needs of stores and sockets, as it needs it."""

from typing import Protocol

from offhook.calls.caller_id import CallerNumbers
from offhook.calls.effects import CallRecord, Connect, FetchDocument, KeptText, Locate, RateHop, TellStatus
from offhook.calls.entry import Entry, Permits
from offhook.calls.events import Connected, DocumentFetched, Located
from offhook.calls.kept import KeptCall
from offhook.sip.flow import Flow, FlowId
from offhook.sip.location import Account, Binding


class Directory(Protocol):
    """Accounts and bindings, in memory."""

    def aor(self, username: str) -> str: ...
    def account(self, username: str) -> Account | None: ...
    def bindings(self, aor: str) -> tuple[Binding, ...]:
        """Those that have not run out."""
        ...

    def kept_bindings(self, aor: str) -> tuple[Binding, ...]:
        """All that were written, for the registrar, which ends those that ran out."""
        ...

    def texts(self, username: str) -> tuple[KeptText, ...]: ...
    def keep_text(self, text: KeptText) -> None: ...
    def drop_text(self, ref: str) -> None: ...
    def replace_bindings(self, aor: str, bindings: tuple[Binding, ...], now: float) -> None: ...
    def number(self, number: str, trunk: str) -> Entry | None:
        """What a number of ours leads to; `trunk` is the id of the trunk that delivers the call, "" for no trunk."""
        ...

    def application(self, id_: str) -> Entry | None:
        """What an application or SIP address leads to."""
        ...

    def called(self, name: str, by: str | None, project: str = "") -> Account | Entry | None:
        """Whom a name means for the endpoint that calls it, or for calls that a project places: an endpoint, by its name,
        extension or address, or what another address leads to (API.md 1.8)."""
        ...

    def caller_numbers(self, username: str, project: str = "") -> CallerNumbers | None:
        """What may be shown of an endpoint, of a number that calls on, or, "", of calls that a project places."""
        ...

    def handler(self, username: str) -> Entry | None:
        """What runs for every call that an endpoint makes; None: its calls go where they were dialled."""
        ...

    def permits(self, username: str, project: str = "") -> Permits | None:
        """What it may reach outside."""
        ...


class Wires(Protocol):
    """Every socket, by flow id."""

    def send(self, flow: FlowId, data: bytes) -> bool: ...
    def close(self, flow: FlowId, code: int, slug: str) -> None: ...

    async def probe(self, flow: FlowId, seconds: float) -> bool:
        """True if the other end of a connection gives a sign of life in time."""
        ...


class Gate(Protocol):
    """Judges what a connection presents before its first message."""

    def admit(self, token: str, flow: Flow, now: float) -> str | None:
        """None makes the flow trusted; else the sentence to refuse it with."""
        ...


class Journal(Protocol):
    """The journal of live calls and the log of ended ones."""

    def keep(self, call: KeptCall) -> None: ...
    def write(self, record: CallRecord) -> None: ...


class Outside(Protocol):
    """Documents, and those who want to hear of legs."""

    def tell(self, effect: TellStatus) -> None:
        """Queues what is told; never waits."""
        ...

    async def fetch(self, effect: FetchDocument) -> DocumentFetched:
        """Within the limits of documents; a failure is a code and a sentence in the event."""
        ...


class Peers(Protocol):
    """Names to addresses and addresses to flows."""

    async def locate(self, effect: Locate) -> Located:
        """Within two seconds; a failure is a sentence in the event."""
        ...

    def at_once(self, effect: Connect) -> Connected | None:
        """The flow that is there already, or why there will be none; None when a connection has to be made."""
        ...

    async def connect(self, effect: Connect) -> Connected:
        """By a new connection, within four seconds."""
        ...

    async def stream_to(self, flow: Flow) -> Flow | None:
        """TCP to the peer of a UDP flow, within a second; None if it does not take it."""
        ...

    def rate(self, effect: RateHop) -> None:
        """Remembers how an address did."""
        ...
