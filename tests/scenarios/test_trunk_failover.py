"""On to the next address, then the next trunk (TRK-5), and what of an abandoned try comes late."""

from dataclasses import replace

import pytest

from offhook.server.trunk_views import status_of
from offhook.sip.events import InviteCanceled, UsageId
from offhook.sip.location import Forward
from tests.support.carriers import Carrier, TrunkHouse
from tests.support.house import Phone
from tests.support.link import Link
from tests.support.messages import SDP

A, B, C = "198.51.100.1", "198.51.100.2", "198.51.100.3"


def targets(*addresses: str) -> list[dict[str, object]]:
    return [{"uri": f"sip:{one}", "priority": at} for at, one in enumerate(addresses)]


def silence(carrier: Carrier) -> None:
    """The carrier is there and says nothing at all."""
    carrier.house.link.drop(carrier.address, "100 INVITE", 20)


@pytest.mark.ladder
def test_trunk_failover_503_then_timeout_then_ok(link: Link) -> None:
    house = TrunkHouse(link)
    first, second, third = house.carrier(A), house.carrier(B), house.carrier(C)
    silence(second)
    house.trunk("t1", targets=targets(A, B), allowed_prefixes=["+1"])
    house.trunk("t2", targets=targets(C), allowed_prefixes=["+1"], priority=20)
    alice = house.caller()
    alice.dial("+14155550123")
    first.respond(503)
    link.run(1)
    assert len(second.got("INVITE")) >= 1, "1. 503: the next address of the trunk"
    assert not third.got("INVITE")
    link.run(4)
    assert len(third.got("INVITE")) == 1, "2. silence for 4 s: the next trunk"
    third.respond(180)
    third.respond(200, SDP)
    assert alice.final().status == 200, "3. the caller hears only the one that worked"
    assert [one.status for one in alice.answers("INVITE")] == [200]
    assert (str(house.outside.rated[-1][0].address), house.outside.rated[-1][1]) == (C, True)
    assert any(hop.address == B and not worked for hop, worked in house.outside.rated), (
        "4. the silent address is set aside"
    )
    alice.hang_up()
    house.assert_nothing_left(alice)


@pytest.mark.ladder
def test_trunk_no_failover_on_486(link: Link) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(A), house.carrier(B)
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    first.respond(486)
    link.run(6)
    assert not second.got("INVITE")
    assert alice.final().status == 486
    house.assert_nothing_left(alice)


@pytest.mark.parametrize("status", [600, 603, 404, 480, 403, 488])
def test_nor_on_other_answers_of_the_callee_or_the_carrier(link: Link, status: int) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(A), house.carrier(B)
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    first.respond(status)
    link.run(6)
    assert not second.got("INVITE")
    assert alice.final().status == (486 if status == 600 else status)
    house.assert_nothing_left(alice)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_each_listed_status_leads_on_and_the_last_of_all_is_502(link: Link, status: int) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(A), house.carrier(B)
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    first.respond(status)
    second.respond(status)
    final = alice.final()
    assert final.status == 502, "never the 503 of another (RFC 3261 section 16.7)"
    assert "trunks-exhausted" in house.warning(final)
    house.assert_nothing_left(alice)


def test_after_180_only_503_leads_on(link: Link) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(A), house.carrier(B)
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    first.respond(180)
    first.respond(500)
    assert not second.got("INVITE")
    assert alice.final().status == 502
    bob = house.caller("bob")
    bob.dial("+14155550123")
    first.respond(180)
    first.respond(503)
    assert len(second.got("INVITE")) == 1
    second.respond(200, SDP)
    assert bob.final().status == 200
    bob.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_100_means_patience_and_not_the_next_address(link: Link) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(A), house.carrier(B)
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    link.run(20)
    assert not second.got("INVITE")
    first.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_a_late_180_of_an_abandoned_try_gets_cancel(link: Link) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(A), house.carrier(B)
    silence(first)
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    link.run(4.5)
    second.respond(200, SDP)
    first.respond(180)
    assert len(first.got("CANCEL")) == 1
    assert first.station.of(InviteCanceled)
    assert house.call().winner is not None
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_a_late_200_of_an_abandoned_try_gets_ack_and_bye(link: Link) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(A), house.carrier(B)
    silence(first)
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    link.run(4.5)
    second.respond(200, SDP)
    first.respond(200, SDP)
    assert (len(first.got("ACK")), len(first.got("BYE"))) == (1, 1)
    assert not second.got("BYE"), "the call goes on where it was answered"
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_a_connection_refused_leads_on_at_once(link: Link) -> None:
    house = TrunkHouse(link)
    second = house.carrier(B)
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    assert len(second.got("INVITE")) == 1
    second.respond(200, SDP)
    alice.hang_up()
    house.assert_nothing_left(alice)


