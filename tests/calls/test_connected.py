"""Names told inside a dialog (RFC 4916) are read and shown, and reach nobody else."""

from dataclasses import replace

import pytest

from offhook.calls import connected
from offhook.calls.trunk import foreign_trunk
from offhook.sip.message import Headers, Request, Response
from offhook.sip.uri import parse_uri
from tests.support.house import House
from tests.support.link import Link

ASSERTED = ("P-Asserted-Identity", '"Reception" <sip:+15551230000@carrier.example>, <tel:+15551230000>')


def update(*fields: tuple[str, str]) -> Request:
    """An UPDATE of the peer."""
    return Request("UPDATE", parse_uri("sip:x@example.com"), Headers(fields))


@pytest.mark.parametrize(
    ("from_", "shown"),
    [
        ('"Bob at the desk" <sip:bob@example.com>;tag=1', "Bob at the desk"),
        ("<sip:bob@example.com>;tag=1", "bob"),
        ('"\x07bell" <sip:bob@example.com>', ""),
        ("<<<", ""),
        ("", ""),
    ],
)
def test_a_new_from_is_read(link: Link, from_: str, shown: str) -> None:
    house = House(link)
    house.talking()
    call = house.call()
    leg = call.caller
    assert bool(connected.read(call, leg, update(("From", from_)))) is bool(shown)
    assert leg.connected == shown
    # The same again is no news.
    assert connected.read(call, leg, update(("From", from_))) == []


def test_only_a_trunk_may_assert_an_identity(link: Link) -> None:
    house = House(link)
    house.talking()
    call = house.call()
    leg = call.caller
    assert connected.read(call, leg, Response(200, "OK", Headers([ASSERTED]))) == []
    leg.trunk = replace(foreign_trunk(parse_uri("sip:x@carrier.example")))
    assert connected.read(call, leg, Response(200, "OK", Headers([ASSERTED])))
    assert leg.connected == "Reception"
    # From is the second best.
    connected.read(call, leg, update(ASSERTED, ("From", '"Somebody" <sip:x@y>')))
    assert leg.connected == "Reception"


def test_an_update_in_a_call_changes_nothing_for_the_other_side(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    before = len(bob.station.received)
    alice.ask("UPDATE")
    assert house.call().caller.connected == "alice"
    assert len(bob.station.received) == before
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
