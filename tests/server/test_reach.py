"""Pages are told a WebSocket under a name that they reach and whose certificate they trust."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from offhook.server.certificates.served import Files, Served, Shown
from offhook.server.reach import page_url, websocket_urls

NAMES = frozenset({"pbx.example.com", "*.example.net", "192.168.1.5", "fd00::5"})


def app(https: str | None = "0.0.0.0:8443", domain: str = "localhost", acme: tuple[str, ...] = (), **more: Any) -> Any:
    served = Served(Files(Path("none"), Path("none")))
    served.shown = Shown("CN=pbx", datetime(2027, 1, 1, tzinfo=UTC), NAMES)
    return SimpleNamespace(
        listeners={"http": "0.0.0.0:8080", **({"https": https} if https else {})},
        page_host="localhost",
        websocket_url="ws://localhost:8080",
        certificates=SimpleNamespace(served=served if https else None),
        settings=SimpleNamespace(
            http=SimpleNamespace(loopback=more.get("loopback", False)), acme=SimpleNamespace(domains=acme)
        ),
        store=SimpleNamespace(space=SimpleNamespace(domain=domain)),
    )


@pytest.mark.parametrize(
    ("server", "asked", "told"),
    [
        # Over TLS: whoever asks trusts the certificate already, a proxy's too.
        (app(), "https://pbx.example.com:8443", "wss://pbx.example.com:8443"),
        (app(https=None), "https://pbx.example.com", "wss://pbx.example.com"),
        # In clear, by a name or an address of the certificate.
        (app(), "http://192.168.1.5:8080", "wss://192.168.1.5:8443"),
        (app(), "http://[fd00::5]:8080", "wss://[fd00::5]:8443"),
        (app(), "http://a.example.net:8080", "wss://a.example.net:8443"),
        # A back end on the same machine, or in a network whose names no browser knows: the public name.
        (app("0.0.0.0:443", acme=("pbx.example.com",)), "http://127.0.0.1:80", "wss://pbx.example.com"),
        (app(domain="pbx.example.com"), "http://10.0.0.9:8080", "wss://pbx.example.com:8443"),
        # A domain that the certificate has not is no place to connect to.
        (app(domain="sip.elsewhere.example"), "http://127.0.0.1:8080", "wss://localhost:8443"),
        # Nobody but this machine.
        (app("127.0.0.1:8443", domain="pbx.example.com", loopback=True), "", "wss://localhost:8443"),
        (app(https=None), "http://localhost:8080", "ws://localhost:8080"),
        (app(https=None), "", "ws://localhost:8080"),
    ],
)
def test_where_pages_connect(server: Any, asked: str, told: str) -> None:
    assert websocket_urls(server, asked) == [told]


def test_what_a_person_opens() -> None:
    assert page_url(app("0.0.0.0:443", acme=("pbx.example.com",))) == "https://pbx.example.com"
    assert page_url(app("127.0.0.1:8443", loopback=True)) == "https://localhost:8443"
