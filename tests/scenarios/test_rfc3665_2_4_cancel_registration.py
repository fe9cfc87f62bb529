"""RFC 3665 2.4: `Contact: *` with `Expires: 0` takes all bindings away."""

import pytest

from tests.support.link import Link
from tests.support.registering import Registering

pytestmark = pytest.mark.ladder


def test_rfc3665_2_4_cancel_registration(link: Link) -> None:
    bob = Registering(link)
    bob.register("<sip:bob@127.0.0.2:5070>")
    bob.register("<sip:bob@mobile.example.com>")
    answer = bob.register("*", Expires="0")
    assert (answer.status, answer.headers.get("Contact")) == (200, None)
    assert bob.bindings == ()
    link.run(40)
    assert (bob.node.node.timers, bob.node.node.transactions) == (0, 0)
