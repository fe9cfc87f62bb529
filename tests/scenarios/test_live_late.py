"""Devices that are away for a moment, pages that sleep, pages that were loaded anew (LIVE-4, LIVE-13, WS-10, CALL-14)."""

from dataclasses import replace
from urllib.parse import quote

import pytest

from offhook.calls import effects as do
from offhook.calls.ports import SourceKind
from offhook.sip.commands import HangUp, RespondInvite
from offhook.sip.events import BindingsChanged
from offhook.sip.location import Binding, Change, Changed
from offhook.sip.uri import parse_uri
from tests.support.house import WITH_SDP, House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.page import ANSWER, OFFER, Page, talking
from tests.support.transferring import bridged, dialog, refer, second_call

BOB = f"sip:bob@{DOMAIN}"


def sign_off(house: House, page: Page) -> None:
    """The page's connection breaks, and call control hears what that did to its bindings."""
    binding = Binding(BOB, parse_uri(page.contact), page.back, "reg", 1, 1e9, instance=page.instance or None)
    page.lose()
    house.apply(
        lambda: house.node.tell(
            BindingsChanged(BOB, house.node.bindings.get(BOB, ()), (Changed(binding, Change.FLOW_LOST),))
        )
    )


def answer(page: Phone) -> None:
    page.station.perform(RespondInvite(page.ringing, 200, WITH_SDP, ANSWER))
    page.house.link.run(0.1)


def silence(link: Link, page: Page) -> None:
    """The socket answers, the page does not."""
    for text in ("100 INVITE", "180 INVITE"):
        link.drop(page.name, text, 99)


def test_fork_late_binding_joins(link: Link) -> None:
    house = House(link)
    alice, desk = house.caller(), house.callee()
    alice.dial("bob")
    desk.respond(180)
    link.run(5)
    # 1. a page of Bob's registers while his desk phone rings, and rings too
    page = Page(house, "bob", "bob-page")
    link.run(0.2)
    assert len(page.got("INVITE")) == 1
    assert len(desk.got("INVITE")) == 1
    # 2. its answer wins
    answer(page)
    assert alice.final().status == 200
    assert desk.got("CANCEL")
    alice.hang_up()
    house.assert_nothing_left(alice, desk, page)


def test_fork_late_binding_joins_only_once(link: Link) -> None:
    house = House(link)
    alice, page = house.caller(), Page(house, "bob")
    alice.dial("bob")
    page.respond(180)
    page.sign_in()
    link.run(1)
    assert len(page.got("INVITE")) == 1
    alice.cancel()
    house.assert_nothing_left(alice, page)


def test_live_4_a_call_waits_for_a_device_that_was_lost_a_moment_ago(link: Link) -> None:
    house = House(link, late_arrival=8)
    alice, page = house.caller(), Page(house, "bob")
    sign_off(house, page)
    link.run(20)
    alice.dial("bob")
    # 1. it rings for the caller, though nothing is there yet
    assert [one.status for one in alice.station.received if one.status != 100] == [180]  # type: ignore[union-attr]
    link.run(4)
    page.reconnect()
    # 2. the page that is back is rung and answers
    link.run(0.2)
    answer(page)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice, page)


def test_live_4_and_falls_through_when_nobody_comes(link: Link) -> None:
    house = House(link, late_arrival=8)
    alice, page = house.caller(), Page(house, "bob")
    sign_off(house, page)
    alice.dial("bob")
    link.run(7)
    assert not alice.answers("INVITE")
    link.run(2)
    assert alice.final().status == 480
    assert "flow-lost" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice)


def test_live_4_who_was_lost_long_ago_is_not_waited_for(link: Link) -> None:
    house = House(link)
    alice, page = house.caller(), Page(house, "bob")
    sign_off(house, page)
    link.run(61)
    alice.dial("bob")
    assert alice.final().status == 480
    assert "not-registered" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice)


