"""RFC 3261 17.2.1 and RFC 6026 on the wire: a refusal repeated by G until H; copies absorbed while I and L run."""

import pytest

from offhook.sip.events import InviteReceived
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.pair import Pair

pytestmark = pytest.mark.ladder


def test_timer_invite_server_g_h_i_l_g_and_h(link: Link) -> None:
    pair = Pair(link)
    pair.ring()
    link.drop("alice", "ACK", times=100)
    began = link.now
    pair.respond(486)
    link.run(40)
    times = [round(at - began, 3) for at in link.times("bob: 486 INVITE")]
    assert times == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    pair.assert_nothing_left()


def test_timer_invite_server_g_h_i_l_i_absorbs_the_second_ack(link: Link) -> None:
    pair = Pair(link)
    pair.ring()
    link.double("alice", "ACK")
    pair.respond(486)
    link.run(1)
    assert link.times("bob: 486 INVITE") == [0.2]
    pair.assert_nothing_left()


def test_timer_invite_server_g_h_i_l_l_absorbs_a_late_copy_of_the_invite(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    invite = pair.request(pair.alice, "INVITE")
    pair.bob.feed(invite, pair.back)
    assert len(pair.bob.of(InviteReceived)) == 1
    assert pair.bob.sent[-1].body == SDP