# ---- 503 with Retry-After (RFC 3261 section 21.5.4, RFC 3263 section 4.3)


def aside(house: TrunkHouse, id_: str = "t1") -> tuple[str, str, list[str]]:
    """State and code of a trunk as the API shows them, and the codes of its addresses."""
    status = status_of(house.state(id_), house.link.now)
    return status["state"], status["code"] or "", [one["code"] or "" for one in status["targets"]]


def call_through(house: TrunkHouse, phone: Phone, carrier: Carrier) -> None:
    """A call that only this carrier is asked to take."""
    asked = {one: len(one.got("INVITE")) for one in house.outside.carriers.values()}
    phone.call = UsageId(f"{phone.call}-again")
    phone.dial("+14155550123")
    asked[carrier] += 1
    assert {one: len(one.got("INVITE")) for one in asked} == asked
    carrier.respond(200, SDP)
    assert phone.final().status == 200
    phone.hang_up()


def test_retry_after_of_a_503_sends_further_calls_elsewhere_for_that_time(link: Link) -> None:
    house = TrunkHouse(link)
    first, second, third = house.carrier(A), house.carrier(B), house.carrier(C)
    health = {"options_interval": 10}
    house.trunk("t1", targets=targets(A, B), allowed_prefixes=["+1"], health=health)
    house.trunk("t2", targets=targets(C), allowed_prefixes=["+1"], priority=20)
    link.run(12)
    assert aside(house) == ("up", "", ["", ""])
    alice = house.caller()
    alice.dial("+14155550123")
    first.respond(503, Retry_After="100")
    second.respond(503, Retry_After="30")
    third.respond(200, SDP)
    alice.hang_up()
    # 1. health shows why, and when it is over
    assert aside(house) == ("degraded", "trunk_set_aside", ["trunk_set_aside", "trunk_set_aside"])
    text = status_of(house.state("t1"), link.now)["text"]
    assert "503" in text
    assert f"{A}:5060/udp for 100 s more" in text
    # 2. though both answer OPTIONS, which says nothing of their room for calls, the next trunk gets the next call
    link.run(25)
    assert first.got("OPTIONS")
    call_through(house, alice, third)
    # 3. whose time is over is asked again
    link.run(6)
    assert aside(house) == ("degraded", "trunk_set_aside", ["trunk_set_aside", ""])
    call_through(house, alice, second)
    link.run(70)
    assert aside(house) == ("up", "", ["", ""])
    call_through(house, alice, first)
    house.assert_nothing_left(alice)


def test_who_is_set_aside_is_asked_when_nothing_else_is_left(link: Link) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(A), house.carrier(B)
    house.trunk("t1", targets=targets(A), allowed_prefixes=["+1"])
    house.trunk("t2", targets=targets(B), allowed_prefixes=["+1"], priority=20)
    alice = house.caller()
    alice.dial("+14155550123")
    first.respond(503, Retry_After="60")
    second.respond(200, SDP)
    alice.hang_up()
    alice.call = UsageId("again")
    alice.dial("+14155550123")
    assert len(first.got("INVITE")) == 1
    second.respond(500)
    assert len(first.got("INVITE")) == 2, "the caller would be refused for certain"
    first.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice)


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [("999999999999", 300), ("20 (busy);duration=3600", 20), ("0", 0), ("soon", 0), ("", 0)]
)
def test_a_mad_retry_after_is_bounded_and_none_sets_nothing_aside(link: Link, retry_after: str, seconds: int) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(A), house.carrier(B)
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    first.respond(503, **({"Retry_After": retry_after} if retry_after else {}))
    second.respond(200, SDP)
    alice.hang_up()
    if seconds:
        link.run(seconds - 2)
        call_through(house, alice, second)
        link.run(2)
    assert house.state().code == ""
    call_through(house, alice, first)
    house.assert_nothing_left(alice)


def test_a_trunk_that_is_changed_begins_anew(link: Link) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(A), house.carrier(B)
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    first.respond(503, Retry_After="60")
    second.respond(200, SDP)
    alice.hang_up()
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"])
    call_through(house, alice, first)
    house.assert_nothing_left(alice)


