"""What is refused before it costs anything: overload, a node that is stopping, strangers that ask too often (CALL-25).

Lives here: refusals that look at no more than method, dialog and source. Never here: REGISTER_RATE (registrar.py), the
rights of somebody who has proved who he is.
"""

from offhook.sip.attempts import source_of
from offhook.sip.commands import RefuseNew
from offhook.sip.core import Core
from offhook.sip.effects import CloseFlow, Send
from offhook.sip.envelope import DialogKey, Envelope
from offhook.sip.errors import PeerError
from offhook.sip.flow import Flow, Transport
from offhook.sip.message import Headers, Request
from offhook.sip.rate import Rates
from offhook.sip.replaces import read_replaces
from offhook.sip.seldom import Seldom
from offhook.sip.transaction.machine import Effect

MAKES_DIALOGS = frozenset({"INVITE", "SUBSCRIBE"})

NOTHING = RefuseNew(frozenset())


class Throttle:
    """Owned by the UAS core. Nothing inside a dialog is ever refused here, and neither are BYE and CANCEL of a call."""

    def __init__(self, core: Core) -> None:
        limits = core.config.strangers
        self._core = core
        self._rates = Rates(limits.rate, limits.burst, limits.sources)
        self._refused = NOTHING
        self.seldom = Seldom()

    def refuse(self, command: RefuseNew) -> None:
        """From now on; the last command counts."""
        self._refused = command

    def refuses(self, method: str) -> bool:
        """True while some requests of that method are refused."""
        return method in self._refused.methods

    def turn_away(self, request: Request, fields: Envelope, flow: Flow) -> list[Effect] | None:
        """None: the request may go on."""
        if fields.to_tag and fields.dialog in self._core.dialogs:
            return None
        if request.method in self._refused.methods and not (self._is_urgent(request) or self._replaces(request)):
            return self._overloaded(request, flow)
        if request.method in MAKES_DIALOGS and len(self._core.dialogs) >= self._core.config.most_dialogs:
            return [self._unavailable(request, flow, "node-overloaded", "too many dialogs (limits.dialogs)")]
        if self._core.table.full(flow):
            return [self._unavailable(request, flow, "node-overloaded", "too many transactions (limits.transactions)")]
        return None

    def _is_urgent(self, request: Request) -> bool:
        """True for a call for help: late is better than never. The caps of memory and of strangers hold for it too."""
        return request.method == "INVITE" and self._core.config.urgent(request.uri)

    def _replaces(self, request: Request) -> bool:
        """True for an INVITE that takes the place of a dialog of ours: a reload or a pickup adds no call."""
        try:
            named = read_replaces(request.headers)
        except PeerError:
            return False
        if named is None:
            return False
        orders = ((named.one_tag, named.other_tag), (named.other_tag, named.one_tag))
        return any(DialogKey(named.call_id, *tags) in self._core.dialogs for tags in orders)

    def stranger(self, request: Request, flow: Flow, now: float) -> list[Effect] | None:
        """`UNAUTH_RATE` for a request of somebody unknown. None: it may go on."""
        source = source_of(flow.remote[0])
        if self._rates.allow(source, now):
            return None
        facts = {"source": source, "flow": flow.id, "method": request.method}
        noted = self.seldom.note("requests-too-often", facts, now)
        if flow.transport is Transport.UDP:
            # The source may be forged, and whoever floods gets nothing for it.
            return noted
        text = "more requests without proof of identity than allowed (limits.unauth_rate)"
        return [*noted, self._unavailable(request, flow, "requests-too-often", text, self._rates.wait(source))]

    def _overloaded(self, request: Request, flow: Flow) -> list[Effect]:
        slug = self._refused.slug
        if request.method == "REGISTER" and flow.transport is Transport.UDP:
            return []
        if request.method == "REGISTER" and flow.transport.websocket and not self._core.on_flow(flow.id):
            # REG-3: JsSIP connects again by itself, but never repeats a refused REGISTER.
            return [CloseFlow(flow.id, 1013, slug)]
        return [self._unavailable(request, flow, slug, self._refused.text)]

    def _unavailable(self, request: Request, flow: Flow, slug: str, text: str, wait: float | None = None) -> Send:
        seconds = self._core.ids.uniform(5, 15) if wait is None else wait
        fields = [("Retry-After", str(round(seconds))), self._core.warning(slug, text)]
        return Send(flow.id, self._core.response(request, 503, Headers(fields)))
