"""All transactions of the node: found by key, bounded in number, forgotten when they terminate.

Lives here: which machine a message, timer or failure belongs to. Never here: what a machine does with it.
"""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

from offhook.sip.effects import Note
from offhook.sip.encode import encode
from offhook.sip.flow import Flow, FlowId
from offhook.sip.message import Message, Request, Response
from offhook.sip.timers import TimerKey, Timers
from offhook.sip.transaction.invite_client import InviteClient
from offhook.sip.transaction.invite_server import InviteServer
from offhook.sip.transaction.key import AnyServerKey, ClientKey, MergeKey
from offhook.sip.transaction.large_request import MARGIN, LargeRequest, estimate, over_tcp
from offhook.sip.transaction.machine import (
    Effect,
    Event,
    Owner,
    Received,
    Respond,
    SendFailed,
    ServerUser,
    Terminated,
    TimerFired,
)
from offhook.sip.transaction.non_invite_client import NonInviteClient
from offhook.sip.transaction.non_invite_server import NonInviteServer
from offhook.sip.transaction.non_invite_server import State as NonInviteState

Client = InviteClient | NonInviteClient | LargeRequest
Server = InviteServer | NonInviteServer


@dataclass(frozen=True, slots=True)
class TransactionLimits:
    """`TRANSACTIONS`: 32 s at 6,000 a second per node; a page has a dozen, a PBX behind one flow some hundreds."""

    per_node: int = 200_000
    per_flow: int = 500
    datagram: int = 1300
    """Octets a request of ours may have over UDP (CALL-21, RFC 3261 section 18.1.1)."""


