"""Addresses as destinations (API.md 1.8, 4.4): subscribers ring as a whole, locked ones refuse, prefixes mean names."""

from dataclasses import replace

import pytest

from offhook.calls.entry import Entry, Handler, Locked, RingsMembers
from offhook.sip.location import Forward
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN


def address(name: str, handler: Handler) -> Entry:
    return Entry(f"id of {name}", f"/private/{name}", handler, "address")


def finish(house: House, *phones: Phone) -> None:
    """The caller hangs up; nothing is left anywhere."""
    phones[0].hang_up()
    house.assert_nothing_left(*phones)


def test_a_subscriber_s_address_rings_all_its_endpoints(link: Link) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(), house.callee("carol")
    members = house.node.member("bob"), house.node.member("carol")
    house.node.entries["/private/sales"] = address("sales", RingsMembers(members))
    alice.dial_uri(f"sip:/public/sales?channel=audio@{DOMAIN}")
    assert bob.got("INVITE"), "1. every endpoint rings"
    assert carol.got("INVITE")
    bob.respond(180)
    carol.respond(200, SDP)
    assert alice.final().status == 200
    assert bob.got("CANCEL"), "2. the first answer wins"
    finish(house, alice, bob, carol)


def test_a_subscriber_of_the_same_name_as_its_only_endpoint_is_no_circle(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    house.node.entries["/private/bob"] = address("bob", RingsMembers((house.node.member("bob"),)))
    alice.dial_uri(f"sip:/private/bob@{DOMAIN}")
    bob.respond(200, SDP)
    assert alice.final().status == 200
    finish(house, alice, bob)


def test_a_locked_address_refuses(link: Link) -> None:
    house = House(link)
    alice = house.caller()
    house.node.entries["sales"] = address("sales", Locked())
    alice.dial("sales")
    assert alice.final().status == 403
    assert "address-locked /private/sales is locked" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice)


@pytest.mark.parametrize("target", ["client:carol", "verto:carol", "/private/carol", "carol"])
def test_an_endpoint_forwards_to_any_callable_address(link: Link, target: str) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(), house.callee("carol")
    house.node.entries["/private/carol"] = address("carol", RingsMembers((house.node.member("carol"),)))
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], forward=Forward(always=target))
    alice.dial("bob")
    assert not bob.got("INVITE")
    carol.respond(200, SDP)
    assert alice.final().status == 200
    finish(house, alice, bob, carol)


@pytest.mark.parametrize("user", ["client:bob", "verto:bob", "CLIENT%3ABob"])
def test_a_prefix_means_the_endpoint(link: Link, user: str) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial_uri(f"sip:{user}@{DOMAIN}")
    bob.respond(200, SDP)
    assert alice.final().status == 200
    finish(house, alice, bob)
