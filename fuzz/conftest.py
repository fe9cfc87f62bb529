"""The long form takes its time."""

import pytest

from fuzz.support import LONG


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An hour for a target of the long form."""
    for item in items:
        if LONG and item.path.parent.name == "fuzz":
            item.add_marker(pytest.mark.timeout(3600))
