"""RFC 3261 17.1.2 on the wire: BYE repeated by E until F; a doubled answer absorbed while K runs."""

import pytest

from offhook.sip.commands import HangUp
from tests.support.link import Link
from tests.support.pair import Pair

pytestmark = pytest.mark.ladder


def test_timer_non_invite_e_f_k_e_and_f(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    link.drop("alice", "BYE", times=100)
    began = link.now
    pair.alice.perform(HangUp(pair.call))
    link.run(40)
    times = [round(at - began, 3) for at in link.times("alice: BYE")]
    assert times == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    pair.bob.perform(HangUp(pair.ringing))
    pair.assert_nothing_left()


def test_timer_non_invite_e_f_k_k(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    link.double("bob", "200 BYE")
    pair.alice.perform(HangUp(pair.call))
    pair.assert_nothing_left()
