"""Names: case, escapes, built-ins."""

import pytest

from offhook.calls.addresses import uri_of
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
        ("sip:client:bob@example.com", "bob", False),
        ("sip:VERTO%3Abob@example.com", "bob", False),
        ("sip:client:echo@example.com", "echo", True),
        ("sip:/private/Bob@example.com", "/private/Bob", False),
        ("sip:/public/bob?channel=audio@example.com", "/private/bob", False),
        ("sip:/private/a/b@example.com", "/private/a/b", False),
    ],
)
def test_destination(uri: str, user: str, built_in: bool) -> None:
    found = destination_of(parse_uri(uri))
    assert (found.user, found.built_in) == (user, built_in)


def test_what_a_built_in_plays() -> None:
    sources = [source_of(destination_of(parse_uri(f"sip:{name}@a"))) for name in ("echo", "TONE", "music")]
    assert sources == [None, SourceKind.TONE, SourceKind.MUSIC]


@pytest.mark.parametrize(
    ("user", "channel"),
    [
        ("/private/bob", ""),
        ("/private/bob?channel=video", "video"),
        ("/public/b?x=1&channel=AUDIO", "audio"),
        ("bob?channel=video", ""),
    ],
)
def test_the_channel_that_an_address_asks_for(user: str, channel: str) -> None:
    assert destination_of(parse_uri(f"sip:{user}@example.com")).channel == channel


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("bob", "sip:bob@a"), ("client:bob", "sip:bob@a"), ("Verto:bob", "sip:bob@a"), ("sip:x@y", "sip:x@y"),
        ("/private/bob?channel=audio", "sip:/private/bob?channel=audio@a"), ("tel:+1", "tel:+1"),
    ],
)  # fmt: skip
def test_a_callable_address_as_a_uri(text: str, uri: str) -> None:
    assert str(uri_of(text, "a")) == uri
