"""REG-17: a device whose flow another node holds is reached by a token, and 430 when the flow is gone."""

import pytest

from offhook.sip.commands import HangUp, SendInDialog
from offhook.sip.config import SipConfig
from offhook.sip.endpoint import SipEndpoint
from offhook.sip.events import UsageId
from offhook.sip.flow import FlowId, Transport
from offhook.sip.location import Binding
from offhook.sip.message import Headers, Request, Response
from offhook.sip.uri import parse_uri
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP, make_request
from tests.support.nodes import DOMAIN, make_endpoint

AOR = f"sip:bob@{DOMAIN}"


class Edge:
    """The node `edge` with bob's page on it; the house is another node of the same system."""

    def __init__(self, house: House) -> None:
        link = house.link
        self.house = house
        self.endpoint: SipEndpoint = make_endpoint("edge", 77, SipConfig(DOMAIN, node="edge.internal:5060"))
        self.station = link.station("edge", self.endpoint)
        self.bob = Phone.__new__(Phone)
        self.bob.house, self.bob.name, self.bob.username = house, "bob", "bob"
        self.bob.device = make_endpoint("bob", 78)  # type: ignore[assignment]
        self.bob.station = link.station("bob", self.bob.device)
        self.bob.there, self.at_edge = link.connect(self.bob.station, self.station, Transport.WSS)
        self.bob.call = UsageId("call-of-bob")
        self.to_edge, self.from_house = link.connect(house.station, self.station, Transport.TCP)
        self.bind()

    def bind(self) -> None:
        """The house knows of the page what the location of all nodes tells: the node, and the token of its flow."""
        route = self.endpoint.route_to(self.at_edge.id)
        contact = parse_uri("sip:bob@x7.invalid;transport=ws")
        binding = Binding(
            AOR, contact, self.to_edge, "reg-bob", 1, self.house.link.now + 150, id="bob-at-edge", path=(route,)
        )
        self.house.node.bindings[AOR] = (binding,)
        registrar = self.house.node.endpoint._registrar
        self.house.station.apply(self.house.node._sip(registrar.restore(AOR, (binding,), self.house.link.now)))

    def through(self) -> list[str]:
        """What the edge has passed on, in order."""
        return [text.removeprefix("edge: ") for text in self.house.link.arrows() if text.startswith("edge: ")]


def test_reg_node_flow_token_reaches_the_device(link: Link) -> None:
    house = House(link)
    edge = Edge(house)
    alice, bob = house.caller(), edge.bob
    alice.dial("bob")
    # 1. the INVITE has come down the page's flow: our Route is gone, our Via on top, the way back recorded
    assert bob.invite.headers.all("Route") == ()
    assert len(bob.invite.headers.all("Via")) == 2
    (recorded,) = bob.invite.headers.all("Record-Route")
    assert recorded.endswith("@edge.internal:5060;lr;ob>")
    assert bob.invite.headers.get("Max-Forwards") == "68"
    # 2. the answers go up again, and nobody beyond sees the edge's Via
    bob.respond(180)
    bob.respond(200, SDP)
    assert alice.final().status == 200
    answers = [one for one in house.station.received if isinstance(one, Response) and one.status == 200]
    assert len(answers[-1].headers.all("Via")) == 1
    # 3. ACK, INFO from the page and BYE from the house find their way by the recorded route
    assert "ACK" in bob.station.saw()
    bob.station.perform(SendInDialog(bob.ringing, "INFO", Headers()))
    link.run(0.5)
    assert [one.status for one in bob.answers("INFO")] != []
    assert bob.answers("INFO")[-1].status != 481
    alice.hang_up()
    link.run(1)
    assert "BYE" in bob.station.saw()
    house.assert_nothing_left()
    # 4. nothing is remembered at the edge
    assert (edge.endpoint.transactions, edge.endpoint.dialogs, edge.endpoint.usages) == (0, 0, 0)


def test_reg_node_flow_token_bye_of_the_device(link: Link) -> None:
    house = House(link)
    edge = Edge(house)
    alice = house.caller()
    alice.dial("bob")
    edge.bob.respond(200, SDP)
    edge.bob.station.perform(HangUp(edge.bob.ringing))
    link.run(1)
    assert alice.got("BYE") != []
    house.assert_nothing_left()


def test_reg_node_flow_token_cancel(link: Link) -> None:
    house = House(link)
    edge = Edge(house)
    alice = house.caller()
    alice.dial("bob")
    edge.bob.respond(180)
    alice.cancel()
    link.run(1)
    # The CANCEL has the INVITE's branch at every hop, so the page finds what it is about.
    assert [text for text in edge.through() if "CANCEL" in text] == ["CANCEL", "200 CANCEL"]
    assert alice.final().status == 487
    house.assert_nothing_left()


def test_reg_node_flow_token_430(link: Link) -> None:
    house = House(link)
    edge = Edge(house)
    alice = house.caller()
    link.disconnect(edge.at_edge.id)
    alice.dial("bob")
    link.run(1)
    # 1. the node that held the flow says 430, without keeping anything of the request
    assert "430 INVITE" in edge.through()
    assert edge.endpoint.transactions == 0
    # 2. which is treated as a lost flow: the binding is gone, and the caller never hears of 430
    assert house.node.bindings[AOR] == ()
    assert alice.final().status == 480
    assert "flow-lost" in (alice.final().headers.get("Warning") or "")
    # 3. a page that returns is bound anew, under another token
    edge.bob.there, edge.at_edge = link.connect(edge.bob.station, edge.station, Transport.WSS)
    edge.bind()
    alice.call = UsageId("again")
    alice.dial("bob")
    edge.bob.respond(200, SDP)
    assert alice.final().status == 200


@pytest.mark.parametrize("token", ["x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
def test_reg_node_flow_token_that_nobody_made(link: Link, token: str) -> None:
    house = House(link)
    edge = Edge(house)
    stranger = make_request(
        "INVITE", f"sip:bob@{DOMAIN}", transport="TCP", Route=f"<sip:{token}@edge.internal:5060;lr;ob>"
    )
    edge.station.feed(stranger, edge.from_house)
    link.run(1)
    (answer,) = [one for one in edge.station.sent if isinstance(one, Response)]
    assert answer.status == 403
    assert edge.bob.station.received == []


def test_reg_node_flow_token_hops_run_out(link: Link) -> None:
    house = House(link)
    edge = Edge(house)
    route = edge.endpoint.route_to(edge.at_edge.id)
    request = make_request("OPTIONS", f"sip:bob@{DOMAIN}", transport="TCP", Route=route)
    edge.station.feed(Request("OPTIONS", request.uri, request.headers.replaced("Max-Forwards", "0")), edge.from_house)
    assert [one.status for one in edge.station.sent if isinstance(one, Response)] == [483]


def test_reg_node_of_one_is_no_relay(link: Link) -> None:
    house = House(link)
    route = "<sip:x@127.0.0.2:5060;lr;ob>"
    request = make_request("OPTIONS", f"sip:{DOMAIN}", Route=route)
    alice = house.caller()
    house.station.feed(request, alice.back)
    assert [one.status for one in house.station.sent if isinstance(one, Response)] == [200]
    with pytest.raises(AssertionError, match=r"SipConfig\.node"):
        house.node.endpoint.route_to(FlowId("any"))
