"""What the product promises in seconds: every run says what it saw, `make test LONG=1` on a quiet machine holds it to it.

How long a thing takes depends on the machine as well; that it comes about is what the tests assert in any case.
"""

import os
import time
from types import TracebackType

HELD_TO = bool(os.environ.get("LONG"))
"""Whether a promise that is broken is a failure: `make test LONG=1` sets it."""


def promised(what: str, seen: float, at_most: float) -> None:
    """Prints what was seen of a promise; too much of it is a failure if the product is held to it."""
    verdict = "kept" if seen <= at_most else "not kept"
    print(f"promise {verdict}: {what}: {seen:.3g}, at most {at_most:g}")
    assert seen <= at_most or not HELD_TO, f"{what}: {seen:.3g}, at most {at_most:g} is promised"


class Within:
    """`with Within("listens again", 1):` a promise in seconds."""

    def __init__(self, what: str, seconds: float) -> None:
        self._what, self._seconds = what, seconds

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            promised(f"{self._what}, seconds", time.monotonic() - self._began, self._seconds)
