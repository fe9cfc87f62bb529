"""What is counted (API.md 12.6), by the records and messages that the rest of the server makes."""

from pathlib import Path

import pytest

from offhook.calls.effects import CallRecord, Happened
from offhook.server.metrics import METRICS, PREFIX
from offhook.server.tally import OTHER, Spread, Tally
from offhook.sip.message import Headers, Request, Response
from offhook.sip.uri import parse_uri


def answer(status: int, method: str = "INVITE", warning: str = "") -> Response:
    fields = [("CSeq", f"7 {method}"), *([("Warning", warning)] if warning else [])]
    return Response(status, "", Headers(fields))


def test_messages_are_counted_by_method_status_and_direction() -> None:
    tally = Tally()
    tally.message(Request("INVITE", parse_uri("sip:bob@example.com")), "in")
    for direction in ("out", "out", "in"):
        tally.message(answer(200), direction)
    assert tally.messages == {("INVITE", "", "in"): 1, ("INVITE", "200", "out"): 2, ("INVITE", "200", "in"): 1}


@pytest.mark.parametrize("method", ["BREW", "invite", "A" * 500, ""])
def test_methods_of_strangers_make_one_row(method: str) -> None:
    tally = Tally()
    tally.message(Request(method, parse_uri("sip:bob@example.com")), "in")
    tally.message(Response(405, "", Headers([("CSeq", f"1 {method}")])), "out")
    assert set(tally.messages) == {(OTHER, "", "in"), (OTHER, "405", "out")}


def test_a_refusal_is_counted_by_its_code_and_only_where_it_is_ours() -> None:
    tally = Tally()
    tally.message(answer(480, warning='399 offhook.test "not-registered No device is registered"'), "out")
    tally.message(answer(480, warning='399 theirs.example "not-registered …"'), "in")
    tally.message(answer(480, warning='399 offhook.test "no-such-code text"'), "out")
    tally.message(answer(401), "out")
    tally.message(answer(200, warning='399 offhook.test "transcoding text"'), "out")
    assert tally.refused == {"not_registered": 1}


def test_a_call_is_counted_once_whatever_its_legs_are() -> None:
    tally = Tally()
    quality = {"packets_in": 100, "packets_out": 90, "lost_in": 3, "mos": 4.1}
    legs = (
        ("a", {"role": "caller", "end_code": "hangup", "began_at": 10.0, "answered_at": 12.5, "quality": quality}),
        ("b", {"role": "callee", "end_code": "answered_elsewhere", "quality": {}}),
        ("c", {"role": "callee", "end_code": "hangup", "answered_at": 12.5, "quality": {**quality, "mos": 0.0}}),
    )
    tally.call_ended(CallRecord("a", 10.0, 20.0, legs))
    tally.call_ended(CallRecord("d", 30.0, 31.0, (("d", {"role": "caller", "end_code": "callee_busy"}),)))
    assert tally.ended == {"hangup": 1, "callee_busy": 1}
    assert (tally.setup.sum, sum(tally.setup.counts)) == (2.5, 1)
    assert (tally.packets, tally.lost) == ({"in": 200, "out": 180}, 6)
    assert (tally.scores.sum, sum(tally.scores.counts)) == (4.1, 1)


def test_findings() -> None:
    tally = Tally()
    for type_ in ("call.finding_raised", "call.finding_cleared", "call.finding_raised"):
        tally.happened(Happened(type_, "a", "b", (("code", "high_loss"),)))
    assert tally.findings == {"high_loss": 2}


def test_a_spread_counts_up_to_each_limit() -> None:
    spread = Spread((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 99.0):
        spread.add(value)
    assert spread.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
    assert spread.sum == 102.0


def test_the_page_of_metrics_names_them_all() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "reference" / "metrics.md").read_text()
    assert [one.name for one in METRICS if f"`{PREFIX}{one.name}`" not in page] == []
