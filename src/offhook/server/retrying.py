"""When a webhook is tried again, and when it is given up (API.md 10.3). Pure: time and chance are arguments."""

from collections.abc import Callable

TRIES = 11
"""The first, and ten more."""
SPREAD = 0.2
"""Each wait is drawn from 20 % less to 20 % more, so that those that failed together do not come back together."""
GONE = 410
"""The receiver says that it never wants it again."""


def verdict(status: int | None, tries: int) -> str:
    """What becomes of a delivery after its try number `tries`, which was answered with `status` (None: not at all):
    `delivered`, `failed` or `pending`."""
    if status is not None and 200 <= status < 300:
        return "delivered"
    return "failed" if status == GONE or tries >= TRIES else "pending"


def wait(tries: int, first: float, uniform: Callable[[float, float], float]) -> float:
    """Seconds from try number `tries` to the next: 1 2 4 … 512 times `first`, spread."""
    return first * float(2 ** (tries - 1)) * uniform(1 - SPREAD, 1 + SPREAD)
