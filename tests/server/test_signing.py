"""Both official validators take every signature (API.md 10.3, 15.2 item 4)."""

from urllib.parse import parse_qsl, urlencode

import pytest
from signalwire.core.security.webhook_validator import (
    validate_request,
    validate_webhook_signature,
    validate_webhook_signature_sha256,
)
from twilio.request_validator import RequestValidator

from offhook.server.signing import signed
from offhook.transport.http_url import parse_url

KEY = "PSK_0123456789abcdef0123456789abcdef"
URLS = [
    "http://127.0.0.1:8080/hook",
    "http://example.test/hook",
    "http://example.test:80/hook?x=1&y=%C3%BC",
    "https://example.test/hook?x=1",
    "https://example.test:443/",
    "https://example.test:8443/a/b%20c?",
    "https://user:secret@example.test/hook#part",
    "http://example.test",
    "http://bücher.test/grüße?n=ß",
]
FIELDS = {
    "To": "+15125550100",
    "From": "sip:bob@pbx.example.com",
    "CallerName": "Jürgen Ωmega 😀",
    "b": "1 + 1 = 2&x",
    "B": "2",
}


@pytest.mark.parametrize("url", URLS)
def test_json(url: str) -> None:
    at = parse_url(url).written
    body = '{"event_type":"calling.call.state","params":{"name":"Jürgen 😀","n":[1,2]}}'
    headers = dict(signed(KEY, "POST", at, "json", body))
    assert validate_webhook_signature(KEY, headers["X-SignalWire-Signature"], at, body)
    assert validate_webhook_signature_sha256(KEY, headers["X-SignalWire-Sha256-Signature"], at, body)
    assert not validate_webhook_signature("another", headers["X-SignalWire-Signature"], at, body)
    assert not validate_webhook_signature(KEY, headers["X-SignalWire-Signature"], at, body + " ")
    assert "X-Twilio-Signature" not in headers


@pytest.mark.parametrize("url", URLS)
def test_form(url: str) -> None:
    at, body = parse_url(url).written, urlencode(FIELDS)
    headers = dict(signed(KEY, "POST", at, "form", body))
    assert headers["X-SignalWire-Signature"] == headers["X-Twilio-Signature"]
    assert "X-SignalWire-Sha256-Signature" not in headers
    assert validate_webhook_signature(KEY, headers["X-SignalWire-Signature"], at, body)
    assert validate_request(KEY, headers["X-SignalWire-Signature"], at, dict(parse_qsl(body)))
    assert RequestValidator(KEY).validate(at, FIELDS, headers["X-Twilio-Signature"])
    assert not RequestValidator(KEY).validate(at, {**FIELDS, "To": "x"}, headers["X-Twilio-Signature"])


@pytest.mark.parametrize("url", URLS)
def test_get(url: str) -> None:
    at = parse_url(url).written
    at += ("&" if "?" in at else "?") + urlencode(FIELDS)
    headers = dict(signed(KEY, "GET", at, "form", urlencode(FIELDS)))
    assert validate_webhook_signature(KEY, headers["X-SignalWire-Signature"], at, "")
    assert RequestValidator(KEY).validate(at, {}, headers["X-Twilio-Signature"])
