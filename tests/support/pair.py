"""Alice calls Bob: two SIP endpoints on one link, with the commands a call control would give."""

from offhook.sip.commands import RespondInvite, SendInvite
from offhook.sip.config import SipConfig
from offhook.sip.events import InviteReceived, UsageId
from offhook.sip.flow import Transport
from offhook.sip.message import Headers, Request
from offhook.sip.uri import parse_uri
from tests.support.link import Link, Station
from tests.support.messages import SDP
from tests.support.nodes import make_endpoint

WITH_SDP = Headers([("Content-Type", "application/sdp")])


class Pair:
    """`alice` invites with the usage `call`; `bob` answers the usage he was told of."""

    def __init__(self, link: Link, transport: Transport = Transport.UDP, config: SipConfig | None = None) -> None:
        self.link = link
        self.alice: Station = link.station("alice", make_endpoint("alice", 1))
        self.bob: Station = link.station("bob", make_endpoint("bob", 2, config))
        self.there, self.back = link.connect(self.alice, self.bob, transport)
        self.call = UsageId("call")

    def invite(self, body: bytes = SDP) -> None:
        """Alice's INVITE."""
        self.alice.perform(
            SendInvite(
                self.call,
                self.there.id,
                parse_uri("sip:bob@127.0.0.2"),
                '"Alice" <sip:alice@example.com>',
                "<sip:bob@example.com>",
                headers=WITH_SDP if body else Headers(),
                body=body,
            )
        )

    @property
    def ringing(self) -> UsageId:
        """Bob's usage."""
        event = self.bob.of(InviteReceived)[-1]
        assert isinstance(event, InviteReceived)
        return event.usage

    def respond(self, status: int, body: bytes = b"") -> None:
        """Bob answers."""
        self.bob.perform(RespondInvite(self.ringing, status, WITH_SDP if body else Headers(), body))

    def ring(self) -> None:
        """INVITE and 180 have gone through."""
        self.invite()
        self.link.run(0.1)
        self.respond(180)
        self.link.run(0.1)

    def talk(self) -> None:
        """The call is established on both sides."""
        self.ring()
        self.respond(200, SDP)
        self.link.run(0.1)

    def request(self, station: Station, method: str) -> Request:
        """The last request of this method that a station sent."""
        return next(m for m in reversed(station.sent) if isinstance(m, Request) and m.method == method)

    def assert_nothing_left(self, seconds: float = 100.0) -> None:
        """After a while no transaction, usage, dialog or timer remains on either side."""
        self.link.run(seconds)
        for station in (self.alice, self.bob):
            node = station.node
            left = (node.transactions, node.usages, node.dialogs, node.timers, len(station.timers))
            assert left == (0, 0, 0, 0, 0), f"{station.name} keeps {left}\n{self.link.ladder()}"
