"""Requests for a device whose flow another node holds (REG-17): RFC 5626 section 5.3 between nodes of ours.

A node that wants to reach it sends the request here with `Route: <sip:TOKEN@node;lr;ob>`; TOKEN is the sealed flow id. It is
passed down the flow and its responses up again. Nothing is remembered: the branch is made from the one that came (RFC 3261
section 16.11), the way back stands sealed in our Via, and Record-Route tells both sides of a dialog the way to each other.
Lives here: the passing. Never here: which node holds which flow; a binding's `path` says it.
"""

import hashlib

from offhook.sip.core import Core
from offhook.sip.effects import Send
from offhook.sip.envelope import Envelope
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_name_addr, split_list
from offhook.sip.flow import Flow, FlowId
from offhook.sip.message import Headers, Request, Response
from offhook.sip.parse import RELAYED
from offhook.sip.seal import Sealer
from offhook.sip.transaction.key import COOKIE
from offhook.sip.transaction.machine import Effect
from offhook.sip.uri import Uri

BEGINS_DIALOG = frozenset({"INVITE", "SUBSCRIBE", "REFER"})
"""Methods whose dialogs have to come by here again (RFC 3261 section 16.6 step 4)."""
BACK = RELAYED.strip(";=")
"""Parameter of our Via with the sealed id of the flow that the request came by."""


class FlowTokens:
    """Flow ids that only nodes of ours can read or make. `key` is shared by all; `node` is our own `host[:port]`."""

    def __init__(self, key: bytes, node: str) -> None:
        self._sealer = Sealer(key)
        self._node = node

    def route(self, core: Core, down: FlowId, up: FlowId | None = None) -> str:
        """The Route value that leads through us down a flow; in Record-Route with the flow that leads up again."""
        return f"<sip:{self.seal(core, down, up)}@{self._node};lr;ob>"

    def seal(self, core: Core, down: FlowId, up: FlowId | None = None) -> str:
        """The token."""
        return self._sealer.seal("\0".join((down, up or "")).encode(), core.ids.octets(8))

    def open(self, token: str) -> tuple[FlowId, FlowId | None] | None:
        """The flow down and, where the token has it, the flow up; None for a token that no node of ours made."""
        data = self._sealer.open(token)
        if data is None:
            return None
        down, _, up = data.decode().partition("\0")
        return FlowId(down), FlowId(up) if up else None

    def is_here(self, uri: Uri) -> bool:
        """True for a Route of this node with a token."""
        where = uri.host if uri.port is None else f"{uri.host}:{uri.port}"
        return where == self._node.lower() and "ob" in uri.params and bool(uri.user)


class Relay:
    """Owned by the endpoint; does nothing while `SipConfig.node` is empty."""

    def __init__(self, core: Core, flows: dict[FlowId, Flow], key: bytes) -> None:
        self._core = core
        self._flows = flows
        self._tokens = FlowTokens(key, core.config.node) if core.config.node else None

    def route_to(self, flow: FlowId) -> str:
        """What another node puts into Route to reach a flow of ours."""
        assert self._tokens is not None, "SipConfig.node names us to the other nodes"
        return self._tokens.route(self._core, flow)

    def request(self, request: Request, fields: Envelope, flow: Flow) -> list[Effect] | None:
        """None when the request is for us and not for a flow of ours."""
        route = self._topmost(request)
        if self._tokens is None or route is None or not self._tokens.is_here(route):
            return None
        found = self._tokens.open(route.user or "")
        if found is None:
            return self._refuse(request, flow, 403, "the flow token was not made by this system")
        if _hops(request) < 1:
            return self._refuse(request, flow, 483, "Max-Forwards is used up")
        down, up = found
        from_device = up is not None and flow.id != up and (flow.id == down or down not in self._flows)
        # RFC 5626 section 5.3.2: what comes from the device goes up, everything else down.
        target = self._flows.get(up if from_device and up is not None else down)
        if target is None:
            # 430 is a word between nodes; a device hears 503.
            return self._refuse(request, flow, 503 if from_device else 430, "the flow is gone")
        return [Send(target.id, self._passed(request, fields, flow, target))]

    def response(self, response: Response, fields: Envelope) -> list[Effect]:
        """A response to what was passed: up again, without our Via. Others with several Vias went astray (8.1.3.3)."""
        sealed = fields.via.params.get(BACK)
        found = self._tokens.open(sealed) if self._tokens is not None and sealed else None
        if found is None or found[0] not in self._flows:
            return []
        vias = [value for line in response.headers.all("Via") for value in split_list(line)][1:]
        rest = [(name, value) for name, value in response.headers if name != "Via"]
        headers = Headers([*(("Via", via) for via in vias), *rest])
        return [Send(found[0], Response(response.status, response.reason, headers, response.body))]

    # ---- small

    def _topmost(self, request: Request) -> Uri | None:
        line = request.headers.get("Route")
        if line is None:
            return None
        try:
            return parse_name_addr(split_list(line)[0]).uri
        except (PeerError, IndexError):
            return None

    def _refuse(self, request: Request, flow: Flow, status: int, text: str) -> list[Effect]:
        """Without state, as all that is done here; an ACK has no answer."""
        if request.method == "ACK":
            return []
        words = self._core.warning("flow-lost" if status == 430 else "request-malformed", text)
        return [Send(flow.id, self._core.response(request, status, Headers([words])))]

    def _passed(self, request: Request, fields: Envelope, flow: Flow, target: Flow) -> Request:
        """RFC 3261 section 16.6: our Via on top, one hop less, our Route gone, Record-Route where a dialog begins."""
        assert self._tokens is not None
        back = self._tokens.seal(self._core, flow.id)
        branch = hashlib.sha256(f"{fields.branch}\0{flow.id}\0{target.id}".encode()).hexdigest()[:24]
        via = f"SIP/2.0/{target.transport} {target.advertised};branch={COOKIE}{branch};{BACK}={back}"
        routes = [value for line in request.headers.all("Route") for value in split_list(line)][1:]
        kept = [one for one in request.headers if one[0] not in ("Route", "Max-Forwards")]
        first = next((at for at, (name, _) in enumerate(kept) if name == "Via"), 0)
        ours = [("Via", via)]
        if request.method in BEGINS_DIALOG and not fields.to_tag:
            ours.append(("Record-Route", self._tokens.route(self._core, target.id, flow.id)))
        added = [*(("Route", route) for route in routes), ("Max-Forwards", str(_hops(request) - 1))]
        headers = Headers([*kept[:first], *ours, *kept[first:], *added])
        return Request(request.method, request.uri, headers, request.body)


def _hops(request: Request) -> int:
    """Max-Forwards; 70 where it is missing or unreadable (RFC 3261 section 16.6 step 3)."""
    text = (request.headers.get("Max-Forwards") or "").strip()
    return int(text[:5]) if text.isascii() and text.isdigit() else 70
