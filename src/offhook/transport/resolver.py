"""From a next hop's name to addresses: RFC 3263 section 4, both address families as RFC 6157 wants, SRV as RFC 2782 draws.

Lives here: which records are asked for and in what order their addresses are tried. Never here: DNS itself (records.py),
connections (outbound.py), the Via or Contact of a WebSocket's peer (WS-6).
"""

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from offhook.sip.address_policy import AddressPolicy
from offhook.sip.flow import Transport
from offhook.sip.hop import Hop, Target
from offhook.transport.aside import SetAside
from offhook.transport.records import LookUpFailed, Naptr, Records, Srv

UDP, TCP, TLS = Transport.UDP, Transport.TCP, Transport.TLS

_SERVICES = {"SIP+D2U": UDP, "SIP+D2T": TCP, "SIPS+D2T": TLS}
_PREFIXES = {UDP: "_sip._udp", TCP: "_sip._tcp", TLS: "_sips._tcp"}
_PORTS = {UDP: 5060, TCP: 5060, TLS: 5061}

Place = tuple[Transport, str, int]


class _NoService(LookUpFailed):
    """RFC 2782: an SRV record whose target is the root says that the service is decidedly not available."""


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """Seconds and counts, rows of the limits table."""

    lookup: float = 2.0
    """The whole look-up, however many questions it takes: a call waits no longer (TRK-6)."""
    naptr: float = 0.8
    """Share of NAPTR in it: some home routers never answer one."""
    most: int = 16
    """Addresses of one target: more cannot be tried within a caller's patience."""


