"""RFC 3665 2.1: a new registration: challenge, proof, 200 with the binding and its time."""

import pytest

from tests.support.link import Link
from tests.support.nodes import authorized
from tests.support.registering import AOR, Registering

pytestmark = pytest.mark.ladder


def test_rfc3665_2_1_registration(link: Link) -> None:
    bob = Registering(link)
    request = bob.request("<sip:bob@127.0.0.2:5070>")
    # F1, F2: 401 with one challenge, which every client takes
    challenge = bob.send(request)
    assert challenge.status == 401
    (only,) = challenge.headers.all("WWW-Authenticate")
    assert only.startswith('Digest realm="example.com", nonce="')
    assert "algorithm=MD5" in only
    assert bob.bindings == ()
    # F3, F4: the binding
    answer = bob.send(authorized(request, challenge, "bob"))
    assert (answer.status, answer.headers.get("Contact")) == (200, "<sip:bob@127.0.0.2:5070>;expires=600")
    assert [(binding.aor, binding.flow.id) for binding in bob.bindings] == [(AOR, bob.flow.id)]
    # A copy of F3 gets the same answer and changes nothing.
    written = len(bob.node.updates)
    bob.node.feed(bob.node.received[-1], bob.flow)
    assert bob.node.sent[-1] == answer
    assert len(bob.node.updates) == written
