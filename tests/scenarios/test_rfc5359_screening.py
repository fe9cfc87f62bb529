"""RFC 5359 2.13 and 2.14: calls that an endpoint does not want, and calls that it may not place."""

from dataclasses import replace

import pytest

from offhook.calls.screening import matches
from offhook.sip.location import Forward
from tests.support.carriers import TrunkHouse
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP


@pytest.mark.parametrize(
    ("entries", "fields", "refused"),
    [
        (("alice",), {}, True),
        (("ALI*",), {}, True),
        (("bob", "carol"), {}, False),
        (("anonymous",), {"Privacy": "id"}, True),
        (("anonymous",), {}, False),
        # A withheld name is not looked behind.
        (("alice",), {"Privacy": "id"}, False),
    ],
)
def test_rfc5359_2_13_incoming_screening(
    link: Link, entries: tuple[str, ...], fields: dict[str, str], refused: bool
) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], block_callers=entries)
    alice.dial("bob", **fields)
    assert bool(bob.got("INVITE")) is not refused
    if refused:
        assert alice.final().status == 403
        assert "caller-blocked bob takes no calls from here" in (alice.final().headers.get("Warning") or "")
    else:
        bob.respond(200, SDP)
        alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_caller_that_is_not_wanted_is_not_forwarded_either(link: Link) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(), house.callee("carol")
    accounts = house.node.accounts
    accounts["bob"] = replace(
        accounts["bob"], block_callers=("alice",), forward=Forward("carol", "carol", "carol", "carol")
    )
    alice.dial("bob")
    assert alice.final().status == 403
    assert not carol.got("INVITE")
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.parametrize(("entries", "refused"), [(("bob",), True), (("b*",), True), (("carol",), False), ((), False)])
def test_rfc5359_2_14_outgoing_screening(link: Link, entries: tuple[str, ...], refused: bool) -> None:
    house = House(link)
    house.node.accounts["alice"] = replace(house.node.accounts["alice"], block_targets=entries)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    assert bool(bob.got("INVITE")) is not refused
    if refused:
        assert alice.final().status == 403
        assert "target-blocked alice may not call bob" in (alice.final().headers.get("Warning") or "")
    else:
        bob.respond(486)
    house.assert_nothing_left(alice, bob)


def test_a_forwarding_may_not_go_where_the_forwarder_may_not_call(link: Link) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(), house.callee("carol")
    accounts = house.node.accounts
    accounts["bob"] = replace(accounts["bob"], block_targets=("carol",), forward=Forward(always="carol"))
    alice.dial("bob")
    assert alice.final().status == 480
    assert "forward-refused bob forwards, but bob may not call carol" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.parametrize(
    ("name", "entries", "held"),
    [
        ("+19005551234", ("+1900*",), True),
        ("+19005551234", ("+1900",), False),
        ("Bob", ("bob",), True),
        ("bobby", ("bob",), False),
        ("", ("*",), True),
        ("bob", (), False),
    ],
)
def test_entries(name: str, entries: tuple[str, ...], held: bool) -> None:
    assert matches(name, entries) is held


@pytest.mark.parametrize("entry", ["900*", "+1900*"])
@pytest.mark.parametrize("dialled", ["9005550100", "900-555-0100", "(900)5550100", "+19005550100", "19005550100"])
def test_numbers_are_kept_from_however_they_are_dialled(link: Link, entry: str, dialled: str) -> None:
    house = TrunkHouse(link)
    house.carrier("198.51.100.7")
    house.trunk(targets=[{"uri": "sip:198.51.100.7"}], allowed_prefixes=["+1"])
    house.node.accounts["alice"] = replace(house.node.accounts["alice"], block_targets=(entry,))
    alice = house.caller()
    alice.dial(dialled)
    local = entry == "900*" and "900" in dialled[:4] and not dialled.startswith(("+", "1"))
    assert bool(house.outside.carriers["198.51.100.7"].got("INVITE")) is not (local or entry == "+1900*")
    assert (alice.final().status == 403) if local or entry == "+1900*" else True
