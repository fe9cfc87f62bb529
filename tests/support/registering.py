"""A phone that registers at a registrar: one station, hand-made REGISTER requests, the real authenticator."""

from offhook.sip.config import SipConfig
from offhook.sip.flow import Flow, Transport
from offhook.sip.location import Binding
from offhook.sip.message import Message, Request, Response
from tests.support.link import Link, Station
from tests.support.messages import make_flow, make_request
from tests.support.nodes import DOMAIN, authorized, make_account, make_endpoint

AOR = f"sip:bob@{DOMAIN}"


class Registering:
    """The registrar `node` and what is said to it by bob, whose account exists."""

    def __init__(self, link: Link, transport: Transport = Transport.UDP, config: SipConfig | None = None) -> None:
        self.link = link
        self.node: Station = link.station("registrar", make_endpoint("registrar", 3, config))
        self.node.accounts["bob"] = make_account("bob")
        self.node.accounts["alice"] = make_account("alice")
        self.flow = make_flow("first", transport)
        self.open(self.flow)
        self._cseq = 0
        self._nc = 0

    def open(self, flow: Flow) -> Flow:
        """A further connection."""
        if flow.transport.reliable:
            self.node.apply(self.node.node.flow_opened(flow, self.link.now))
        return flow

    def close(self, flow: Flow) -> None:
        """The connection is gone."""
        self.node.apply(self.node.node.flow_lost(flow.id, self.link.now))

    def send(self, request: Request, flow: Flow | None = None) -> Response:
        """One request and the answer to it."""
        count = len(self.node.sent)
        self.node.feed(request, flow or self.flow)
        answer: Message = self.node.sent[-1]
        assert len(self.node.sent) == count + 1
        assert isinstance(answer, Response)
        return answer

    def request(self, contact: str | None, user: str = "bob", call_id: str = "reg-1", **extra: str) -> Request:
        """A REGISTER with the next CSeq and a branch of its own."""
        self._cseq += 1
        address = f"<sip:{user}@{DOMAIN}>"
        if contact is not None:
            extra["Contact"] = contact
        return make_request(
            "REGISTER",
            f"sip:{DOMAIN}",
            branch=f"z9hG4bKreg{self._cseq}-{call_id}",
            cseq=self._cseq,
            call_id=call_id,
            to=address,
            from_=address,
            **extra,
        )

    def register(
        self,
        contact: str | None,
        flow: Flow | None = None,
        password: str = "zanzibar",
        call_id: str = "reg-1",
        **extra: str,
    ) -> Response:
        """REGISTER, challenge, REGISTER with credentials; the last answer. A moment passes first, for the rate's sake."""
        self.link.run(0.25)
        request = self.request(contact, call_id=call_id, **extra)
        answer = self.send(request, flow)
        if answer.status != 401:
            return answer
        self._cseq += 1
        return self.send(authorized(request, answer, "bob", password), flow)

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """Bob's bindings as they are kept."""
        return self.node.bindings.get(AOR, ())

    @property
    def contacts(self) -> list[str]:
        """Their Contact URIs."""
        return [str(binding.contact) for binding in self.bindings]
