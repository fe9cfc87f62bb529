"""What reaches the log."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from offhook.server.observe import clean, set_up


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


def test_secrets_inside_of_other_values_are_redacted() -> None:
    assert clean({"a": ["password=s3cret", ("token=s3cret",)], "n": 1}) == {
        "a": ["password=***", ["token=***"]],
        "n": 1,
    }


@pytest.fixture
def fresh_log() -> Iterator[None]:
    """The log of this test alone."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.mark.usefixtures("fresh_log")
def test_json_has_an_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json")
    log = structlog.get_logger("offhook").bind()
    log.info("call.answered", call_ref="0199", details={"said": "tw\no", "password": "password=s3cret"}, strange={1, 2})
    logging.getLogger("library").warning("it\nsaid %s", "token=s3cret")
    one, two = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (one["event"], one["level"], one["call_ref"]) == ("call.answered", "info", "0199")
    assert one["details"] == {"said": "tw\\x0ao", "password": "password=***"}
    assert one["strange"] == "{1, 2}"
    assert (two["event"], two["level"], two["logger"]) == ("it\\x0asaid token=***", "warning", "library")
    assert one["timestamp"].endswith("Z")
    assert two["timestamp"].endswith("Z")
