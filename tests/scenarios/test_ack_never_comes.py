"""RFC 3261 13.3.1.4, CALL-10: without an ACK the call is ended after 64*T1, and the BYE says which Contact failed."""

import pytest

from offhook.sip.events import AckMissing
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.pair import Pair

pytestmark = pytest.mark.ladder


def test_ack_never_comes(link: Link) -> None:
    pair = Pair(link)
    pair.ring()
    link.drop("alice", "ACK", times=100)
    began = link.now
    pair.respond(200, SDP)
    link.run(31.9)
    # 1. until then nothing is given up
    assert pair.bob.of(AckMissing) == []
    link.run(0.2)
    # 2. then one event, and BYE
    assert pair.bob.of(AckMissing) == [AckMissing(pair.ringing)]
    assert [round(at - began, 3) for at in link.times("bob: BYE")] == [32.0]
    # 3. its Reason names our Contact
    contact = pair.bob.sent[-1].headers.get("Reason") or ""
    assert f"@{pair.back.advertised}>" in contact
    # 4. eleven copies of the 200, none after the BYE
    assert len(link.times("bob: 200 INVITE")) == 11
    pair.assert_nothing_left()
