"""RFC 3261 8.2: what a request gets that no usage serves, and who may speak in a dialog (AUTH-13)."""

import pytest

from offhook.sip.commands import HangUp, Respond, RespondInvite
from offhook.sip.config import SipConfig
from offhook.sip.effects import Send
from offhook.sip.endpoint import ANNOUNCED
from offhook.sip.errors import MalformedMessage, PeerError
from offhook.sip.events import HungUp, InviteReceived, RequestInDialog, RequestReceived
from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.message import Headers, Request, Response
from offhook.sip.parse import parse_datagram
from offhook.sip.transaction.table import TransactionLimits
from offhook.sip.uri import parse_uri
from tests.support.link import Link, Station
from tests.support.messages import SDP, make_flow, make_request
from tests.support.nodes import DOMAIN, authorized, make_account, make_endpoint

ALLOW = ", ".join(SipConfig(DOMAIN).allow)
FLOW = make_flow("first")


@pytest.fixture
def node(link: Link) -> Station:
    station = link.station("node", make_endpoint())
    station.accounts = {name: make_account(name) for name in ("alice", "bob")}
    return station


def ask(node: Station, request: Request, flow: Flow = FLOW) -> Response:
    count = len(node.sent)
    node.feed(request, flow)
    answers = [m for m in node.sent[count:] if isinstance(m, Response) and m.status > 100]
    assert len(answers) == 1
    return answers[0]


@pytest.mark.parametrize(
    ("request_", "status", "name", "value"),
    [
        (make_request("DANCE"), 501, "Allow", ALLOW),
        (make_request("SUBSCRIBE"), 489, "Allow-Events", ", ".join(SipConfig(DOMAIN).allow_events)),
        (make_request("NOTIFY", Event="dialog"), 481, None, None),
        (make_request("OPTIONS", "soap.beep://192.0.2.103:3002"), 416, None, None),
        (make_request("OPTIONS", Require="noOne, Nothing"), 420, "Unsupported", "noOne, Nothing"),
        (make_request("INFO"), 481, None, None),
        (make_request("BYE"), 481, None, None),
        (make_request("BYE", to_tag="unknown"), 481, None, None),
        (make_request("INVITE", to_tag="unknown", body=SDP), 481, None, None),
        (make_request("CANCEL"), 481, None, None),
        (make_request("INVITE", body=SDP, Accept="text/plain"), 406, "Accept", "application/sdp"),
        (make_request("INVITE", body=SDP, Content_Encoding="gzip"), 415, "Accept-Encoding", "identity"),
    ],
    ids=lambda value: value.method if isinstance(value, Request) else "",
)
def test_refusals(node: Station, request_: Request, status: int, name: str | None, value: str | None) -> None:
    answer = ask(node, request_)
    assert answer.status == status
    assert "tag=" in (answer.headers.get("To") or "")
    if name is not None:
        assert answer.headers.get(name) == value
    assert node.events == []


def replaced(request: Request, name: str, value: str) -> Request:
    return Request(request.method, request.uri, request.headers.replaced(name, value), request.body)


def test_unknown_body_is_415_with_accept(node: Station) -> None:
    answer = ask(node, replaced(make_request("INVITE", body=SDP), "Content-Type", "application/unknownformat"))
    assert (answer.status, answer.headers.get("Accept")) == (415, "application/sdp")


def test_last_hop_is_483_for_invite_and_nothing_to_options(node: Station) -> None:
    assert ask(node, replaced(make_request("INVITE", body=SDP), "Max-Forwards", "0")).status == 483
    assert ask(node, replaced(make_request("OPTIONS", branch="z9hG4bK2"), "Max-Forwards", "0")).status == 200


def test_merged_request_is_482(node: Station) -> None:
    node.feed(make_request("INVITE", branch="z9hG4bKone", body=SDP), FLOW)
    assert ask(node, make_request("INVITE", branch="z9hG4bKtwo", body=SDP)).status == 482
    assert len(node.of(InviteReceived)) == 1


def test_rfc_2543_copy_is_no_second_call_and_its_ack_is_found(node: Station, link: Link) -> None:
    invite = make_request("INVITE", branch="old", body=SDP)
    node.feed(invite, FLOW)
    node.feed(invite, FLOW)
    assert len(node.of(InviteReceived)) == 1
    node.feed(make_request("CANCEL", branch="old"), FLOW)
    refusal = node.sent[-1]
    assert isinstance(refusal, Response)
    assert refusal.status == 487
    tag = (refusal.headers.get("To") or "").rpartition("=")[2]
    node.feed(make_request("ACK", branch="old", to_tag=tag), FLOW)
    count = len(node.sent)
    link.run(40)
    assert len(node.sent) == count
    assert node.node.transactions == 0


