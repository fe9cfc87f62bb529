"""WS-12: whom a proxy serves, and whom we believe."""

import ipaddress

import pytest

from offhook.transport.forwarded import Client, client_of

NETWORKS = [ipaddress.ip_network(one) for one in ("127.0.0.0/8", "10.0.0.0/8", "fd00::/8")]


def trusts(address: str) -> bool:
    try:
        return any(ipaddress.ip_address(address) in network for network in NETWORKS)
    except ValueError:
        return False


def seen(peer: str, **fields: str) -> Client:
    return client_of(
        [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()], peer, trusts
    )


CASES = [
    # 1. A stranger's words count for nothing.
    ("203.0.113.9", {"x_forwarded_for": "127.0.0.1", "x_forwarded_proto": "https"}, Client("203.0.113.9")),
    # 2. One proxy, three dialects.
    ("127.0.0.1", {"x_forwarded_for": "203.0.113.9", "x_forwarded_proto": "https"}, Client("203.0.113.9", True)),
    (
        "127.0.0.1",
        {"forwarded": "for=203.0.113.9;proto=https;host=pbx.example"},
        Client("203.0.113.9", True, "pbx.example"),
    ),
    ("127.0.0.1", {"forwarded": 'For="[2001:db8::9]:4711" ; Proto=HTTPS'}, Client("2001:db8::9", True)),
    ("127.0.0.1", {"x_forwarded_for": "203.0.113.9:4711"}, Client("203.0.113.9")),
    # 3. A chain: the first untrusted address from our side; what it claims to have served is its invention.
    ("127.0.0.1", {"x_forwarded_for": "127.0.0.1, 203.0.113.9, 10.0.0.7"}, Client("203.0.113.9")),
    (
        "127.0.0.1",
        {"x_forwarded_for": "8.8.8.8, 203.0.113.9", "x_forwarded_proto": "https, http"},
        Client("203.0.113.9"),
    ),
    ("127.0.0.1", {"forwarded": "for=8.8.8.8;proto=https, for=203.0.113.9"}, Client("203.0.113.9")),
    # 4. Every step trusted: the last one named.
    ("127.0.0.1", {"x_forwarded_for": "10.0.0.9, 10.0.0.7", "x_forwarded_proto": "https"}, Client("10.0.0.9", True)),
    # 5. Nothing said: the proxy itself; something said, but not who: nobody, and never loopback.
    ("127.0.0.1", {}, Client("127.0.0.1")),
    ("127.0.0.1", {"x_forwarded_proto": "https"}, Client("unknown", True)),
    ("127.0.0.1", {"forwarded": "for=_hidden;proto=https"}, Client("unknown", True)),
    ("127.0.0.1", {"x_forwarded_for": "<script>"}, Client("unknown")),
    ("127.0.0.1", {"forwarded": "for=203.0.113.9, " + '"\\' * 1000}, Client("unknown")),
    # 6. Forwarded is the standard, and wins.
    ("127.0.0.1", {"forwarded": "for=203.0.113.9", "x_forwarded_for": "203.0.113.10"}, Client("203.0.113.9")),
    # 7. A host that is none is not written into a Via.
    ("127.0.0.1", {"x_forwarded_for": "203.0.113.9", "x_forwarded_host": "a b;evil"}, Client("203.0.113.9")),
    (
        "127.0.0.1",
        {"x_forwarded_for": "203.0.113.9", "x_forwarded_host": "PBX.example:443"},
        Client("203.0.113.9", False, "pbx.example:443"),
    ),
    (
        "127.0.0.1",
        {"forwarded": 'for="a\\"b, c";proto=https, for=203.0.113.9;proto=https'},
        Client("203.0.113.9", True),
    ),
]


@pytest.mark.parametrize(("peer", "fields", "expected"), CASES)
def test_clients(peer: str, fields: dict[str, str], expected: Client) -> None:
    assert seen(peer, **fields) == expected
