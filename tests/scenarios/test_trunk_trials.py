"""The ten-second call of a trunk's test (API.md 12.1), and session timers that a trunk demands (RFC 4028)."""

import pytest

from offhook.calls.commands import TryTrunk
from offhook.calls.entry import Permits
from offhook.sip.message import Response
from tests.support.carriers import TrunkHouse
from tests.support.link import Link
from tests.support.messages import SDP, make_request

CARRIER, OTHER = "198.51.100.7", "198.51.100.8"
NUMBER, OURS = "+14155550123", "+15125550100"


@pytest.fixture
def house(link: Link) -> TrunkHouse:
    return TrunkHouse(link)


def try_trunk(house: TrunkHouse, permits: Permits | None = None) -> None:
    command = TryTrunk("trial", "t1", NUMBER, OURS, permits or Permits(), "p1")
    house.apply(lambda: house.node.command(command))
    house.link.run(0.2)


def test_the_number_is_called_by_this_trunk_and_let_go_after_ten_seconds(house: TrunkHouse) -> None:
    carrier, other = house.carrier(CARRIER), house.carrier(OTHER)
    house.trunk("t0", targets=[{"uri": f"sip:{OTHER}"}], allowed_prefixes=["+1415"])
    house.trunk("t1", targets=[{"uri": f"sip:{CARRIER}"}], allowed_prefixes=["+1"])
    try_trunk(house)
    assert not other.got("INVITE"), "1. a better trunk is not meant"
    assert (carrier.invite.headers.get("From") or "").startswith(f"<sip:{OURS}@"), "2. a number of ours is shown"
    carrier.respond(180)
    carrier.respond(200, SDP)
    house.link.run(8.0)
    assert not carrier.got("BYE")
    house.link.run(3.0)
    assert carrier.got("BYE"), "3. after ten seconds"
    call = house.call()
    assert call.answered_at is not None
    house.assert_nothing_left()


def test_a_refusal_is_kept_in_the_carrier_s_words(house: TrunkHouse) -> None:
    carrier = house.carrier(CARRIER)
    house.trunk("t1", targets=[{"uri": f"sip:{CARRIER}"}], allowed_prefixes=["+1"])
    try_trunk(house)
    carrier.respond(403)
    call = house.call()
    assert (call.end_code, "403" in call.refused_text, call.answered_at) == ("trunk_rejected", True, None)
    house.assert_nothing_left()


@pytest.mark.parametrize(
    ("fields", "permits", "code"),
    [
        ({"allowed_prefixes": []}, Permits(), "not_routable"),
        ({"allowed_prefixes": ["+1"], "blocked_prefixes": ["+1415"]}, Permits(), "prefix_not_allowed"),
        ({"allowed_prefixes": ["+1"]}, Permits(pstn_enabled=False), "pstn_blocked"),
        ({"allowed_prefixes": ["+1"], "enabled": False}, Permits(), "not_routable"),
    ],
)
def test_a_test_passes_no_guard(house: TrunkHouse, fields: dict[str, object], permits: Permits, code: str) -> None:
    carrier = house.carrier(CARRIER)
    house.trunk("t1", targets=[{"uri": f"sip:{CARRIER}"}], **fields)
    try_trunk(house, permits)
    assert house.call().end_code == code
    assert not carrier.got("INVITE")
    house.assert_nothing_left()


def test_nobody_answers_a_trial(house: TrunkHouse) -> None:
    carrier = house.carrier(CARRIER)
    house.trunk("t1", targets=[{"uri": f"sip:{CARRIER}"}], allowed_prefixes=["+1"])
    try_trunk(house)
    carrier.respond(180)
    house.link.run(21.0)
    assert carrier.got("CANCEL"), "it rings for twenty seconds"
    assert house.call().end_code == "callee_no_answer"
    house.assert_nothing_left()


# ---- session timers


def test_a_trunk_that_requires_session_timers_refuses_calls_without(house: TrunkHouse) -> None:
    carrier, bob = house.carrier(CARRIER), house.callee("bob")
    house.node.numbers[OURS] = "bob"
    house.trunk("t1", targets=[{"uri": f"sip:{CARRIER}"}], session_timer="required")
    plain = make_request(
        "INVITE", f"sip:{OURS}@127.0.0.2", branch="z9hG4bKplain", call_id="plain", from_=f"<sip:{NUMBER}@carrier.example>",
        body=SDP, Content_Type="application/sdp",
    )  # fmt: skip
    house.station.feed(plain, carrier.back)
    final = next(one for one in reversed(house.station.sent) if isinstance(one, Response) and one.status >= 200)
    assert (final.status, final.headers.get("Require")) == (421, "timer"), "1. and says which extension it is"
    assert "session-timer-required" in house.warning(final)
    assert not bob.got("INVITE")
    carrier.dial(f"sip:{OURS}@127.0.0.2")
    assert bob.got("INVITE"), "2. a call with timers comes through"
    bob.respond(486)
    house.assert_nothing_left(bob)
