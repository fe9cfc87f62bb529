"""docs/reference/media-map.md tells the truth: every file and test it names exists, no verdict, trap or rule is left out."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "media-map.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.endswith("| file | test |")
]
ELSEWHERE = ("crates/", "tests/", "interop/", "src/")


def path_of(name: str, folder: str) -> Path:
    return ROOT / name if name.startswith(ELSEWHERE) else ROOT / "crates" / "media" / folder / name


def has(test: str) -> bool:
    """`path` or `path::function`; a target of crates/fuzz is named by the macro that makes its tests."""
    name, _, function = test.partition("::")
    path = path_of(name, "tests")
    if not path.is_file():
        return False
    return not function or re.search(rf"(?m)^\s*(?:async )?(?:def|fn) {function}\b", path.read_text()) is not None


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_row_has_a_file_and_a_test_that_exist() -> None:
    assert len(ROWS) > 70
    for row in ROWS:
        assert len(row) == 3, row
        assert named(row[1]), row
        assert [name for name in named(row[1]) if not path_of(name, "src").is_file()] == [], row
        assert named(row[2]), row
        assert [test for test in named(row[2]) if not has(test)] == [], row


def test_every_verdict_of_the_engine_is_spoken_of() -> None:
    source = (ROOT / "crates" / "media" / "src" / "verdict.rs").read_text(encoding="utf-8")
    given = set(re.findall(r'Verdict::new\("(\w+)"\)', source))
    assert len(given) > 20
    assert given <= {name for row in ROWS for name in named(row[0])}


@pytest.mark.parametrize("trap", range(1, 23))
def test_every_trap_is_spoken_of(trap: int) -> None:
    assert any(row[0].startswith(f"{trap} ") for row in ROWS)


def test_every_fuzz_target_is_run() -> None:
    folder = ROOT / "crates" / "fuzz"
    targets = {path.stem for path in (folder / "src" / "targets").glob("*.rs")} - {"mod"}
    assert targets <= set(re.findall(r"\w+", (folder / "tests" / "targets.rs").read_text(encoding="utf-8")))
