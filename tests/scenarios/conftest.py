"""Scenarios marked `ladder` are compared, message by message, with the ladder stored under their name.

`LADDERS=write pytest tests/scenarios` stores anew what was drawn; read the difference before you keep it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.link import Link

STORED = Path(__file__).parent / "ladders"


def drawn(link: Link) -> str:
    """One arrow a line, without times: who sends what to whom, in order, `x` for what is lost."""
    lines = [f"{step.sender} {'-x' if step.lost else '->'} {step.receiver}: {step.text}" for step in link.steps]
    return "\n".join(lines) + "\n"


@pytest.fixture
def link(request: pytest.FixtureRequest) -> Iterator[Link]:
    """See tests/conftest.py; the ladder is compared when the test is over."""
    network = Link()
    yield network
    print(network.ladder())
    if request.node.get_closest_marker("ladder") is None:
        return
    path = STORED / f"{request.node.name.removeprefix('test_')}.txt"
    now = drawn(network)
    if os.environ.get("LADDERS") == "write":
        path.write_text(now)
    assert path.exists(), f"no ladder is stored for {request.node.name}: LADDERS=write stores it"
    assert now.splitlines() == path.read_text().splitlines(), f"{path.name} differs: LADDERS=write stores it anew"
