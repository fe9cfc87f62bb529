"""Identifiers of rows and calls: UUID version 7, whose order is the order of creation (RFC 9562 section 5.7)."""

import secrets
import time
import uuid


def new_id() -> str:
    """A lower-case UUID version 7."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
