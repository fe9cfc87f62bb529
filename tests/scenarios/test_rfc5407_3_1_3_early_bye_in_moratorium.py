"""RFC 5407 3.1.3: a caller's BYE in the early dialog crosses our 200; both are answered, the ACK is still taken."""

import pytest

from offhook.sip.events import AckMissing, AckReceived, HungUp
from tests.support.link import Link
from tests.support.messages import SDP, make_request
from tests.support.pair import Pair

pytestmark = pytest.mark.ladder


def test_rfc5407_3_1_3_early_bye_in_moratorium_between_two(link: Link) -> None:
    pair = Pair(link)
    pair.bob.feed(make_request("INVITE", body=SDP), pair.back)
    pair.respond(180)
    tag = (pair.bob.sent[-1].headers.get("To") or "").rpartition("=")[2]
    pair.respond(200, SDP)
    pair.bob.feed(make_request("BYE", branch="z9hG4bKbye", cseq=2, to_tag=tag), pair.back)
    # 1. BYE is answered, the call is over for call control
    assert link.arrows()[-1] == "bob: 200 BYE"
    assert pair.bob.events[-1] == HungUp(pair.ringing, None)
    # 2. the 200 to INVITE goes on until its ACK: the caller may not have seen it
    link.run(0.6)
    assert link.arrows()[-1] == "bob: 200 INVITE"
    pair.bob.feed(make_request("ACK", branch="z9hG4bKack", to_tag=tag), pair.back)
    link.run(40)
    assert len([arrow for arrow in link.arrows() if arrow == "bob: 200 INVITE"]) == 2
    # 3. nobody is told of an ACK, present or missing, after the end
    assert pair.bob.of(AckReceived) == pair.bob.of(AckMissing) == []
    pair.assert_nothing_left()
