"""Leg B's end to leg A's answer (4.4), the best of several failures (CALL-15), the catalogue they speak."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.calls.catalogue import CATALOGUE, FINDING_OF_VERDICT
from offhook.calls.outcome import Outcome, best, of_branch, refusal, stops_all
from offhook.sip.events import Failure
from offhook.sip.message import Headers, Response


def outcome(status: int) -> Outcome:
    return of_branch("bob", Response(status, "No"), None)


@given(st.integers(300, 699))
def test_every_final_status_has_an_answer_with_words(status: int) -> None:
    said = outcome(status)
    assert 400 <= said.status < 700
    # RFC 3261 section 16.7: 503 of another is never passed on; nor are challenges of a device.
    assert said.status != 503
    assert said.text
    assert said.headers("example.com").get("Warning") == f'399 example.com "{said.row.slug} {said.text}"'


TABLE = [
    # from B, to A, Q.850 (None: no cause): the rows of SIGNALLING.md 4.4 that are about devices
    (404, 404, 1), (604, 604, 1), (410, 410, 22), (484, 484, 28),
    (486, 486, 17), (600, 486, 17),
    (480, 480, 19), (408, 480, 19), (487, 480, 19),
    (500, 480, 18), (503, 480, 18), (504, 480, 18), (430, 480, 20),
    (401, 502, 21), (407, 502, 21),
    (415, 488, 88), (488, 488, 88), (606, 488, 88),
    (482, 482, 25), (483, 482, 25),
    (300, 480, 21), (302, 480, 21), (380, 480, 21),
    (603, 603, 21), (607, 607, 21), (608, 608, 21),
    (403, 403, 21), (402, 402, 21),
    # what is handled in leg B, and what is about our own request to it
    (422, 480, 21), (423, 480, 21), (491, 480, 21), (400, 480, 21), (420, 480, 21), (405, 480, 21), (481, 480, 21),
]  # fmt: skip


@pytest.mark.parametrize(("heard", "status", "cause"), TABLE)
def test_the_table(heard: int, status: int, cause: int) -> None:
    said = outcome(heard)
    assert said.status == status
    assert (said.headers("example.com").get("Reason") or "").startswith(f"Q.850;cause={cause};")


def test_the_far_sides_reasons_are_kept() -> None:
    given = Headers(
        [("Reason", 'Q.850;cause=18;text="No user, responding", SIP;cause=480'), ("Reason", "X.int;cause=7")]
    )
    said = of_branch("bob", Response(480, "No", given), None).headers("example.com")
    # RFC 9366: several values; the far side's Q.850 cause stands in place of ours.
    assert said.all("Reason") == ('Q.850;cause=18;text="No user, responding"', "SIP;cause=480", "X.int;cause=7")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Q.850",
        "Q.850;cause=",
        "Q.850;cause=abc",
        "Q.850;cause=12345",
        ";cause=1",
        'SIP;cause=1;text="x',
        "SIP;cause=1;text=" + "x" * 300,
    ],
)
def test_a_reason_that_cannot_be_read_is_left_out(value: str) -> None:
    said = of_branch("bob", Response(480, "No", Headers([("Reason", value)])), None).headers("example.com")
    assert [one.partition(";")[0] for one in said.all("Reason")] == ["Q.850"]
    assert "cause=19" in (said.get("Reason") or "")


@pytest.mark.parametrize(
    ("failure", "code", "status"),
    [
        (Failure.FLOW_FAILED, "flow_lost", 480),
        (Failure.NO_RESPONSE, "device_silent", 480),
        (Failure.BAD_ANSWER, "bad_answer", 502),
    ],
)
def test_a_branch_without_a_response(failure: Failure, code: str, status: int) -> None:
    said = of_branch("bob", None, failure)
    assert (said.row.code, said.status) == (code, status)
    assert "bob" in said.text


@pytest.mark.parametrize(
    ("statuses", "winner"),
    [
        ([480, 486], 486),
        ([404, 480], 480),
        ([403, 404], 404),
        ([403, 486, 603], 603),
        ([500, 403], 403),
        ([500, 404], 404),
        ([486], 486),
    ],
)
def test_best(statuses: list[int], winner: int) -> None:
    said = [outcome(status) for status in statuses]
    assert best(said).status == winner
    assert best(said[::-1]).status == winner


def test_a_bad_answer_is_the_least() -> None:
    bad = of_branch("bob", None, Failure.BAD_ANSWER)
    assert best([bad, outcome(403)]).status == 403


def test_a_silent_device_does_not_hide_what_another_said() -> None:
    silent = of_branch("bob", None, Failure.NO_RESPONSE)
    assert best([silent, outcome(404)]).status == 404
    assert best([silent, outcome(500)]) is silent


@pytest.mark.parametrize(
    ("status", "all_"),
    [(603, True), (604, True), (607, True), (608, True), (600, False), (606, False), (486, False), (480, False)],
)
def test_which_end_all_branches(status: int, all_: bool) -> None:
    assert stops_all(Response(status, "")) is all_


def test_no_response_ends_one_branch() -> None:
    assert not stops_all(None)


def test_a_quote_in_the_words_stays_inside_the_field() -> None:
    fields = refusal("destination_unknown", 'Nobody is called a"b\\c').headers("example.com")
    assert fields.get("Warning") == """399 example.com "destination-unknown Nobody is called a'bc\""""
    assert fields.get("Reason") == r'Q.850;cause=1;text="Nobody is called a\"b\\c"'


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=lambda row: row.code)
def test_rows(row: object) -> None:
    found = CATALOGUE[row.code]  # type: ignore[attr-defined]
    assert found.sip == 0 or 400 <= found.sip < 700
    assert found.severity in ("error", "warning", "info")
    for words in (found.cause, found.remedy):
        assert words
        assert not words.endswith(".")
    assert found.slug == found.code.replace("_", "-")


def test_every_verdict_names_a_row() -> None:
    assert set(FINDING_OF_VERDICT.values()) <= set(CATALOGUE)
