"""History-Info and Diversion: read, written, converted (RFC 7044, RFC 5806, RFC 7544)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.calls.history import (
    ALWAYS,
    BUSY,
    MOST,
    NO_ANSWER,
    UNREACHABLE,
    Entry,
    diversion,
    history_info,
    read,
)
from offhook.sip.message import Headers

BOB, CAROL = "sip:bob@example.com", "sip:carol@example.com"


def test_both_forms_of_the_same_way() -> None:
    way = (Entry(BOB, BUSY), Entry(CAROL, NO_ANSWER, private=True))
    assert history_info(way, "sip:dora@example.com") == [
        (
            "History-Info",
            "<sip:bob@example.com?Reason=SIP%3Bcause%3D486>;index=1, "
            "<sip:carol@example.com;cause=486?Reason=SIP%3Bcause%3D408&Privacy=history>;index=1.1;mp=1, "
            "<sip:dora@example.com;cause=408>;index=1.1.1;mp=1.1",
        )
    ]
    # The newest diversion comes first (RFC 5806 section 5).
    assert diversion(way) == [
        ("Diversion", "<sip:carol@example.com>;reason=no-answer;privacy=full"),
        ("Diversion", "<sip:bob@example.com>;reason=user-busy"),
    ]


def test_a_call_that_came_straight_says_nothing() -> None:
    assert history_info((), BOB) == []
    assert diversion(()) == []
    assert read(Headers([("History-Info", f"<{BOB}>;index=1")])) == ()


def test_a_number_is_written_with_a_host() -> None:
    written = history_info((Entry("tel:+15551234567", BUSY),), CAROL)[0][1]
    assert written.startswith("<sip:+15551234567@example.com;user=phone?Reason=SIP%3Bcause%3D486>;index=1, ")
    assert diversion((Entry("tel:+15551234567", BUSY),)) == [("Diversion", "<tel:+15551234567>;reason=user-busy")]


ways = st.lists(
    st.builds(
        Entry,
        st.sampled_from([BOB, CAROL]),
        st.sampled_from([ALWAYS, BUSY, NO_ANSWER, UNREACHABLE]),
        st.booleans(),
    ),
    max_size=8,
).map(tuple)


@given(ways)
def test_what_is_written_is_read_again(way: tuple[Entry, ...]) -> None:
    assert read(Headers(history_info(way, "sip:dora@example.com"))) == way
    assert read(Headers(diversion(way))) == way


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("<sip:a@b>;reason=unconditional", ALWAYS),
        ("<sip:a@b>;reason=user-busy", BUSY),
        ('"A" <sip:a@b>;reason="no-answer";counter=1', NO_ANSWER),
        ("<sip:a@b>;reason=do-not-disturb", BUSY),
        ("<sip:a@b>;reason=time-of-day", ALWAYS),
        ("<sip:a@b>", ALWAYS),
    ],
)
def test_a_diversion_of_others(value: str, cause: int) -> None:
    assert read(Headers([("Diversion", value)])) == (Entry("sip:a@b", cause),)


def test_history_info_counts_before_diversion() -> None:
    fields = [("Diversion", "<sip:x@y>"), *history_info((Entry(BOB, BUSY),), CAROL)]
    assert read(Headers(fields)) == (Entry(BOB, BUSY),)


@given(st.sampled_from(["History-Info", "Diversion"]), st.lists(st.text(max_size=60), max_size=4))
def test_any_text_is_read_or_left_out(name: str, values: list[str]) -> None:
    assert len(read(Headers([(name, value) for value in values]))) <= MOST


def test_a_very_long_history_is_cut() -> None:
    way = tuple(Entry(BOB, BUSY) for _ in range(100))
    assert len(read(Headers(diversion(way)))) == MOST
