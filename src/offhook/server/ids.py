"""The system's identifiers and randomness, handed to the core (offhook.sip.ids.Ids)."""

import os
import random

from offhook.store.identifiers import new_id

DRAWN = 128
"""Tokens drawn from the operating system at once."""
OCTETS = 1_024
"""Octets drawn at once: every answer to a page has eight of them in its temporary GRUU, every challenge in its nonce."""


class SystemIds:
    """Randomness of the operating system."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()
        self._tokens: list[str] = []
        self._octets, self._at = b"", 0

    def token(self) -> str:
        """96 random bits in 24 characters of lower case and digits, which every SIP parser takes. Drawn in advance: a call
        needs a dozen, and each draw is a system call."""
        if not self._tokens:
            digits = os.urandom(12 * DRAWN).hex()
            self._tokens = [digits[at : at + 24] for at in range(0, len(digits), 24)]
        return self._tokens.pop()

    def ref(self) -> str:
        """A UUID version 7."""
        return new_id()

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def octets(self, count: int) -> bytes:
        """Drawn in advance too, and given out once; many at a time straight from the system."""
        if count > OCTETS // 8:
            return os.urandom(count)
        if self._at + count > len(self._octets):
            self._octets, self._at = os.urandom(OCTETS), 0
        self._at += count
        return self._octets[self._at - count : self._at]
