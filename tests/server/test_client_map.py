"""docs/reference/clients.md names tests that are there, and is right about which of them run with every change."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "clients.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`( \(long\))?", PAGE)))


def marks_and_all(text: str, name: str) -> str:
    """The lines of the decorators above a test."""
    head = re.search(rf"((?:^@(?:[^\n]*\n(?:[ )\]][^\n]*\n)*))*)^async def {name}\(", text, re.MULTILINE)
    assert head is not None, name
    return head.group(1)


@pytest.mark.parametrize(("file", "test", "long"), NAMED)
def test_every_test_that_is_named_exists(file: str, test: str, long: str) -> None:
    text = (ROOT / "interop" / file).read_text(encoding="utf-8")
    if test and long:
        assert "mark.long" in marks_and_all(text, test)
    elif test:
        assert f"async def {test}(" in text
        assert not re.search(r"^@pytest\.mark\.long$", marks_and_all(text, test), re.MULTILINE)


def test_every_client_of_the_plan_has_its_column() -> None:
    for name in ("Chromium", "Firefox ESR", "JsSIP 3.13", "SIP.js 0.21", "baresip", "Linphone", "SIPp", "Kamailio"):
        assert name in PAGE, name
    assert len(NAMED) > 40
