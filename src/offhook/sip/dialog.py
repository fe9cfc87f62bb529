"""One dialog: RFC 3261 section 12. Its identity, route set, remote target and sequence numbers.

Lives here: the state and how a request inside is built. Never here: what keeps the dialog alive (invite_usage.py,
subscription.py).
"""

import ipaddress
from dataclasses import dataclass

from offhook.sip.client_auth import ClientAuth, credentials_of
from offhook.sip.core import Core, Outline
from offhook.sip.envelope import DialogKey, Envelope
from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_name_addr, split_list
from offhook.sip.flow import Flow, Transport
from offhook.sip.message import Headers, Message, Request, Response
from offhook.sip.response import NO_FIELDS
from offhook.sip.transaction.key import ClientKey
from offhook.sip.transaction.machine import Effect, Owner
from offhook.sip.uri import Uri


@dataclass(slots=True)
class Dialog:
    """`local` and `remote` are complete From and To values, tags last, and never change (CALL-2).

    `flow` is the next hop of everything we send. Of a registered peer it is the device's own, whatever route set and target
    say (CALL-3); a carrier's dialog `follows` them, for its answer may come from another machine than the one called.
    """

    key: DialogKey
    local: str
    remote: str
    contact_user: str
    flow: Flow
    remote_target: Uri
    route_set: tuple[str, ...]
    local_cseq: int
    remote_cseq: int | None
    auth: ClientAuth | None = None
    """What the peer asked us to prove inside this dialog, None when we have nothing to prove it with."""
    follows: bool = False

    def follow(self) -> None:
        """8.1.2: from now on requests go where the topmost Route, else the remote target, says; names and other transports
        are left to the flow, which leads to the same edge (TRK-12)."""
        self.follows = True
        first = _uri(self.route_set[0]) if self.route_set else self.remote_target
        if (
            first is None
            or self.flow.transport is not Transport.UDP
            or (first.params.get("transport") or "udp") != "udp"
        ):
            return
        address = _address(first.host)
        if address is not None and ":" not in address and ":" not in self.flow.remote[0]:
            self.flow = self.flow.to(address, first.port or 5060)

    def refresh_target(self, message: Message) -> None:
        """12.2: INVITE and UPDATE, and 2xx to them, may move the remote target; a client may leave Contact out."""
        target = contact_uri(message)
        if target is not None:
            self.remote_target = target
        if self.follows:
            self.follow()

    def outline(
        self,
        core: Core,
        method: str,
        cseq: int,
        headers: Headers = NO_FIELDS,
        body: bytes = b"",
        auth: ClientAuth | None = None,
    ) -> Outline:
        """12.2.1.1: a request of ours with the given CSeq number; `auth` in place of the dialog's own."""
        uri, routes = self.remote_target, self.route_set
        if routes:
            first = _uri(routes[0])
            if first is not None and "lr" not in first.params:
                # A strict router takes its own URI in the Request-URI and finds the target last in Route.
                uri, routes = first, (*routes[1:], f"<{self.remote_target}>")
        contact = core.contact(self.flow, self.contact_user) if method in _WITH_CONTACT else ""
        proof = auth or self.auth
        if proof is not None and method != "ACK":
            headers = Headers([*headers, *proof.fields(method, uri, body)])
        return Outline(
            method, uri, self.local, self.remote, self.key.call_id, cseq, routes, contact, headers=headers, body=body
        )

    def send(
        self,
        core: Core,
        method: str,
        owner: Owner,
        headers: Headers = NO_FIELDS,
        body: bytes = b"",
        auth: ClientAuth | None = None,
    ) -> tuple[ClientKey, int, list[Effect]]:
        """Sends a request with the next CSeq; gives its key and that number too."""
        self.local_cseq += 1
        key, effects = core.send(self.outline(core, method, self.local_cseq, headers, body, auth), self.flow, owner)
        return key, self.local_cseq, effects

    def ack(self, core: Core, cseq: int, invite: Request | None = None) -> Request:
        """13.2.2.4: the ACK to a 2xx, with the CSeq number and the credentials of its INVITE and a branch of its own."""
        headers = NO_FIELDS if invite is None else credentials_of(invite)
        return core.request(self.outline(core, "ACK", cseq, headers), self.flow, core.branch())


def dialog_of_request(request: Request, envelope: Envelope, local_tag: str, contact_user: str, flow: Flow) -> Dialog:
    """12.1.1: the dialog that an INVITE, SUBSCRIBE or REFER from a peer begins."""
    headers = request.headers
    return Dialog(
        key=DialogKey(envelope.call_id, local_tag, envelope.from_tag),
        local=f"{headers.get('To') or ''};tag={local_tag}",
        remote=headers.get("From") or "",
        contact_user=contact_user,
        flow=flow,
        remote_target=contact_uri(request) or parse_name_addr(headers.get("From") or "").uri,
        route_set=routes_of(request),
        local_cseq=0,
        remote_cseq=envelope.cseq,
    )


def dialog_of_response(
    invite: Request, response: Response, envelope: Envelope, contact_user: str, flow: Flow
) -> Dialog:
    """12.1.2: the dialog that a 101-299 to our INVITE begins. To is ours with the peer's tag, byte for byte (CALL-2)."""
    to = invite.headers.get("To") or ""
    return Dialog(
        key=DialogKey(envelope.call_id, envelope.from_tag, envelope.to_tag),
        local=invite.headers.get("From") or "",
        remote=f"{to};tag={envelope.to_tag}" if envelope.to_tag else to,
        contact_user=contact_user,
        flow=flow,
        remote_target=contact_uri(response) or invite.uri,
        route_set=routes_of(response)[::-1],
        local_cseq=envelope.cseq,
        remote_cseq=None,
    )


def contact_uri(message: Message) -> Uri | None:
    """The first Contact's URI, if there is one that can be read: the flow leads to the peer without it (CALL-3)."""
    values = split_list(message.headers.get("Contact") or "")
    return _uri(values[0]) if values else None


def _uri(value: str) -> Uri | None:
    try:
        return parse_name_addr(value).uri
    except PeerError:
        return None


def _address(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None


def routes_of(message: Message) -> tuple[str, ...]:
    """Record-Route values, each as received, in order."""
    return tuple(route for line in message.headers.all("Record-Route") for route in split_list(line))


_WITH_CONTACT = frozenset({"INVITE", "UPDATE", "NOTIFY", "SUBSCRIBE", "REFER"})
