"""What is judged by all rows of a kind is judged and written by one request at a time: `async with alone("numbers"):`."""

import asyncio

from offhook.turns import Turns

_turns = Turns()


def alone(kind: str) -> asyncio.Lock:
    """The lock of a kind of rows."""
    return _turns.of(kind)
