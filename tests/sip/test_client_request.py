"""Requests of ours outside a dialog: `SendRequest` in, one `RequestSettled` out, nothing kept."""

from dataclasses import replace

import pytest

from offhook.sip.commands import SendRequest
from offhook.sip.events import Failure, RequestSettled
from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.message import Headers, Request, Response
from offhook.sip.uri import parse_uri
from tests.support.link import Link, Station
from tests.support.messages import make_response
from tests.support.nodes import make_endpoint
from tests.support.subscribing import Silent


class Asking:
    """`node` asks; the test answers in the peer's place."""

    def __init__(self, link: Link, transport: Transport = Transport.TLS) -> None:
        self.link = link
        self.node: Station = link.station("node", make_endpoint("node", 1))
        self.flow: Flow = link.connect(self.node, link.station("peer", Silent()), transport)[0]
        self.command = SendRequest(
            "token",
            "MESSAGE",
            self.flow.id,
            parse_uri("sip:bob@127.0.0.2:5070"),
            '"Alice" <sip:alice@example.com>',
            "<sip:bob@example.com>",
            Headers([("Content-Type", "text/plain")]),
            b"hello",
        )

    def ask(self, **changes: object) -> Request:
        """Sends it; the request as it went out."""
        self.node.perform(replace(self.command, **changes))  # type: ignore[arg-type]
        sent = self.node.sent[-1]
        assert isinstance(sent, Request)
        return sent

    def answer(self, request: Request, status: int) -> Response:
        """The peer's answer."""
        response = make_response(request, status, "theirs")
        self.node.feed(response, self.flow)
        return response

    def assert_nothing_left(self) -> None:
        """After the transaction's own timers nothing remains."""
        self.link.run(40)
        node = self.node.node
        left = (node.transactions, node.dialogs, node.usages, len(self.node.timers))  # type: ignore[attr-defined]
        assert left == (0, 0, 0, 0)


def test_the_request_as_it_goes_out(link: Link) -> None:
    request = Asking(link).ask(max_forwards=69, routes=("<sip:edge.example;lr>",))
    headers = request.headers
    assert (request.method, str(request.uri), request.body) == ("MESSAGE", "sip:bob@127.0.0.2:5070", b"hello")
    assert (headers.get("From") or "").startswith('"Alice" <sip:alice@example.com>;tag=')
    assert headers.get("To") == "<sip:bob@example.com>"
    assert (headers.get("CSeq"), headers.get("Max-Forwards")) == ("1 MESSAGE", "69")
    assert headers.get("Route") == "<sip:edge.example;lr>"
    assert headers.get("Contact") is None, "MESSAGE makes no dialog (RFC 3428 section 9)"
    assert headers.get("Content-Type") == "text/plain"


def test_call_ids_and_tags_are_drawn_anew_unless_given(link: Link) -> None:
    asking = Asking(link)
    first, second = asking.ask(), asking.ask()
    assert first.headers.get("Call-ID") != second.headers.get("Call-ID")
    assert first.headers.get("From") != second.headers.get("From")
    third = asking.ask(call_id="ours", cseq=7, contact_user="line")
    assert (third.headers.get("Call-ID"), third.headers.get("CSeq")) == ("ours", "7 MESSAGE")
    assert (third.headers.get("Contact") or "").startswith("<sip:line@")


@pytest.mark.parametrize("status", [200, 202, 404, 503, 603])
def test_the_final_response_settles_it_once(link: Link, status: int) -> None:
    asking = Asking(link)
    request = asking.ask()
    asking.answer(request, 100)
    assert asking.node.events == [], "a provisional response settles nothing"
    response = asking.answer(request, status)
    asking.answer(request, status)
    assert asking.node.events == [RequestSettled("token", response, None, 1)]
    asking.assert_nothing_left()


def test_no_response_settles_it_after_timer_f(link: Link) -> None:
    asking = Asking(link, Transport.UDP)
    asking.ask()
    link.run(31)
    assert asking.node.events == []
    link.run(2)
    assert asking.node.events == [RequestSettled("token", None, Failure.NO_RESPONSE, 1)]
    asking.assert_nothing_left()


def test_a_flow_that_breaks_settles_it_at_once(link: Link) -> None:
    asking = Asking(link)
    asking.ask()
    link.disconnect(asking.flow.id)
    assert asking.node.events[0] == RequestSettled("token", None, Failure.FLOW_FAILED, 1)
    asking.assert_nothing_left()


def test_without_a_flow_nothing_is_dialled(link: Link) -> None:
    """WS-6."""
    asking = Asking(link)
    asking.node.perform(replace(asking.command, flow=FlowId("gone")))
    assert asking.node.sent == []
    assert asking.node.events == [RequestSettled("token", None, Failure.FLOW_FAILED)]
