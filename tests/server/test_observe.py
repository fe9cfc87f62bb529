"""What reaches the log."""

import pytest

from offhook.server.observe import clean


@pytest.mark.parametrize(
    "text",
    [
        'Authorization: Digest username="a", response="s3cret"',
        'proxy-authorization: Digest x="s3cret"',
        "a=ice-pwd:s3cret",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:s3cret|2^20",
        "password=s3cret&x=1",
        "?access_token=s3cret",
        'nonce="s3cret"',
    ],
)
def test_secrets_are_redacted(text: str) -> None:
    assert "s3cret" not in clean(text)
    assert "***" in clean(text)


def test_control_characters_become_visible() -> None:
    assert clean("a\r\nb\x00c\x1b[31m\u2028") == "a\\x0d\\x0ab\\x00c\\x1b[31m\\x2028"


def test_long_values_are_cut() -> None:
    assert len(clean("x" * 100_000)) < 10_000