def test_live_callee_lost_while_ringing(link: Link) -> None:
    house = House(link, late_arrival=8)
    alice, page = house.caller(), Page(house, "bob")
    alice.dial("bob")
    page.respond(180)
    sign_off(house, page)
    link.run(3)
    assert not alice.answers("INVITE")
    # LIVE-12, LIVE-4: the branch is gone, the page that is back is rung anew
    page.reconnect()
    link.run(0.2)
    assert len(page.got("INVITE")) == 2
    answer(page)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_live_4_and_call_18_a_page_that_is_back_does_not_ring_for_ever(link: Link) -> None:
    house = House(link, late_arrival=8, ring_seconds=30)
    alice, page = house.caller(), Page(house, "bob")
    alice.dial("bob")
    page.respond(180)
    sign_off(house, page)
    page.reconnect()
    page.station.perform(RespondInvite(page.ringing, 180))
    link.run(29)
    assert not alice.answers("INVITE")
    link.run(2)
    assert alice.final().status == 480
    assert "callee-no-answer" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice)


def test_page_asleep_late_arrival(link: Link) -> None:
    house = House(link, late_asleep=20)
    alice, page = house.caller(), Page(house, "bob")
    silence(link, page)
    alice.dial("bob")
    link.run(3.2)
    # 1. WS-10: no response at all for three seconds
    (leg,) = house.call().branches
    assert leg.asleep
    # 2. the same page wakes on another connection: it is rung there, no longer here
    page.reconnect()
    link.run(0.2)
    assert not house.call().branches[0].asleep
    answer(page)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_page_asleep_wakes(link: Link) -> None:
    house = House(link, late_asleep=20)
    alice, page = house.caller(), Page(house, "bob")
    link.drop("bob", "100 INVITE", 99)
    alice.dial("bob")
    link.run(10)
    page.respond(180)
    link.run(30)
    assert not alice.answers("INVITE")
    answer(page)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice, page)


def test_page_asleep_falls_through(link: Link) -> None:
    house = House(link, late_asleep=20)
    alice, page = house.caller(), Page(house, "bob")
    silence(link, page)
    alice.dial("bob")
    link.run(22)
    assert not alice.answers("INVITE")
    link.run(2)
    assert alice.final().status == 480
    assert "device-silent" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice)


# ---- a page that was loaded anew


