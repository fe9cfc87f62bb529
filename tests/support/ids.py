"""Identifiers and randomness from a seed."""

import random


class SeededIds:
    """The same seed gives the same tokens."""

    def __init__(self, seed: int = 0, prefix: str = "") -> None:
        self._random = random.Random(seed)
        self._prefix = prefix

    def token(self) -> str:
        return f"{self._prefix}{self._random.getrandbits(64):016x}"

    def ref(self) -> str:
        number = f"{self._random.getrandbits(128):032x}"
        return f"{number[:8]}-{number[8:12]}-7{number[13:16]}-a{number[17:20]}-{number[20:]}"

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def octets(self, count: int) -> bytes:
        return self._random.randbytes(count)