def test_options(node: Station) -> None:
    answer = ask(node, make_request("OPTIONS"))
    assert (answer.status, answer.headers.get("Allow"), answer.headers.get("Accept")) == (200, ALLOW, "application/sdp")
    assert answer.headers.get("Server") == "Offhook"


def test_options_for_a_stranger_domain(node: Station) -> None:
    stranger = make_request("OPTIONS", "sip:elsewhere.example")
    node.feed(stranger, FLOW)
    assert node.sent == []
    assert node.node.transactions == 0
    assert ask(node, stranger, make_flow("tcp", Transport.TCP)).status == 404


@pytest.mark.parametrize("uri", [f"sips:bob@{DOMAIN}", "tel:+15550100"])
def test_calls_to_sips_and_tel_uris_go_to_call_control(node: Station, uri: str) -> None:
    """RFC 5630 section 4, RFC 3966: over TLS."""
    node.feed(make_request("INVITE", uri, body=SDP), make_flow("tls", Transport.TLS))
    (event,) = node.of(InviteReceived)
    assert isinstance(event, InviteReceived)
    assert str(event.request.uri) == uri


def test_served_method_outside_a_dialog_goes_to_call_control(link: Link) -> None:
    config = SipConfig(DOMAIN, allow=("INVITE", "ACK", "MESSAGE"))
    node = link.station("node", make_endpoint(config=config))
    node.feed(make_request("MESSAGE", body=b"Hello"), FLOW)
    (event,) = node.of(RequestReceived)
    assert isinstance(event, RequestReceived)
    node.perform(Respond(event.transaction, 202))
    answer = node.sent[-1]
    assert isinstance(answer, Response)
    assert (answer.status, answer.reason) == (202, "Accepted")


def test_stray_ack_and_response_are_dropped(node: Station) -> None:
    node.feed(make_request("ACK", to_tag="unknown"), FLOW)
    node.feed(Response(200, "OK", make_request("INVITE").headers), FLOW)
    assert node.sent == node.events == []


def test_transactions_of_one_flow_are_bounded(link: Link) -> None:
    config = SipConfig(DOMAIN, transactions=TransactionLimits(per_node=100, per_flow=3))
    node = link.station("node", make_endpoint(config=config))
    statuses = [ask(node, make_request("OPTIONS", branch=f"z9hG4bK{n}", cseq=n)).status for n in range(1, 5)]
    assert statuses == [200, 200, 200, 503]
    assert ask(node, make_request("OPTIONS", branch="z9hG4bK9", cseq=9), make_flow("other")).status == 200
    # 503 has no state; the table frees itself.
    assert node.node.transactions == 4
    link.run(40)
    assert node.node.transactions == 0


def malformed(data: bytes) -> PeerError:
    with pytest.raises(PeerError) as caught:
        parse_datagram(data)
    return caught.value


def test_malformed_request_is_answered_without_state(node: Station) -> None:
    text = b"OPTIONS  sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"
    error = malformed(text + b"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n")
    node.apply(node.node.receive_malformed(error, FLOW, 0.0))
    answer = node.sent[-1]
    assert isinstance(answer, Response)
    assert answer.status == 400
    assert "one space" in (answer.headers.get("Warning") or "")
    assert node.node.transactions == 0


def test_malformed_request_without_a_way_back_is_dropped(node: Station) -> None:
    for error in (MalformedMessage("no request"), MalformedMessage("no Via", Request("OPTIONS", parse_uri("sip:x")))):
        node.apply(node.node.receive_malformed(error, FLOW, 0.0))
    assert node.sent == []


def test_broken_messages_of_strangers_write_a_line_a_second(node: Station) -> None:
    """A flood of octets must not fill the disk."""
    for hundredth in range(250):
        node.apply(node.node.receive_malformed(MalformedMessage("no request"), FLOW, hundredth / 100))
    assert [(one.slug, one.details["text"]) for one in node.notes] == [("request-malformed", "no request")] * 3


# AUTH-13


def established(node: Station, flow: Flow) -> str:
    """Alice calls from `flow`, having proven herself by a registration there; our tag."""
    register = make_request("REGISTER", f"sip:{DOMAIN}", to="<sip:alice@example.com>", branch="z9hG4bKr")
    register = Request("REGISTER", register.uri, register.headers.with_field("Contact", "<sip:alice@x.invalid>"))
    assert ask(node, authorized(register, ask(node, register, flow), "alice"), flow).status == 200
    node.feed(make_request("INVITE", body=SDP, call_id="dialog"), flow)
    event = node.of(InviteReceived)[0]
    assert isinstance(event, InviteReceived)
    node.perform(RespondInvite(event.usage, 200, Headers([("Content-Type", "application/sdp")]), SDP))
    tag = (node.sent[-1].headers.get("To") or "").rpartition("=")[2]
    node.feed(make_request("ACK", to_tag=tag, call_id="dialog", branch="z9hG4bKa"), flow)
    return tag


