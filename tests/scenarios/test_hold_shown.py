"""A hold that a phone was shown (`hold = pass`) is taken back however it comes to an end: whoever is left shown on hold
sends nothing, and his new partner hears silence."""

from tests.scenarios.test_hold import HELD, direction
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.page import OFFER
from tests.support.page import talking as page_talks
from tests.support.restart import restart
from tests.support.transferring import answer_notify, bridged, dialog, refer, second_call, told


def shown(phone: Phone) -> list[bytes]:
    """Directions that the house has offered a phone inside its dialog."""
    return [direction(one.body) for one in phone.got("INVITE") if "tag=" in (one.headers.get("To") or "")]


def obliging(phone: Phone) -> Phone:
    """A phone that answers as it is offered: sendonly with recvonly, and so on, by leaving the direction out."""
    phone.oblige(SDP)
    return phone


def on_hold(link: Link) -> tuple[House, Phone, Phone, Phone]:
    """Alice holds Bob, whose phone shows it; Carol is there."""
    house = House(link, hold="pass")
    alice, bob = house.talking()
    obliging(bob)
    answer_notify(alice)
    alice.ask("INVITE", HELD)
    assert shown(bob) == [b"sendonly"]
    return house, alice, bob, house.callee("carol")


def test_a_held_call_is_transferred_blind(link: Link) -> None:
    house, alice, bob, carol = on_hold(link)
    refer(alice, f"<sip:carol@{DOMAIN}>")
    carol.respond(180)
    # 1. while it rings nothing has changed
    assert shown(bob) == [b"sendonly"]
    carol.respond(200, SDP)
    # 2. once they talk Bob's phone speaks again
    assert bridged(house) == {frozenset(("bob", "carol"))}
    assert shown(bob) == [b"sendonly", b"sendrecv"]
    assert shown(carol) == []
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol)


def test_a_transfer_that_fails_leaves_the_hold_shown(link: Link) -> None:
    house, alice, bob, carol = on_hold(link)
    refer(alice, f"<sip:carol@{DOMAIN}>")
    carol.respond(486)
    link.run(5)
    assert told(alice)[-1] == "SIP/2.0 486 Busy Here terminated"
    assert shown(bob) == [b"sendonly"]
    alice.ask("INVITE", SDP)
    assert shown(bob) == [b"sendonly", b"sendrecv"]
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


def test_both_sides_of_an_attended_transfer_were_on_hold(link: Link) -> None:
    house, alice, bob, carol = on_hold(link)
    obliging(carol)
    consulted = second_call(alice, "carol")
    carol.respond(200, SDP)
    alice.ask("INVITE", HELD, usage=consulted)
    assert shown(carol) == [b"sendonly"]
    named = dialog(alice, consulted).replace(";", "%3B").replace("=", "%3D")
    refer(alice, f"<sip:carol@{DOMAIN}?Replaces={named}>")
    link.run(1)
    assert bridged(house) == {frozenset(("bob", "carol"))}
    # Each hears the other, and neither is shown anything else on the way.
    assert shown(bob) == [b"sendonly", b"sendrecv"]
    assert shown(carol) == [b"sendonly", b"sendrecv"]
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol)


def test_who_holds_is_sent_to_a_destination_of_ours(link: Link) -> None:
    house, alice, bob, carol = on_hold(link)
    refer(alice, f"<sip:echo@{DOMAIN}>")
    assert told(alice)[-1] == "SIP/2.0 200 OK terminated"
    assert shown(bob) == [b"sendonly", b"sendrecv"]
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol)


def test_who_holds_loads_his_page_anew(link: Link) -> None:
    """LIVE-13: the new page does not hold."""
    house, alice, bob, _ = on_hold(link)
    page = house.caller("alice", "page")
    page.dial("bob", Replaces=dialog(alice))
    assert page.final().status == 200
    link.run(1)
    assert shown(bob) == [b"sendonly", b"sendrecv"]
    page.hang_up()
    house.assert_nothing_left(alice, bob, page)


def test_who_is_shown_it_was_away_when_it_ended(link: Link) -> None:
    """LIVE-7: one state of the media waits for the device."""
    house = House(link, hold="pass")
    alice, bob = page_talks(house)
    bob.ask("INVITE", HELD, usage=bob.ringing)
    assert shown(alice) == [b"sendonly"]
    alice.lose()
    bob.ask("INVITE", SDP, usage=bob.ringing)
    link.run(5)
    assert shown(alice) == [b"sendonly"]
    alice.reconnect()
    link.run(6)
    assert shown(alice) == [b"sendonly", b"sendrecv"]
    assert house.call().caller.direction == "sendrecv"
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(bob)


def test_it_ends_after_a_restart(link: Link) -> None:
    """LIVE-15: what a phone is shown is known to the next process."""
    house = House(link, hold="pass")
    alice, bob = page_talks(house)
    obliging(bob)
    assert b"a=sendrecv" in OFFER
    alice.ask("INVITE", OFFER.replace(b"a=sendrecv", b"a=sendonly"))
    restart(house)
    alice.reconnect()
    link.run(3)
    assert shown(bob) == [b"sendonly"]
    alice.ask("INVITE", OFFER)
    link.run(5)
    assert shown(bob) == [b"sendonly", b"sendrecv"]
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
