"""Guests (API.md 4.3): nothing but their addresses, by whatever way they ask; members are held to none of this."""

from dataclasses import replace

import pytest

from offhook.calls.entry import BeyondTier, Entry, RingsMembers
from tests.scenarios.test_text import say, settled, slug
from tests.support.carriers import TrunkHouse
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN, make_account
from tests.support.transferring import answer_notify, refer, told

CARRIER = "198.51.100.7"


def guest(house: House, name: str = "guest", **fields: object) -> Phone:
    """A page with a guest's token, whose flow has proved itself."""
    house.node.accounts[name] = replace(make_account(name), tier="guest", **fields)  # type: ignore[arg-type]
    return house.caller(name)


def refused(phone: Phone, slug: str = "token-tier-not-allowed", status: int = 403) -> bool:
    final = phone.final()
    return (final.status, slug in (final.headers.get("Warning") or "")) == (status, True)


@pytest.mark.parametrize("target", ["echo", "tone", "conference-7", "client:echo"])
def test_built_in_destinations_are_for_members(link: Link, target: str) -> None:
    house = House(link)
    page = guest(house)
    page.dial_uri(f"sip:{target}@{DOMAIN}")
    assert refused(page)
    house.assert_nothing_left(page)


@pytest.mark.parametrize(
    "target", ["sip:+15125550100@127.0.0.2", "sip:911@127.0.0.2", "sip:x@foreign.example", "tel:112"]
)
def test_nothing_goes_out_for_a_guest_not_even_for_help(link: Link, target: str) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], allowed_prefixes=["+"], emergency=True)
    page = guest(house)
    page.dial_uri(target)
    assert refused(page)
    assert not carrier.got("INVITE")
    house.assert_nothing_left(page)


def test_an_address_that_the_token_does_not_name(link: Link) -> None:
    house = House(link)
    page = guest(house)
    house.node.entries["shop"] = Entry("shop", "shop", BeyondTier(), "address")
    page.dial("shop")
    assert refused(page)
    house.assert_nothing_left(page)


def test_the_address_of_the_token_rings_and_its_forwarding_goes_by_its_own_rights(link: Link) -> None:
    house = House(link)
    page, bob = guest(house), house.callee()
    house.node.entries["/private/bob"] = Entry(
        "a1", "/private/bob", RingsMembers((house.node.member("bob"),)), "address"
    )
    page.dial_uri(f"sip:/private/bob@{DOMAIN}")
    bob.respond(200, SDP)
    assert page.final().status == 200
    page.hang_up()
    house.assert_nothing_left(page, bob)


def test_a_guest_sends_no_texts(link: Link) -> None:
    house = House(link)
    page, bob = guest(house), house.callee()
    say(page, "bob")
    assert (settled(page).status, slug(settled(page))) == (403, "token-tier-not-allowed")
    assert not bob.got("MESSAGE")
    house.assert_nothing_left(page, bob)


def test_all_pages_of_a_widget_share_its_line(link: Link) -> None:
    house = House(link)
    first, second = (guest(house, name, line="w1", line_calls=1) for name in ("first", "second"))
    other, bob = guest(house, "other", line="w2", line_calls=1), house.callee()
    first.dial("bob")
    bob.respond(200, SDP)
    assert first.final().status == 200
    second.dial("bob")
    assert refused(second, "endpoint-at-call-limit", 486)
    other.dial("bob")
    bob.respond(200, SDP)
    assert other.final().status == 200, "1. another widget has a line of its own"
    first.hang_up()
    other.hang_up()
    house.assert_nothing_left(first, second, other, bob)


def test_a_guest_s_transfer_leads_nowhere_else(link: Link) -> None:
    house = House(link)
    page, bob = guest(house), house.callee()
    page.dial("bob")
    bob.respond(200, SDP)
    assert page.final().status == 200
    answer_notify(page)
    refer(page, f"sip:echo@{DOMAIN}", seconds=3.0)
    assert "403" in told(page)[-1], "1. bob is not connected to the echo"
    page.hang_up()
    house.assert_nothing_left(page, bob)
