"""One table holds all words: codes that the engine's verdicts lead to, and codes that refuse a REST
request, are rows of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import offhook
from offhook.calls import refusals
from offhook.calls.catalogue import CATALOGUE, FINDING_OF_VERDICT

VERDICTS = Path(__file__).parent.parent.parent / "crates" / "media" / "src" / "verdict.rs"
SOURCES = Path(offhook.__file__).parent
PLACES = {"Fault": 1, "ApiError": 1, "not_found": 0, "unauthorized": 0}
"""Which argument is the code."""
WORDS = {"calls/catalogue.py", "calls/refusals.py"}
PENDING: frozenset[str] = frozenset()
"""Rows that nothing raises yet."""


def test_every_verdict_of_the_engine_has_words() -> None:
    named = set(re.findall(r'Verdict::new\("([a-z_]+)"\)', VERDICTS.read_text()))
    assert len(named) > 15
    # A leg without a source tells of the other leg's finding.
    assert named - {"no_source"} <= set(FINDING_OF_VERDICT)
    assert set(FINDING_OF_VERDICT.values()) <= set(CATALOGUE)


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCES.rglob("*.py")):
        yield path.relative_to(SOURCES).as_posix(), ast.parse(path.read_text())


def _refused(tree: ast.Module) -> Iterator[str]:
    """The codes that a file's own calls of the constructors of refusals name."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        place = PLACES.get(name)
        if place is None or len(node.args) <= place:
            continue
        given = node.args[place]
        for one in (given.body, given.orelse) if isinstance(given, ast.IfExp) else (given,):
            # A Fault of SIP names a slug, with hyphens.
            if isinstance(one, ast.Constant) and isinstance(one.value, str) and re.fullmatch("[a-z_]+", one.value):
                yield one.value


def test_every_code_of_a_refused_request_is_a_row() -> None:
    named = {(file, code) for file, tree in _trees() for code in _refused(tree)}
    assert len({code for _, code in named}) > 50
    assert {one for one in named if one[1] not in CATALOGUE} == set(), "add a row to calls/refusals.py"


def test_every_row_is_raised_somewhere() -> None:
    said: set[str] = set()
    for file, tree in _trees():
        if file not in WORDS:
            constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
            said |= {one.replace("-", "_") for one in constants if isinstance(one, str)}
    # The routing layer's own refusals are named after their status.
    said |= {"bad_request", "not_found", "method_not_allowed"}
    # Of two kinds of row that one file serves.
    said |= {f"{kind}_not_found" for kind in ("domain_application", "sip_address")}
    # A slug may begin a longer text, and verdicts are the engine's words.
    openings = {one.partition(" ")[0] for one in said}
    unsaid = set(CATALOGUE) - said - openings - set(FINDING_OF_VERDICT.values())
    assert unsaid <= PENDING, f"nothing raises {sorted(unsaid - PENDING)}"


def test_codes_are_told_apart() -> None:
    rows = [*CATALOGUE.values()]
    assert len(rows) == len({row.slug for row in rows})
    numbers = [number for number, _, _ in refusals.COMPAT]
    assert len(numbers) == len(set(numbers))
    for row in rows:
        assert re.fullmatch("[a-z][a-z_]+", row.code), row
        assert row.cause, row
        assert row.remedy, row
        assert not (row.cause + row.remedy).endswith("."), row
        assert row.severity in ("info", "warning", "error"), row
