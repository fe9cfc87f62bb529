"""What a trace hides and what it shows; lengths stay."""

import pytest

from offhook.calls.effects import Happened
from offhook.server.redaction import without_digits, without_secrets


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ('Authorization: Digest username="alice", nonce="n", response="0123456789abcdef"', "0123456789abcdef"),
        ("Proxy-Authorization: Digest response=0123456789abcdef, qop=auth", "0123456789abcdef"),
        ('Authentication-Info: rspauth="feed", nextnonce="n"', "feed"),
        ("Authorization: Bearer eyJhbGciOiJFZERTQSJ9.e30.sig", "eyJhbGciOiJFZERTQSJ9.e30.sig"),
        ("X-Access-Token: abcdef", "abcdef"),
        ("X-Note: eyJhbGciOiJFZERTQSJ9.e30.sig", "hbGciOiJFZERTQSJ9"),
        (
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20",
            "PS1uQCVeeCFCanVmcjkp",
        ),
        ("a=ice-pwd:asd88fgpdd777uzjYhagZg", "asd88fgpdd777uzjYhagZg"),
        ("Contact: <sip:alice:swordfish@192.0.2.1>", "swordfish"),
        ("Route: <sip:edge.example;lr;token=abcd1234>", "abcd1234"),
        ("Contact: <sip:a@b;pn-prid=device-key>", "device-key"),
    ],
)
def test_hidden(line: str, hidden: str) -> None:
    data = f"INVITE sip:bob@example.com SIP/2.0\r\n{line}\r\nSubject: x\r\n".encode()
    clean = without_secrets(data)
    assert hidden.encode() not in clean
    assert len(clean) == len(data)
    assert clean.endswith(b"\r\nSubject: x\r\n")


@pytest.mark.parametrize(
    "line",
    [
        'WWW-Authenticate: Digest realm="example.com", nonce="shown", algorithm=MD5, qop="auth"',
        "Replaces: call-1;to-tag=a;from-tag=b",
        "Authorization: Digest username=alice, nonce=shown, cnonce=shown",
        "a=fingerprint:sha-256 AA:BB",
        "a=ice-ufrag:abcd",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKtoken",
        "Contact: <sip:alice@192.0.2.1:5060;transport=ws>",
    ],
)
def test_shown(line: str) -> None:
    assert without_secrets(f"{line}\r\n".encode()) == f"{line}\r\n".encode()


def test_keys_that_are_pressed_are_not_logged() -> None:
    pressed = Happened("call.digit", "c", "l", (("digit", "7"), ("ms", "120"), ("method", "info")))
    assert without_digits(pressed).details == (("ms", "120"), ("method", "info"))
    ended = Happened("call.ended", "c", "l", (("code", "hangup"),))
    assert without_digits(ended) is ended
