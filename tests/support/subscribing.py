"""A subscriber and the notifier it asks: hand-made requests, the real endpoint, answers to NOTIFY as a test wants them."""

from offhook.sip.commands import AcceptSubscription, Notify
from offhook.sip.config import SipConfig
from offhook.sip.effects import SipEffect
from offhook.sip.events import NotifyDue, SubscribeReceived, SubscriptionEnded, SubscriptionId
from offhook.sip.flow import Flow, Transport
from offhook.sip.message import Request, Response
from tests.support.link import Link, Station
from tests.support.messages import make_request, make_response
from tests.support.nodes import DOMAIN, make_endpoint

METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "SUBSCRIBE", "NOTIFY", "REFER", "MESSAGE")
CONFIG = SipConfig(DOMAIN, allow=METHODS, events=("dialog", "presence"))
ONE = SubscriptionId("one")


class Silent:
    """The subscriber's end: it hears and says nothing, because the test answers in its place."""

    def _nothing(self, *_: object) -> list[SipEffect]:
        return []

    receive = receive_malformed = timer_fired = send_failed = flow_opened = flow_lost = _nothing
    registration_found = perform = _nothing


class Subscribing:
    """`node` is the notifier; the test answers its NOTIFYs."""

    def __init__(self, link: Link, transport: Transport = Transport.TLS, config: SipConfig = CONFIG) -> None:
        self.link = link
        self.node: Station = link.station("notifier", make_endpoint("notifier", 3, config))
        self._peer: Station = link.station("subscriber", Silent())
        self.flow = self.open(transport)
        self._cseq = 0

    def open(self, transport: Transport = Transport.TLS) -> Flow:
        """A further connection; the notifier's end."""
        return self.link.connect(self.node, self._peer, transport)[0]

    def close(self, flow: Flow) -> None:
        """The connection is gone."""
        self.link.disconnect(flow.id)

    def request(self, method: str = "SUBSCRIBE", to_tag: str = "", **extra: str) -> Request:
        """A request with the next CSeq."""
        self._cseq += 1
        fields = {"Contact": "<sip:alice@127.0.0.2:5070>"}
        if method == "SUBSCRIBE":
            fields["Event"] = "dialog"
        return make_request(
            method,
            branch=f"z9hG4bK{method}{self._cseq}",
            cseq=self._cseq,
            call_id="sub-1",
            to_tag=to_tag,
            **{**fields, **extra},
        )

    def send(self, request: Request, flow: Flow | None = None) -> None:
        """It arrives."""
        self.node.feed(request, flow or self.flow)

    def accept(self, subscription: SubscriptionId = ONE, peer: str = "alice") -> Response:
        """Call control accepts the last SUBSCRIBE or REFER; the answer."""
        event = next(
            one
            for one in reversed(self.node.events)
            if isinstance(one, SubscribeReceived) or hasattr(one, "transaction")
        )
        self.node.perform(AcceptSubscription(subscription, event.transaction, peer))  # type: ignore[union-attr]
        return self.last(Response)

    def subscribe(self, **extra: str) -> Response:
        """SUBSCRIBE, accepted, with a first NOTIFY of `state`."""
        self.send(self.request(**extra))
        answer = self.accept()
        self.say("state")
        return answer

    def say(self, body: str, state: str = "active", reason: str = "", subscription: SubscriptionId = ONE) -> None:
        """Call control's NOTIFY."""
        self.node.perform(Notify(subscription, body.encode(), "text/plain", state, reason))

    def answer(self, status: int, flow: Flow | None = None) -> None:
        """The subscriber's answer to the last NOTIFY."""
        self.node.feed(make_response(self.notifies[-1], status), flow or self.flow)

    def last(self, kind: type) -> Response:
        """The last response sent."""
        found = next(one for one in reversed(self.node.sent) if isinstance(one, kind))
        assert isinstance(found, Response)
        return found

    @property
    def tag(self) -> str:
        """The notifier's tag."""
        return (self.notifies[-1].headers.get("From") or "").rpartition("tag=")[2]

    @property
    def notifies(self) -> list[Request]:
        """Every NOTIFY sent, repetitions included."""
        return [one for one in self.node.sent if isinstance(one, Request) and one.method == "NOTIFY"]

    @property
    def said(self) -> list[tuple[str, str]]:
        """Their states and bodies."""
        return [(one.headers.get("Subscription-State") or "", one.body.decode()) for one in self.notifies]

    @property
    def told(self) -> list[NotifyDue | SubscriptionEnded]:
        """What call control heard after the acceptance."""
        return [one for one in self.node.events if isinstance(one, NotifyDue | SubscriptionEnded)]

    def assert_nothing_left(self, seconds: float = 40.0) -> None:
        """No subscription, dialog, transaction or timer remains."""
        self.link.run(seconds)
        node = self.node.node
        left = (node.subscriptions, node.dialogs, node.transactions, node.timers, len(self.node.timers))  # type: ignore[attr-defined]
        assert left == (0, 0, 0, 0, 0), left
