"""RFC 3665 2.3: REGISTER without Contact lists the bindings and changes none."""

import pytest

from offhook.sip.fields import split_list
from tests.support.link import Link
from tests.support.registering import Registering

pytestmark = pytest.mark.ladder


def test_rfc3665_2_3_fetch_contacts(link: Link) -> None:
    bob = Registering(link)
    bob.register("<sip:bob@127.0.0.2:5070>")
    bob.register("<sip:bob@mobile.example.com>")
    written, before = len(bob.node.updates), bob.bindings
    answer = bob.register(None)
    assert answer.status == 200
    (line,) = answer.headers.all("Contact")
    assert len(split_list(line)) == 2
    assert (len(bob.node.updates), bob.bindings) == (written, before)
