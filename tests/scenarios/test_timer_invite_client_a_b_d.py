"""RFC 3261 17.1.1 on the wire: INVITE repeated by A until B; a refusal's ACK repeated while D runs."""

import pytest

from offhook.sip.events import Failure, InviteRejected
from tests.support.link import Link
from tests.support.pair import Pair

pytestmark = pytest.mark.ladder


def test_timer_invite_client_a_b_d_a_and_b(link: Link) -> None:
    pair = Pair(link)
    link.drop("alice", "INVITE", times=100)
    pair.invite()
    link.run(33)
    assert link.times("alice: INVITE") == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert pair.alice.events == [InviteRejected(pair.call, None, Failure.NO_RESPONSE)]
    pair.assert_nothing_left()


def test_timer_invite_client_a_b_d_d(link: Link) -> None:
    pair = Pair(link)
    pair.ring()
    link.drop("alice", "ACK", times=2)
    pair.respond(486)
    link.run(5)
    assert [arrow for arrow in link.arrows() if "486" in arrow or "ACK" in arrow] == [
        "bob: 486 INVITE",
        "alice: ACK x",
        "bob: 486 INVITE",
        "alice: ACK x",
        "bob: 486 INVITE",
        "alice: ACK",
    ]
    assert len(pair.alice.of(InviteRejected)) == 1
    pair.assert_nothing_left()
