"""INVITE with Replaces (XFER-7): pickup of ringing and parked calls, reload, and every refusal."""

from dataclasses import replace

import pytest

from offhook.calls import effects as do
from offhook.sip.flow import Transport
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.transferring import answer_notify, bridged, dialog, refer, told

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def group(house: House, *names: str) -> None:
    """Puts endpoints into one pickup group."""
    for name in names:
        house.node.accounts[name] = replace(house.node.accounts[name], pickup_group="shop")


def warned(phone: Phone) -> str:
    """The words of the final refusal."""
    return phone.final().headers.get("Warning") or ""


@pytest.mark.ladder
@pytest.mark.parametrize("reverse", [False, True], ids=["ours", "theirs"])
def test_rfc5359_2_16_call_pickup(link: Link, reverse: bool) -> None:
    house = House(link)
    group(house, "bob", "carol")
    alice, bob, carol = house.caller(), house.callee(), house.caller("carol")
    alice.dial("bob")
    bob.respond(180)
    carol.dial("bob", Replaces=dialog(bob, bob.ringing, reverse) + ";early-only")
    # 1. bob's phone stops, with the reason; carol and alice talk
    assert bob.got("CANCEL")[0].headers.get("Reason") == ELSEWHERE
    assert (alice.final().status, carol.final().status) == (200, 200)
    assert bridged(house) == {frozenset(("alice", "carol"))}
    # 2. one call, not two
    assert len(house.node.switchboard.calls()) == 1
    carol.hang_up()
    assert alice.got("BYE")
    house.assert_nothing_left(alice, bob, carol)
    assert len(house.node.log) == 1


@pytest.mark.ladder
def test_rfc5359_2_15_call_park(link: Link) -> None:
    house = House(link)
    group(house, "bob", "carol")
    alice, bob, carol = house.caller(), house.callee(), house.caller("carol")
    answer_notify(bob)
    alice.dial("bob")
    bob.respond(200, SDP)
    # 1. bob parks alice: she hears music
    refer(bob, f"<sip:music@{DOMAIN}>", bob.ringing)
    assert told(bob)[-1] == "SIP/2.0 200 OK terminated"
    link.run(3)
    assert bob.got("BYE")
    # 2. carol, of bob's group, takes her
    carol.dial("bob", Replaces=dialog(alice))
    assert carol.final().status == 200
    assert bridged(house) == {frozenset(("alice", "carol"))}
    alice.hang_up()
    assert carol.got("BYE")
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.ladder
def test_live_reload_replaces(link: Link) -> None:
    """LIVE-13: the new leg takes the old one's place, the peer gets no message."""
    house = House(link)
    alice, bob = house.talking()
    before = len(bob.station.received)
    page = house.caller("alice", "page")
    page.dial("bob", Replaces=dialog(alice))
    assert page.final().status == 200
    assert len(bob.station.received) == before
    assert alice.got("BYE")
    assert bridged(house) == {frozenset(("alice", "bob"))}
    call = house.call()
    assert call.caller.flow.id == page.back.id
    bob.hang_up(bob.ringing)
    assert page.got("BYE")
    house.assert_nothing_left(alice, bob, page)


def test_a_callee_reloads_too_and_its_old_connection_is_gone(link: Link) -> None:
    house = House(link)
    alice, desk = house.caller(), house.callee(name="desk", transport=Transport.TLS)
    alice.dial("bob")
    desk.respond(200, SDP)
    named = dialog(desk, desk.ringing)
    link.disconnect(desk.there.id)
    page = house.caller("bob", "page")
    page.dial("alice", Replaces=named)
    assert page.final().status == 200
    # The clocks of the lost connection end nothing any more.
    link.run(300)
    assert bridged(house) == {frozenset(("alice", "bob"))}
    page.hang_up()
    assert alice.got("BYE")
    link.run(200)
    assert house.media.open == {}


