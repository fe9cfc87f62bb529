"""Dialogs with carriers (TRK-12): route sets byte for byte, the next hop they name, other machines of the carrier."""

from offhook.sip.commands import FromCarrier, HangUp, RespondInvite, SendInvite
from offhook.sip.effects import Deliver, Send
from offhook.sip.endpoint import SipEndpoint
from offhook.sip.events import HungUp, InviteReceived, UsageId
from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.message import Headers, Request, Response
from offhook.sip.uri import parse_uri
from tests.support.messages import SDP, make_request, make_response
from tests.support.nodes import make_endpoint

EDGE, GATEWAY = "198.51.100.7:5060", "198.51.100.99:5080"
WITH_SDP = Headers([("Content-Type", "application/sdp")])


def udp(address: str) -> Flow:
    host, port = address.split(":")
    return Flow(
        FlowId(f"udp-5060-{address}"),
        Transport.UDP,
        (host, int(port)),
        ("10.0.0.5", 5060),
        "10.0.0.5:5060",
        False,
        False,
    )


def called(node: SipEndpoint, carrier: bool = True, flow: Flow | None = None) -> Request:
    """Our INVITE to the edge."""
    way = flow or udp(EDGE)
    node.flow_opened(way, 0.0)
    uri = parse_uri("sip:+14155550123@carrier.example")
    effects = node.perform(
        SendInvite(UsageId("u"), way.id, uri, "<sip:us@x.example>", f"<{uri}>", 70, WITH_SDP, SDP, carrier=carrier),
        0.0,
    )
    return next(one.message for one in effects if isinstance(one, Send) and isinstance(one.message, Request))


def sent(effects: list[object], method: str) -> tuple[str, Request]:
    found = [one for one in effects if isinstance(one, Send) and isinstance(one.message, Request)]
    one = next(each for each in found if each.message.method == method)  # type: ignore[union-attr]
    assert isinstance(one.message, Request)
    return one.flow, one.message


def answered(node: SipEndpoint, invite: Request, *routes: str, contact: str = f"<sip:gw@{GATEWAY}>") -> list[object]:
    response = make_response(invite, 200, "tag1", SDP, Contact=contact)
    fields = Headers([*response.headers, *(("Record-Route", one) for one in routes)])
    return list(node.receive(Response(200, "OK", fields, SDP), udp(EDGE), 0.0))


def test_a_double_record_route_is_kept_byte_for_byte_and_in_order() -> None:
    node = make_endpoint()
    inner = "<sip:10.1.1.1;r2=on;lr=on;ftag=x;did=a.1>"
    outer = f"<sip:{EDGE};transport=udp;r2=on;lr=on;ftag=x;did=a.1>"
    effects = answered(node, called(node), f"{inner}, {outer}")
    flow, ack = sent(effects, "ACK")
    assert ack.headers.all("Route") == (outer, inner), "reversed, untouched"
    assert str(ack.uri) == f"sip:gw@{GATEWAY}"
    assert flow == f"udp-5060-{EDGE}", "the topmost is the edge"
    flow, bye = sent(list(node.perform(HangUp(UsageId("u")), 0.0)), "BYE")
    assert bye.headers.all("Route") == (outer, inner)
    assert flow == f"udp-5060-{EDGE}"


def test_the_edges_port_need_not_be_the_one_we_called() -> None:
    node = make_endpoint()
    effects = answered(node, called(node), "<sip:198.51.100.7:5070;lr>")
    assert sent(effects, "ACK")[0] == "udp-5060-198.51.100.7:5070"


def test_an_edge_that_does_not_record_route_is_left_for_the_machine_that_answered() -> None:
    node = make_endpoint()
    effects = answered(node, called(node))
    assert sent(effects, "ACK")[0] == f"udp-5060-{GATEWAY}"
    assert sent(list(node.perform(HangUp(UsageId("u")), 0.0)), "BYE")[0] == f"udp-5060-{GATEWAY}"


def test_names_and_other_transports_are_left_to_the_flow() -> None:
    for route in ("<sip:edge.carrier.example;lr>", "<sip:198.51.100.8;transport=tcp;lr>"):
        node = make_endpoint()
        assert sent(answered(node, called(node), route), "ACK")[0] == f"udp-5060-{EDGE}"


def test_the_target_of_a_device_is_never_followed() -> None:
    """CALL-3: a registered peer is reached by its flow, whatever it writes."""
    node = make_endpoint()
    assert sent(answered(node, called(node, carrier=False)), "ACK")[0] == f"udp-5060-{EDGE}"


def test_the_ack_is_repeated_to_where_it_went_first() -> None:
    node = make_endpoint()
    invite = called(node)
    answered(node, invite)
    assert sent(answered(node, invite), "ACK")[0] == f"udp-5060-{GATEWAY}"


def test_a_bye_from_another_machine_of_the_carrier_is_served() -> None:
    node = make_endpoint()
    invite = called(node)
    answered(node, invite)
    tag = (invite.headers.get("From") or "").rpartition("tag=")[2]
    call_id = invite.headers.get("Call-ID") or ""
    bye = make_request("BYE", "sip:x@10.0.0.5", call_id=call_id, from_tag="tag1", to_tag=tag, cseq=7)
    effects = node.receive(bye, udp("198.51.100.50:5060"), 0.0)
    statuses = [one.message.status for one in effects if isinstance(one, Send) and isinstance(one.message, Response)]
    assert statuses == [200]
    assert any(isinstance(one, Deliver) and isinstance(one.event, HungUp) for one in effects)


def test_in_a_call_of_the_carriers_we_go_where_its_route_set_leads() -> None:
    node = make_endpoint()
    node.flow_opened(udp(EDGE), 0.0)
    invite = make_request("INVITE", "sip:+15125550100@example.com", body=SDP, Contact=f"<sip:gw@{GATEWAY}>")
    received = node.receive(invite, udp(EDGE), 0.0)
    event = next(one.event for one in received if isinstance(one, Deliver))
    assert isinstance(event, InviteReceived)
    node.perform(FromCarrier(event.usage, None), 0.0)
    node.perform(RespondInvite(event.usage, 200, WITH_SDP, SDP), 0.0)
    ack = make_request("ACK", "sip:x@10.0.0.5", to_tag=event.tag, cseq=1, branch="z9hG4bKack")
    node.receive(ack, udp(EDGE), 0.0)
    assert sent(list(node.perform(HangUp(event.usage), 0.0)), "BYE")[0] == f"udp-5060-{GATEWAY}"
