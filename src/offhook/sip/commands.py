"""What call control asks of the SIP layer, imperative. `SipEndpoint.perform(command, now)` takes each.

Fields that the dialog owns (Via, From, To, Call-ID, CSeq, Contact, Max-Forwards, Allow, Supported, Content-Length) are
written by the endpoint; `headers` here are additions (Reason, Warning, Alert-Info, Content-Type with a body, …).
"""

from collections.abc import Hashable

from offhook.record import record
from offhook.sip.events import SubscriptionId, UsageId
from offhook.sip.flow import Flow, FlowId, Reachability
from offhook.sip.location import ClientCredentials
from offhook.sip.message import Headers
from offhook.sip.uri import Uri


@record
class SendInvite:
    """INVITE down a flow. `request_uri` is the Contact as registered (CALL-3); `from_` and `to` are complete name-addr
    values without tag; a new Call-ID and tag are drawn. `max_forwards` is the caller's minus one (CALL-17).

    `routes` are Route values to send it by (a Path, an outbound proxy). `credentials` answer a 401 or 407 of this INVITE and
    of every request in its dialog. `contact_user` is drawn when empty."""

    usage: UsageId
    flow: FlowId
    request_uri: Uri
    from_: str
    to: str
    max_forwards: int = 70
    headers: Headers = Headers()
    body: bytes = b""
    routes: tuple[str, ...] = ()
    credentials: ClientCredentials | None = None
    contact_user: str = ""
    carrier: bool = False
    """The peer is no registered device but a carrier: its dialog goes where its route set leads, and is spoken in from any
    address of its machines (TRK-12)."""
    session_timer: str = "allowed"
    """`off`, `allowed` or `required` (RFC 4028)."""


@record
class RespondInvite:
    """A 1xx above 100, 2xx or final refusal to an `InviteReceived`. 2xx is repeated until ACK on every transport.

    `contact_params` stand behind our Contact from here on (`;isfocus`).
    """

    usage: UsageId
    status: int
    headers: Headers = Headers()
    body: bytes = b""
    contact_params: str = ""


@record
class FromCarrier:
    """This incoming INVITE is a carrier's: `credentials` answer its challenges inside the dialog, which goes where its route
    set leads. For our own INVITE both are in `SendInvite`."""

    usage: UsageId
    credentials: ClientCredentials | None
    session_timer: str = "allowed"


@record
class CancelInvite:
    """CANCEL our INVITE; waits by itself for a first 1xx (CALL-12). `reason` is the Reason field to carry."""

    usage: UsageId
    reason: str | None = None


@record
class HangUp:
    """BYE in a confirmed dialog. Ends the usage at once for call control; no event follows."""

    usage: UsageId
    reason: str | None = None


@record
class SendInDialog:
    """INFO, UPDATE, REFER or re-INVITE inside a dialog. `RequestAnswered` follows. `credentials` answer a challenge to it in
    place of the dialog's own."""

    usage: UsageId
    method: str
    headers: Headers = Headers()
    body: bytes = b""
    credentials: ClientCredentials | None = None


@record
class MoveUsage:
    """The peer of this usage is on another flow now (LIVE-5). `UsageMoved` follows. A BYE that waits is sent at once and so
    is every other wish, but for the one about media; a usage that has ended here gets its BYE too (LIVE-14)."""

    usage: UsageId
    flow: FlowId


@record
class SettleUsage:
    """The peer has had the time to speak first on its new flow (LIVE-9): send the wish about media; without one and with
    `probe` an UPDATE without body, which refreshes the session and finds out whether the peer still knows the call."""

    usage: UsageId
    probe: bool


@record
class Respond:
    """Answer a `RequestInDialog` or `RequestReceived`."""

    transaction: Hashable
    status: int
    headers: Headers = Headers()
    body: bytes = b""


@record
class SendRequest:
    """A request outside any dialog that makes none: MESSAGE, OPTIONS, an unsolicited NOTIFY. `RequestSettled` with the same
    token follows, once. A `call_id` is drawn when empty; `cseq` counts only within a Call-ID that is given."""

    token: Hashable
    method: str
    flow: FlowId
    request_uri: Uri
    from_: str
    to: str
    headers: Headers = Headers()
    body: bytes = b""
    max_forwards: int = 70
    routes: tuple[str, ...] = ()
    credentials: ClientCredentials | None = None
    call_id: str = ""
    cseq: int = 1
    contact_user: str = ""


@record
class MarkFlow:
    """What call control or a transport found out about the device behind a flow. Forgotten with the flow; `REACHABLE` and
    the next message from there take it back. Decides whose bindings make room first (REG-11)."""

    flow: FlowId
    reachability: Reachability


@record
class Attach:
    """A binding that waited to be dialled back (`Binding.dial_back`) has this flow now. `DeviceReturned` follows."""

    aor: str
    binding: str
    flow: Flow


@record
class RefuseNew:
    """Answer new requests of these methods with 503 from now on (CALL-25, a node that stops); none of them: serve all.

    `slug` and `text` stand in the Warning. What belongs to a dialog, replaces one or calls for help is
    served all the same."""

    methods: frozenset[str]
    slug: str = "node-overloaded"
    text: str = "no processor time left"


@record
class Unbind:
    """Take away one binding of an address of record by its id, or all of them. `BindingsChanged` follows."""

    aor: str
    binding: str = ""


@record
class AcceptSubscription:
    """Accept a `SubscribeReceived`, or a REFER (`RequestInDialog`, `RequestReceived`), under an id that call control draws.

    SUBSCRIBE gets 200 and the expiry it was told with. REFER gets 202; in a call's dialog its subscription lives in that
    dialog (RFC 5057), outside of any it makes one. Give `Notify` at once. `peer` is the endpoint's user name."""

    subscription: SubscriptionId
    transaction: Hashable
    peer: str
    headers: Headers = Headers()


@record
class Notify:
    """Tell the subscriber the state: `state` is active, pending or terminated, `reason` why it ended (RFC 6665 4.1.3).

    One NOTIFY is on its way at a time, then only the latest follows. After `terminated` the subscription is gone for call
    control; no event follows."""

    subscription: SubscriptionId
    body: bytes = b""
    content_type: str = ""
    state: str = "active"
    reason: str = ""


@record
class MoveSubscription:
    """The subscriber is reached by this flow now (LIVE-5). One that paused says its state there once (EVT-4)."""

    subscription: SubscriptionId
    flow: FlowId


SubscriptionCommand = AcceptSubscription | Notify | MoveSubscription

SipCommand = (
    SendInvite
    | RespondInvite
    | FromCarrier
    | CancelInvite
    | HangUp
    | SendInDialog
    | SendRequest
    | MarkFlow
    | Attach
    | RefuseNew
    | Unbind
    | SubscriptionCommand
    | MoveUsage
    | SettleUsage
    | Respond
)
