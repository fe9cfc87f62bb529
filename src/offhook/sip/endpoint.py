"""The door of the SIP layer: messages, timers, lost flows and commands in, effects out.

**Perform the effects of each call in order before you make the next call.**

Lives here: which room a message, timer or command belongs to. Never here: what that room does with it.
"""

from collections.abc import Callable, Hashable
from typing import cast

from offhook.sip import subscription
from offhook.sip.carried import BindingClock, Reattachment, Sweep
from offhook.sip.client_request import ClientRequest
from offhook.sip.commands import (
    AcceptSubscription,
    Attach,
    CancelInvite,
    FromCarrier,
    HangUp,
    MarkFlow,
    MoveSubscription,
    MoveUsage,
    Notify,
    RefuseNew,
    Respond,
    RespondInvite,
    SendInDialog,
    SendInvite,
    SendRequest,
    SettleUsage,
    SipCommand,
    Unbind,
)
from offhook.sip.config import SipConfig
from offhook.sip.core import Core
from offhook.sip.credentials import Authenticator
from offhook.sip.dialog_record import DialogRecord
from offhook.sip.effects import Deliver, FindRegistration, Note, SipEffect
from offhook.sip.envelope import Envelope, envelope
from offhook.sip.errors import PeerError
from offhook.sip.events import (
    Failure,
    FlowLost,
    InviteRejected,
    RequestSettled,
    SubscriptionEnd,
    SubscriptionEnded,
    UsageId,
)
from offhook.sip.fields import parse_name_addr
from offhook.sip.flow import Flow, FlowId, Reachability
from offhook.sip.gate import Gate
from offhook.sip.ids import Ids
from offhook.sip.inspection import with_description
from offhook.sip.invite_usage import InviteUsage
from offhook.sip.location import Account, Binding
from offhook.sip.message import Headers, Message, Request, Response
from offhook.sip.outgoing_invite import OutgoingInvite
from offhook.sip.probe import ProbeClock
from offhook.sip.proof import Doorkeeper
from offhook.sip.refresh import Recalled
from offhook.sip.registrar import Registrar, Registration
from offhook.sip.relay import Relay
from offhook.sip.revival import RevivedInvite, record_of
from offhook.sip.server_core import InDialog, ServerCore
from offhook.sip.subscription import SubscriptionClock
from offhook.sip.timers import TimerKey
from offhook.sip.transaction.key import client_key, server_key
from offhook.sip.transaction.machine import AckPassed, Effect, Owner, RequestFailed, ResponsePassed, Terminated
from offhook.sip.usage_state import UsageClock

GONE = frozenset({410, 430})
"""The device is not at its contact any more; the flow to it is lost (RFC 5626 section 11.2)."""

WORDS = frozenset({ResponsePassed, RequestFailed, AckPassed, Terminated})
"""What transactions say to their users; every other effect is for the shell."""

ANNOUNCED = 10_000
"""UDP peers that are remembered because we spoke to them first: trunks, and foreign hosts by the hour."""

DEFAULT_PORT = 5060
"""RFC 3261 section 18.2.2: of a Via without one."""


