"""The page of promises names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "acceptance.md").read_text(encoding="utf-8")


def test_every_promise_names_tests_that_exist() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 31))
    for row in rows:
        named = re.findall(r"`((?:tests|interop|crates)/[^`]+)`", row)
        assert named or "not served yet" in row, row
        for one in named:
            file, _, test = one.partition("::")
            assert (ROOT / file).is_file(), one
            assert not test or f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), one