def test_live_reload_replaces(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    request = house.call().caller.dialog
    assert request is not None
    alice.lose(left=True)
    again = Page(house, "alice", "alice-again", instance="<urn:uuid:2>")
    # The page kept the ids of its dialog; either order of the tags will do.
    named = f"{request.call_id};to-tag={request.local_tag};from-tag={request.remote_tag}"
    again.dial_page("bob", Replaces=named)
    assert again.final().status == 200
    # 1. the peer hears nothing of it
    assert len(bob.got("INVITE")) == 1
    assert not bob.got("BYE")
    # 2. the new leg has taken the old one's place
    assert [leg.flow.id for leg in house.call().parties if leg.role == "caller"] == [again.back.id]
    again.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(bob, again)
    assert len(house.node.log) == 1


def test_live_reload_resume_name(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    alice.lose(left=True)
    again = Page(house, "alice", "alice-again", instance="<urn:uuid:2>")
    again.dial_page("resume")
    assert again.final().status == 200
    assert not bob.got("BYE")
    assert [leg.flow.id for leg in house.call().parties if leg.role == "caller"] == [again.back.id]
    bob.station.perform(HangUp(bob.ringing))
    link.run(0.1)
    assert again.got("BYE")
    house.assert_nothing_left(bob, again)


def being_transferred(house: House, target: str = "carol") -> tuple[Page, Phone, Phone, str]:
    """Alice's page talks to Bob, has sent a REFER and was loaded anew; her old dialog as a Replaces value."""
    alice, bob = talking(house)
    carol = house.callee("carol")
    named = dialog(alice)
    refer(alice, f"<sip:{target}@{DOMAIN}>")
    carol.respond(180)
    alice.lose(left=True)
    return Page(house, "alice", "alice-again", instance="<urn:uuid:2>"), bob, carol, named


@pytest.mark.parametrize("by", ["Replaces", "resume"])
def test_live_13_a_transferor_reloads_and_the_transfer_fails(link: Link, by: str) -> None:
    house = House(link)
    again, bob, carol, named = being_transferred(house)
    again.dial_page("resume" if by == "resume" else "bob", **({} if by == "resume" else {"Replaces": named}))
    # 1. the page has its call back, the target rings on, and who waits hears ringback still
    assert again.final().status == 200
    assert not carol.got("CANCEL")
    assert house.media.of(do.PlayMedia)[-1].source is SourceKind.RINGBACK  # type: ignore[union-attr]
    assert bridged(house) == set()
    # 2. nobody takes the call: it stands again, with the new page (XFER-6)
    carol.respond(486)
    assert bridged(house) == {frozenset(("alice", "bob"))}
    again.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(bob, carol, again)


def test_live_13_a_transferor_reloads_and_the_transfer_succeeds(link: Link) -> None:
    house = House(link)
    again, bob, carol, named = being_transferred(house)
    again.dial_page("bob", Replaces=named)
    carol.respond(200, SDP)
    # 1. the others talk, and the new page gets its BYE as the old one would have (XFER-3)
    assert bridged(house) == {frozenset(("bob", "carol"))}
    link.run(2)
    assert again.got("BYE")
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(bob, carol, again)


@pytest.mark.parametrize("early", [b"", SDP], ids=["ringback", "early sound"])
def test_live_13_a_transferee_reloads(link: Link, early: bytes) -> None:
    house = House(link)
    alice, bob = talking(house)
    carol = house.callee("carol")
    named = dialog(alice)
    refer(bob, f"<sip:carol@{DOMAIN}>", bob.ringing)
    carol.respond(183 if early else 180, early)
    alice.lose(left=True)
    again = Page(house, "alice", "alice-again", instance="<urn:uuid:2>")
    again.dial_page("bob", Replaces=named)
    # 1. the new page hears what the old one heard
    assert again.final().status == 200
    if early:
        assert bridged(house) == {frozenset(("alice", "carol"))}
    else:
        played = house.media.of(do.PlayMedia)[-1]
        assert (played.leg, played.source) == (house.call().caller.media.leg, SourceKind.RINGBACK)  # type: ignore[union-attr]
    # 2. and talks to the target
    carol.respond(200, SDP)
    assert bridged(house) == {frozenset(("alice", "carol"))}
    again.hang_up()
    assert carol.got("BYE")
    house.assert_nothing_left(bob, carol, again)


def test_live_13_another_of_the_pickup_group_takes_no_call_that_is_being_transferred(link: Link) -> None:
    house = House(link)
    again, bob, carol, named = being_transferred(house)
    left = house.call().caller
    left.account = replace(left.account, pickup_group="desks")  # type: ignore[type-var]
    house.node.accounts["carol"] = replace(house.node.accounts["carol"], pickup_group="desks")
    taker = house.caller("carol", "carol's other phone")
    taker.dial("bob", Replaces=named)
    assert taker.final().status == 491
    bob.hang_up(bob.ringing)
    link.run(100)
    house.assert_nothing_left(bob, carol, again, taker)


def test_live_2_who_is_transferred_while_he_is_away_is_waited_for_no_longer_than_others(link: Link) -> None:
    """His clocks go on in the call that he has been joined with."""
    house = House(link)
    alice, bob, carol = house.caller(), Page(house, "bob"), house.callee("carol")
    alice.dial("bob", OFFER)
    answer(bob)
    first = dialog(alice)
    second = second_call(alice, "carol")
    carol.respond(200, SDP)
    bob.lose()
    refer(alice, f"<sip:bob@{DOMAIN}?Replaces={quote(first)}>", second)
    link.run(3)
    assert alice.got("BYE")
    assert not carol.got("BYE")
    link.run(200)
    assert carol.got("BYE"), "the grace is over, and nobody is at the other end"


def test_live_13_nothing_to_resume(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    carol = Page(house, "carol", "carol-page", instance="<urn:uuid:9>")
    carol.dial_page("resume")
    assert carol.final().status == 480
    assert "nothing-to-resume" in (carol.final().headers.get("Warning") or "")
    # Nor is a call taken from a page that is still there.
    second = Page(house, "alice", "second", instance="<urn:uuid:2>")
    second.dial_page("resume")
    assert second.final().status == 480
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_13_another_endpoint_may_not(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    key = house.call().caller.dialog
    assert key is not None
    alice.lose(left=True)
    carol = Page(house, "carol", "carol-page", instance="<urn:uuid:9>")
    carol.dial_page("bob", Replaces=f"{key.call_id};to-tag={key.local_tag};from-tag={key.remote_tag}")
    assert carol.final().status == 403
    carol.dial("resume", SDP)
    assert carol.final().status == 480
    alice.reconnect()
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
