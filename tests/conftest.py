"""Fixtures of all tests."""

from collections.abc import Iterator

import pytest

from tests.support.link import Link


@pytest.fixture
def link() -> Iterator[Link]:
    """Virtual clock and network in memory; pytest shows the ladder of a failed test."""
    network = Link()
    yield network
    print(network.ladder())