class TransactionTable:
    """Client and server transactions by key. Every method returns effects in the order they are to be performed."""

    def __init__(self, timers: Timers, limits: TransactionLimits) -> None:
        self._timers = timers
        self._limits = limits
        self._machines: dict[Hashable, Client | Server] = {}
        self._by_flow: dict[FlowId, set[Hashable]] = {}
        self._merged: dict[MergeKey, Hashable] = {}
        self._merge_of: dict[Hashable, MergeKey] = {}
        self.large: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._machines)

    @property
    def running_timers(self) -> int:
        """Timers that are set."""
        return sum(len(machine.running) for machine in self._machines.values())

    def full(self, flow: Flow) -> bool:
        """True when a further request of a peer would pass `TRANSACTIONS` of the node or of its flow."""
        on_flow = len(self._by_flow.get(flow.id, ()))
        return on_flow >= self._limits.per_flow or len(self._machines) >= self._limits.per_node

    def open_client(self, key: ClientKey, request: Request, flow: Flow, owner: Owner) -> list[Effect]:
        """Sends a request whose top Via carries the branch of `key`; `owner` comes back with each response."""
        machine: Client
        if not flow.transport.reliable and self._too_large(request):
            machine = LargeRequest(key, request, flow, owner, self._timers)
            self._remember(machine)
            return self._absorb(machine.start())
        return self._begin(key, request, flow, owner)

    def _begin(self, key: ClientKey, request: Request, flow: Flow, owner: Owner, compact: bool = False) -> list[Effect]:
        machine: InviteClient | NonInviteClient
        if request.method == "INVITE":
            machine = InviteClient(key, request, flow, owner, self._timers)
        else:
            machine = NonInviteClient(key, request, flow, owner, self._timers)
        machine.compact = compact
        self._remember(machine)
        return self._absorb(machine.start())

    def _too_large(self, request: Request) -> bool:
        size = estimate(request)
        if size < self._limits.datagram - MARGIN:
            return False
        return len(encode(request)) > self._limits.datagram

    def stream_opened(self, key: Hashable, flow: Flow | None) -> list[Effect]:
        """The answer to `OpenStream`: the held request goes by TCP, or in compact form by UDP. Ignored once it has ended."""
        held = self._machines.get(key)
        if not isinstance(held, LargeRequest) or not isinstance(key, ClientKey):
            return []
        self._forget(key)
        way = "compact" if flow is None else "tcp"
        self.large[way] += 1
        facts = {"method": held.request.method, "way": way, "octets": str(len(encode(held.request, flow is None)))}
        note = Note("datagram-too-large", {**facts, "flow": held.flow.id})
        if flow is None:
            return [note, *self._begin(key, held.request, held.flow, held.owner, compact=True)]
        return [note, *self._begin(key, over_tcp(held.request, flow, key.branch), flow, held.owner)]

    def open_server(
        self,
        key: AnyServerKey,
        request: Request,
        flow: Flow,
        merge: MergeKey | None,
        user: ServerUser | None = None,
        stranger: bool = False,
    ) -> list[Effect]:
        """Begins a transaction for a peer's new request; `merge` is None inside a dialog, `user` hears of a CANCEL. Nothing
        is kept of a `stranger` who is refused.

        Call `arm` when the turn ends, so that a request answered at once costs no timer.
        """
        if merge is not None and merge not in self._merged:
            self._merged[merge] = key
            self._merge_of[key] = merge
        if request.method != "INVITE":
            self._remember(NonInviteServer(key, request, flow, self._timers, stranger))
            return []
        machine = InviteServer(key, request, flow, self._timers, user, stranger)
        self._remember(machine)
        return self._absorb(machine.start())

    def arm(self, key: Hashable) -> list[Effect]:
        """Starts the clocks of a non-INVITE server transaction that is still unanswered."""
        machine = self._machines.get(key)
        if not isinstance(machine, NonInviteServer) or machine.state is not NonInviteState.TRYING or machine.running:
            return []
        return self._absorb(machine.start())

    def is_merged(self, merge: MergeKey | None) -> bool:
        """8.2.2.2: the same request is being served already, having come by another way."""
        return merge in self._merged

    def server(self, key: Hashable) -> Server | None:
        """The server transaction, if it is alive."""
        machine = self._machines.get(key)
        return machine if isinstance(machine, InviteServer | NonInviteServer) else None

    def client(self, key: Hashable) -> Client | None:
        """The client transaction, if it is alive."""
        machine = self._machines.get(key)
        return machine if isinstance(machine, InviteClient | NonInviteClient | LargeRequest) else None

    def receive(self, key: Hashable, message: Message) -> list[Effect]:
        """A request or response for a transaction that `server` or `client` has found."""
        return self._handle(key, Received(message))

    def respond(self, key: Hashable, response: Response) -> list[Effect]:
        """The transaction user answers; nothing happens once the transaction is gone."""
        if response.status in (401, 407):
            # What comes under the same CSeq now is the answer to the challenge, from a client that does not count on.
            self._unmerge(key)
        return self._handle(key, Respond(response))

    def timer_fired(self, key: TimerKey) -> list[Effect]:
        """One of our timers; a stale one is ignored."""
        machine = self._machines.get(key.owner)
        if machine is None or not machine.fired(key.timer):
            return []
        return self._absorb(machine.handle(TimerFired(key.timer)))

    def move(self, key: Hashable, flow: Flow) -> None:
        """Answers of ours to a request that waits for one go down another flow from now on."""
        machine = self.server(key)
        if machine is None:
            return
        self._leave(machine)
        machine.flow = flow
        self._by_flow.setdefault(flow.id, set()).add(key)

    def send_failed(self, key: ClientKey) -> list[Effect]:
        """A request of ours could not be written."""
        return self._handle(key, SendFailed())

    def flow_lost(self, flow: FlowId) -> list[Effect]:
        """Ends our requests on the flow at once; answers of ours run into their own timers."""
        effects: list[Effect] = []
        for key in list(self._by_flow.get(flow, ())):
            if self.client(key) is not None:
                effects += self._handle(key, SendFailed())
        return effects

    def abandon(self, key: Hashable) -> list[Effect]:
        """Destroys a transaction without a word (9.1: an INVITE whose CANCEL led to nothing)."""
        machine = self._machines.get(key)
        return [] if machine is None else self._absorb(machine.terminate())

    def _handle(self, key: Hashable, event: Event) -> list[Effect]:
        machine = self._machines.get(key)
        return [] if machine is None else self._absorb(machine.handle(event))

    def _absorb(self, effects: list[Effect]) -> list[Effect]:
        """What a machine wants beside being forgotten, which it says last."""
        if effects and isinstance(last := effects[-1], Terminated):
            effects.pop()
            self._forget(last.key)
        return effects

    def _remember(self, machine: Client | Server) -> None:
        self._machines[machine.key] = machine
        self._by_flow.setdefault(machine.flow.id, set()).add(machine.key)

    def _forget(self, key: Hashable) -> None:
        machine = self._machines.pop(key, None)
        if machine is None:
            return
        self._leave(machine)
        self._unmerge(key)

    def _unmerge(self, key: Hashable) -> None:
        merge = self._merge_of.pop(key, None)
        if merge is not None:
            del self._merged[merge]

    def _leave(self, machine: Client | Server) -> None:
        on_flow = self._by_flow[machine.flow.id]
        on_flow.discard(machine.key)
        if not on_flow:
            del self._by_flow[machine.flow.id]
