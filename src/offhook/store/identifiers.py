"""Identifiers of rows and calls: UUID version 7, whose order is the order of creation (RFC 9562 section 5.7)."""

import os
import time


def new_id() -> str:
    """A lower-case UUID version 7."""
    return _written(_drawn())


class AscendingIds:
    """UUIDs version 7 each of which is greater than the one before, also within a millisecond and when the clock is set
    back; `after` is the greatest one that is known already (RFC 9562 section 6.2, method 2)."""

    def __init__(self, after: str = "") -> None:
        self._last = int(after.replace("-", "") or "0", 16)

    def __call__(self) -> str:
        self._last = max(_drawn(), self._last + 1)
        # A carry would run into the bits that say which version it is: those of the next try do not.
        while (self._last >> 76) & 0xF != 0x7 or (self._last >> 62) & 0b11 != 0b10:
            self._last = (self._last >> 80) + 1 << 80 | 0x7 << 76 | 0b10 << 62
        return _written(self._last)


def _drawn() -> int:
    milliseconds = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10), "big")
    return milliseconds << 80 | 0x7 << 76 | (chance & 0xFFF) << 64 | 0b10 << 62 | chance >> 18


def _written(value: int) -> str:
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