def test_at_most_four_tries(link: Link) -> None:
    house = TrunkHouse(link)
    carriers = [house.carrier(f"198.51.100.{at}") for at in range(1, 7)]
    house.trunk("t1", targets=targets(*[one.address for one in carriers[:5]]), allowed_prefixes=["+1"])
    house.trunk("t2", targets=targets(carriers[5].address), allowed_prefixes=["+1"], priority=20)
    alice = house.caller()
    alice.dial("+14155550123")
    for carrier in carriers[:4]:
        carrier.respond(503)
    assert [len(one.got("INVITE")) for one in carriers] == [1, 1, 1, 1, 0, 0]
    assert alice.final().status == 502
    house.assert_nothing_left(alice)


def test_max_attempts_of_a_trunk_leaves_the_rest_to_the_next(link: Link) -> None:
    house = TrunkHouse(link)
    first, second, third = house.carrier(A), house.carrier(B), house.carrier(C)
    failover = {"max_attempts": 1}
    house.trunk("t1", targets=targets(A, B), allowed_prefixes=["+1"], failover=failover)
    house.trunk("t2", targets=targets(C), allowed_prefixes=["+1"], priority=20)
    alice = house.caller()
    alice.dial("+14155550123")
    first.respond(503)
    assert not second.got("INVITE")
    third.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_the_caller_gives_up_while_a_way_is_sought(link: Link) -> None:
    house = TrunkHouse(link)
    first = house.carrier(A)
    silence(first)
    house.trunk(targets=targets(A), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    alice.cancel()
    link.run(10)
    assert alice.final().status == 487
    house.assert_nothing_left(alice)


def test_statuses_are_settable(link: Link) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(A), house.carrier(B)
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"], failover={"statuses": [404]})
    alice = house.caller()
    alice.dial("+14155550123")
    first.respond(404)
    second.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_longer_prefix_then_priority_then_the_least_loaded(link: Link) -> None:
    house = TrunkHouse(link)
    first, second, third = house.carrier(A), house.carrier(B), house.carrier(C)
    house.trunk("cheap", targets=targets(A), allowed_prefixes=["+1415"], priority=90)
    house.trunk("main", targets=targets(B), allowed_prefixes=["+1"], priority=10)
    house.trunk("spare", targets=targets(C), allowed_prefixes=["+1"], priority=10)
    alice, bob, carol = house.caller(), house.caller("bob"), house.caller("carol")
    alice.dial("+14155550123")
    assert len(first.got("INVITE")) == 1, "1. the longer prefix"
    bob.dial("+15125550199")
    taken, other = (second, third) if second.got("INVITE") else (third, second)
    taken.respond(200, SDP)
    carol.dial("+15125550198")
    assert len(other.got("INVITE")) == 1, "2. of equals the one with fewer calls"
    for phone, carrier in ((alice, first), (carol, other)):
        carrier.respond(200, SDP)
        phone.hang_up()
    bob.hang_up()
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.parametrize("slow", [0.0, 0.3, 5.0])
def test_a_slow_engine_changes_nothing_but_the_time(link: Link, slow: float) -> None:
    house = TrunkHouse(link)
    house.media.slow = slow
    first, second = house.carrier(A), house.carrier(B)
    house.trunk(targets=targets(A, B), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    link.run(2 * slow)
    first.respond(503)
    link.run(2 * slow)
    second.respond(200, SDP)
    link.run(2 * slow)
    assert alice.final().status == 200
    assert len(house.media.open) == 2, "the caller's leg and the one that was answered"
    alice.hang_up()
    link.run(2 * slow)
    house.assert_nothing_left(alice)


def test_the_caller_gives_up_while_the_engine_opens(link: Link) -> None:
    house = TrunkHouse(link)
    house.media.slow = 5.0
    first = house.carrier(A)
    house.trunk(targets=targets(A), allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial("+14155550123")
    link.run(1)
    alice.cancel()
    link.run(20)
    assert not first.got("INVITE")
    house.assert_nothing_left(alice)


def test_a_device_that_forwards_to_a_number_while_the_engine_still_opens(link: Link) -> None:
    house = TrunkHouse(link)
    house.media.slow = 2.0
    first = house.carrier(A)
    house.trunk(targets=targets(A), allowed_prefixes=["+1"])
    bob = house.node.accounts["bob"]
    house.node.accounts["bob"] = replace(bob, forward=Forward(busy="+14155550123"))
    alice, device = house.caller(), house.callee("bob")
    alice.dial("bob")
    link.run(5)
    device.respond(486)
    link.run(5)
    first.respond(200, SDP)
    link.run(5)
    assert alice.final().status == 200
    assert len(house.media.open) == 2
    alice.hang_up()
    link.run(5)
    house.assert_nothing_left(alice, device)
