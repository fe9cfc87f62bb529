"""Turns at an object: who changes it waits for who is changing it.

Without turns two changes that begin together are made from the same row, and the later one takes the earlier one back; and a
row that is deleted while it is changed comes back, in memory alone.
"""

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """`async with turns.of(id_)` around reading what is there, writing it and keeping it in memory."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, id_: str) -> asyncio.Lock:
        """The lock of an object; it lasts while somebody holds it or waits for it."""
        lock = self._locks.get(id_)
        if lock is None:
            lock = self._locks[id_] = asyncio.Lock()
        return lock
