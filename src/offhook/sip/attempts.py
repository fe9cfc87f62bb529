"""Wrong answers, counted by who gave them and from where (AUTH-8).

A user name alone is never locked, that would be a weapon: only the pair of a source and a user, and a source.
"""

import ipaddress
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

WINDOW = 600.0
"""Seconds over which wrong answers count, and for which there is then no verification."""


@lru_cache(maxsize=4096)
def source_of(host: str) -> str:
    """Whom an address belongs to: an IPv4 address by itself, of IPv6 the /64. Other text as it is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
        address = address.ipv4_mapped
    return str(address)


@dataclass(slots=True)
class _Party:
    times: deque[float]
    locked_until: float = 0.0


class Attempts:
    """`per_pair` wrong answers of one source for one user, or `per_source` of one source for anybody, within `WINDOW`
    lock that pair or source for as long. Remembers the `parties` heard last."""

    def __init__(self, per_pair: int, per_source: int, parties: int) -> None:
        self._per_pair = per_pair
        self._per_source = per_source
        self._limit = parties
        self._parties: dict[tuple[str, str], _Party] = {}

    def __len__(self) -> int:
        return len(self._parties)

    def locked(self, source: str, user: str, now: float) -> bool:
        """True while there is to be no verification."""
        pair, alone = self._parties.get((source, user)), self._parties.get((source, ""))
        return _locked(pair, now) or _locked(alone, now)

    def failed(self, source: str, user: str, now: float) -> str:
        """One wrong answer. `source` or `pair` when that was the last straw for it, else nothing."""
        pair = self._count((source, user), self._per_pair, now)
        return "source" if self.struck(source, now) else "pair" if pair else ""

    def struck(self, party: str, now: float) -> bool:
        """One wrong answer of, or for, one party alone; True when that was the last straw."""
        last = self._count((party, ""), self._per_source, now)
        while len(self._parties) > self._limit:
            del self._parties[next(iter(self._parties))]
        return last

    def succeeded(self, source: str, user: str) -> None:
        """A right answer: what came before were typing errors."""
        self._parties.pop((source, user), None)

    def _count(self, key: tuple[str, str], limit: int, now: float) -> bool:
        party = self._parties.pop(key, None) or _Party(deque(maxlen=limit))
        self._parties[key] = party
        party.times.append(now)
        if party.times and len(party.times) == limit and party.times[0] > now - WINDOW:
            party.locked_until = now + WINDOW
            party.times.clear()
            return True
        return False


def _locked(party: _Party | None, now: float) -> bool:
    return party is not None and party.locked_until > now
