"""How tests are spread over processes: each by itself, but those that share something of their file together."""

from collections.abc import Iterable

import pytest


def together(items: Iterable[pytest.Item]) -> None:
    """Tests with a fixture of their module's scope make one group (`--dist loadgroup`): one process, in their order."""
    for item in items:
        found = getattr(item, "_fixtureinfo", None)
        definitions = found.name2fixturedefs.values() if found is not None else ()
        if any(one[-1].scope == "module" and not one[-1].argname.startswith("_") for one in definitions):
            item.add_marker(pytest.mark.xdist_group(item.path.name))
