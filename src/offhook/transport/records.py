"""DNS records with a memory: asked once, kept for their time to live, kept longer while DNS itself is down.

Lives here: single questions and their answers. Never here: what the answers mean (resolver.py). DNS is dnspython's.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver


class LookUpFailed(Exception):
    """No answer could be had, or it leads nowhere; the text is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Naptr:
    """RFC 3403; only the fields RFC 3263 reads. `service` is upper case, names have no dot at their end."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    """RFC 2782. `target` "" is the record that says: not here."""

    priority: int
    weight: int
    port: int
    target: str


Record = Naptr | Srv | str


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """Seconds and counts, rows of the limits table."""

    servers: tuple[str, ...] = ()
    """`address` or `address:port`; none = those of the machine."""
    lookup: float = 2.0
    """A question is given up after this (TRK-6)."""
    again: float = 0.8
    """The next server, or the same one again, is asked after this."""
    ttl: tuple[float, float] = (5.0, 300.0)
    """Shorter and longer times to live are moved to these (TRK-6)."""
    stale: float = 3600.0
    """An answer that ran out is still used while DNS is silent; an hour outlasts most repairs."""
    kept: int = 10_000
    """Answers remembered; the one asked longest ago is forgotten first."""
    hosts: Path | None = Path("/etc/hosts")
    """Read before DNS is asked for addresses, as every other program of the machine does."""


@dataclass(frozen=True, slots=True)
class _Entry:
    records: tuple[Record, ...]
    fresh_until: float
    stale_until: float


Key = tuple[str, str]


class Records:
    """Asks and remembers. `clock` is monotonic, in seconds."""

    def __init__(self, settings: RecordSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._resolver = _resolver(settings)
        self._hosts = HostsFile(settings.hosts)
        self._entries: dict[Key, _Entry] = {}
        self._asking: dict[Key, asyncio.Task[tuple[Record, ...]]] = {}

    async def find(self, name: str, kind: str, deadline: float) -> tuple[Record, ...]:
        """The records of a name, none if there are none. Raises LookUpFailed when DNS says nothing by `deadline`."""
        key = (name.rstrip(".").lower(), kind)
        if kind in ("A", "AAAA") and (fixed := self._hosts.find(*key)):
            return fixed
        entry = self._entries.get(key)
        if entry is not None and self._clock() < entry.fresh_until:
            return entry.records
        try:
            async with asyncio.timeout(deadline - self._clock()):
                return await asyncio.shield(self._ask_once(key))
        except (TimeoutError, LookUpFailed) as error:
            if entry is not None and self._clock() < entry.stale_until:
                return entry.records
            if isinstance(error, LookUpFailed):
                raise
            raise LookUpFailed(f"DNS did not answer in time for the {kind} records of {name}") from None

    def _ask_once(self, key: Key) -> "asyncio.Task[tuple[Record, ...]]":
        """Those who ask the same at the same time share one question."""
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._ask(key))
            task.add_done_callback(lambda done: self._asked(key, done))
        return task

    def _asked(self, key: Key, task: "asyncio.Task[tuple[Record, ...]]") -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # whoever waited has heard it; nobody may be left

    async def _ask(self, key: Key) -> tuple[Record, ...]:
        name, kind = key
        try:
            answer = await self._resolver.resolve(
                name, kind, lifetime=self._settings.lookup, raise_on_no_answer=False, search="." not in name
            )
        except dns.resolver.NXDOMAIN as error:
            return self._keep(key, (), _negative_ttl(error))
        except dns.exception.Timeout:
            raise LookUpFailed(f"DNS did not answer in time for the {kind} records of {name}") from None
        except (dns.exception.DNSException, OSError) as error:
            raise LookUpFailed(f"DNS failed for the {kind} records of {name}: {error}") from None
        found = tuple(_READ[kind](one) for one in answer.rrset or ())
        return self._keep(key, found, answer.chaining_result.minimum_ttl)

    def _keep(self, key: Key, records: tuple[Record, ...], ttl: float) -> tuple[Record, ...]:
        low, high = self._settings.ttl
        fresh = self._clock() + min(max(ttl, low), high)
        self._entries.pop(key, None)
        self._entries[key] = _Entry(records, fresh, fresh + self._settings.stale)
        if len(self._entries) > self._settings.kept:
            del self._entries[next(iter(self._entries))]
        return records


class HostsFile:
    """hosts(5), read again when it has changed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._changed = -1.0
        self._names: dict[Key, tuple[str, ...]] = {}

    def find(self, name: str, kind: str) -> tuple[str, ...]:
        """The addresses of a name; none if it does not stand there."""
        if self._path is None:
            return ()
        try:
            changed = self._path.stat().st_mtime
            if changed != self._changed:
                self._names = _names(self._path.read_text(encoding="utf-8", errors="replace"))
                self._changed = changed
        except OSError:
            return ()
        return self._names.get((name, kind), ())


def _names(text: str) -> dict[Key, tuple[str, ...]]:
    found: dict[Key, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        kind = "AAAA" if ":" in address else "A"
        for name in names:
            key = (name.rstrip(".").lower(), kind)
            found[key] = (*found.get(key, ()), address)
    return found


def _resolver(settings: RecordSettings) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    if settings.servers:
        resolver.nameservers = [_server(one) for one in settings.servers]
    else:
        try:
            resolver = dns.asyncresolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            resolver.nameservers = []  # a machine without DNS; every name then fails with that sentence
    resolver.timeout = settings.again
    return resolver


def _server(text: str) -> dns.nameserver.Nameserver:
    host, bracket, port = text.removeprefix("[").partition("]:" if text.startswith("[") else ":")
    if text.count(":") > 1 and not text.startswith("["):
        host, port = text, ""
    return dns.nameserver.Do53Nameserver(host.rstrip("]"), int(port or 53) if bracket else 53)


def _negative_ttl(error: dns.resolver.NXDOMAIN) -> float:
    """RFC 2308: the SOA of the answer says how long there is nothing."""
    for response in error.kwargs.get("responses", {}).values():
        ttl: float = response.resolve_chaining().minimum_ttl
        return ttl
    return 0.0


def _naptr(record: Any) -> Naptr:
    return Naptr(
        record.order,
        record.preference,
        record.flags.decode("latin-1").lower(),
        record.service.decode("latin-1").upper(),
        record.replacement.to_text(omit_final_dot=True),
    )


def _srv(record: Any) -> Srv:
    target = record.target.to_text(omit_final_dot=True)
    return Srv(record.priority, record.weight, record.port, "" if target == "." else target)


_READ: dict[str, Callable[[Any], Record]] = {
    "NAPTR": _naptr,
    "SRV": _srv,
    "A": lambda record: str(record.address),
    "AAAA": lambda record: str(record.address),
}
