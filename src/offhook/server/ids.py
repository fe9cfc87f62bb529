"""The system's identifiers and randomness, handed to the core (offhook.sip.ids.Ids)."""

import base64
import os
import random

from offhook.store.identifiers import new_id


class SystemIds:
    """Randomness of the operating system."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def token(self) -> str:
        """96 random bits in 20 characters of lower case and digits, which every SIP parser takes."""
        return base64.b32encode(os.urandom(12)).decode("ascii").rstrip("=").lower()

    def ref(self) -> str:
        """A UUID version 7."""
        return new_id()

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def octets(self, count: int) -> bytes:
        return os.urandom(count)
