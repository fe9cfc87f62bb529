"""Signatures of webhooks, as the official validators of both SDKs check them (API.md 10.3)."""

import hmac
from base64 import b64encode
from urllib.parse import parse_qsl

Headers = list[tuple[str, str]]
SIGNALWIRE, SHA256, TWILIO = "X-SignalWire-Signature", "X-SignalWire-Sha256-Signature", "X-Twilio-Signature"


def signed(key: str, method: str, url: str, kind: str, body: str) -> Headers:
    """The headers for one request. `url` is as it is sent, `kind` is `json` or `form`, `body` what is sent as body; a GET
    has none, its parameters stand in the URL."""
    if method != "GET" and kind == "json":
        text = f"{url}{body}".encode()
        return [(SIGNALWIRE, _mac(key, text, "sha1").hex()), (SHA256, _mac(key, text, "sha256").hex())]
    fields = sorted(parse_qsl(body, keep_blank_values=True)) if method != "GET" else []
    text = (url + "".join(name + value for name, value in fields)).encode()
    signature = b64encode(_mac(key, text, "sha1")).decode("ascii")
    return [(SIGNALWIRE, signature), (TWILIO, signature)]


def _mac(key: str, text: bytes, algorithm: str) -> bytes:
    return hmac.digest(key.encode(), text, algorithm)