class Resolver:
    """`uniform(low, high)` draws among SRV weights; `families()` are the IP versions we can send with, best first."""

    def __init__(
        self,
        records: Records,
        policy: AddressPolicy,
        uniform: Callable[[float, float], float],
        clock: Callable[[], float],
        families: Callable[[], tuple[int, ...]],
        settings: ResolverSettings = ResolverSettings(),
    ) -> None:
        self._records, self._policy, self._uniform = records, policy, uniform
        self._clock, self._families, self._settings = clock, families, settings
        self.aside = SetAside()

    async def locate(self, target: Target) -> tuple[Hop, ...]:
        """The addresses to try, in order. Raises LookUpFailed; at least one address is there otherwise."""
        if target.transport is not None and target.transport.websocket:
            raise LookUpFailed(f"{target}: a WebSocket's peer is reached by its own connection only")
        deadline = self._clock() + self._settings.lookup
        places = await self._places(target, deadline)
        if not places:
            raise LookUpFailed(f"{target.host} has no address in DNS")
        return self._hops(target, places)

    def _hops(self, target: Target, places: Sequence[Place]) -> tuple[Hop, ...]:
        name = target.certificate_name or target.host
        refused = "we listen on no address of its IP version"
        hops = []
        for transport, address, port in dict.fromkeys(places):
            refusal = self._policy.refusal(address, named=not target.foreign)
            if refusal is not None:
                refused = refusal
            elif ipaddress.ip_address(address).version in self._families():
                hops.append(Hop(transport, address, port, name if transport is TLS else "", target.foreign))
        if not hops:
            raise LookUpFailed(f"{target}: {refused}")
        now = self._clock()
        return tuple(sorted(hops, key=lambda hop: self.aside.holds(hop, now)))[: self._settings.most]

    # ---- RFC 3263 section 4: which transport, which port, which address

    async def _places(self, target: Target, deadline: float) -> list[Place]:
        transport = TLS if target.secure else target.transport
        if _is_address(target.host):
            transport = transport or UDP
            return [(transport, target.host, target.port or _PORTS[transport])]
        if target.port is not None:
            # 4.1, 4.2: a port that was given is used, and SRV is not asked.
            return await self._addresses(target.host, transport or UDP, target.port, deadline)
        if transport is not None:
            return await self._by_srv(
                [(f"{_PREFIXES[transport]}.{target.host}", transport)], transport, target, deadline
            )
        named = await self._by_naptr(target, deadline)
        if named:
            return await self._by_srv(named, named[0][1], target, deadline)
        order = (TLS, UDP, TCP) if target.foreign else (UDP, TCP, TLS)
        return await self._by_srv([(f"{_PREFIXES[one]}.{target.host}", one) for one in order], UDP, target, deadline)

    async def _by_naptr(self, target: Target, deadline: float) -> list[tuple[str, Transport]]:
        """4.1: SRV names with their transports, in the order NAPTR gives them; TLS first for a foreign target."""
        try:
            found = await self._records.find(target.host, "NAPTR", min(deadline, self._clock() + self._settings.naptr))
        except LookUpFailed:
            return []  # a resolver that knows no NAPTR is not a name without service
        usable = sorted(
            (one for one in found if isinstance(one, Naptr) and one.flags == "s" and one.service in _SERVICES),
            key=lambda one: (one.order, one.preference),
        )
        named = [(one.replacement, _SERVICES[one.service]) for one in usable[: self._settings.most]]
        return sorted(named, key=lambda one: one[1] is not TLS) if target.foreign else named

    async def _by_srv(
        self, names: Sequence[tuple[str, Transport]], otherwise: Transport, target: Target, deadline: float
    ) -> list[Place]:
        """4.2: the addresses behind SRV; without any SRV the name's own at the default port of `otherwise`."""
        try:
            places = await self._by_services(names, target, deadline)
        except _NoService:
            raise
        except LookUpFailed:
            if self._clock() >= deadline:
                raise
            places = None
        if places is not None:
            return places
        return await self._addresses(target.host, otherwise, _PORTS[otherwise], deadline)

    async def _by_services(
        self, names: Sequence[tuple[str, Transport]], target: Target, deadline: float
    ) -> list[Place] | None:
        """The addresses of the first service there is; of every one for a foreign target, whose TLS may well not work.

        None when no SRV record exists at all. Raises _NoService when a record says that there is none.
        """
        answers = await asyncio.gather(
            *(self._records.find(name, "SRV", deadline) for name, _ in names), return_exceptions=True
        )
        places: list[Place] = []
        failures = [one for one in answers if isinstance(one, LookUpFailed)]
        closed = False
        for (_, transport), answer in zip(names, answers, strict=True):
            if isinstance(answer, BaseException):
                if not isinstance(answer, LookUpFailed):
                    raise answer
                continue
            records = self._drawn([one for one in answer if isinstance(one, Srv)])
            closed = closed or any(not one.target for one in records)
            places += await self._of_srv([one for one in records if one.target], transport, deadline)
            if places and not target.foreign:
                return places
        if places:
            return places
        if closed:
            raise _NoService(f"{target.host} says in DNS that it takes no calls there (SRV '.')")
        if failures:
            raise failures[0]
        return None

    async def _of_srv(self, records: Sequence[Srv], transport: Transport, deadline: float) -> list[Place]:
        found = await asyncio.gather(
            *(self._addresses(one.target, transport, one.port, deadline) for one in records[: self._settings.most]),
            return_exceptions=True,
        )
        places: list[Place] = []
        for one in found:
            if isinstance(one, list):
                places += one
            elif not isinstance(one, LookUpFailed):
                raise one
        if not places and (failed := [one for one in found if isinstance(one, LookUpFailed)]):
            raise failed[0]
        return places

    async def _addresses(self, host: str, transport: Transport, port: int, deadline: float) -> list[Place]:
        """RFC 6157: both families, ours first in the order of `families()`. Raises LookUpFailed when neither is known."""
        if _is_address(host):
            return [(transport, host, port)]
        kinds = ["AAAA" if family == 6 else "A" for family in self._families()]
        found = await asyncio.gather(
            *(self._records.find(host, kind, deadline) for kind in kinds), return_exceptions=True
        )
        places: list[Place] = []
        for answer in found:
            if isinstance(answer, tuple):
                places += [(transport, str(address), port) for address in answer]
            elif not isinstance(answer, LookUpFailed):
                raise answer
        if not places and (failed := [one for one in found if isinstance(one, LookUpFailed)]):
            raise failed[0]
        return places

    # ---- RFC 2782

    def _drawn(self, records: Sequence[Srv]) -> list[Srv]:
        """By priority; within one drawn by weight, those of weight 0 nearly always last."""
        drawn: list[Srv] = []
        for _, group in groupby(sorted(records, key=lambda one: (one.priority, one.weight)), lambda one: one.priority):
            left = list(group)
            while left:
                mark = self._uniform(0, sum(one.weight for one in left))
                for one in left:
                    mark -= one.weight
                    if mark <= 0:
                        break
                drawn.append(one)
                left.remove(one)
        return drawn


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
