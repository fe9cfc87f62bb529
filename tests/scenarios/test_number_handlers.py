"""What a call to a number of ours leads to (API.md 1.9, 5.2, 5.3), and where it goes on to."""

from dataclasses import replace

import pytest

from offhook.calls.entry import Entry, Fetch, ForwardsTo, Handler, NotRun, RingsMembers, RunsDocument, rights_of
from offhook.sip.commands import RespondInvite
from offhook.sip.message import Headers
from offhook.sip.uri import parse_uri
from tests.support.carriers import TrunkHouse
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.page import Page

CARRIER, PBX = "198.51.100.7", "203.0.113.40"
NUMBER = "+15125550100"
CALLED = f"sip:{NUMBER}@127.0.0.2"


def number(handler: Handler | None, fallback: str = "", ring_seconds: float | None = None) -> Entry:
    return Entry(
        "n1", NUMBER, handler, ring_seconds=ring_seconds, fallback=fallback, rights=rights_of("n1", NUMBER, DOMAIN)
    )


def assert_refused(house: TrunkHouse, status: int, slug: str) -> None:
    final = house.outside.carriers[CARRIER].final()
    assert (final.status, slug in house.warning(final)) == (status, True), house.warning(final)


@pytest.fixture
def house(link: Link) -> TrunkHouse:
    one = TrunkHouse(link)
    one.carrier(CARRIER)
    one.trunk(targets=[{"uri": f"sip:{CARRIER}"}], allowed_prefixes=["+1"])
    return one


def called(house: TrunkHouse, entry: Entry) -> None:
    """The carrier calls the number."""
    house.node.entries[NUMBER] = entry
    house.outside.carriers[CARRIER].dial(CALLED)


def test_a_subscriber_s_endpoints_ring_together_and_the_first_answer_wins(house: TrunkHouse) -> None:
    bob, carol = house.callee("bob"), house.callee("carol")
    called(house, number(RingsMembers((house.node.member("bob"), house.node.member("carol")))))
    assert bob.got("INVITE"), "1. every endpoint of the subscriber rings"
    assert carol.got("INVITE")
    carol.respond(200, SDP)
    assert house.outside.carriers[CARRIER].final().status == 200
    assert bob.got("CANCEL"), "2. the others stop"
    carol.hang_up(carol.ringing)
    house.assert_nothing_left(bob, carol)


def test_of_a_subscriber_those_who_cannot_ring_are_left_out(house: TrunkHouse) -> None:
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], do_not_disturb=True)
    bob, carol = house.callee("bob"), house.callee("carol")
    called(house, number(RingsMembers((house.node.member("bob"), house.node.member("carol")))))
    assert not bob.got("INVITE"), "1. who takes no calls is not rung"
    carol.respond(486)
    assert_refused(house, 486, "callee-busy")
    house.assert_nothing_left(bob, carol)


def test_a_device_that_registers_meanwhile_joins_the_subscriber_s_call(house: TrunkHouse) -> None:
    bob, carol = house.callee("bob"), house.callee("carol")
    called(house, number(RingsMembers((house.node.member("bob"), house.node.member("carol")))))
    page = Page(house, "carol", "carol-page")
    assert page.got("INVITE"), "a device of any of its endpoints"
    bob.respond(200, SDP)
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(bob, carol, page)


def test_one_of_a_subscriber_s_devices_sends_the_call_elsewhere(house: TrunkHouse) -> None:
    """CALL-16: the endpoint behind the device forwards, once nobody else of them has answered."""
    bob, carol, alice = house.callee("bob"), house.callee("carol"), house.callee("alice")
    called(house, number(RingsMembers((house.node.member("bob"), house.node.member("carol")))))
    moved = Headers([("Contact", f"<sip:alice@{DOMAIN}>")])
    bob.station.perform(RespondInvite(bob.ringing, 302, moved))
    house.link.run(0.1)
    carol.respond(486)
    assert "bob" in (alice.invite.headers.get("History-Info") or "")
    alice.respond(200, SDP)
    alice.hang_up(alice.ringing)
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.parametrize("members", [(), ("bob",)])
def test_a_subscriber_whom_nothing_reaches(house: TrunkHouse, members: tuple[str, ...]) -> None:
    called(house, number(RingsMembers(tuple(house.node.member(name) for name in (*members, *members)))))
    assert_refused(house, 480, "not-registered")
    house.assert_nothing_left()


@pytest.mark.parametrize(
    ("handler", "status", "slug"),
    [
        (None, 404, "number-not-assigned"),
        (NotRun("dialflow_agent"), 503, "handler-unavailable"),
        (RunsDocument("swml", Fetch("https://example.com/a")), 503, "document-fetch-failed"),
    ],
)
def test_a_number_that_leads_nowhere_says_so(
    house: TrunkHouse, handler: Handler | None, status: int, slug: str
) -> None:
    called(house, number(handler))
    assert_refused(house, status, slug)
    house.assert_nothing_left()


