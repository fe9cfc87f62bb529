"""RFC 5407 3.1.2: the 200 to INVITE and the CANCEL cross; the call exists, so it is ended with BYE (CALL-12)."""

import pytest

from offhook.sip.commands import CancelInvite
from offhook.sip.events import AckReceived, HungUp, InviteCanceled, InviteRejected
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.pair import Pair

pytestmark = pytest.mark.ladder


def test_rfc5407_3_1_2_cancel_in_moratorium_between_two(link: Link) -> None:
    pair = Pair(link)
    pair.ring()
    pair.respond(200, SDP)
    pair.alice.perform(CancelInvite(pair.call, 'SIP;cause=487;text="Changed my mind"'))
    link.run(1)
    assert link.arrows() == [
        "alice: INVITE",
        "bob: 100 INVITE",
        "bob: 180 INVITE",
        "bob: 200 INVITE",
        "alice: CANCEL",
        "alice: ACK",
        "alice: BYE",
        "bob: 200 CANCEL",
        "bob: 200 BYE",
    ]
    # 1. the caller's side has its 487, as if the CANCEL had won
    rejected = pair.alice.of(InviteRejected)[0]
    assert isinstance(rejected, InviteRejected)
    assert rejected.response is not None
    assert rejected.response.status == 487
    # 2. the callee's side was answered, acknowledged and hung up, never cancelled
    assert [type(event) for event in pair.bob.events][1:] == [AckReceived, HungUp]
    assert pair.bob.of(InviteCanceled) == []
    # 3. the reason went along
    assert pair.bob.events[-1] == HungUp(pair.ringing, 'SIP;cause=487;text="Changed my mind"')
    pair.assert_nothing_left()
