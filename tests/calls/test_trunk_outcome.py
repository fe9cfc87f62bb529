"""The trunk rows of SIGNALLING.md 4.4: what a carrier's end means for the caller, and whether another is tried."""

import pytest

from offhook.calls.outcome import refusal
from offhook.calls.trunk_outcome import all_failed, goes_on, of_carrier
from offhook.sip.events import Failure
from offhook.sip.message import Response
from tests.calls.test_numbers import trunk

NUMBER = "+14155550123"


@pytest.mark.parametrize(
    ("status", "heard", "code", "q850"),
    [
        (404, 404, "number_unallocated", 1),
        (604, 604, "number_unallocated", 1),
        (410, 410, "number_unallocated", 22),
        (484, 484, "number_unallocated", 28),
        (486, 486, "callee_busy", 17),
        (600, 486, "callee_busy", 17),
        (480, 480, "callee_no_answer", 19),
        (487, 480, "callee_no_answer", 19),
        (403, 403, "trunk_rejected", 21),
        (401, 502, "trunk_auth_failed", 38),
        (407, 502, "trunk_auth_failed", 38),
        (415, 488, "codec_mismatch", 88),
        (488, 488, "codec_mismatch", 88),
        (606, 488, "codec_mismatch", 88),
        (482, 482, "loop_detected", 25),
        (483, 482, "loop_detected", 25),
        (302, 480, "forward_refused", 21),
        (408, 502, "trunk_timeout", 38),
        (500, 502, "trunk_rejected", 21),
        (503, 502, "trunk_rejected", 21),
        (603, 603, "callee_declined", 21),
        (607, 607, "callee_declined", 21),
        (608, 608, "callee_declined", 21),
        (433, 433, "trunk_rejected", 21),
    ],
)
def test_each_status(status: int, heard: int, code: str, q850: int) -> None:
    one = of_carrier(trunk(), NUMBER, Response(status, "Words Of The Carrier"), None)
    assert (one.status, one.row.code, one.heard) == (heard, code, status)
    if code != "forward_refused":
        assert one.row.q850 == q850


def test_the_carriers_phrase_is_quoted_and_a_challenge_is_not() -> None:
    assert "403 Account Suspended" in of_carrier(trunk(), NUMBER, Response(403, "Account Suspended"), None).text
    assert "Suspended" not in of_carrier(trunk(), NUMBER, Response(407, "Account Suspended"), None).text


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Failure.NO_RESPONSE, "trunk_timeout"),
        (Failure.FLOW_FAILED, "trunk_unreachable"),
        (Failure.BAD_ANSWER, "bad_answer"),
    ],
)
def test_no_response(failure: Failure, code: str) -> None:
    one = of_carrier(trunk(), NUMBER, None, failure)
    assert (one.status, one.row.code) == (502, code)


def test_no_status_of_a_carrier_becomes_503() -> None:
    statuses = [of_carrier(trunk(), NUMBER, Response(status, "x"), None).status for status in range(300, 700)]
    assert 503 not in statuses


def test_what_leads_on() -> None:
    one = trunk()
    lead = {status for status in range(300, 700) if goes_on(one, Response(status, "x"), None, rang=False)}
    assert lead == {408, 500, 502, 503, 504}
    rang = {status for status in range(300, 700) if goes_on(one, Response(status, "x"), None, rang=True)}
    assert rang == {503}
    assert goes_on(one, None, Failure.NO_RESPONSE, rang=False)
    assert not goes_on(one, None, Failure.NO_RESPONSE, rang=True)
    assert not goes_on(one, None, Failure.BAD_ANSWER, rang=False)


def test_several_failures_are_each_named_by_their_trunk() -> None:
    first, second = refusal("trunk_timeout"), refusal("trunk_full")
    assert all_failed(NUMBER, [("a", first)]) is first
    both = all_failed(NUMBER, [("a", first), ("b", second)])
    assert (both.status, both.row.code) == (502, "trunks_exhausted")
    assert "a: trunk-timeout; b: trunk-full" in both.text
