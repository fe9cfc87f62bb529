"""Requests outside any dialog: MESSAGE, PUBLISH, SUBSCRIBE. Who sends one is proved as a caller is (EVT-3).

Lives here: from the request to a proven sender and the facts about whom it is for. Never here: what is done then (text.py,
presence.py).
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from offhook.calls.admission import Admission
from offhook.calls.call import CallConfig, Effects
from offhook.calls.caller_id import CallerNumbers
from offhook.calls.effects import LookUp, Sip
from offhook.calls.entry import Permits
from offhook.calls.events import FactsFound
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.routing import Destination, destination_of
from offhook.sip.commands import Respond
from offhook.sip.events import RequestReceived, SubscribeReceived
from offhook.sip.ids import Ids
from offhook.sip.location import Account, Binding
from offhook.sip.message import Headers

TOKEN = "request:"
"""Beginning of the look-ups made here; those of calls begin with a call's ref."""
WAITING = 10_000
"""Requests whose facts are awaited: the answer comes from memory, so this many mean a fault. The oldest are forgotten."""

Event = RequestReceived | SubscribeReceived


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose sender has proved himself. `callee` is whom its Request-URI names, None if nobody."""

    event: Event
    sender: Account
    destination: Destination
    callee: Account | None
    bindings: tuple[Binding, ...]
    numbers: CallerNumbers | None = None
    """What may be shown of the sender to the outside."""
    permits: Permits | None = None
    """What the sender may reach outside."""

    @property
    def transaction(self) -> Hashable:
        """What to answer."""
        return self.event.transaction

    def refused(self, outcome: Outcome, domain: str, *fields: tuple[str, str]) -> Effects:
        """The refusal, in words."""
        headers = Headers([*outcome.headers(domain), *fields])
        return [Sip(Respond(self.transaction, outcome.status, headers))]


class Room(Protocol):
    """Who serves a method."""

    def asked(self, asked: Asked, now: float) -> Effects:
        """The sender is proven."""
        ...


class Outside:
    """Owned by the switchboard; `rooms` by method."""

    def __init__(self, config: CallConfig, ids: Ids, admission: Admission, rooms: dict[str, Room]) -> None:
        self._config = config
        self._ids = ids
        self._admission = admission
        self._rooms = rooms
        self._waiting: OrderedDict[str, tuple[Event, Destination]] = OrderedDict()

    def received(self, event: Event, now: float) -> Effects:
        """A request has come: who says he sends it, and for whom is it?"""
        request = event.request
        if request.method not in self._rooms:
            return [Sip(Respond(event.transaction, 405))]
        if request.uri.scheme != "tel" and request.uri.host.lower() not in self._config.hosts:
            outcome = refusal("domain_unknown", f"{request.uri.host} is not served here; use {self._config.domain}")
            return [Sip(Respond(event.transaction, outcome.status, outcome.headers(self._config.domain)))]
        username = self._admission.claimed(request, event.flow, now)
        if username is None:
            return [Sip(Respond(event.transaction, 407, self._admission.challenge(request, event.flow, now)))]
        destination = destination_of(request.uri, self._config.gruus)
        token = f"{TOKEN}{self._ids.token()}"
        self._waiting[token] = event, destination
        if len(self._waiting) > WAITING:
            self._waiting.popitem(last=False)
        return [LookUp(token, username, destination.name)]

    def found(self, event: FactsFound, now: float) -> Effects:
        """The facts are there."""
        waited = self._waiting.pop(event.token, None)
        if waited is None:
            return []
        asked, destination = waited
        sender = event.caller
        challenge = self._admission.prove(asked.request, asked.flow, sender, now)
        if challenge is not None or sender is None:
            headers = challenge or self._admission.challenge(asked.request, asked.flow, now)
            return [Sip(Respond(asked.transaction, 407, headers))]
        proven = Asked(asked, sender, destination, event.callee, event.bindings, event.numbers, event.permits)
        wrong = self._admission.refuse_sender(asked.request, asked.flow, sender)
        if wrong is not None:
            return proven.refused(wrong, self._config.domain)
        return self._rooms[asked.request.method].asked(proven, now)
