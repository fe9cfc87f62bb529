"""Every word that a registration is refused with, or an operator is told, is a row of the catalogue."""

import re
from pathlib import Path

import offhook
from offhook.calls.catalogue import CATALOGUE

SOURCES = ("sip/registrar.py", "sip/contacts.py", "sip/tokens.py", "sip/credentials.py", "server/gate.py")
RAISED = re.compile(r"""(?:warning|Fault|Note|bad_contact|_warning)\(\s*"([a-z]+(?:-[a-z]+)+)\"""")
ELSEWHERE = {"request-malformed"}
"""Of the parser, for any request."""


def test_slugs_stand_in_the_catalogue() -> None:
    found = set()
    for name in SOURCES:
        found |= set(RAISED.findall((Path(offhook.__file__).parent / name).read_text()))
    assert len(found) > 10
    assert {slug for slug in found if slug.replace("-", "_") not in CATALOGUE} <= ELSEWHERE


SAID = re.compile(
    r"""(?:warning\(\s*|_unavailable\(\s*request, flow, |close\(\d+, |CloseFlow\([^"]*|slug: str = |slug = )"""
    r'"([a-z]+(?:-[a-z]+)*)"'
)


def test_whatever_is_said_on_the_wire_stands_in_the_catalogue() -> None:
    """WS-13 and every Warning: a slug can be looked up."""
    root = Path(offhook.__file__).parent
    found = {
        (path.relative_to(root).as_posix(), slug)
        for room in ("sip", "transport", "calls")
        for path in (root / room).rglob("*.py")
        for slug in SAID.findall(path.read_text())
    }
    assert len({slug for _, slug in found}) > 15
    assert {one for one in found if one[1].replace("-", "_") not in CATALOGUE} == set()
