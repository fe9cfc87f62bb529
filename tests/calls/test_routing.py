"""Names and devices: case, escapes, built-ins, whose device rings."""

import pytest

from offhook.calls.ports import SourceKind
from offhook.calls.routing import destination_of, devices_to_ring, source_of
from offhook.sip.location import Binding
from offhook.sip.uri import parse_uri
from tests.support.messages import make_flow


def binding(name: str, q: float = 1.0) -> Binding:
    return Binding("sip:bob@example.com", parse_uri(f"sip:{name}@192.0.2.1"), make_flow(name), name, 1, 100.0, q=q)


@pytest.mark.parametrize(
    ("uri", "user", "built_in"),
    [
        ("sip:bob@example.com", "bob", False),
        ("sip:Echo@example.com", "Echo", True),
        ("sip:%65cho@example.com;user=phone", "echo", True),
        ("sip:tone@example.com", "tone", True),
        ("sip:echoes@example.com", "echoes", False),
        ("sip:example.com", "", False),
    ],
)
def test_destination(uri: str, user: str, built_in: bool) -> None:
    found = destination_of(parse_uri(uri))
    assert (found.user, found.built_in) == (user, built_in)


def test_what_a_built_in_plays() -> None:
    sources = [source_of(destination_of(parse_uri(f"sip:{name}@a"))) for name in ("echo", "TONE", "music")]
    assert sources == [None, SourceKind.TONE, SourceKind.MUSIC]


def test_devices_by_q_without_the_callers_and_not_too_many() -> None:
    cell, desk, page = binding("cell", 0.5), binding("desk", 1.0), binding("page", 0.7)
    assert devices_to_ring((cell, desk, page), make_flow("other"), 50) == (desk, page, cell)
    assert devices_to_ring((cell, desk, page), desk.flow, 50) == (page, cell)
    assert devices_to_ring((cell, desk, page), make_flow("other"), 2) == (desk, page)
    assert devices_to_ring((), make_flow("other"), 50) == ()
