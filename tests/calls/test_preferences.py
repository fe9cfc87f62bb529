"""Whose device rings: q-values, the caller's own device, caller preferences (RFC 3840, RFC 3841), breadth (RFC 5393)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.calls.preferences import MAX_BREADTH, breadth, devices, shares
from offhook.sip.location import Binding
from offhook.sip.message import Headers
from offhook.sip.uri import parse_uri
from tests.support.messages import make_flow

NONE = Headers()


def binding(name: str, q: float = 1.0, **params: str | None) -> Binding:
    contact = parse_uri(f"sip:{name}@192.0.2.1")
    instance = f"<urn:uuid:{name}>"
    return Binding("sip:bob@example.com", contact, make_flow(name), name, 1, 100.0, instance, q=q, params=params)


CELL, DESK, PAGE = binding("cell", 0.5, audio=None), binding("desk", 1.0), binding("page", 0.7, audio=None, video=None)
ALL = (CELL, DESK, PAGE)


def test_devices_by_q_without_the_callers_and_not_too_many() -> None:
    assert devices(ALL, make_flow("other"), NONE, 50) == (DESK, PAGE, CELL)
    assert devices(ALL, DESK.flow, NONE, 50) == (PAGE, CELL)
    assert devices(ALL, make_flow("other"), NONE, 2) == (DESK, PAGE)
    assert devices((), make_flow("other"), NONE, 50) == ()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        # RFC 3841 7.2.4: without `explicit` a device that says nothing about video may have it.
        ("Accept-Contact", "*;video;require", (DESK, PAGE, CELL)),
        ("Accept-Contact", "*;video;require;explicit", (PAGE,)),
        ("Accept-Contact", "*;video", (DESK, PAGE, CELL)),
        ("Accept-Contact", '*;+sip.instance="<urn:uuid:cell>";require;explicit', (CELL,)),
        ("Accept-Contact", '*;mobility="fixed";require;explicit', (DESK, PAGE, CELL)),
        ("Reject-Contact", "*;video", (DESK, CELL)),
        ("Reject-Contact", '*;+sip.instance="<urn:uuid:page>"', (DESK, CELL)),
        ("Reject-Contact", '*;nonsense="', (DESK, PAGE, CELL)),
        ("Request-Disposition", "no-fork", (DESK,)),
        ("Request-Disposition", "proxy, No-Fork", (DESK,)),
        ("Max-Breadth", "2", (DESK, PAGE)),
        ("Max-Breadth", "0", ()),
        ("Max-Breadth", "many", (DESK, PAGE, CELL)),
    ],
)
def test_preferences(name: str, value: str, expected: tuple[Binding, ...]) -> None:
    assert devices(ALL, None, Headers([(name, value)]), 50) == expected


def test_among_equals_the_preferred_device_comes_first() -> None:
    plain, seeing = binding("plain"), binding("seeing", 1.0, video=None)
    assert devices((plain, seeing), None, Headers([("Accept-Contact", "*;video")]), 50) == (seeing, plain)


@given(st.integers(0, 100), st.integers(1, 50))
def test_breadth_is_never_made_more(total: int, branches: int) -> None:
    parts = shares(total, branches)
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1


@given(st.text(max_size=8))
def test_any_text_is_a_breadth(text: str) -> None:
    assert 0 <= breadth(Headers([("Max-Breadth", text)])) <= MAX_BREADTH
