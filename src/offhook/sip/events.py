"""What the SIP layer tells call control. Past tense; the names are those of RFC 3261 where it has one.

A `UsageId` names one INVITE usage: our side of one call attempt and of the dialog it becomes. For an incoming INVITE it is
made by the endpoint; for an outgoing one call control chooses it (`SendInvite`).
"""

from collections.abc import Hashable
from enum import StrEnum
from typing import NewType

from offhook.record import record
from offhook.sip.flow import Flow, FlowId
from offhook.sip.location import Binding, Changed
from offhook.sip.message import Request, Response

UsageId = NewType("UsageId", str)

SubscriptionId = NewType("SubscriptionId", str)
"""One subscription of a peer; call control draws it (`AcceptSubscription`)."""


class Failure(StrEnum):
    """Why an outgoing INVITE ended without a final response from the peer."""

    NO_RESPONSE = "no_response"
    FLOW_FAILED = "flow_failed"
    BAD_ANSWER = "bad_answer"


@record
class InviteReceived:
    """An INVITE outside any dialog; 100 has been sent. Answer it by `RespondInvite`. `tag` is ours, of every answer."""

    usage: UsageId
    request: Request
    flow: Flow
    tag: str = ""


@record
class InviteCanceled:
    """The caller sent CANCEL (or BYE in the early dialog) before our final response; 200 and 487 have been sent."""

    usage: UsageId
    reason: str | None


@record
class AckReceived:
    """The ACK to our 2xx; the dialog is confirmed on both sides."""

    usage: UsageId
    request: Request


@record
class AckMissing:
    """No ACK for 64*T1 after our 2xx; BYE has been sent and the usage is gone (CALL-10)."""

    usage: UsageId


@record
class ProvisionalAcknowledged:
    """The PRACK to a reliable 1xx of ours; it has been answered. If that 1xx made the offer, the body is the answer."""

    usage: UsageId
    request: Request


@record
class PrackMissing:
    """No PRACK for 64*T1 after a reliable 1xx of ours; 504 has been sent and the usage is gone (CALL-5)."""

    usage: UsageId


@record
class SessionRefreshDue:
    """The session is to be refreshed and the peer takes no UPDATE: send a re-INVITE with the description as it stands."""

    usage: UsageId


@record
class SessionExpired:
    """Nobody refreshed the session in time (CALL-11); BYE has been sent and the usage is gone."""

    usage: UsageId


@record
class InviteTrying:
    """A 100 to our INVITE: the peer lives, and nothing more."""

    usage: UsageId


@record
class InviteProgressed:
    """A 1xx above 100 to our INVITE, in order and acknowledged if it was reliable (RFC 3262). `tag` is the remote tag of the
    early dialog ("" if it carried none)."""

    usage: UsageId
    response: Response
    tag: str


@record
class InviteAccepted:
    """The first 2xx to our INVITE; ACK has been sent. Later forked 2xx are acknowledged and ended below (CALL-4).

    It may leave out the answer that a reliable 1xx of the same early dialog has brought (RFC 3261 section 13.2.1).
    """

    usage: UsageId
    response: Response


@record
class InviteRejected:
    """Our INVITE ended without 2xx: with the peer's final `response`, or None and the `failure`. The usage is gone.

    A cancelled INVITE ends here too, with its 487, or with NO_RESPONSE when none came within 64*T1 (CALL-12). When a 2xx
    crossed the CANCEL, that dialog has been acknowledged and ended with BYE, and `response` is a 487 of our own making.
    """

    usage: UsageId
    response: Response | None
    failure: Failure | None = None


@record
class HungUp:
    """A BYE of the peer; 200 has been sent and the usage is gone. `reason` is its Reason field."""

    usage: UsageId
    reason: str | None


@record
class RequestInDialog:
    """A re-INVITE, UPDATE, INFO, … inside a dialog. Answer it by `Respond` with the same transaction.

    For a re-INVITE a 2xx given by `Respond` is retransmitted until its ACK.
    """

    usage: UsageId
    transaction: Hashable
    request: Request


