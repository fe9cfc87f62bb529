"""One subscription of a peer: RFC 6665 section 4.2, as notifier; the implicit one of a REFER is RFC 3515 section 2.4.

Lives here: expiry, refresh, and NOTIFY, of which one is on its way at a time. Never here: what a package says, who may
subscribe (call control decides both). A subscription whose flow is lost pauses: it keeps the latest state and says it on
the flow it is moved to (EVT-4).
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from offhook.sip.commands import AcceptSubscription, Notify
from offhook.sip.dialog import Dialog, dialog_of_request
from offhook.sip.effects import Deliver, StartTimer, StopTimer
from offhook.sip.envelope import Envelope, envelope
from offhook.sip.errors import PeerError
from offhook.sip.events import Failure, NotifyDue, SubscriptionEnd, SubscriptionEnded, SubscriptionId
from offhook.sip.flow import Flow
from offhook.sip.message import Headers, Request, Response
from offhook.sip.subscriptions import EventField, read_event, read_expires
from offhook.sip.timers import Timer, TimerKey
from offhook.sip.transaction.machine import Effect

if TYPE_CHECKING:
    from offhook.sip.core import Core
    from offhook.sip.invite_usage import InviteUsage

REFER = "refer"
"""The package of RFC 3515."""

TERMINATED = "terminated"
"""The Subscription-State after which nothing comes."""

_DESTROYING = frozenset({404, 405, 408, 410, 416, *range(480, 486), 489, 501, 604})
"""RFC 6665 section 4.2.2: answers to NOTIFY that end the subscription; others leave it as it is."""


@dataclass(frozen=True, slots=True)
class SubscriptionClock:
    """Owner of the timer at which a subscription runs out."""

    subscription: SubscriptionId


class Host(Protocol):
    """The INVITE usage in whose dialog an implied subscription lives."""

    def subscription_ended(self) -> list[Effect]:
        """One of its subscriptions is gone; the dialog may be too."""
        ...


class Subscription:
    """Call control knows it by `id` until `over`; after that it only waits for the answer to its last NOTIFY.

    One with a `host` is implied: it repeats what it said last by itself. Any other asks call control by `NotifyDue`.
    """

    def __init__(
        self,
        core: "Core",
        command: AcceptSubscription,
        event: EventField,
        dialog: Dialog,
        host: Host | None,
        now: float,
    ) -> None:
        self.core = core
        self.id = command.subscription
        self.peer = command.peer
        self.event = event
        self.dialog = dialog
        self.host = host
        self.over = False
        self.paused = False
        self.expires_at = now
        self._clock = TimerKey(SubscriptionClock(self.id), Timer.EXPIRES)
        self._clock_runs = False
        self._latest: Notify | None = None
        self._wish: tuple[Headers, bytes] | None = None
        self._sent: SentNotify | None = None

    @property
    def flow(self) -> Flow:
        """Where its messages go."""
        return self.dialog.flow

    @property
    def running_timers(self) -> int:
        """Timers that are set."""
        return int(self._clock_runs)

    def start(self, seconds: int, now: float) -> list[Effect]:
        """It lives for this long from now; 0 is a question for the state that ends with its answer."""
        self.expires_at = now + seconds
        if seconds == 0:
            return []
        self._clock_runs = True
        return [StartTimer(self._clock, float(seconds))]

    # requests of the peer

    def receive(self, key: Hashable, request: Request, envelope: Envelope, now: float) -> list[Effect]:
        """A request inside the dialog. In one that SUBSCRIBE made no other usage lives (RFC 5057 section 5).

        RFC 6665 4.2.1.4: SUBSCRIBE again prolongs it, with Expires 0 ends it; either is followed by a NOTIFY.
        """
        if self.over or request.method != "SUBSCRIBE" or read_event(request.headers) != self.event:
            return self.core.answer(key, 481)
        if self.dialog.remote_cseq is not None and envelope.cseq < self.dialog.remote_cseq:
            # RFC 3261 12.2.2: out of order.
            return self.core.answer(key, 500)
        self.dialog.remote_cseq = envelope.cseq
        self.dialog.refresh_target(request)
        self.paused, self._wish = False, None
        return self._refreshed(key, request, now)

    def _refreshed(self, key: Hashable, request: Request, now: float) -> list[Effect]:
        limits = self.core.config.subscriptions
        try:
            seconds = read_expires(request.headers, limits)
        except PeerError as error:
            return self.core.answer(key, 400, Headers([self.core.warning(error.slug, str(error))]))
        if seconds is None:
            return self.core.answer(key, 423, Headers([("Min-Expires", str(limits.expires_min))]))
        answer = self.core.answer(key, 200, self._answer_fields(seconds))
        if seconds == 0:
            return [*answer, *self._finish(SubscriptionEnd.UNSUBSCRIBED, now)]
        return [*answer, *self.start(seconds, now), *self._say_again(now)]

    def _answer_fields(self, seconds: int) -> Headers:
        contact = self.core.contact(self.flow, self.dialog.contact_user)
        return Headers([("Contact", contact), ("Expires", str(seconds))])

    def _say_again(self, now: float) -> list[Effect]:
        if self.host is None:
            return [Deliver(NotifyDue(self.id))]
        return [] if self._latest is None else self.notify(self._latest, now)

    def respond(self, key: Hashable, status: int, headers: Headers, body: bytes) -> list[Effect]:
        """See core.DialogUser."""
        return self.core.answer(key, status, headers, body)

    def ack(self, request: Request, envelope: Envelope) -> list[Effect]:
        """See core.DialogUser: there is no INVITE here."""
        return []

    def tag(self) -> str:
        """See machine.ServerUser."""
        return self.dialog.key.local_tag

    def cancelled(self, key: Hashable, reason: str | None) -> list[Effect]:
        """See machine.ServerUser: nothing of it waits for an answer."""
        return []

    # NOTIFY

    def notify(self, command: Notify, now: float) -> list[Effect]:
        """Says the state, at once or when the NOTIFY before it has its answer; only the latest waits."""
        self._latest = command
        stops = self._end() if command.state == TERMINATED else []
        saying = self._fields(command, now), command.body
        if self._sent is not None or self.paused:
            self._wish = saying
            return [*stops, *self._bury()]
        return [*stops, *self._send(*saying)]

    def _fields(self, command: Notify, now: float) -> Headers:
        # 4.2.2: the time that is left; a living one never says 0.
        state = f"{command.state};expires={max(1, round(self.expires_at - now))}"
        if command.state == TERMINATED:
            state = f"{TERMINATED};reason={command.reason or 'noresource'}"
        content = [("Content-Type", command.content_type)] if command.body else []
        return Headers([("Event", str(self.event)), ("Subscription-State", state), *content])

    def _send(self, headers: Headers, body: bytes) -> list[Effect]:
        self._sent = SentNotify(self)
        return self.dialog.send(self.core, "NOTIFY", self._sent, headers, body)[2]

    def settled(self, response: Response | None, failure: Failure | None) -> list[Effect]:
        """The NOTIFY has its final response, or will have none."""
        self._sent = None
        if failure is Failure.FLOW_FAILED:
            return self.pause()
        if self.over:
            return self._next()
        if response is None or response.status in _DESTROYING:
            self._wish = None
            return [*self._end(), Deliver(SubscriptionEnded(self.id, SubscriptionEnd.GONE)), *self._bury()]
        return self._next()

    def _next(self) -> list[Effect]:
        wish, self._wish = self._wish, None
        return self._bury() if wish is None else self._send(*wish)

    # flows

    def pause(self) -> list[Effect]:
        """EVT-4: the flow is lost. Nothing is sent; a NOTIFY that died with the flow is a wish again."""
        self.paused = True
        return self._bury()

    def move(self, flow: Flow) -> list[Effect]:
        """AUTH-13: the peer spoke inside the dialog from another flow of the same endpoint."""
        self.core.subscriptions.moved(self, flow)
        return []

    def resumed(self, now: float) -> list[Effect]:
        """It has a flow again: one full state (EVT-4)."""
        if not self.paused or self.over:
            return []
        self.paused, self._wish = False, None
        return self._say_again(now)

    # the end

    def timer_fired(self, key: TimerKey, now: float) -> list[Effect]:
        """4.2.3: it ran out; a stale timer is ignored."""
        if key != self._clock or not self._clock_runs:
            return []
        self._clock_runs = False
        return self._finish(SubscriptionEnd.EXPIRED, now)

    def _finish(self, end: SubscriptionEnd, now: float) -> list[Effect]:
        """The last NOTIFY repeats the state as it was said last. 4.2.2 calls either end timeout."""
        last = self._latest or Notify(self.id)
        told = Deliver(SubscriptionEnded(self.id, end))
        return [told, *self.notify(replace(last, state=TERMINATED, reason="timeout"), now)]

    def _end(self) -> list[Effect]:
        self.over = True
        if not self._clock_runs:
            return []
        self._clock_runs = False
        return [StopTimer(self._clock)]

    def _bury(self) -> list[Effect]:
        if not self.over or (not self.paused and (self._sent is not None or self._wish is not None)):
            return []
        self.core.subscriptions.remove(self)
        if self.host is not None:
            return self.host.subscription_ended()
        self.core.dialogs.pop(self.dialog.key, None)
        return []


@dataclass(slots=True, eq=False)
class SentNotify:
    """Transaction user of one NOTIFY."""

    subscription: Subscription

    def answered(self, response: Response) -> list[Effect]:
        """See machine.Owner."""
        return [] if response.status < 200 else self.subscription.settled(response, None)

    def failed(self, failure: Failure) -> list[Effect]:
        """See machine.Owner."""
        return self.subscription.settled(None, failure)


def accept(
    core: "Core", command: AcceptSubscription, request: Request, flow: Flow, host: "InviteUsage | None", now: float
) -> list[Effect]:
    """Accepts a SUBSCRIBE or REFER that waits for its answer; `host` is the INVITE usage in whose dialog a REFER came."""
    limit = core.config.subscriptions.per_endpoint
    if core.subscriptions.of_peer(command.peer) >= limit:
        fields = Headers([core.warning("too-many-subscriptions", f"limits.subscriptions_per_endpoint is {limit}")])
        refused = core.answer(command.transaction, 403, fields) if host is None else host.respond(
            command.transaction, 403, fields, b""
        )  # fmt: skip
        return [*refused, Deliver(SubscriptionEnded(command.subscription, SubscriptionEnd.REFUSED))]
    fields_of = envelope(request)
    event = read_event(request.headers)
    if request.method != "SUBSCRIBE" or event is None:
        # XFER-1: the id is always said, though the first REFER of a dialog could do without it.
        event = EventField(REFER, str(fields_of.cseq))
    if host is not None and host.dialog is not None:
        return _implied(core, command, host, event, now)
    return _with_dialog(core, command, request, fields_of, flow, event, now)


def _implied(
    core: "Core", command: AcceptSubscription, host: "InviteUsage", event: EventField, now: float
) -> list[Effect]:
    """RFC 3515 section 2.4.4: the REFER's subscription lives in the call's dialog (RFC 5057)."""
    assert host.dialog is not None
    subscription = Subscription(core, command, event, host.dialog, host, now)
    core.subscriptions.add(subscription)
    host.subscriptions += 1
    contact = ("Contact", core.contact(host.flow, host.dialog.contact_user))
    answer = host.respond(command.transaction, 202, Headers([contact, *command.headers]), b"")
    return [*answer, *subscription.start(core.config.subscriptions.refer_expires, now)]


def _with_dialog(
    core: "Core",
    command: AcceptSubscription,
    request: Request,
    fields: Envelope,
    flow: Flow,
    event: EventField,
    now: float,
) -> list[Effect]:
    """RFC 6665 section 4.4.1: outside a dialog the request makes one."""
    limits = core.config.subscriptions
    seconds = limits.refer_expires if request.method == "REFER" else read_expires(request.headers, limits) or 0
    dialog = dialog_of_request(request, fields, core.ids.token(), core.ids.token(), flow)
    subscription = Subscription(core, command, event, dialog, None, now)
    core.subscriptions.add(subscription)
    core.dialogs[dialog.key] = subscription
    answer = [("Record-Route", value) for value in request.headers.all("Record-Route")]
    answer += [("Contact", core.contact(flow, dialog.contact_user))]
    if request.method == "SUBSCRIBE":
        answer.append(("Expires", str(seconds)))
    status = 200 if request.method == "SUBSCRIBE" else 202
    headers = Headers([*answer, *command.headers])
    said = core.answer(command.transaction, status, headers, b"", dialog.key.local_tag)
    return [*said, *subscription.start(seconds, now)]
