"""CALL-3, WS-6: a 200 whose Contact names no host is acknowledged down the flow, and so is everything after it."""

import pytest

from offhook.sip.commands import HangUp
from offhook.sip.events import InviteAccepted
from offhook.sip.flow import Transport
from tests.support.link import Link
from tests.support.messages import SDP, make_response
from tests.support.pair import Pair

pytestmark = pytest.mark.ladder


def test_ack_to_invalid_contact(link: Link) -> None:
    pair = Pair(link, Transport.WSS)
    link.drop("alice", "INVITE")
    pair.invite()
    invite = pair.request(pair.alice, "INVITE")
    ok = make_response(invite, 200, "t", SDP, Contact="<sip:r4nd0m@df7jal23ls0d.invalid;transport=ws>")
    pair.alice.feed(ok, pair.there)
    assert len(pair.alice.of(InviteAccepted)) == 1
    pair.alice.perform(HangUp(pair.call))
    for method in ("ACK", "BYE"):
        request = pair.request(pair.alice, method)
        assert str(request.uri) == "sip:r4nd0m@df7jal23ls0d.invalid;transport=ws"
        assert request.headers.all("Route") == ()
    assert link.arrows()[1:] == ["alice: ACK", "alice: BYE"]
