"""How an INVITE becomes a call: who is let in, and what is found about the caller and whom he dialled.

Lives here: the order of the questions, from the request to the first fork. Never here: their answers (admission.py,
gateway.py, visitors.py, guests.py, seeking.py).
"""

from offhook.calls import (
    answering,
    bridge,
    ending,
    fork,
    guards,
    guests,
    handling,
    history,
    passing,
    replacing,
    seeking,
    visitors,
)
from offhook.calls.admission import Admission
from offhook.calls.applications import Application
from offhook.calls.call import Call, CallConfig, CallState, Effects, new_call
from offhook.calls.dial_back import DialBacks
from offhook.calls.effects import LookUp, Sip
from offhook.calls.events import FactsFound
from offhook.calls.gateway import Gateway
from offhook.calls.index import Index
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.routing import RESUME, Destination, destination_of
from offhook.calls.trunk import Trunk
from offhook.sip.commands import RespondInvite
from offhook.sip.domains import parted
from offhook.sip.events import InviteReceived, UsageId
from offhook.sip.ids import Ids
from offhook.sip.location import Account
from offhook.sip.message import Request


class Entrance:
    """Owned by the switchboard. `gateway` is None where there are no carriers and no strangers."""

    def __init__(
        self,
        config: CallConfig,
        ids: Ids,
        admission: Admission,
        index: Index,
        dial_backs: DialBacks,
        gateway: Gateway | None,
    ) -> None:
        self._config = config
        self._ids = ids
        self._admission = admission
        self._index = index
        self._dial_backs = dial_backs
        self._gateway = gateway

    # ---- the INVITE

    def invited(self, event: InviteReceived, now: float) -> Effects:
        """A new INVITE: refused, challenged, or a call whose facts are looked up."""
        request, flow, gateway = event.request, event.flow, self._gateway
        if self._is_strange(request):
            text = f"{request.uri.host} is not served here; use {self._config.domain}"
            return self._refuse(event.usage, refusal("domain_unknown", text))
        username = self._admission.claimed(request, flow, now)
        judged = gateway.judge(request, flow, username, now) if gateway is not None else None
        trunk = judged if isinstance(judged, Trunk) else None
        visit = gateway.visitors.judge(request, flow, username, now) if gateway is not None and judged is None else None
        if isinstance(visit, Outcome):
            return [visitors.refused(request, flow, visit), *self._refuse(event.usage, visit)]
        if isinstance(visit, Application) and gateway is not None:
            called = Destination(visit.identifier, False, None, request.uri)
            return gateway.visitors.arrive(self._call(event, called, now), visit, now)
        if trunk is None and (username is None or judged is not None):
            return [Sip(RespondInvite(event.usage, 407, self._admission.challenge(request, flow, now)))]
        destination = destination_of(request.uri, self._config.gruus)
        call = self._call(event, destination, now)
        if trunk is not None and gateway is not None:
            call.destination = Destination(destination.user, False, None, destination.uri, domain=destination.domain)
            return gateway.arrive(call, trunk, now)
        if destination.built_in:
            return [LookUp(call.ref, username, None)]
        return [seeking.look_up(call, call.ref, username, destination)]

    def _call(self, event: InviteReceived, destination: Destination, now: float) -> Call:
        usage, request, flow = event.usage, event.request, event.flow
        call = new_call(self._ids, self._config, usage, request, flow, destination, now, self._index, event.tag)
        self._index.calls[call.ref] = call
        return call

    def _is_strange(self, request: Request) -> bool:
        """A host that is not ours, dialled by nobody of ours; a foreign URI may be dialled by an endpoint (TRK-13)."""
        if request.uri.scheme == "tel" or request.uri.host in self._config.hosts:
            return False
        return self._gateway is None or not self._admission.claims_to_be_ours(request)

    def _refuse(self, usage: UsageId, outcome: Outcome) -> Effects:
        return [Sip(RespondInvite(usage, outcome.status, outcome.headers(self._config.domain)))]

    # ---- what was found

    def found(self, event: FactsFound, now: float) -> Effects:
        """The facts of a call, or of one of its forks: the token is REF or REF/FORK."""
        event = self._dial_backs.resumed(event)
        ref, _, of_fork = event.token.partition("/")
        call = self._index.calls.get(ref)
        if call is None:
            return []
        if of_fork:
            sought = next((one for one in call.forks if one.ref == of_fork), None)
            return self._sought(call, sought, event, now) if sought is not None else []
        if call.caller.trunk is not None:
            return self._arrived(call, event, now)
        if call.state is not CallState.ROUTING or call.caller.account is not None:
            return []
        challenge = self._admission.prove(call.request, call.caller.flow, event.caller, now)
        if challenge is not None or event.caller is None:
            # Not yet a call: nothing is kept of a stranger's INVITE.
            self._index.forget(call)
            fields = challenge or self._admission.challenge(call.request, call.caller.flow, now)
            return [Sip(RespondInvite(call.caller.usage, 407, fields))]
        return self._proved(call, event.caller, event, now)

    def _proved(self, call: Call, account: Account, event: FactsFound, now: float) -> Effects:
        """The caller is who he says: may he call so, and what does his call lead to?"""
        # A leg that takes another's place adds none.
        replaces = call.request.headers.get("Replaces") is not None
        busy = 0 if replaces else self._index.busy(account.username, call, account.max_calls)
        call.caller.account, call.domain = account, parted(account.username)[1]
        self._index.touched[call.ref] = call
        call.know(call.caller)
        help_ = self._gateway is not None and self._gateway.is_emergency(call.request.uri)
        wrong = (
            self._admission.refuse(call.request, call.caller.flow, account, busy, now, help_)
            or guests.refused(call, account, self._index.calls.values())
            or passing.privacy_refusal(call.request.headers) or bridge.read_offer(call.caller)
        )  # fmt: skip
        if wrong is not None:
            return [*guards.told(call, None, wrong), *ending.refuse(call, wrong, now)]
        taken = replacing.take(call, now)
        if taken is None and event.callee is None and call.destination.user.casefold() == RESUME:
            taken = replacing.resume(call, now)
        if taken is not None:
            return taken
        created = call.happened("call.created")
        if event.handler is not None and not help_:
            return [created, *handling.direct(call, event.handler, now)]
        return [created, *self._begin(call, event, now)]

    def _arrived(self, call: Call, event: FactsFound, now: float) -> Effects:
        """The number that a trunk delivered is looked up."""
        if call.state is not CallState.ROUTING or call.forks or self._gateway is None:
            return []
        if event.callee is None and (event.entry is None or event.entry.handler is None):
            return ending.refuse(call, self._gateway.unassigned(call, event), now)
        return self._begin(call, event, now)

    def _begin(self, call: Call, event: FactsFound, now: float) -> Effects:
        """The caller waits for whom he dialled."""
        waiter = seeking.Seeker(answering.CallerWaits())
        one = fork.Fork(self._ids.ref(), call.caller, waiter, call.caller.account, destination=call.destination)
        one.history = history.read(call.request.headers)
        call.forks.append(one)
        if call.destination.built_in:
            return seeking.to_built_in(call, one, now)
        return self._sought(call, one, event, now)

    def _sought(self, call: Call, one: fork.Fork, event: FactsFound, now: float) -> Effects:
        """REG-12: a phone that has to be dialled back is connected first."""
        held = self._dial_backs.hold(f"{call.ref}/{one.ref}", event)
        return held if held is not None else seeking.found(call, one, event, now)
