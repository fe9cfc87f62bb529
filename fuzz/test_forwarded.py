"""Invariant: whatever a proxy's fields hold, the client is an IP address or unknown, and its host is fit for a Via."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from fuzz.support import fuzzed, mutated
from offhook.transport.forwarded import UNKNOWN, client_of

VALUES = [
    b'for=192.0.2.1;proto=https;host=a.example, for="[2001:db8::1]:80";by=_x',
    b"192.0.2.1, 10.0.0.1",
    b"https",
    b"a.example:443",
]
NAMES = (b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")


@fuzzed
@given(st.lists(st.tuples(st.sampled_from(NAMES), mutated(VALUES)), max_size=4))
def test_forwarded(fields: list[tuple[bytes, bytes]]) -> None:
    client = client_of(fields, "127.0.0.1", lambda address: address.startswith(("127.", "10.")))
    if client.address != UNKNOWN:
        ipaddress.ip_address(client.address)
    assert client.host.isascii()
    assert not set(client.host) & set(' ;,<>"\r\n')
