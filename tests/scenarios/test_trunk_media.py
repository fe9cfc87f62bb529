"""MEDIA.md section 9, rule 6: a trunk outside leads our media to no private address, unless a setting lets it."""

from dataclasses import replace
from typing import Any

import pytest

from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.commands import UseTrunk
from offhook.calls.destinations import permitted
from offhook.calls.leg import Leg
from offhook.calls.ports import LegRemote, VideoRemote
from tests.support.carriers import Carrier, TrunkHouse
from tests.support.house import Phone
from tests.support.link import Link
from tests.support.messages import SDP

OUTSIDE, INSIDE = "198.51.100.7", "10.20.0.7"
NUMBER = "+14155550123"


def at(address: str) -> bytes:
    """A description whose sound is at this address."""
    family = "IP6" if ":" in address else "IP4"
    return SDP.replace(b"c=IN IP4 127.0.0.1", f"c=IN {family} {address}".encode())


def house_with(link: Link, address: str, private: bool = False) -> tuple[TrunkHouse, Carrier, Phone]:
    """A trunk to a carrier at this address, with the setting on or off; alice calls by it."""
    house = TrunkHouse(link)
    carrier = house.carrier(address)
    trunk = house.trunk(targets=[{"uri": f"sip:{address}"}], allowed_prefixes=["+1"])
    house.apply(lambda: house.node.command(UseTrunk(replace(trunk, private_media=private))))
    house.node.numbers["+15125550100"] = "alice"
    return house, carrier, house.caller()


def told(house: TrunkHouse, leg: Leg) -> LegRemote:
    """The peer's half as the engine was told it last."""
    assert leg.media is not None
    number = leg.media.leg
    return [one for one in house.media.told if isinstance(one, do.CompleteMedia) and one.leg == number][-1].remote


def of_carrier(house: TrunkHouse) -> Leg:
    return next(one for one in house.call().parties if one.trunk is not None)


@pytest.mark.parametrize(
    "address", ["10.0.0.9", "172.16.3.1", "192.168.1.20", "100.64.0.9", "fd00::9", "::ffff:10.0.0.9"]
)
def test_a_trunk_outside_names_no_private_address(link: Link, address: str) -> None:
    house, carrier, alice = house_with(link, OUTSIDE)
    alice.dial(NUMBER)
    carrier.respond(200, at(address))
    assert alice.final().status == 200
    remote = told(house, of_carrier(house))
    # 1. the engine is told no address: nothing goes there; the rest of the description counts
    assert (remote.address, remote.port) == ("", 4000)
    # 2. a renegotiation does not bring it in
    carrier.ask("INVITE", at(address))
    assert told(house, of_carrier(house)).address == ""
    # 3. a public one does
    carrier.ask("INVITE", at("203.0.113.5"))
    assert told(house, of_carrier(house)).address == "203.0.113.5"
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_a_call_from_a_trunk_outside_names_none_either(link: Link) -> None:
    house, carrier, _ = house_with(link, OUTSIDE)
    house.node.numbers["+15125550100"] = "bob"
    bob = house.callee()
    carrier.dial("sip:+15125550100@127.0.0.2", body=at("10.0.0.9"))
    bob.respond(200, at("192.168.1.20"))
    carrier_leg, bobs = house.call().parties
    assert told(house, carrier_leg).address == ""
    # endpoints may
    assert told(house, bobs).address == "192.168.1.20"
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(bob)


def test_a_picture_would_go_nowhere_private_either(link: Link) -> None:
    """Trunks have no video yet: the rule is asked by itself."""
    house, carrier, alice = house_with(link, OUTSIDE)
    alice.dial(NUMBER)
    carrier.respond(200, at("203.0.113.5"))
    leg = of_carrier(house)
    for named, sent_to in (("10.0.0.9", ""), ("203.0.113.6", "203.0.113.6")):
        remote = permitted(leg, replace(told(house, leg), video=VideoRemote(address=named, port=4002)))
        assert (remote.address, remote.video) == ("203.0.113.5", VideoRemote(address=sent_to, port=4002))
    alice.hang_up()
    house.assert_nothing_left(alice)


@pytest.mark.parametrize(("carrier_at", "private"), [(OUTSIDE, True), (INSIDE, False), ("127.0.0.9", False)])
def test_a_setting_or_a_place_inside_lets_it(link: Link, carrier_at: str, private: bool) -> None:
    house, carrier, alice = house_with(link, carrier_at, private)
    alice.dial(NUMBER)
    carrier.respond(200, at("10.0.0.9"))
    assert told(house, of_carrier(house)).address == "10.0.0.9"
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_the_silence_is_told_with_the_address_and_the_setting(link: Link) -> None:
    house, carrier, alice = house_with(link, OUTSIDE)
    alice.dial(NUMBER)
    carrier.respond(200, at("10.0.0.9"))
    leg = of_carrier(house)
    assert leg.media is not None
    number = leg.media.leg

    def tell(event: Any) -> None:
        house.apply(lambda: house.node.tell(event))

    def found() -> dict[str, dict[str, str]]:
        return {one.code: one.evidence for one in leg.findings if one.until is None}

    tell(did.SilenceFound(number, "out", "no_address", {"path": "closed"}))
    # 1. the code, and which address of whom is not believed for which reason
    facts = found()["sdp_address_private"]
    assert (facts["c_line"], facts["source"]) == ("10.0.0.9", OUTSIDE)
    assert facts["setting"] == "media.private_addresses_of_trunks"
    assert facts["path"] == "closed"
    # 2. it is over once its packets showed the way
    tell(did.Heard(number, "out"))
    assert found() == {}
    # 3. without a private address the verdict stays what it is
    carrier.ask("INVITE", at("203.0.113.5"))
    tell(did.SilenceFound(number, "out", "no_address", {}))
    assert list(found()) == ["no_media_to_device"]
    alice.hang_up()
    house.assert_nothing_left(alice)
