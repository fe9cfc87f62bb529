"""Identifiers of rows and calls: UUID version 7, whose order is the order of creation (RFC 9562 section 5.7)."""

import os
import time


def new_id() -> str:
    """A lower-case UUID version 7."""
    milliseconds = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10), "big")
    value = milliseconds << 80 | 0x7 << 76 | (chance & 0xFFF) << 64 | 0b10 << 62 | chance >> 18
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
