"""Call waiting (CALL-16, CALL-24): a second call is offered to who talks, up to max_calls; beyond that it is busy."""

from dataclasses import replace

from offhook.sip.location import Forward
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.transferring import second_call


def test_a_second_call_is_offered_and_a_third_is_busy(link: Link) -> None:
    house = House(link)
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], max_calls=2)
    alice, bob, carol = house.caller(), house.callee(), house.caller("carol")
    alice.dial("bob")
    bob.respond(200, SDP)
    first = bob.ringing
    # 1. bob talks, and his device decides what to do with the second call
    carol.dial("bob")
    second = bob.ringing
    assert second != first
    bob.respond(180)
    assert len(house.node.switchboard.calls()) == 2
    # 2. the third hears busy, with the reason
    usage = second_call(carol, "bob")
    assert carol.final().status == 486
    assert "endpoint-at-call-limit bob has as many calls as it may" in (carol.final().headers.get("Warning") or "")
    assert (carol.final().headers.get("Reason") or "").startswith("Q.850;cause=17")
    assert usage
    # 3. one is over, one more fits
    alice.hang_up()
    link.run(1)
    alice.dial("bob")
    assert len(bob.got("INVITE")) == 3
    alice.cancel()
    carol.cancel()
    bob.respond(486)
    link.run(1)
    house.assert_nothing_left(alice, bob, carol)


def test_busy_beyond_the_limit_is_forwarded_as_busy(link: Link) -> None:
    house = House(link)
    accounts = house.node.accounts
    accounts["bob"] = replace(accounts["bob"], max_calls=1, forward=Forward(busy="music"))
    alice, bob, carol = house.caller(), house.callee(), house.caller("carol")
    alice.dial("bob")
    bob.respond(200, SDP)
    carol.dial("bob")
    assert carol.final().status == 200
    assert len(bob.got("INVITE")) == 1
    carol.hang_up()
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


def test_a_device_that_waves_the_second_call_off_does_not_touch_the_first(link: Link) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(), house.caller("carol")
    alice.dial("bob")
    bob.respond(200, SDP)
    first = bob.ringing
    carol.dial("bob")
    bob.respond(486)
    assert carol.final().status == 486
    assert not alice.got("BYE")
    bob.hang_up(first)
    house.assert_nothing_left(alice, bob, carol)