class SipEndpoint:
    """One SIP node. `now` is the core's monotonic clock in seconds everywhere."""

    def __init__(self, config: SipConfig, ids: Ids, authenticator: Authenticator) -> None:
        self._flows: dict[FlowId, Flow] = {}
        self._announced: dict[FlowId, None] = {}
        self._forces_rport: Callable[[str], bool] = lambda user: False
        self._core = Core(config, ids)
        self._doorkeeper = Doorkeeper(authenticator)
        self._registrar = Registrar(self._core, self._doorkeeper, self._flows)
        self._relay = Relay(self._core, self._flows, self._doorkeeper.key("flow-token"))
        self._server = ServerCore(self._core, self._doorkeeper, self._registrar)

    def use_rport(self, forced: Callable[[str], bool]) -> None:
        """Which endpoints, by user name, are answered at the port they sent from though they do not ask for it."""
        self._forces_rport = forced

    def use_gate(self, gate: Gate) -> None:
        """Who is asked about strangers' INVITEs from now on."""
        self._server.gate = gate

    # counters

    @property
    def transactions(self) -> int:
        """Transactions alive."""
        return len(self._core.table)

    @property
    def large_requests(self) -> dict[str, int]:
        """Requests of ours too large for a datagram, by the way they went: `tcp`, `compact` (CALL-21)."""
        return {way: self._core.table.large[way] for way in ("tcp", "compact")}

    @property
    def usages(self) -> int:
        """INVITE usages that call control knows."""
        return sum(not usage.over for usage in self._core.usages.values())

    @property
    def dialogs(self) -> int:
        """Dialogs known, early ones and those that still wait for an ACK or the answer to our BYE included."""
        return len(self._core.dialogs)

    @property
    def subscriptions(self) -> int:
        """Subscriptions of peers, those that only wait for the answer to their last NOTIFY included."""
        return len(self._core.subscriptions)

    @property
    def timers(self) -> int:
        """Timers set and not stopped."""
        of_usages = sum(usage.running_timers for usage in self._core.usages.values())
        of_subscriptions = self._core.subscriptions.running_timers
        return self._core.table.running_timers + of_usages + of_subscriptions + self._registrar.running_timers

    def carries(self, flow: FlowId) -> bool:
        """True while a call goes over the flow."""
        return bool(self._core.on_flow(flow))

    def registered(self, flow: FlowId) -> bool:
        """True for the flow of a registered device."""
        return self._registrar.carries(flow)

    def proven(self, flow: Flow, now: float) -> bool:
        """True once somebody has proved over a connection who he is."""
        return self._registrar.carries(flow.id) or self._doorkeeper.trusted(flow, now) is not None

    # messages

    def receive(self, message: Message, flow: Flow, now: float) -> list[SipEffect]:
        """One message from the parser."""
        if flow.transport.reliable:
            self._flows.setdefault(flow.id, flow)
        self._registrar.heard(flow.id, now)
        try:
            fields = envelope(message)
        except PeerError as error:
            return self.receive_malformed(error, flow, now)
        if isinstance(message, Response):
            return self._settle(self._response(message, fields))
        if not flow.transport.reliable and "rport" not in fields.via.params and not self._core.config.force_rport:
            flow = self._answered_by(flow, message, fields)
        return [*self._doorkeeper.take_notes(), *self._settle(self._request(message, fields, flow, now))]

    def recall(self, data: bytes, flow: Flow, now: float) -> Recalled | None:
        """A REGISTER as it came, in front of parsing it: whose account and bindings `refresh` needs; None: `receive` it."""
        return None if self._server.refuses("REGISTER") else self._registrar.recall(data, flow, now)

    def refresh(
        self, recalled: Recalled, flow: Flow, account: Account | None, bindings: tuple[Binding, ...], now: float
    ) -> list[SipEffect] | None:
        """In the same turn as `recall`: what `receive` and `registration_found` would have done; None: `receive` it."""
        done = self._registrar.refresh(recalled, flow, account, bindings, now)
        if done is None:
            return None
        self._registrar.heard(flow.id, now)
        return [*self._doorkeeper.take_notes(), *self._settle(done)]

    def _answered_by(self, flow: Flow, request: Request, fields: Envelope) -> Flow:
        """RFC 3261 section 18.2.2: who does not ask for `rport` is reached at the address he came from and the port of his
        Via, which some phones do not send from; those marked `force_rport` at the port they sent from all the same."""
        port = fields.via.port or DEFAULT_PORT
        if port == flow.remote[1]:
            return flow
        uri = parse_name_addr(request.headers.get("From") or "").uri
        return flow if self._forces_rport(uri.user or "") else flow.to_port(port)

    def receive_malformed(self, error: PeerError, flow: Flow, now: float) -> list[SipEffect]:
        """What the parser refused: answered without state when enough of it could be read, else nothing."""
        return self._settle(self._server.refuse_malformed(error, flow, now))

    def _response(self, response: Response, fields: Envelope) -> list[Effect]:
        key = client_key(fields)
        if fields.vias > 1:
            return self._relay.response(response, fields)
        if self._core.table.client(key) is None:
            # RFC 6026 7.2: one without transaction is dropped.
            return []
        read = with_description(response, self._core.config)
        return self._core.table.receive(key, read)

    def _request(self, request: Request, fields: Envelope, flow: Flow, now: float) -> list[Effect]:
        key = server_key(request, fields)
        if self._core.table.server(key) is not None:
            return self._core.table.receive(key, request)
        passed = self._relay.request(request, fields, flow)
        if passed is not None:
            return passed
        effects = self._server.receive(key, request, fields, flow, now)
        if effects and isinstance(effects[-1], FindRegistration):
            # Its answer comes in the same turn, and with it the transaction's: clocks would be set to be stopped at once.
            return effects
        return [*effects, *self._core.table.arm(key)]

    # time and flows

    def timer_fired(self, key: Hashable, now: float) -> list[SipEffect]:
        """A timer of `StartTimer` ran out."""
        if not isinstance(key, TimerKey):
            return []
        if isinstance(key.owner, UsageClock):
            usage = self._core.usages.get(key.owner.usage)
            return [] if usage is None else self._settle(usage.timer_fired(key))
        if isinstance(key.owner, SubscriptionClock):
            one = self._core.subscriptions.get(key.owner.subscription)
            return [] if one is None else self._settle(one.timer_fired(key, now))
        if isinstance(key.owner, BindingClock | ProbeClock):
            return self._settle(self._registrar.timer_fired(key, now))
        return self._settle(self._core.table.timer_fired(key))

    def send_failed(self, flow: FlowId, message: Message, now: float) -> list[SipEffect]:
        """A `Send` could not be performed. The request it carried has failed, and so has what was registered there."""
        effects: list[Effect] = []
        if isinstance(message, Request):
            effects += self._registrar.flow_lost(flow)
            if message.method != "ACK":
                effects += self._core.table.send_failed(client_key(envelope(message)))
        return self._settle(effects)

    def stream_opened(self, key: Hashable, flow: Flow | None, now: float) -> list[SipEffect]:
        """The answer to `OpenStream`."""
        return self._settle(self._core.table.stream_opened(key, flow))

    def _announce(self, flow: FlowId) -> None:
        """UDP peers that we spoke to first never end: those heard of longest ago, with nothing on them, are forgotten."""
        self._announced.pop(flow, None)
        self._announced[flow] = None
        if len(self._announced) > ANNOUNCED:
            oldest = next(iter(self._announced))
            del self._announced[oldest]
            if not self._registrar.carries(oldest) and not self.carries(oldest):
                self._flows.pop(oldest, None)

    def flow_opened(self, flow: Flow, now: float) -> list[SipEffect]:
        """A stream or WebSocket is up; a UDP flow may be announced too, when a stored binding names it."""
        self._flows[flow.id] = flow
        if not flow.transport.reliable:
            self._announce(flow.id)
        return []

    def flow_lost(self, flow: FlowId, now: float, left: bool = False) -> list[SipEffect]:
        """A stream or WebSocket is gone: its bindings go in this event, our requests on it fail, its dialogs stand.

        `left` tells that the page said so itself (WS-13).
        """
        lost = self._flows.pop(flow, None)
        self._doorkeeper.flow_lost(flow)
        # The usages know it before their requests fail, so that these turn back into wishes (LIVE-7).
        usages = self._core.speaking_on(flow)
        effects = [effect for usage in usages for effect in usage.lose_flow()]
        effects += [*self._registrar.flow_lost(flow), *self._core.table.flow_lost(flow)]
        settled = [*self._settle(effects), *self._settle(self._core.subscriptions.flow_lost(flow))]
        if lost is None:
            return settled
        paused = self._core.subscriptions.on_flow(flow)
        owed = tuple((usage.id, usage.peer) for usage in usages if usage.owes_bye and usage.peer is not None)
        return [*settled, Deliver(FlowLost(flow, self._core.on_flow(flow), paused, left, owed))]

    def registration_found(
        self, token: Hashable, account: Account | None, bindings: tuple[Binding, ...], now: float
    ) -> list[SipEffect]:
        """The answer to `FindRegistration`: the account of its `username` and all bindings of its `aor`."""
        match token:
            case Registration():
                found = self._registrar.found(token, account, bindings, now)
                return self._settle([*found, *self._core.table.arm(token.key)])
            case Sweep():
                return self._settle(self._registrar.swept(token, bindings, now))
            case Reattachment():
                return self._settle(self._registrar.attached(token, bindings, now))
            case InDialog():
                proven = self._server.proven(token, account, now)
                return self._settle([*proven, *self._core.table.arm(token.key)])
            case _:
                return []

    def aors(self, flow: FlowId) -> list[str]:
        """The addresses of record that are registered over a flow."""
        return self._registrar.aors(flow)

    def rtt(self, flow: FlowId) -> float | None:
        """Seconds that a UDP phone took to answer OPTIONS the last time; None while it has not been asked."""
        return self._registrar.rtt(flow)

    def reachability(self, flow: FlowId) -> Reachability:
        """What is known of the device behind a live flow."""
        return self._registrar.reachability(flow)

    def route_to(self, flow: FlowId) -> str:
        """The Route value by which other nodes reach a flow of ours; `SipConfig.node` has to name us (REG-17)."""
        return self._relay.route_to(flow)

    def restored(self, aor: str, bindings: tuple[Binding, ...], now: float) -> list[SipEffect]:
        """Bindings of an address of record that outlived a restart of ours; their flows are known by `flow_opened`."""
        return self._settle(self._registrar.restore(aor, bindings, now))

    # restarts (LIVE-15)

    def dialog_record(self, usage: UsageId) -> DialogRecord | None:
        """What the next process must know of a confirmed dialog; None without one."""
        found = self._core.usages.get(usage)
        return None if found is None else record_of(found)

    def revive(self, record: DialogRecord, flow: Flow, now: float) -> list[SipEffect]:
        """Goes on with a dialog of an earlier process; one on a connection is detached until its peer is back."""
        return self._settle(RevivedInvite(self._core, record, flow).start())

    # commands

    def perform(self, command: SipCommand, now: float) -> list[SipEffect]:
        """A command of call control. One for a usage that has ended meanwhile does nothing."""
        return self._settle(self._perform(command, now))

    def _perform(self, command: SipCommand, now: float) -> list[Effect]:
        match command:
            case SendInvite():
                return self._invite(command)
            case Respond(transaction, status, headers, body):
                return self._respond(transaction, status, headers, body)
            case SendRequest():
                return self._outside(command)
            case MarkFlow(flow, reachability):
                self._registrar.mark(flow, reachability)
                return []
            case RefuseNew():
                self._server.refuse_new(command)
                return []
            case Unbind():
                return self._registrar.unbind(command)
            case Attach():
                return self._registrar.attach(command)
            case AcceptSubscription():
                return self._accept_subscription(command, now)
            case Notify() | MoveSubscription():
                return self._to_subscription(command, now)
            case MoveUsage(name, flow):
                return self._move(name, flow)
            case _:
                usage = self._core.usages.get(command.usage)
                if usage is None or usage.over:
                    return [Note("usage-gone", {"usage": command.usage, "command": type(command).__name__})]
                return self._to_usage(usage, command)

    def _to_usage(
        self,
        usage: InviteUsage,
        command: RespondInvite | FromCarrier | CancelInvite | HangUp | SendInDialog | SettleUsage,
    ) -> list[Effect]:
        match command:
            case RespondInvite(_, status, headers, body, params):
                usage.contact_params = params or usage.contact_params
                return usage.respond_invite(status, headers, body)
            case FromCarrier(_, credentials, session_timer):
                return usage.from_carrier(credentials, session_timer)
            case CancelInvite(_, reason):
                return usage.cancel(reason)
            case HangUp(_, reason):
                return usage.hang_up(reason)
            case SendInDialog(_, method, headers, body, credentials):
                return usage.send(method, headers, body, credentials)
            case SettleUsage(_, probe):
                return usage.settle(probe)

    def _move(self, name: UsageId, to: FlowId) -> list[Effect]:
        usage, flow = self._core.usages.get(name), self._flows.get(to)
        if usage is None or flow is None:
            return [Note("not-moved", {"usage": name, "flow": to})]
        return usage.move(flow)

    def _invite(self, command: SendInvite) -> list[Effect]:
        flow = self._flows.get(command.flow)
        if flow is None:
            # WS-6: without a flow nothing is resolved or dialled.
            return [Deliver(InviteRejected(command.usage, None, Failure.FLOW_FAILED))]
        return OutgoingInvite(self._core, command, flow, self._registrar.peer(flow.id)).start()

    def _outside(self, command: SendRequest) -> list[Effect]:
        flow = self._flows.get(command.flow)
        if flow is None:
            return [Deliver(RequestSettled(command.token, None, Failure.FLOW_FAILED))]
        return ClientRequest(self._core, command, flow).start()

    def _accept_subscription(self, command: AcceptSubscription, now: float) -> list[Effect]:
        server = self._core.table.server(command.transaction)
        gone: list[Effect] = [Deliver(SubscriptionEnded(command.subscription, SubscriptionEnd.GONE))]
        if server is None:
            return gone
        fields = envelope(server.request)
        host = self._core.dialogs.get(fields.dialog)
        if fields.to_tag and (not isinstance(host, InviteUsage) or host.over):
            # The call ended meanwhile, and its requests have been answered.
            return gone
        of_call = host if isinstance(host, InviteUsage) else None
        return subscription.accept(self._core, command, server.request, server.flow, of_call, now)

    def _to_subscription(self, command: Notify | MoveSubscription, now: float) -> list[Effect]:
        one = self._core.subscriptions.get(command.subscription)
        if one is None or one.over:
            return [Note("subscription-gone", {"subscription": command.subscription})]
        if isinstance(command, Notify):
            return one.notify(command, now)
        flow = self._flows.get(command.flow)
        if flow is None:
            return [Note("flow-gone", {"flow": command.flow})]
        one.move(flow)
        return one.resumed(now)

    def _respond(self, transaction: Hashable, status: int, headers: Headers, body: bytes) -> list[Effect]:
        server = self._core.table.server(transaction)
        if server is None:
            return []
        fields = envelope(server.request)
        usage = self._core.dialogs.get(fields.dialog)
        if usage is None:
            return self._core.answer(transaction, status, headers, body)
        return usage.respond(transaction, status, headers, body)

    def _gone(self, owner: Owner) -> list[Effect]:
        """REG-16: nobody is where the request went, so nobody is registered there."""
        match owner:
            case OutgoingInvite():
                return self._registrar.gone(owner.flow.id, owner.request.uri)
            case ClientRequest():
                return self._registrar.gone(owner.flow.id, owner.command.request_uri)
            case _:
                return []

    # what the transactions say to their users

    def _settle(self, effects: list[Effect]) -> list[SipEffect]:
        """Consumes the words to transaction users in place, so that the order of effects is kept."""
        if WORDS.isdisjoint(map(type, effects)):
            return cast(list[SipEffect], effects)
        settled: list[SipEffect] = []
        for effect in effects:
            match effect:
                case ResponsePassed(_, owner, response):
                    settled += self._settle(owner.answered(response))
                    if response.status in GONE:
                        settled += self._settle(self._gone(owner))
                case RequestFailed(_, owner, failure):
                    settled += self._settle(owner.failed(failure))
                case AckPassed(_, request):
                    settled += self._settle(self._server.acknowledge(request, envelope(request)))
                case Terminated():
                    pass
                case _:
                    settled.append(effect)
        return settled
