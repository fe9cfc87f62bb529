"""What keeps strangers and stolen passwords from calling at our expense: each guard refuses, says so, and tells of it
(API.md section 3, 12.1, 12.5; SIGNALLING.md TRK-9, TRK-11, TRK-13)."""

from dataclasses import replace
from typing import Any

import pytest

from offhook.calls.effects import Happened
from offhook.calls.entry import Permits
from tests.support.carriers import TrunkHouse
from tests.support.house import Phone
from tests.support.link import Link
from tests.support.messages import SDP

CARRIER = "198.51.100.7"
ABROAD, HOME, HELP = "+8825550123", "+14155550123", "911"


def house_with_trunk(link: Link, settings: dict[str, Any] | None = None, **trunk: Any) -> TrunkHouse:
    house = TrunkHouse(link, **(settings or {}))
    house.carrier(CARRIER)
    house.trunk(**{"targets": [{"uri": f"sip:{CARRIER}"}], "allowed_prefixes": ["+1"], "emergency": True, **trunk})
    return house


def refusals(house: TrunkHouse) -> list[dict[str, str]]:
    told: list[Happened] = [one for one in house.node.published if one.type == "security.call_refused"]
    return [dict(one.details) for one in told]


def assert_refused(house: TrunkHouse, alice: Phone, status: int, code: str) -> None:
    final = alice.final()
    assert (final.status, code.replace("_", "-") in house.warning(final)) == (status, True), house.warning(final)
    assert not house.outside.carriers[CARRIER].got("INVITE"), "nothing goes out"
    [told] = refusals(house)
    assert (told["code"], told["endpoint"], bool(told["source"])) == (code, "alice", True)


def test_without_a_listed_prefix_nothing_goes_out(link: Link) -> None:
    house = house_with_trunk(link, allowed_prefixes=[])
    alice = house.caller()
    alice.dial(HOME)
    assert_refused(house, alice, 404, "not_routable")
    house.assert_nothing_left(alice)


def test_a_prefix_that_is_not_listed_is_not_called(link: Link) -> None:
    house = house_with_trunk(link)
    alice = house.caller()
    alice.dial(ABROAD)
    assert_refused(house, alice, 404, "not_routable")
    house.assert_nothing_left(alice)


def test_a_blocked_prefix_beats_a_shorter_allowed_one(link: Link) -> None:
    house = house_with_trunk(link, allowed_prefixes=["+"], blocked_prefixes=["+882"])
    alice = house.caller()
    alice.dial(ABROAD)
    assert_refused(house, alice, 403, "prefix_not_allowed")
    house.assert_nothing_left(alice)


@pytest.mark.parametrize("permits", [Permits(numbers=False), Permits(pstn_enabled=False)])
def test_a_blocked_endpoint_and_the_kill_switch_let_calls_for_help_out_only(link: Link, permits: Permits) -> None:
    house = house_with_trunk(link)
    house.node.permits["alice"] = permits
    alice = house.caller()
    alice.dial(HOME)
    assert_refused(house, alice, 403, "pstn_blocked")
    alice.dial(HELP)
    assert house.outside.carriers[CARRIER].got("INVITE"), "TRK-9"
    house.outside.carriers[CARRIER].respond(200, SDP)
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_the_forwarding_endpoint_s_policy_counts(link: Link) -> None:
    """CALL-16: alice may dial numbers, but it is bob who forwards there, and he may not."""
    house = house_with_trunk(link)
    house.node.permits["bob"] = Permits(numbers=False)
    house.node.accounts["bob"] = replace(
        house.node.accounts["bob"], forward=replace(house.node.accounts["bob"].forward, always=HOME)
    )
    alice = house.caller()
    alice.dial("bob")
    assert "forward-refused" in house.warning(alice.final())
    assert not house.outside.carriers[CARRIER].got("INVITE")
    assert [(one["code"], one["endpoint"]) for one in refusals(house)] == [("pstn_blocked", "bob")]
    house.assert_nothing_left(alice)


