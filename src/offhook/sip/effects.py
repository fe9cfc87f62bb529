"""What the SIP layer wants done. The driver performs each; an integrator reads only this file.

`SipEndpoint` returns a list of these from every call. Order matters: perform them in order.
"""

from collections.abc import Hashable

from offhook.record import record
from offhook.sip.events import SipEvent
from offhook.sip.flow import Flow, FlowId
from offhook.sip.location import Binding
from offhook.sip.message import Message


@record
class Send:
    """Write one message to a flow. If the flow is gone, tell the endpoint by `send_failed(flow, message)`. `compact` asks
    for the compact names of header fields (RFC 3261 section 7.3.3)."""

    flow: FlowId
    message: Message
    compact: bool = False


@record
class SendText:
    """Write the octets of a 200 to REGISTER to a flow. If the flow is gone, nothing follows."""

    flow: FlowId
    data: bytes


@record
class OpenStream:
    """A request is too large for a datagram: connect to the peer of this UDP flow by TCP, within a second. Answer by
    `stream_opened(key, flow, now)`, flow None when the peer does not take it (CALL-21)."""

    key: Hashable
    flow: Flow


@record
class StartTimer:
    """Call `timer_fired(key, now)` after `seconds`; a running timer with the same key is replaced."""

    key: Hashable
    seconds: float


@record
class StopTimer:
    """Forget the timer; unknown keys are ignored."""

    key: Hashable


@record
class Deliver:
    """Hand the event to the switchboard."""

    event: SipEvent


@record
class FindRegistration:
    """Answer by `registration_found(token, account, bindings, now)` before time goes on: what is asked for is in memory, and
    no clock of the transaction runs meanwhile.

    `username` is the digest user (None when the request carried no credentials); `aor` the address of record to bind.
    """

    token: Hashable
    username: str | None
    aor: str


@record
class UpdateBindings:
    """Replace all bindings of an address of record, in one write. `added`, `removed` are for events and logs."""

    aor: str
    bindings: tuple[Binding, ...]
    added: tuple[Binding, ...] = ()
    removed: tuple[Binding, ...] = ()


@record
class CloseFlow:
    """Close the flow; on a WebSocket with that close code and slug (WS-13)."""

    flow: FlowId
    code: int
    slug: str


@record
class Note:
    """A line for the log, never for the wire. `slug` is a name of the error catalogue or of a rule; values are redacted
    and made free of control characters by whoever writes them."""

    slug: str
    details: dict[str, str]


SipEffect = (
    Send
    | SendText
    | OpenStream
    | StartTimer
    | StopTimer
    | Deliver
    | FindRegistration
    | UpdateBindings
    | CloseFlow
    | Note
)