def test_a_call_with_a_built_in_destination_is_taken_over_by_the_same_endpoint(link: Link) -> None:
    house = House(link)
    alice, page = house.caller(), house.caller("alice", "page")
    alice.dial("music")
    page.dial("music", Replaces=dialog(alice))
    assert page.final().status == 200
    assert alice.got("BYE")
    last = house.media.of(do.PlayMedia)[-1]
    assert last.leg == house.call().caller.media.leg  # type: ignore[union-attr]
    page.hang_up()
    house.assert_nothing_left(alice, page)


def test_who_is_not_of_the_group_may_not(link: Link) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(), house.caller("carol")
    alice.dial("bob")
    bob.respond(180)
    carol.dial("bob", Replaces=dialog(bob, bob.ringing))
    assert carol.final().status == 403
    assert "replaces-refused" in warned(carol)
    assert not bob.got("CANCEL")
    # An empty name is no group.
    bob.respond(200, SDP)
    assert bridged(house) == {frozenset(("alice", "bob"))}
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


def test_the_refusals(link: Link) -> None:
    house = House(link)
    group(house, "alice", "bob", "carol")
    alice, bob = house.talking()
    named = dialog(alice)
    pages = iter([house.caller("carol", f"carol-{number}") for number in range(6)])

    def tried(value: str, more: str = "") -> tuple[int, str]:
        phone = next(pages)
        fields = {"Replaces": value} if not more else {"Replaces": f"{value},{more}"}
        phone.dial("bob", **fields)
        return phone.final().status, warned(phone)

    # 1. a dialog that never was
    assert tried("x;to-tag=1;from-tag=2")[0] == 481
    # 2. early-only, and it is confirmed
    assert tried(f"{named};early-only")[0] == 486
    # 3. two of them, or one that names no dialog
    assert tried(named, named)[0] == 400
    assert tried("x;to-tag=1")[0] == 400
    # 4. none of it did any harm
    assert bridged(house) == {frozenset(("alice", "bob"))}
    alice.hang_up()
    link.run(1)
    # 5. it has ended
    status, words = tried(named)
    assert status == 603
    assert "has ended" in words
    house.assert_nothing_left(alice, bob)


def test_a_call_that_is_being_placed_cannot_be_taken_over(link: Link) -> None:
    house = House(link)
    group(house, "alice", "carol")
    alice, bob, carol = house.caller(), house.callee(), house.caller("carol")
    alice.dial("bob")
    bob.respond(180)
    carol.dial("bob", Replaces=dialog(alice))
    assert carol.final().status == 481
    alice.cancel()
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.parametrize("end", ["peer", "newcomer", "lost"])
def test_everything_may_end_while_the_engine_opens_the_new_leg(link: Link, end: str) -> None:
    house = House(link)
    alice, bob = house.talking()
    page = house.caller("alice", "page")
    house.media.slow = 1.0
    page.dial("bob", Replaces=dialog(alice))
    if end == "peer":
        bob.hang_up(bob.ringing)
        link.run(2)
        assert page.final().status == 480
    elif end == "newcomer":
        page.cancel()
        link.run(2)
        assert bridged(house) == {frozenset(("alice", "bob"))}
        alice.hang_up()
    else:
        alice.hang_up()
        link.run(2)
        assert page.final().status in (480, 481)
    link.run(2)
    house.media.slow = 0.0
    house.assert_nothing_left(alice, bob, page)


def test_no_media_for_the_newcomer(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    page = house.caller("alice", "page")
    house.media.refuse = "ports_exhausted"
    page.dial("bob", Replaces=dialog(alice))
    assert page.final().status == 503
    assert bridged(house) == {frozenset(("alice", "bob"))}
    alice.hang_up()
    house.assert_nothing_left(alice, bob, page)


def test_require_replaces_is_known(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    page = house.caller("alice", "page")
    page.dial("bob", Replaces=dialog(alice), Require="replaces")
    assert page.final().status == 200
    page.hang_up()
    house.assert_nothing_left(alice, bob, page)
