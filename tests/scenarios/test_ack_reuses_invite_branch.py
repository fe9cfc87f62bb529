"""RFC 6026 7.1, CALL-10: an ACK to a 2xx with the INVITE's own branch is taken for what it is."""

import pytest

from offhook.sip.events import AckReceived, InviteReceived
from offhook.sip.flow import Transport
from tests.support.link import Link
from tests.support.messages import SDP, make_request
from tests.support.pair import Pair

pytestmark = pytest.mark.ladder


def test_ack_reuses_invite_branch(link: Link) -> None:
    pair = Pair(link, Transport.WS)
    pair.bob.feed(make_request("INVITE", branch="z9hG4bKsame", body=SDP), pair.back)
    pair.respond(200, SDP)
    tag = (pair.bob.sent[-1].headers.get("To") or "").rpartition("=")[2]
    ack = make_request("ACK", branch="z9hG4bKsame", to_tag=tag)
    pair.bob.feed(ack, pair.back)
    assert len(pair.bob.of(InviteReceived)) == 1
    assert pair.bob.of(AckReceived) == [AckReceived(pair.ringing, ack)]
    link.run(40)
    assert len([arrow for arrow in link.arrows() if arrow == "bob: 200 INVITE"]) == 1
