"""Which addresses are alive (TRK-4)."""

import pytest

from offhook.calls.health import Health
from offhook.calls.trunk import HealthRules
from offhook.sip.flow import Transport
from offhook.sip.hop import Hop

HOP = Hop(Transport.UDP, "198.51.100.7", 5060)
OTHER = Hop(Transport.UDP, "198.51.100.8", 5060)


def health(**rules: int) -> Health:
    one = Health(HealthRules(**rules))
    one.known(HOP, "sip:carrier.example")
    return one


@pytest.mark.parametrize("status", [200, 401, 403, 404, 405, 407, 480, 483, 488, 500, 501, 603])
def test_any_final_answer_is_alive(status: int) -> None:
    one = health()
    one.asked(HOP, 1.0)
    assert one.answered(HOP, status, 1.02)
    assert (one.state, one.places[HOP].rtt) == ("up", pytest.approx(0.02))


def test_503_is_down_at_once_and_one_answer_up() -> None:
    one = health()
    one.answered(HOP, 503, 1.0)
    assert (one.state, one.is_down(HOP)) == ("down", True)
    one.answered(HOP, 200, 2.0)
    assert one.state == "up"


def test_two_timeouts_are_down() -> None:
    one = health()
    one.silent(HOP, "trunk_timeout")
    assert one.state == "unknown"
    one.silent(HOP, "trunk_timeout")
    assert (one.state, one.code) == ("down", "trunk_timeout")


def test_up_after_more_than_one_answer() -> None:
    one = health(up_after=2, down_after=1)
    one.silent(HOP, "trunk_timeout")
    one.answered(HOP, 200, 1.0)
    assert one.state == "down"
    one.answered(HOP, 200, 2.0)
    assert one.state == "up"


def test_one_of_two_is_degraded_and_addresses_that_left_dns_are_forgotten() -> None:
    one = health(down_after=1)
    one.known(OTHER, "sip:carrier.example")
    one.answered(HOP, 200, 1.0)
    one.silent(OTHER, "trunk_unreachable")
    assert (one.state, one.code) == ("degraded", "trunk_unreachable")
    one.keep({HOP})
    assert (one.state, one.code) == ("up", "")
    assert not one.answered(OTHER, 200, 2.0)
