"""RFC 3665 2.5: the wrong password is challenged again, in the same words as no password."""

import pytest

from tests.support.link import Link
from tests.support.registering import Registering

pytestmark = pytest.mark.ladder


def test_rfc3665_2_5_wrong_password(link: Link) -> None:
    bob = Registering(link)
    challenge = bob.send(bob.request("<sip:bob@127.0.0.2:5070>"))
    answer = bob.register("<sip:bob@127.0.0.2:5070>", password="wrong")
    assert answer.status == 401
    assert [name for name, _ in answer.headers] == [name for name, _ in challenge.headers]
    assert "stale" not in (answer.headers.get("WWW-Authenticate") or "")
    assert bob.bindings == ()