@record
class RequestReceived:
    """Any other request outside a dialog (OPTIONS, MESSAGE, …). Answer it by `Respond`."""

    transaction: Hashable
    request: Request
    flow: Flow


@record
class RequestAnswered:
    """The final response to a request we sent inside a dialog (`SendInDialog`), None when none came."""

    usage: UsageId
    method: str
    response: Response | None


@record
class RequestSettled:
    """The final response to a `SendRequest`, or None and why none will come. Provisional ones are not told.

    `cseq` is the number of the last request: one that was challenged went out again with the next number."""

    token: Hashable
    response: Response | None
    failure: Failure | None = None
    cseq: int = 0


@record
class DialogLost:
    """The peer no longer knows the dialog (481 or 408 to a request of ours); the usage is gone."""

    usage: UsageId


@record
class UsageMoved:
    """The usage is on another flow: by `MoveUsage`, or because its peer spoke inside the dialog from there (LIVE-6). Comes
    before the event of that request."""

    usage: UsageId
    flow: Flow


@record
class FlowLost:
    """A stream or WebSocket flow is gone. Its bindings are removed; `usages`, ringing or confirmed, stand as they were:
    call control ends them by its own clocks (LIVE-1, LIVE-12). `subscriptions` pause until moved, or run out (EVT-4).
    `left`: the page said that it leaves (LIVE-3). `owed` have ended for call control, but their peer has not got its BYE;
    each has the user name of the endpoint behind it (LIVE-14)."""

    flow: FlowId
    usages: tuple[UsageId, ...]
    subscriptions: tuple[SubscriptionId, ...] = ()
    left: bool = False
    owed: tuple[tuple[UsageId, str], ...] = ()


@record
class SubscribeReceived:
    """A SUBSCRIBE outside any dialog for a package we serve. `expires` is what it would get, 0 for a single question.

    Answer it by `AcceptSubscription`, or refuse it by `Respond`. Refreshes are answered by the endpoint."""

    transaction: Hashable
    request: Request
    flow: Flow
    package: str
    expires: int


@record
class NotifyDue:
    """A subscription was refreshed or has come to a new flow: give `Notify` with its full state now (RFC 6665 4.2.1.4).

    The implied subscription of a REFER needs none: it repeats what it said last."""

    subscription: SubscriptionId


class SubscriptionEnd(StrEnum):
    """Why a subscription ended without a `Notify` that said so."""

    UNSUBSCRIBED = "unsubscribed"
    EXPIRED = "expired"
    GONE = "gone"
    """481, another destroying answer or none to our NOTIFY; or the request to accept was gone already."""
    REFUSED = "refused"
    """Over limits.subscriptions_per_endpoint: the request got 403."""


@record
class SubscriptionEnded:
    """A subscription is gone. If it ran out or was taken back, a last NOTIFY repeats the state."""

    subscription: SubscriptionId
    end: SubscriptionEnd


@record
class DeviceReturned:
    """A device has registered or refreshed, its 200 has been sent (REG-16). Its detached legs and subscriptions belong on
    `binding.flow` now (LIVE-5): they are known by `binding.instance`, or without one by contact user and host."""

    aor: str
    username: str
    binding: Binding


@record
class BindingsChanged:
    """The bindings of an address of record after a change, and what happened to which (REG-16, RFC 3680).

    Follows every REGISTER that wrote, every loss of a flow, expiry and command. What merely stands is in `bindings` only.
    """

    aor: str
    bindings: tuple[Binding, ...]
    changed: tuple[Changed, ...]


SipEvent = (
    InviteReceived
    | InviteCanceled
    | AckReceived
    | AckMissing
    | ProvisionalAcknowledged
    | PrackMissing
    | SessionRefreshDue
    | SessionExpired
    | InviteTrying
    | InviteProgressed
    | InviteAccepted
    | InviteRejected
    | HungUp
    | RequestInDialog
    | RequestReceived
    | RequestAnswered
    | RequestSettled
    | DialogLost
    | UsageMoved
    | FlowLost
    | DeviceReturned
    | BindingsChanged
    | SubscribeReceived
    | NotifyDue
    | SubscriptionEnded
)
