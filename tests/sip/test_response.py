"""RFC 3261 8.2.6: what a response copies and adds."""

import pytest

from offhook.sip.message import Headers
from offhook.sip.response import phrase, response_to
from tests.support.messages import make_request


@pytest.mark.parametrize(
    ("to", "answered"),
    [
        ("<sip:bob@example.com>", "<sip:bob@example.com>;tag=ours"),
        ("sip:bob@example.com", "sip:bob@example.com;tag=ours"),
        ('";tag=no" <sip:bob@example.com;tag=no>', '";tag=no" <sip:bob@example.com;tag=no>;tag=ours'),
        ("<sip:bob@example.com>;tag=theirs", "<sip:bob@example.com>;tag=theirs"),
        ("<sip:bob@example.com> ; x=\"1\" ; TAG = theirs;y", "<sip:bob@example.com> ; x=\"1\" ; TAG = theirs;y"),
    ],
)  # fmt: skip
def test_to_tag_is_added_once_and_last(to: str, answered: str) -> None:
    response = response_to(make_request("OPTIONS", to=to), 200, to_tag="ours")
    assert response.headers.get("To") == answered


def test_100_has_no_tag_and_copies_timestamp() -> None:
    request = make_request("INVITE", Timestamp="54")
    trying = response_to(request, 100, to_tag="ours")
    assert (trying.headers.get("To"), trying.headers.get("Timestamp")) == ("<sip:bob@example.com>", "54")
    assert response_to(request, 180, to_tag="ours").headers.get("Timestamp") is None


def test_fields_come_in_order_and_nothing_is_invented() -> None:
    response = response_to(make_request("BYE"), 405, Headers([("Allow", "INVITE")]))
    assert [name for name, _ in response.headers] == ["Via", "From", "To", "Call-ID", "CSeq", "Allow"]


def test_unregistered_status_has_the_phrase_of_its_class() -> None:
    assert (phrase(486), phrase(499), phrase(200)) == ("Busy Here", "Bad Request", "OK")
