"""Digits by INFO: what a body says, and that two ways of saying the same press count once (DTMF-1, DTMF-3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.calls.digits import took_press
from offhook.calls.dtmf import DIGITS, FLASH, LONGEST, SHORTEST, Press, read_info, write_info
from offhook.calls.leg import Leg
from offhook.sip.events import UsageId
from tests.support.messages import make_flow

RELAY, PLAIN = "application/dtmf-relay", "application/dtmf"


@pytest.mark.parametrize(
    ("content_type", "body", "press"),
    [
        (RELAY, b"Signal=5\r\nDuration=160\r\n", Press("5", 160)),
        (RELAY, b"Signal= *\nDuration= 250", Press("*", 250)),
        (RELAY, b"signal = #\r\n", Press("#", 100)),
        (RELAY, b"Signal=10\r\nDuration=1", Press("*", SHORTEST)),
        (RELAY, b"Signal=11\r\nDuration=999999", Press("#", LONGEST)),
        (RELAY, b"Signal=d\r\n", Press("D", 100)),
        (PLAIN, b"7", Press("7", 100)),
        (PLAIN, b" 12\r\n", Press("A", 100)),
        (RELAY, b"Duration=160\r\n", None),
        (RELAY, b"Signal=16\r\nDuration=300\r\n", Press(FLASH, 300)),
        (PLAIN, b"16", Press(FLASH, 100)),
        (RELAY, b"Signal=17\r\n", None),
        (RELAY, b"Signal=flash\r\n", None),
        (RELAY, b"Signal=x\r\n", None),
        (RELAY, b"Signal=\r\nDuration=5\r\n", None),
        (PLAIN, b"", None),
        (PLAIN, b"55", None),
        (PLAIN, "²".encode(), None),
    ],
)
def test_a_body(content_type: str, body: bytes, press: Press | None) -> None:
    assert read_info(content_type, body) == press


@given(st.sampled_from([RELAY, PLAIN]), st.binary(max_size=80))
def test_any_octets_are_a_press_or_none(content_type: str, body: bytes) -> None:
    press = read_info(content_type, body)
    if press is not None:
        assert press.digit == FLASH or press.digit in DIGITS
        # What we write of it is read as the same press.
        assert read_info(RELAY, write_info(press.digit, press.milliseconds)) == press
        assert SHORTEST <= press.milliseconds <= LONGEST


def leg() -> Leg:
    return Leg("leg", "caller", UsageId("usage"), make_flow(), 1)


def test_the_same_press_by_a_second_way_counts_once() -> None:
    one = leg()
    assert took_press(one, "5", 100, "rfc4733", 10.0)
    assert not took_press(one, "5", 100, "info", 10.2)
    assert one.digits == [("5", 100, "rfc4733")]


def test_what_is_a_press_of_its_own() -> None:
    one = leg()
    presses = [
        ("5", "info", 10.0),
        # The same key twice by the same way is two presses, however fast.
        ("5", "info", 10.1),
        # Another key is another press.
        ("6", "rfc4733", 10.2),
        # Long after, the other way is a new press.
        ("6", "info", 11.0),
    ]
    assert [took_press(one, digit, 100, method, now) for digit, method, now in presses] == [True] * 4
    assert len(one.digits) == 4


def test_a_leg_keeps_its_last_presses_only() -> None:
    one = leg()
    for number in range(300):
        took_press(one, "12"[number % 2], number, "info", float(number))
    assert [press[1] for press in one.digits] == list(range(200, 300))