def test_an_endpoint_that_dials_a_number_of_ours_reaches_its_handler(house: TrunkHouse) -> None:
    house.node.entries[NUMBER] = number(RingsMembers((house.node.member("bob"),)))
    alice, bob = house.caller(), house.callee("bob")
    alice.dial(NUMBER)
    assert bob.got("INVITE"), "1. inside, without the carrier"
    bob.respond(200, SDP)
    alice.hang_up()
    house.node.entries[NUMBER] = number(None)
    alice.dial(NUMBER)
    assert "number-not-assigned" in house.warning(alice.final()), "2."
    house.assert_nothing_left(alice, bob)


# ---- gateways


def test_a_gateway_gets_its_uri_as_it_stands_and_the_caller_s_number(house: TrunkHouse) -> None:
    pbx = house.carrier(PBX)
    called(house, number(ForwardsTo("pbx", parse_uri(f"sip:sales@{PBX}"), codecs=("PCMU",))))
    assert str(pbx.invite.uri) == f"sip:sales@{PBX}", "1. the URI"
    assert (pbx.invite.headers.get("From") or "").startswith("<sip:+14155550123@"), "2. who calls"
    assert pbx.invite.headers.get("P-Asserted-Identity") is None, "3. nothing is asserted to a stranger"
    pbx.respond(200, SDP)
    assert house.outside.carriers[CARRIER].final().status == 200
    pbx.hang_up()
    house.assert_nothing_left()


def test_a_gateway_by_a_trunk_keeps_the_uri_s_user_part(house: TrunkHouse) -> None:
    pbx = house.carrier(PBX)
    house.trunk("t2", targets=[{"uri": f"sip:{PBX}"}])
    called(house, number(ForwardsTo("pbx", parse_uri("sip:reception@pbx.example.net"), "t2")))
    assert str(pbx.invite.uri) == f"sip:reception@{PBX}", "the trunk's target, the gateway's user"
    pbx.respond(200, SDP)
    pbx.hang_up()
    house.assert_nothing_left()


def test_a_gateway_that_is_not_reached_leads_to_the_number_s_fallback(house: TrunkHouse) -> None:
    bob = house.callee("bob")
    called(house, number(ForwardsTo("pbx", parse_uri(f"sip:sales@{PBX}")), fallback="bob"))
    assert bob.got("INVITE")
    bob.respond(200, SDP)
    assert house.outside.carriers[CARRIER].final().status == 200
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(bob)


# ---- fallback


@pytest.mark.parametrize("status", [486, 480, 500])
def test_a_number_falls_back_when_its_endpoint_is_not_reached(house: TrunkHouse, status: int) -> None:
    bob, carol = house.callee("bob"), house.callee("carol")
    called(house, number(RingsMembers((house.node.member("bob"),)), fallback="carol"))
    bob.respond(status)
    assert carol.got("INVITE"), f"after {status}"
    carol.respond(200, SDP)
    assert house.outside.carriers[CARRIER].final().status == 200
    carol.hang_up(carol.ringing)
    house.assert_nothing_left(bob, carol)


def test_a_number_s_ring_time_ends_in_its_fallback_to_the_outside(house: TrunkHouse) -> None:
    bob = house.callee("bob")
    called(house, number(RingsMembers((house.node.member("bob"),)), fallback="+14155550199", ring_seconds=5))
    bob.respond(180, seconds=4.5)
    assert not bob.got("CANCEL"), "1. it rings for the number's time"
    house.link.run(1.0)
    assert bob.got("CANCEL")
    carrier = house.outside.carriers[CARRIER]
    assert str(carrier.invite.uri) == f"sip:+14155550199@{CARRIER}", "2. then goes out in the number's own right"
    carrier.respond(200, SDP)
    carrier.hang_up()
    house.assert_nothing_left(bob)


def test_a_declined_call_does_not_fall_back(house: TrunkHouse) -> None:
    bob, carol = house.callee("bob"), house.callee("carol")
    called(house, number(RingsMembers((house.node.member("bob"),)), fallback="carol"))
    bob.respond(603)
    assert not carol.got("INVITE")
    assert_refused(house, 603, "callee-declined")
    house.assert_nothing_left(bob, carol)


def test_a_fallback_that_comes_round_in_a_circle_ends(house: TrunkHouse) -> None:
    called(house, number(RingsMembers((house.node.member("bob"),)), fallback=NUMBER))
    assert_refused(house, 482, "loop-detected")
    house.assert_nothing_left()


def test_the_fallback_s_failure_is_what_the_caller_hears(house: TrunkHouse) -> None:
    bob, carol = house.callee("bob"), house.callee("carol")
    called(house, number(RingsMembers((house.node.member("bob"),)), fallback="carol"))
    bob.respond(486)
    carol.respond(480)
    assert_refused(house, 480, "callee-no-answer")
    house.assert_nothing_left(bob, carol)
