"""A busy lamp: a device that subscribes by hand-made requests and answers every NOTIFY."""

import re
from xml.etree import ElementTree

from offhook.sip.effects import Send, SipEffect
from offhook.sip.encode import encode
from offhook.sip.flow import Flow, Transport
from offhook.sip.message import Headers, Message, Request, Response
from offhook.sip.response import response_to
from tests.support.house import House
from tests.support.messages import make_request
from tests.support.nodes import DOMAIN
from tests.support.subscribing import Silent

DIALOG = "{urn:ietf:params:xml:ns:dialog-info}"


class _Answering(Silent):
    """Answers requests with `status`."""

    status = 200

    def receive(self, message: Message, flow: Flow, now: float) -> list[SipEffect]:
        if isinstance(message, Response):
            return []
        return [Send(flow.id, response_to(message, self.status, Headers(), b"", "lamp"))]


class Lamp:
    """One device of `username`; its flow is trusted. Requests say its `instance` and come from `host`."""

    host = "127.0.0.9"

    def __init__(self, house: House, username: str, instance: str = "") -> None:
        self.house, self.username, self.instance = house, username, instance
        self.node = _Answering()
        self.station = house.link.station(f"lamp-of-{username}-{len(house.link.stations)}", self.node)
        self._cseq = 0
        self.connect()

    def connect(self) -> None:
        """A (further) connection."""
        self.there, self.back = self.house.link.connect(self.station, self.house.station, Transport.TLS)
        account = self.house.node.accounts[self.username]
        self.house.node.authenticator.trust(self.back, account, self.house.link.now)

    def send(self, method: str, target: str, call_id: str = "lamp", to_tag: str = "", **extra: str) -> Response:
        """A request and the answer to it."""
        self._cseq += 1
        mark = f';+sip.instance="<{self.instance}>"' if self.instance else ""
        fields = {"Contact": f"<sip:{self.username}@{self.host}:5070;transport=tls>{mark}", **extra}
        request = make_request(
            method,
            f"sip:{target}@{DOMAIN}",
            branch=f"z9hG4bK{self.station.name}{self._cseq}",
            transport="TLS",
            cseq=self._cseq,
            call_id=f"{call_id}-{self.station.name}",
            from_tag="lamp",
            to_tag=to_tag,
            to=f"<sip:{target}@{DOMAIN}>",
            from_=f"<sip:{self.username}@{DOMAIN}>",
            **fields,
        )
        return self._exchange(request)

    def publish(self, body: bytes, **extra: str) -> Response:
        """PUBLISH of one's own presence."""
        self._cseq += 1
        me = f"sip:{self.username}@{DOMAIN}"
        request = make_request(
            "PUBLISH", me, branch=f"z9hG4bKp{self._cseq}", transport="TLS", cseq=self._cseq, call_id="publish",
            from_tag="lamp", to=f"<{me}>", from_=f"<{me}>", body=body, Event="presence", **extra,
        )  # fmt: skip
        if body:
            headers = request.headers.replaced("Content-Type", "application/pidf+xml")
            request = Request(request.method, request.uri, headers, body)
        return self._exchange(request)

    def _exchange(self, request: Request) -> Response:
        assert encode(request)
        self.station.apply([Send(self.there.id, request)])
        self.house.link.run(0.1)
        answers = [one for one in self.station.received if isinstance(one, Response)]
        return next(one for one in reversed(answers) if one.headers.get("CSeq") == request.headers.get("CSeq"))

    def subscribe(self, target: str, package: str = "dialog", expires: str = "3600", **extra: str) -> Response:
        """SUBSCRIBE outside a dialog."""
        return self.send("SUBSCRIBE", target, package, Event=package, Expires=expires, **extra)

    @property
    def notifies(self) -> list[Request]:
        """What came, repetitions included."""
        return [one for one in self.station.received if isinstance(one, Request) and one.method == "NOTIFY"]

    @property
    def texts(self) -> list[str]:
        """The bodies."""
        return [one.body.decode() for one in self.notifies]

    @property
    def states(self) -> list[list[str]]:
        """The dialog states of each dialog-info."""
        return [re.findall(r"<state>(\w+)</state>", text) for text in self.texts]

    @property
    def last(self) -> ElementTree.Element:
        """The last document."""
        return ElementTree.fromstring(self.texts[-1])

    @property
    def ends(self) -> str:
        """Subscription-State of the last NOTIFY."""
        return self.notifies[-1].headers.get("Subscription-State") or ""