@pytest.mark.parametrize(
    ("settings", "permits"),
    [
        ({"external_sip": "none"}, Permits()),
        ({}, Permits(external_sip="none")),
        ({}, Permits(external_sip="api_only")),
    ],
)
def test_foreign_uris_against_external_sip(link: Link, settings: dict[str, Any], permits: Permits) -> None:
    house = house_with_trunk(link, settings)
    house.node.permits["alice"] = permits
    alice = house.caller()
    alice.dial_uri(f"sip:carol@{CARRIER}")
    assert_refused(house, alice, 403, "external_sip_not_allowed")
    house.assert_nothing_left(alice)


def test_a_number_that_is_not_ours_is_not_shown_where_the_setting_is_strict(link: Link) -> None:
    house = house_with_trunk(link, {"strict_caller_id": True})
    alice = house.caller()
    alice.dial(HOME, P_Preferred_Identity="<sip:+14155550188@example.com>")
    assert_refused(house, alice, 403, "caller_id_not_allowed")
    house.assert_nothing_left(alice)


def test_an_endpoint_s_calls_to_numbers_are_limited_by_the_second(link: Link) -> None:
    house = house_with_trunk(link, {"rate": 1.0, "burst": 1.0})
    alice = house.caller()
    alice.dial(HOME)
    house.outside.carriers[CARRIER].respond(486)
    alice.dial(HOME)
    assert (alice.final().status, [one["code"] for one in refusals(house)]) == (503, ["calls_per_second_exceeded"])
    house.assert_nothing_left(alice)


def test_an_endpoint_s_own_limit_of_an_hour(link: Link) -> None:
    """Its calls to trunks alone are counted, and calls for help are not held up (TRK-9)."""
    house = house_with_trunk(link)
    house.node.accounts["alice"] = replace(house.node.accounts["alice"], max_calls_per_hour=2)
    alice, bob, carrier = house.caller(), house.callee(), house.outside.carriers[CARRIER]
    for _ in range(2):
        alice.dial(HOME)
        carrier.respond(486)
    alice.dial(ABROAD)
    assert alice.final().status == 404, "1. what no trunk may carry is refused as such"
    alice.dial(HOME)
    final = alice.final()
    assert (final.status, "endpoint-rate-exceeded" in house.warning(final)) == (403, True), "2. the third is refused"
    assert [(one["code"], one["endpoint"]) for one in refusals(house)][-1] == ("endpoint_rate_exceeded", "alice"), (
        "3. told"
    )
    alice.dial("bob")
    assert bob.got("INVITE"), "4. calls inside go on"
    alice.cancel()
    alice.dial(HELP)
    assert len(carrier.got("INVITE")) == 3, "5. and calls for help"
    carrier.respond(486)
    house.link.run(3600)
    alice.dial(HOME)
    carrier.respond(486)
    assert alice.final().status == 486, "6. an hour later it may call again"
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize(
    ("limit", "code"),
    [({"max_channels": 1}, "trunk_full"), ({"max_channels_out": 1}, "trunk_full"),
     ({"max_calls_per_second": 1}, "trunk_rate_exceeded"), ({"max_calls_per_hour": 1}, "trunk_rate_exceeded")],
)  # fmt: skip
def test_a_trunk_s_own_limits(link: Link, limit: dict[str, int], code: str) -> None:
    house = house_with_trunk(link, **limit)
    alice, carol = house.caller(), house.caller("carol")
    alice.dial(HOME)
    house.outside.carriers[CARRIER].respond(200, SDP)
    carol.dial(HOME)
    final = carol.final()
    assert (final.status, code.replace("_", "-") in house.warning(final)) == (502, True), house.warning(final)
    assert [(one["code"], one["endpoint"]) for one in refusals(house)] == [(code, "carol")]
    alice.hang_up()
    house.assert_nothing_left(alice, carol)


def test_a_refusal_of_any_other_kind_is_no_matter_of_security(link: Link) -> None:
    house = house_with_trunk(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(486)
    assert refusals(house) == []
    house.assert_nothing_left(alice, bob)
