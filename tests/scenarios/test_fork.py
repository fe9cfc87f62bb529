"""Several devices ring at once (CALL-14, CALL-15), and CANCEL in all its crossings (CALL-12)."""

import pytest

from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


@pytest.mark.ladder
def test_fork_first_answer_wins(link: Link) -> None:
    house = House(link)
    alice, desk, cell = house.caller(), house.callee(name="desk"), house.callee(name="cell")
    alice.dial("bob")
    desk.respond(180)
    cell.respond(180)
    # 1. the caller hears of ringing once
    assert link.arrows().count("offhook: 180 INVITE") == 1
    # 2. two branches that meet in one device are not merged: each is a call of its own
    assert desk.invite.headers.get("Call-ID") != cell.invite.headers.get("Call-ID")
    cell.respond(200, SDP)
    # 3. the loser is told why
    assert desk.got("CANCEL")[0].headers.get("Reason") == ELSEWHERE
    assert alice.final().status == 200
    alice.hang_up()
    assert cell.got("BYE")
    house.assert_nothing_left(alice, desk, cell)


@pytest.mark.ladder
def test_fork_two_answers_cross(link: Link) -> None:
    house = House(link)
    alice, desk, cell = house.caller(), house.callee(name="desk"), house.callee(name="cell")
    alice.dial("bob")
    desk.respond(180)
    cell.respond(180)
    desk.respond(200, SDP, seconds=0)
    cell.respond(200, SDP, seconds=1)
    # The second is acknowledged and hung up, with the reason.
    loser = desk if desk.got("BYE") else cell
    assert loser.got("ACK")
    assert loser.got("BYE")[0].headers.get("Reason") == ELSEWHERE
    assert sum(1 for phone in (desk, cell) if phone.got("BYE")) == 1
    alice.hang_up()
    house.assert_nothing_left(alice, desk, cell)


@pytest.mark.ladder
def test_fork_decline_stops_all(link: Link) -> None:
    house = House(link)
    alice, desk, cell = house.caller(), house.callee(name="desk"), house.callee(name="cell")
    alice.dial("bob")
    desk.respond(180)
    cell.respond(180)
    cell.respond(603)
    assert alice.final().status == 603
    assert "bob declined the call" in (alice.final().headers.get("Warning") or "")
    assert desk.got("CANCEL")
    house.assert_nothing_left(alice, desk, cell)


@pytest.mark.ladder
def test_fork_one_busy_one_rings(link: Link) -> None:
    house = House(link)
    alice, desk, cell = house.caller(), house.callee(name="desk"), house.callee(name="cell")
    alice.dial("bob")
    desk.respond(486)
    cell.respond(180)
    assert house.node.switchboard.calls()
    cell.respond(480)
    # 486 is the better failure of the two.
    assert alice.final().status == 486
    house.assert_nothing_left(alice, desk, cell)


@pytest.mark.ladder
def test_fork_caller_cancels_before_any_1xx(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    link.delay("bob", "100 INVITE", 2)
    alice.dial("bob")
    alice.cancel()
    # CANCEL waits for a first 1xx of the device.
    assert not bob.got("CANCEL")
    bob.respond(180)
    link.run(1)
    assert bob.got("CANCEL")
    assert alice.final().status == 487
    house.assert_nothing_left(alice, bob)


def test_cancel_crosses_the_200_of_the_callee(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(180)
    bob.respond(200, SDP, seconds=0)
    alice.cancel()
    link.run(2)
    # RFC 5407 3.1.2 through the house: whoever was first here decides, and both sides believe the same in the end.
    assert alice.final().status in (200, 487)
    alice_ends = bool(alice.got("BYE")) or alice.final().status == 487 or "alice: BYE" in link.arrows()
    assert alice_ends
    assert bob.got("BYE") or bob.got("CANCEL")
    house.assert_nothing_left(alice, bob)


def test_early_bye_ends_the_call(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(180)
    bob.respond(200, SDP, seconds=0)
    link.run(0.1)
    alice.hang_up()
    link.run(2)
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob)


def test_calling_oneself_rings_the_other_device(link: Link) -> None:
    house = House(link)
    bob, desk = house.caller("bob", "bob-cell"), house.callee(name="desk")
    bob.register()
    bob.dial("bob")
    assert desk.got("INVITE")
    assert not bob.got("INVITE")
    desk.respond(200, SDP)
    bob.hang_up()
    house.assert_nothing_left(bob, desk)


@pytest.mark.ladder
def test_fork_same_device_twice(link: Link) -> None:
    """Two bindings lead to one device: two INVITEs with Call-IDs of their own, neither merged (482) nor both answered."""
    house = House(link)
    alice, bob = house.caller(), house.callee()
    bob.contact = "sip:bob-line-2@127.0.0.1:5070"
    bob.register()
    alice.dial("bob")
    invites = {one.headers.get("Call-ID"): one for one in bob.got("INVITE")}
    assert len(invites) == 2
    assert "bob: 482 INVITE" not in link.arrows()
    bob.respond(200, SDP)
    # The other branch is cancelled with the reason.
    assert bob.got("CANCEL")[0].headers.get("Reason") == ELSEWHERE
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
