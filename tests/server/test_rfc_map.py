"""docs/reference/rfc-map.md tells the truth about what is where: every file and test it names exists, no RFC is left out."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "rfc-map.md").read_text(encoding="utf-8")

NUMBERS = """
3261 6026 4320 4321 3262 3311 6141 3263 6157 3581 3264 6337 8866 4566 7118 5626 5627 3327 3608 7616 8760 3310 8898 4028 3515
3420 3892 3891 4488 4538 5589 7647 7614 3911 6665 3265 5057 4235 3842 3680 5628 3856 3863 3903 4662 3857 4825 5839 3428 4975
5438 6086 2976 5168 4733 2833 4734 3323 3324 3325 3893 3326 6432 9366 7044 4244 5806 7544 3840 3841 3960 5009 5393 7332 3725
4579 4353 4575 3966 5621 5373 7433 5922 5630 5923 6228 8197 8688 4475 5118 5954 3665 5359 5407 4568 8643 5763 5764 8122 8842
8445 8839 6544 8838 8840 9143 8843 5888 8859 8830 5761 8858 3605 9429 8829 8841 8851 8853 4585 5104 5506 8285 5939 4916 7339
7200 7989 5031 8599 8224 8225 8226 8588 8946 6140 7866 3312 4032 3313 3329 4412 7315 7976 7463
"""
"""Every RFC of the signalling contract, served, refused or later."""

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| section")
]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def exists(path: str) -> bool:
    inside = ("crates/", "tests/", "interop/", "web/", "docs/")
    return (ROOT / path if path.startswith(inside) else ROOT / "src" / "offhook" / path).exists()


def has(test: str) -> bool:
    """`path` or `path::function`."""
    path, _, function = test.partition("::")
    if not exists(path) or not path.startswith(("tests/", "interop/", "crates/", "web/")):
        return False
    return not function or re.search(rf"(?m)^(?:async )?(?:def|fn) {function}\b", (ROOT / path).read_text()) is not None


@pytest.mark.parametrize("rfc", NUMBERS.split())
def test_every_rfc_of_the_contract_is_spoken_of(rfc: str) -> None:
    assert re.search(rf"\b{rfc}\b", PAGE)


def test_every_row_has_a_file_and_a_test() -> None:
    assert len(ROWS) > 80
    for row in ROWS:
        assert len(row) == 4, row
        assert named(row[2]), row
        assert named(row[3]), row


def test_every_file_and_test_that_is_named_exists() -> None:
    files = {path for row in ROWS for path in named(row[2])}
    tests = {test for row in ROWS for test in named(row[3])} | set(re.findall(r"`(tests/[^`]+::[^`]+)`", PAGE))
    assert sorted(path for path in files if not exists(path)) == []
    assert sorted(test for test in tests if not has(test)) == []
