"""Calls by trunks through the house: out, in, and the words of what goes wrong (TRK-5, 7, 8, 10)."""

import pytest

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


UNBALANCED = '"a, <sip:+15125550100@127.0.0.2>'


def test_identities_that_cannot_be_taken_apart_stop_no_call_out(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.trunk(targets=TO_CARRIER, allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123", P_Preferred_Identity=UNBALANCED, Remote_Party_ID=UNBALANCED)
    carrier.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice)


@pytest.mark.parametrize(
    ("field", "called_from", "status"),
    [
        ("P-Asserted-Identity", "request_uri", 200),
        ("Remote-Party-ID", "request_uri", 200),
        # Where the number itself cannot be read the call is refused, in words.
        ("P-Called-Party-ID", "p_called_party_id", 404),
        ("Diversion", "diversion", 404),
    ],
)
def test_fields_of_a_carrier_that_cannot_be_taken_apart(link: Link, field: str, called_from: str, status: int) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.numbers["+15125550100"] = "bob"
    house.trunk(targets=TO_CARRIER, numbers={"called_from": called_from})
    bob = house.callee()
    carrier.dial("sip:+15125550100@127.0.0.2", **{field: UNBALANCED})
    if status == 200:
        bob.respond(200, SDP)
        bob.hang_up(bob.ringing)
    assert carrier.final().status == status
    house.assert_nothing_left(bob)
