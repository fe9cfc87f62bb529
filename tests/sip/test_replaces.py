"""Replaces, Target-Dialog and Refer-To: every way in which devices write them (RFC 3891, RFC 4538, RFC 3515)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.sip.envelope import DialogKey
from offhook.sip.errors import PeerError
from offhook.sip.message import Headers
from offhook.sip.replaces import Named, parse_named, read_refer_to, read_replaces, read_target_dialog

KEY = DialogKey("12345@host", "ours", "theirs")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12345@host;to-tag=ours;from-tag=theirs", Named("12345@host", "ours", "theirs")),
        ("12345@host ; from-tag=theirs ; to-tag=ours", Named("12345@host", "theirs", "ours")),
        ("a;to-tag=1;from-tag=2;early-only", Named("a", "1", "2", early_only=True)),
        ("a;remote-tag=1;local-tag=2", Named("a", "2", "1")),
        ("a;to-tag=1;from-tag=2;unknown=x", Named("a", "1", "2")),
    ],
)
def test_a_dialog_is_named(text: str, expected: Named) -> None:
    found = parse_named(text)
    assert (found.call_id, found.early_only) == (expected.call_id, expected.early_only)
    assert {found.one_tag, found.other_tag} == {expected.one_tag, expected.other_tag}


NO_DIALOG = [
    *("", "a", "a;to-tag=1", ";to-tag=1;from-tag=2", "a;to-tag;from-tag=2", "x" * 300 + ";to-tag=1;from-tag=2"),
    # It goes on to a carrier: nothing in it may end its line or its value.
    *("a\r\nX: y;to-tag=1;from-tag=2", "a;to-tag=1\r\nX;from-tag=2", 'a;to-tag="1;x";from-tag=2'),
    "a,b;to-tag=1;from-tag=2",
]


@pytest.mark.parametrize("text", NO_DIALOG)
def test_what_names_no_dialog(text: str) -> None:
    with pytest.raises(PeerError):
        parse_named(text)


def test_it_is_written_as_it_was_read() -> None:
    for text in ("12345@host;to-tag=ours;from-tag=theirs", "a;to-tag=1;from-tag=2;early-only"):
        assert str(parse_named(text)) == text


def test_either_tag_order_means_the_same_dialog() -> None:
    for one, other in (("ours", "theirs"), ("theirs", "ours")):
        assert Named("12345@host", one, other).is_dialog(KEY)
    assert not Named("12345@host", "ours", "ours").is_dialog(KEY)
    assert not Named("other", "ours", "theirs").is_dialog(KEY)


def test_two_are_refused_and_none_is_none() -> None:
    value = "a;to-tag=1;from-tag=2"
    assert read_replaces(Headers()) is None
    assert read_target_dialog(Headers([("Target-Dialog", value)])) == parse_named(value)
    for headers in (Headers([("Replaces", value)] * 2), Headers([("Replaces", f"{value},{value}")])):
        with pytest.raises(PeerError):
            read_replaces(headers)


@pytest.mark.parametrize(
    ("text", "uri", "replaces"),
    [
        ("<sip:carol@example.com>", "sip:carol@example.com", ""),
        ("sip:carol@example.com", "sip:carol@example.com", ""),
        ('"Carol" <sip:carol@example.com;user=phone>', "sip:carol@example.com;user=phone", ""),
        ("<tel:+15551234567>", "tel:+15551234567", ""),
        # JsSIP and SIP.js escape the value, some phones do not, and some add the option tag.
        ("<sip:c@e.com?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>", "sip:c@e.com", "a@b"),
        ("<sip:c@e.com?Replaces=a;to-tag=1;from-tag=2>", "sip:c@e.com", "a"),
        ("<sip:c@e.com?Require=replaces&replaces=a%3Bfrom-tag%3D2%3Bto-tag%3D1%3Bearly-only>", "sip:c@e.com", "a"),
        ("sip:c@e.com?Replaces=a%3Bto-tag%3D1%3Bfrom-tag%3D2", "sip:c@e.com", "a"),
    ],
)
def test_where_a_refer_leads(text: str, uri: str, replaces: str) -> None:
    found = read_refer_to(Headers([("Refer-To", text)]))
    assert str(found.uri) == uri
    assert found.method == "INVITE"
    assert (found.replaces.call_id if found.replaces else "") == replaces


def test_another_method_is_told_and_not_left_in_the_uri() -> None:
    found = read_refer_to(Headers([("Refer-To", "<sip:c@e.com;method=BYE;x=1>")]))
    assert (found.method, str(found.uri)) == ("BYE", "sip:c@e.com;x=1")


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("<sip:a@b>", "<sip:a@b>"),
        ("<sip:a@b>, <sip:c@d>",),
        ("nonsense",),
        ("<sip:a@b?Replaces=%FF%FE>",),
        ("<sip:a@b?Replaces=>",),
    ],
)
def test_a_refer_to_that_leads_nowhere(values: tuple[str, ...]) -> None:
    with pytest.raises(PeerError):
        read_refer_to(Headers([("Refer-To", value) for value in values]))


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_refer_to, read_replaces, read_target_dialog):
        for name in ("Refer-To", "Replaces", "Target-Dialog"):
            try:
                read(Headers([(name, text)]))
            except PeerError:
                continue
