"""CALL-25 and UNAUTH_RATE: what is refused before it costs anything, and what never is."""

from dataclasses import replace

import pytest

from offhook.sip.commands import RefuseNew, RespondInvite
from offhook.sip.config import SipConfig, StrangerLimits
from offhook.sip.effects import CloseFlow, Send
from offhook.sip.events import InviteReceived
from offhook.sip.flow import Flow, Transport
from offhook.sip.gate import TurnedAway
from offhook.sip.message import Request, Response
from offhook.sip.transaction.table import TransactionLimits
from offhook.sip.uri import parse_uri
from tests.support.link import Link, Station
from tests.support.messages import SDP, make_flow, make_request
from tests.support.nodes import DOMAIN, make_account, make_endpoint

CONFIG = SipConfig(DOMAIN, strangers=StrangerLimits(rate=1.0, burst=3.0))
BUSY = RefuseNew(frozenset({"INVITE", "SUBSCRIBE", "OPTIONS"}))
WORSE = RefuseNew(BUSY.methods | {"REGISTER"})
WAYS = list(Transport)


def node_with(link: Link, config: SipConfig = CONFIG) -> Station:
    node = link.station("node", make_endpoint(config=config))
    node.accounts = {name: make_account(name) for name in ("alice", "bob")}
    return node


def answers(node: Station, request: Request, flow: Flow) -> list[Response]:
    count = len(node.sent)
    node.feed(request, flow)
    return [one for one in node.sent[count:] if isinstance(one, Response) and one.status > 100]


def register(number: int) -> Request:
    bob = f"<sip:bob@{DOMAIN}>"
    contact = {"Contact": "<sip:bob@127.0.0.2:5070>"}
    return make_request(
        "REGISTER", f"sip:{DOMAIN}", branch=f"z9hG4bKr{number}", call_id=f"r{number}", to=bob, from_=bob, **contact
    )


def asked(method: str, number: int, cseq: int = 1, to_tag: str = "", **more: str) -> Request:
    """A request of a new call with each number; another CSeq has a branch of its own."""
    body = SDP if method == "INVITE" else b""
    branch = f"z9hG4bK{number}" if cseq == 1 else f"z9hG4bK{number}-{cseq}"
    uri = f"sip:bob@{DOMAIN}"
    return make_request(method, uri, branch=branch, call_id=f"c{number}", cseq=cseq, to_tag=to_tag, body=body, **more)


def talking(node: Station, flow: Flow) -> str:
    """A call is answered; gives our tag."""
    node.feed(asked("INVITE", 1), flow)
    (event,) = node.of(InviteReceived)
    assert isinstance(event, InviteReceived)
    node.perform(RespondInvite(event.usage, 200, body=SDP))
    return (node.sent[-1].headers.get("To") or "").rpartition("=")[2]


@pytest.mark.parametrize("transport", WAYS)
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "SUBSCRIBE"])
def test_overload_refuses_new_calls_first(link: Link, transport: Transport, method: str) -> None:
    node = node_with(link)
    flow = make_flow("far", transport)
    node.perform(BUSY)
    (answer,) = answers(node, asked(method, 1), flow)
    assert answer.status == 503
    assert 5 <= int(answer.headers.get("Retry-After") or 0) <= 15
    assert "node-overloaded" in (answer.headers.get("Warning") or "")
    # Nothing is kept for it, and nobody is told.
    assert node.node.transactions == 0  # type: ignore[attr-defined]
    assert node.events == []
    # Served again when it is over.
    node.perform(RefuseNew(frozenset()))
    assert all(one.status != 503 for one in answers(node, asked(method, 2), flow))


@pytest.mark.parametrize("transport", WAYS)
def test_then_registrations_as_the_storm_does(link: Link, transport: Transport) -> None:
    """REG-3: UDP silence, streams 503, a WebSocket without calls is closed."""
    node = node_with(link)
    flow = make_flow("far", transport)
    node.perform(BUSY)
    assert [one.status for one in answers(node, register(1), flow)] == [401]
    node.perform(WORSE)
    effects = node.node.receive(register(2), flow, link.now)
    statuses = [one.message.status for one in effects if isinstance(one, Send) and isinstance(one.message, Response)]
    assert statuses == ([503] if transport in (Transport.TCP, Transport.TLS) else [])
    closed = [(one.code, one.slug) for one in effects if isinstance(one, CloseFlow)]
    assert closed == ([(1013, "node-overloaded")] if transport.websocket else [])


def test_nothing_inside_a_dialog_is_refused(link: Link) -> None:
    node = node_with(link)
    flow = make_flow("far", Transport.TCP)
    tag = talking(node, flow)
    node.perform(WORSE)
    # 1. A re-INVITE, an INFO and a BYE of the call are served.
    for number, method in enumerate(("INVITE", "OPTIONS", "BYE"), 2):
        got = answers(node, asked(method, 1, number, tag), flow)
        assert all(one.status != 503 for one in got), method


@pytest.mark.parametrize("names", ["c1;to-tag={tag};from-tag=peer", "c1;to-tag=peer;from-tag={tag}"])
def test_an_invite_that_takes_the_place_of_a_dialog_is_none_too_many(link: Link, names: str) -> None:
    node = node_with(link)
    flow = make_flow("far", Transport.TCP)
    tag = talking(node, flow)
    node.perform(WORSE)
    # 1. The dialog stands, whichever way its tags are written.
    assert answers(node, asked("INVITE", 9, Replaces=names.format(tag=tag)), flow) == []
    # 2. One that nobody has, or that cannot be read, opens no door.
    for number, made_up in enumerate(("a;to-tag=b;from-tag=c", "nothing", f"c1;to-tag={tag};from-tag=other"), 10):
        assert [one.status for one in answers(node, asked("INVITE", number, Replaces=made_up), flow)] == [503]


