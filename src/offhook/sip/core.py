"""The UAC and UAS core (RFC 3261 section 8): what all requests and responses of ours have in common.

Lives here: building messages, handing them to transactions, the index of dialogs. Never here: what a request means.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING

from offhook.record import record
from offhook.sip.client_auth import ClientAuth
from offhook.sip.config import SipConfig
from offhook.sip.envelope import DialogKey
from offhook.sip.events import UsageId
from offhook.sip.fields import warning
from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.ids import Ids
from offhook.sip.location import ClientCredentials
from offhook.sip.message import Headers, Request, Response
from offhook.sip.reliable import OPTION as RELIABLE
from offhook.sip.response import NO_FIELDS, response_to
from offhook.sip.subscriptions import Subscriptions
from offhook.sip.transaction.key import COOKIE, ClientKey
from offhook.sip.transaction.machine import Effect, Owner
from offhook.sip.transaction.table import TransactionTable
from offhook.sip.uri import Uri

if TYPE_CHECKING:
    from offhook.sip.invite_usage import InviteUsage
    from offhook.sip.subscription import Subscription

REMEMBERED_AUTHS = 10_000
"""Registrations of ours whose last challenge is remembered; the longest unused is forgotten first."""


@record
class Outline:
    """A request before it gets its Via: the fields that RFC 3261 section 8.1.1 makes mandatory, and what else to say."""

    method: str
    uri: Uri
    from_: str
    to: str
    call_id: str
    cseq: int
    routes: tuple[str, ...] = ()
    contact: str = ""
    max_forwards: int = 70
    headers: Headers = NO_FIELDS
    body: bytes = b""


class Core:
    """Shared by usages, subscriptions, registrar and endpoint; owned by the endpoint."""

    def __init__(self, config: SipConfig, ids: Ids) -> None:
        self.config = config
        self.ids = ids
        self.table = TransactionTable(config.timers, config.transactions)
        self.usages: dict[UsageId, InviteUsage] = {}
        self.dialogs: dict[DialogKey, InviteUsage | Subscription] = {}
        self.subscriptions = Subscriptions()
        self._by_flow: dict[FlowId, dict[UsageId, InviteUsage]] = {}
        self._auths: OrderedDict[str, ClientAuth] = OrderedDict()

    def attach(self, usage: "InviteUsage") -> None:
        """Remembers a usage and the flow it speaks through."""
        self.usages[usage.id] = usage
        self._by_flow.setdefault(usage.flow.id, {})[usage.id] = usage

    def detach(self, usage: "InviteUsage") -> None:
        """Forgets a usage, for good or before it moves to another flow."""
        self.usages.pop(usage.id, None)
        on_flow = self._by_flow.get(usage.flow.id, {})
        on_flow.pop(usage.id, None)
        if not on_flow:
            self._by_flow.pop(usage.flow.id, None)

    def on_flow(self, flow: FlowId) -> tuple[UsageId, ...]:
        """The usages that call control knows and whose messages go down this flow."""
        return tuple(usage.id for usage in self._by_flow.get(flow, {}).values() if not usage.over)

    def auth_of(self, call_id: str, credentials: ClientCredentials) -> ClientAuth:
        """What was asked of us in requests with this Call-ID outside any dialog, so that the next carries it unasked."""
        auth = self._auths.get(call_id)
        if auth is None or auth.credentials != credentials:
            auth = self._auths[call_id] = ClientAuth(credentials, self.ids)
        self._auths.move_to_end(call_id)
        if len(self._auths) > REMEMBERED_AUTHS:
            self._auths.popitem(last=False)
        return auth

    def speaking_on(self, flow: FlowId) -> tuple["InviteUsage", ...]:
        """Every usage whose messages go down this flow, those too that have ended for call control."""
        return tuple(self._by_flow.get(flow, {}).values())

    def contact(self, flow: Flow, user: str) -> str:
        """A Contact value that leads back to us. The user part is opaque, so that a leg tells nothing (CALL-19)."""
        transport = "" if flow.transport is Transport.UDP else f";transport={_CONTACT_TRANSPORT[flow.transport]}"
        return f"<sip:{user}@{flow.advertised}{transport}>"

    def request(self, outline: Outline, flow: Flow, branch: str) -> Request:
        """The finished request. A UDP peer is asked to answer to the port it came from (RFC 3581)."""
        rport = "" if flow.transport.reliable else ";rport"
        fields = [("Via", f"SIP/2.0/{flow.transport} {flow.advertised};branch={branch}{rport}")]
        fields += [("Route", route) for route in outline.routes]
        fields += [
            ("Max-Forwards", str(outline.max_forwards)),
            ("From", outline.from_),
            ("To", outline.to),
            ("Call-ID", outline.call_id),
            ("CSeq", f"{outline.cseq} {outline.method}"),
        ]
        if outline.contact:
            fields.append(("Contact", outline.contact))
        if outline.method in ("INVITE", "UPDATE"):
            fields += self.abilities(flow)
        fields.append(("User-Agent", self.config.server))
        fields += outline.headers
        return Request(outline.method, outline.uri, Headers(fields), outline.body)

    def branch(self) -> str:
        """A new branch."""
        return f"{COOKIE}{self.ids.token()}"

    def send(self, outline: Outline, flow: Flow, owner: Owner) -> tuple[ClientKey, list[Effect]]:
        """Sends a request in a transaction of its own."""
        key = ClientKey(self.branch(), outline.method)
        request = self.request(outline, flow, key.branch)
        return key, self.table.open_client(key, request, flow, owner)

    def answer(
        self, key: Hashable, status: int, headers: Headers = NO_FIELDS, body: bytes = b"", to_tag: str = ""
    ) -> list[Effect]:
        """Answers the request of a server transaction; nothing happens once that is gone."""
        server = self.table.server(key)
        if server is None:
            return []
        return self.table.respond(key, self.response(server.request, status, headers, body, to_tag))

    def response(
        self, request: Request, status: int, headers: Headers = NO_FIELDS, body: bytes = b"", to_tag: str = ""
    ) -> Response:
        """A response with our Server field; every final and early one gets a To tag (8.2.6.2)."""
        tag = to_tag or self.ids.token()
        return response_to(request, status, (("Server", self.config.server), *headers), body, tag)

    def abilities(self, flow: Flow) -> list[tuple[str, str]]:
        """Allow, Supported, Allow-Events, Recv-Info (CALL-26); 100rel not to WebSocket peers, whose libraries have none."""
        fields = [("Allow", ", ".join(self.config.allow))]
        if self.config.allow_events:
            fields.append(("Allow-Events", ", ".join(self.config.allow_events)))
        websocket = flow.transport.websocket
        supported = [option for option in self.config.supported if option != RELIABLE or not websocket]
        if supported:
            fields.append(("Supported", ", ".join(supported)))
        # RFC 6086 section 4.2.1: INFO is served, but no package of it.
        return [*fields, ("Recv-Info", "")]

    def min_se(self) -> Headers:
        """The fields of a 422 (RFC 4028 section 6)."""
        return Headers([("Min-SE", str(self.config.min_se))])

    def warning(self, slug: str, text: str) -> tuple[str, str]:
        """Warning 399 with a slug of the error catalogue and a sentence for people."""
        return ("Warning", warning(self.config.domain, slug, text))


_CONTACT_TRANSPORT = {Transport.TCP: "tcp", Transport.TLS: "tls", Transport.WS: "ws", Transport.WSS: "ws"}
