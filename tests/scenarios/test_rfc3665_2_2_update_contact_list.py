"""RFC 3665 2.2: a further contact is added; the answer lists both."""

import pytest

from offhook.sip.fields import split_list
from tests.support.link import Link
from tests.support.registering import Registering

pytestmark = pytest.mark.ladder


def test_rfc3665_2_2_update_contact_list(link: Link) -> None:
    bob = Registering(link)
    bob.register("<sip:bob@127.0.0.2:5070>")
    answer = bob.register("<sip:bob@mobile.example.com>")
    assert answer.status == 200
    (line,) = answer.headers.all("Contact")
    assert [value.partition(";")[0] for value in split_list(line)] == [
        "<sip:bob@mobile.example.com>",
        "<sip:bob@127.0.0.2:5070>",
    ]
    assert [str(new.contact) for new in bob.node.updates[-1].added] == ["sip:bob@mobile.example.com"]