def test_a_call_for_help_is_let_in(link: Link) -> None:
    """TRK-9: late is better than never; only an INVITE calls for help."""
    node = node_with(link, replace(CONFIG, urgent=lambda uri: uri.user == "112"))
    flow = make_flow("far", Transport.TCP)
    node.perform(WORSE)
    help_ = f"sip:112@{DOMAIN}"
    invite = make_request("INVITE", help_, branch="z9hG4bKh1", call_id="h1", body=SDP)
    assert [one.status for one in answers(node, invite, flow)] == []
    assert len(node.of(InviteReceived)) == 1
    options = make_request("OPTIONS", help_, branch="z9hG4bKh2", call_id="h2")
    assert [one.status for one in answers(node, options, flow)] == [503]


def test_a_cancel_is_served(link: Link) -> None:
    node = node_with(link)
    flow = make_flow("far", Transport.TCP)
    node.feed(asked("INVITE", 1), flow)
    node.perform(WORSE)
    assert [one.status for one in answers(node, asked("CANCEL", 1), flow)] == [200, 487]


def test_a_node_that_stops_takes_no_calls_and_says_so(link: Link) -> None:
    node = node_with(link)
    node.perform(RefuseNew(frozenset({"INVITE"}), "node-draining", "the server is stopping"))
    (answer,) = answers(node, asked("INVITE", 1), make_flow("far"))
    assert "node-draining" in (answer.headers.get("Warning") or "")
    assert [one.status for one in answers(node, register(2), make_flow("far"))] == [401]


def test_a_full_table_refuses_what_is_new_only(link: Link) -> None:
    node = node_with(link, replace(CONFIG, transactions=TransactionLimits(per_node=1)))
    flow = make_flow("far", Transport.TCP)
    tag = talking(node, flow)
    assert [one.status for one in answers(node, asked("OPTIONS", 2), flow)] == [503]
    assert [one.status for one in answers(node, asked("BYE", 1, 2, tag), flow)] == [200]


def test_no_more_dialogs_than_the_limit(link: Link) -> None:
    node = node_with(link, replace(CONFIG, most_dialogs=1))
    flow = make_flow("far", Transport.TCP)
    node.feed(asked("INVITE", 1), flow)
    (event,) = node.of(InviteReceived)
    assert isinstance(event, InviteReceived)
    node.perform(RespondInvite(event.usage, 200, body=SDP))
    for method in ("INVITE", "SUBSCRIBE"):
        (answer,) = answers(node, asked(method, 2), flow)
        assert answer.status == 503
        assert "limits.dialogs" in (answer.headers.get("Warning") or "")
    # What makes none is served.
    assert [one.status for one in answers(node, asked("OPTIONS", 3), flow)] == [200]


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_strangers_have_a_rate(link: Link, transport: Transport) -> None:
    node = node_with(link)
    flow = make_flow("far", transport)
    got = [answers(node, asked("OPTIONS", number), flow) for number in range(1, 7)]
    # 1. Three at once, then silence over UDP, 503 with a time on a stream.
    served = [[one.status for one in group] for group in got]
    over = [] if transport is Transport.UDP else [503]
    assert served == [[200], [200], [200], over, over, over]
    if transport is Transport.TCP:
        assert "requests-too-often" in (got[-1][0].headers.get("Warning") or "")
    # 2. One line of the log, not one for each.
    assert [note.slug for note in node.notes] == ["requests-too-often"]
    # 3. Requests for dialogs and transactions that never were count too, and leave nothing behind.
    kept = node.node.transactions  # type: ignore[attr-defined]
    for number, method in ((10, "BYE"), (11, "CANCEL")):
        answers(node, asked(method, number, to_tag="x" if method == "BYE" else ""), flow)
    assert node.node.transactions == kept  # type: ignore[attr-defined]
    # 4. Another source is not punished for it, and in a second there is a token again.
    other = replace(make_flow("other", transport), remote=("127.0.0.9", 5070))
    assert [one.status for one in answers(node, asked("OPTIONS", 20), other)] == [200]
    link.run(1.1)
    assert [one.status for one in answers(node, asked("OPTIONS", 21), flow)] == [200]


def test_a_register_that_is_not_served_counts_as_any_request_of_a_stranger(link: Link) -> None:
    node = node_with(link)
    flow = make_flow("scanner")
    got = []
    for number in range(1, 10):
        request = register(number)
        got += answers(node, Request("REGISTER", parse_uri("mailto:x"), request.headers), flow)
    assert [one.status for one in got] == [416] * 3


def test_ipv6_sources_are_counted_by_their_network(link: Link) -> None:
    node = node_with(link)
    for number in range(1, 8):
        flow = replace(make_flow(f"six{number}"), remote=(f"2001:db8::{number}", 5060))
        got = answers(node, asked("OPTIONS", number), flow)
        assert len(got) == (1 if number <= 3 else 0), number


def test_who_is_known_has_no_such_rate(link: Link) -> None:
    """A registered flow, and the address of a trunk."""
    node = node_with(link)

    class Trunks:
        def expects(self, request: Request, flow: Flow) -> bool:
            return flow.id == "trunk"

        def turn_away(self, request: Request, flow: Flow, known: bool) -> TurnedAway | None:
            return None

    node.node.use_gate(Trunks())  # type: ignore[attr-defined]
    for number in range(1, 10):
        node.feed(asked("INVITE", number), make_flow("trunk"))
    assert len(node.of(InviteReceived)) == 9
