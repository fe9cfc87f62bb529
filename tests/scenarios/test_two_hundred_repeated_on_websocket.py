"""RFC 3261 13.3.1.4, CALL-10: a 2xx to INVITE is repeated until its ACK also where the transport loses nothing."""

import pytest

from offhook.sip.events import AckReceived
from offhook.sip.flow import Transport
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.pair import Pair

pytestmark = pytest.mark.ladder


def test_two_hundred_repeated_on_websocket(link: Link) -> None:
    pair = Pair(link, Transport.WSS)
    pair.ring()
    link.drop("alice", "ACK", times=4)
    began = link.now
    pair.respond(200, SDP)
    link.run(20)
    # 1. at T1, 2*T1, 4*T1, then T2
    assert [round(at - began, 3) for at in link.times("bob: 200 INVITE")] == [0.0, 0.5, 1.5, 3.5, 7.5]
    # 2. each copy has its ACK, the same one
    acks = [message for message in pair.alice.sent if getattr(message, "method", "") == "ACK"]
    assert len(acks) == 5
    assert len(set(map(str, (ack.headers.get("Via") for ack in acks)))) == 1
    # 3. call control hears of the first only
    assert len(pair.bob.of(AckReceived)) == 1
