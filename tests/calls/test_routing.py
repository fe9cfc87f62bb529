"""Names: case, escapes, built-ins."""

import pytest

from offhook.calls.ports import SourceKind
from offhook.calls.routing import destination_of, source_of
from offhook.sip.uri import parse_uri


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