def test_request_from_another_flow_trusted_as_the_same_endpoint_moves_the_dialog(node: Station, link: Link) -> None:
    first, second = make_flow("ws-1", Transport.WSS), make_flow("ws-2", Transport.WSS)
    tag = established(node, first)
    register = make_request("REGISTER", f"sip:{DOMAIN}", to="<sip:alice@example.com>", branch="z9hG4bKr2", call_id="r2")
    assert ask(node, authorized(register, ask(node, register, second), "alice"), second).status == 200
    node.feed(make_request("INFO", to_tag=tag, call_id="dialog", cseq=2, branch="z9hG4bKi"), second)
    event = node.events[-1]
    assert isinstance(event, RequestInDialog)
    effects = node.node.perform(HangUp(event.usage), link.now)
    assert {effect.flow for effect in effects if hasattr(effect, "message")} == {second.id}


def test_request_from_an_unknown_flow_is_challenged_and_served_after_proof(node: Station) -> None:
    first, second = make_flow("udp-1"), make_flow("udp-2", port=6070)
    tag = established(node, first)
    bye = make_request("BYE", to_tag=tag, call_id="dialog", cseq=2, branch="z9hG4bKb")
    challenge = ask(node, bye, second)
    assert challenge.status == 407
    assert challenge.headers.get("Proxy-Authenticate")
    assert node.of(HungUp) == []
    # Somebody else's proof is not enough.
    assert ask(node, authorized(bye, challenge, "bob"), second).status == 403
    answer = ask(
        node, authorized(replaced(bye, "Via", "SIP/2.0/UDP x;branch=z9hG4bKc"), challenge, "alice", nc=1), second
    )
    assert answer.status == 407  # that nc is spent
    again = authorized(replaced(bye, "Via", "SIP/2.0/UDP x;branch=z9hG4bKd"), answer, "alice")
    assert ask(node, again, second).status == 200
    assert len(node.of(HungUp)) == 1


# where answers go over UDP


@pytest.mark.parametrize(
    ("via", "force", "port"),
    [
        ("SIP/2.0/UDP 127.0.0.2:5099;branch=z9hG4bKa;rport", False, 40000),
        ("SIP/2.0/UDP 127.0.0.2:5099;branch=z9hG4bKa", False, 5099),
        ("SIP/2.0/UDP 127.0.0.2;branch=z9hG4bKa", False, 5060),
        ("SIP/2.0/UDP 192.0.2.9:5099;branch=z9hG4bKa", False, 5099),
        ("SIP/2.0/UDP 127.0.0.2:5099;branch=z9hG4bKa", True, 40000),
    ],
)
def test_answers_go_to_the_port_of_via_unless_rport_is_asked_for(link: Link, via: str, force: bool, port: int) -> None:
    """RFC 3261 18.2.2, RFC 3581: the host is always the one the request came from."""
    node = make_endpoint(config=SipConfig(DOMAIN, aliases=frozenset({"example.com"}), force_rport=force))
    flow = Flow(
        FlowId("udp-5060-127.0.0.2:40000"), Transport.UDP, ("127.0.0.2", 40000), ("127.0.0.1", 5060), "x", False, False
    )
    request = replaced(make_request("OPTIONS"), "Via", via)
    sent = [effect.flow for effect in node.receive(request, flow, 0.0) if isinstance(effect, Send)]
    assert sent == [f"udp-5060-127.0.0.2:{port}"]
    # An endpoint may be marked for it.
    node = make_endpoint(config=SipConfig(DOMAIN, aliases=frozenset({"example.com"}), force_rport=force))
    node.use_rport(lambda user: user == "alice")
    marked = [effect.flow for effect in node.receive(request, flow, 0.0) if isinstance(effect, Send)]
    assert marked == ["udp-5060-127.0.0.2:40000"]
    node.use_rport(lambda user: user == "bob")
    request = replaced(request, "Via", f"{via}x")
    again = [effect.flow for effect in node.receive(request, flow, 0.1) if isinstance(effect, Send)]
    assert again == sent, "a repeated request is answered there too"


def test_udp_peers_that_we_spoke_to_first_are_bounded() -> None:
    """A foreign host that was called once is not remembered for ever; a registered phone is."""
    node = make_endpoint()
    for number in range(ANNOUNCED + 50):
        flow = Flow(
            FlowId(f"udp-5060-10.0.0.1:{number}"),
            Transport.UDP,
            ("10.0.0.1", number),
            ("10.0.0.2", 5060),
            "x",
            False,
            False,
        )
        node.flow_opened(flow, 0.0)
    assert len(node._flows) == ANNOUNCED
