"""Calls by trunks through the house: out, in, and the words of what goes wrong (TRK-5, 7, 8, 10)."""

from offhook.sip.message import Response
from tests.support.carriers import TrunkHouse
from tests.support.link import Link
from tests.support.messages import SDP

CARRIER = "198.51.100.7"
TO_CARRIER = [{"uri": f"sip:{CARRIER}"}]


def test_an_endpoint_calls_a_number(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.numbers["+15125550100"] = "alice"
    house.trunk(targets=TO_CARRIER, allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("415.555-0123")
    invite = carrier.invite
    assert str(invite.uri) == f"sip:+14155550123@{CARRIER}", "1. national becomes E.164 by the space's country (TRK-7)"
    assert invite.headers.get("To") == f"<sip:+14155550123@{CARRIER}>"
    assert (invite.headers.get("From") or "").startswith(f"<sip:+15125550100@{CARRIER}>"), (
        "2. the endpoint's own number"
    )
    assert invite.headers.get("P-Asserted-Identity") == f"<sip:+15125550100@{CARRIER}>", "3. identity (RFC 3325)"
    carrier.respond(180)
    carrier.respond(200, SDP)
    assert alice.final().status == 200
    call = house.call()
    assert (call.from_name, call.to_name) == ("alice", "+14155550123")
    assert len(house.state().usage.legs_out) == 1
    alice.hang_up()
    assert carrier.got("BYE")
    assert not house.state().usage.legs_out, "4. the channel is given back (TRK-11)"
    house.assert_nothing_left(alice)


def test_a_carrier_calls_a_number_of_ours(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.numbers["+15125550100"] = "bob"
    house.trunk(targets=TO_CARRIER)
    bob = house.callee()
    carrier.dial("sip:+15125550100@127.0.0.2")
    assert (bob.invite.headers.get("From") or "").startswith("<sip:+14155550123@example.com>")
    bob.respond(180)
    bob.respond(200, SDP)
    assert carrier.final().status == 200
    assert len(house.state().usage.legs_in) == 1
    bob.hang_up(bob.ringing)
    assert carrier.got("BYE")
    house.assert_nothing_left(bob)


def test_407_on_reinvite_and_bye_in_a_call_the_carrier_began(link: Link) -> None:
    """The same credentials answer challenges in a dialog that the carrier began (TRK-3)."""
    from tests.support.challenger import Gate

    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER, gates=[Gate(username="line1")])
    house.node.numbers["+15125550100"] = "bob"
    house.trunk(targets=TO_CARRIER, username="line1", password="zanzibar")
    bob = house.callee()
    carrier.dial("sip:+15125550100@127.0.0.2")
    bob.respond(200, SDP)
    bob.hang_up(bob.ringing)
    assert len(carrier.got("BYE")) == 2
    assert [method for method, _ in carrier.gate.proofs] == ["BYE"]
    house.assert_nothing_left(bob)


def test_refused_by_the_carrier_in_its_own_words(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.trunk(targets=TO_CARRIER, allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    carrier.respond(403, Reason="x")
    final: Response = alice.final()
    assert final.status == 403
    assert "trunk-rejected" in house.warning(final)
    assert "403 Forbidden" in house.warning(final)
    house.assert_nothing_left(alice)
