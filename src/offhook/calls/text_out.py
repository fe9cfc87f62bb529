"""A MESSAGE to a number, by a trunk that says it takes them (MSG-1, `accept_messages`). Tried once: a text is no call.

Lives here: one text on its way to a carrier. Never here: texts between endpoints (text.py), which trunk (outbound.py).
"""

from dataclasses import dataclass

from offhook.calls.call import Effects
from offhook.calls.effects import Connect, Locate, Sip, StartTimer, StopTimer
from offhook.calls.entry import Permits
from offhook.calls.events import Connected, Located
from offhook.calls.hunt import request_uri
from offhook.calls.outbound import Outbound
from offhook.calls.outcome import Outcome, refusal
from offhook.calls.outside import Asked
from offhook.calls.trunk import Trunk, TrunkTarget
from offhook.calls.trunk_outcome import of_carrier
from offhook.calls.trunks import first_hop, proxy_route
from offhook.sip.commands import Respond, SendRequest
from offhook.sip.events import RequestSettled
from offhook.sip.flow import FlowId
from offhook.sip.ids import Ids
from offhook.sip.message import Headers

PATIENCE = 10.0
"""Seconds after which the sender hears that the carrier says nothing; its own request lives for 32."""


@dataclass(frozen=True, slots=True)
class OfText:
    """Token and timer key of one text to a carrier."""

    ref: str


@dataclass(slots=True)
class _OnItsWay:
    asked: Asked
    trunk: Trunk
    target: TrunkTarget
    number: str


class TextsOut:
    """Owned by the gateway."""

    def __init__(self, outbound: Outbound, domain: str, ids: Ids) -> None:
        self._outbound = outbound
        self._domain = domain
        self._ids = ids
        self._texts: dict[str, _OnItsWay] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def take(self, asked: Asked) -> Effects | None:
        """Begins, if what was written to is a number and a trunk takes texts to it; None if not."""
        uri = asked.destination.uri
        number = self._outbound.number(uri) if uri is not None else None
        if number is None:
            return None
        trunk = self._outbound.trunk_for_texts(number, asked.permits or Permits())
        if isinstance(trunk, Outcome):
            return asked.refused(trunk, self._domain)
        if trunk is None:
            return None
        target = trunk.ordered_targets(self._ids.uniform(0, 0.999))[0]
        token = OfText(self._ids.token())
        self._texts[token.ref] = _OnItsWay(asked, trunk, target, number)
        return [StartTimer(token, PATIENCE), Locate(token, first_hop(trunk, target))]

    def located(self, event: Located, token: OfText) -> Effects:
        """The carrier's addresses; the first is the one."""
        text = self._texts.get(token.ref)
        if text is None:
            return []
        if not event.hops:
            return self._over(token, refusal("trunk_dns_failed", f"{text.trunk.name}: {event.error}"))
        return [Connect(token, event.hops[0])]

    def connected(self, event: Connected, token: OfText) -> Effects:
        """A way there."""
        text = self._texts.get(token.ref)
        if text is None:
            return []
        if event.flow is None:
            outcome = refusal(event.code or "trunk_unreachable", f"{text.trunk.name}: {event.error}")
            return self._over(token, outcome)
        return [Sip(self._message(token, text, event.flow.id))]

    def _message(self, token: OfText, text: _OnItsWay, flow: FlowId) -> SendRequest:
        request, trunk = text.asked.event.request, text.trunk
        words = self._outbound.write(text.asked.sender, request, text.number, text.asked.numbers, trunk)
        uri = request_uri(trunk, text.target, words.number)
        kind = request.headers.get("Content-Type")
        fields = [("Content-Type", kind)] if kind is not None else []
        return SendRequest(
            token,
            "MESSAGE",
            flow,
            uri,
            words.shown.from_,
            f"<{uri}>",
            Headers([*fields, *words.shown.fields]),
            request.body,
            routes=proxy_route(trunk),
            credentials=trunk.credentials,
        )

    def settled(self, event: RequestSettled, token: OfText) -> Effects:
        """The carrier's answer is the sender's, by the table of 4.4."""
        text = self._texts.get(token.ref)
        if text is None:
            return []
        if event.response is not None and event.response.status < 300:
            del self._texts[token.ref]
            return [StopTimer(token), Sip(Respond(text.asked.transaction, event.response.status))]
        return self._over(token, of_carrier(text.trunk, text.number, event.response, event.failure))

    def impatient(self, token: OfText) -> Effects:
        """Nothing came in time."""
        text = self._texts.get(token.ref)
        return [] if text is None else self._over(token, refusal("trunk_timeout", f"{text.trunk.name} does not answer"))

    def _over(self, token: OfText, outcome: Outcome) -> Effects:
        text = self._texts.pop(token.ref)
        return [StopTimer(token), *text.asked.refused(outcome, self._domain)]
