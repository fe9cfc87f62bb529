"""The location service in memory. What a new life of ours can use is also written down: the bindings of UDP phones, whose
flow outlives us, and of TCP phones that may be dialled back (REG-12)."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.sip.flow import Flow, FlowId, Transport
from offhook.sip.location import Binding
from offhook.sip.uri import parse_uri
from offhook.store.statements import GONE, Remove, Upsert
from offhook.store.tables import bindings
from offhook.store.writer import Writer


class Bindings:
    """Address of record -> bindings. Times inside are on the monotonic clock that `now` arguments come from. `node` is whose
    sockets they belong to, where several share a database."""

    def __init__(self, engine: AsyncEngine, writer: Writer, node: str = "") -> None:
        self._engine = engine
        self._writer = writer
        self._node = node
        self._by_aor: dict[str, tuple[Binding, ...]] = {}

    def find(self, aor: str, now: float) -> tuple[Binding, ...]:
        """The live bindings of an address of record."""
        return tuple(one for one in self._by_aor.get(aor, ()) if one.expires_at > now)

    def kept(self, aor: str) -> tuple[Binding, ...]:
        """All bindings as they were written, those that ran out since included: the registrar ends them, with a word."""
        return self._by_aor.get(aor, ())

    def __iter__(self) -> Iterator[Binding]:
        return iter([one for group in self._by_aor.values() for one in group])

    def replace(self, aor: str, group: tuple[Binding, ...], now: float) -> None:
        """All bindings of an address of record, in one write."""
        before = self._by_aor.get(aor, ())
        if group:
            self._by_aor[aor] = group
        else:
            self._by_aor.pop(aor, None)
        if any(_lasting(one) for one in (*before, *group)):
            self._write(before, group, now)

    def expire(self, now: float) -> list[Binding]:
        """Drops what is over and returns it; call it now and then."""
        gone: list[Binding] = []
        for aor, group in list(self._by_aor.items()):
            dead = [one for one in group if one.expires_at <= now]
            if dead:
                gone += dead
                self.replace(aor, tuple(one for one in group if one.expires_at > now), now)
        return gone

    def _write(self, before: tuple[Binding, ...], group: tuple[Binding, ...], now: float) -> None:
        """Only what changed: a refresh is one row, however many devices the address has."""
        kept = {one.id for one in group if _lasting(one)}
        for one in before:
            if _lasting(one) and one.id not in kept:
                self._writer.put(_DELETE, {GONE: one.id})
        wall = datetime.now(UTC)
        for one in group:
            if _lasting(one) and not any(one is old for old in before):
                self._writer.put(_INSERT, {**_row(one, wall, now), "node": self._node})

    async def load(self, flow_of: Callable[[tuple[str, int], str], Flow], now: float) -> dict[str, tuple[Binding, ...]]:
        """Takes up the bindings from before a restart and gives them back: UDP phones are where they were, TCP phones that
        can be dialled back wait for it. `flow_of` is the UDP flow to a peer by the address of ours that it had used."""
        async with self._engine.connect() as connection:
            # Rows without a node are of before there were several.
            own = select(bindings).where(bindings.c.node.in_((self._node, "")))
            rows = (await connection.execute(own)).all()
        wall = datetime.now(UTC)
        for row in rows:
            binding = _binding(row, flow_of, wall, now)
            if binding.expires_at > now:
                self._by_aor[row.aor] = (*self._by_aor.get(row.aor, ()), binding)
        return dict(self._by_aor)


_INSERT = Upsert(bindings)
_DELETE = Remove(bindings)


def _lasting(binding: Binding) -> bool:
    """True for a binding that a new life of ours can use."""
    return binding.flow.transport is Transport.UDP or binding.dial_back is not None


def _row(one: Binding, wall: datetime, now: float) -> dict[str, Any]:
    return {
        "id": one.id,
        "aor": one.aor,
        "contact": str(one.contact),
        "instance": one.instance or "",
        "reg_id": one.reg_id,
        "transport": one.flow.transport.value,
        "source": f"{one.flow.remote[0]} {one.flow.remote[1]}",
        "local": f"{one.flow.local[0]} {one.flow.local[1]}",
        "path": list(one.path),
        "params": one.params,
        "call_id": one.call_id,
        "cseq": one.cseq,
        "q": one.q,
        "user_agent": one.user_agent,
        "auth": one.auth,
        "registered_at": wall + timedelta(seconds=one.registered_at - now),
        "refreshed_at": wall + timedelta(seconds=one.refreshed_at - now),
        "expires_at": wall + timedelta(seconds=one.expires_at - now),
    }


def _binding(row: Any, flow_of: Callable[[tuple[str, int], str], Flow], wall: datetime, now: float) -> Binding:
    def then(moment: datetime) -> float:
        return now + (moment.replace(tzinfo=UTC) - wall).total_seconds()

    source, transport = _address(row.source), Transport(row.transport)
    flow = flow_of(source, _address(row.local)[0]) if transport is Transport.UDP else _gone(row, source, transport)
    return Binding(
        aor=row.aor,
        contact=parse_uri(row.contact),
        flow=flow,
        call_id=row.call_id,
        cseq=row.cseq,
        expires_at=then(row.expires_at),
        instance=row.instance or None,
        reg_id=row.reg_id,
        q=row.q,
        user_agent=row.user_agent,
        params=dict(row.params),
        registered_at=then(row.registered_at),
        refreshed_at=then(row.refreshed_at),
        id=row.id,
        path=tuple(row.path),
        attached=transport is Transport.UDP,
        auth=row.auth,
    )


def _gone(row: Any, source: tuple[str, int], transport: Transport) -> Flow:
    """The connection of an earlier life, under an id that no connection of this one has."""
    local = _address(row.local)
    advertised = f"[{local[0]}]:{local[1]}" if ":" in local[0] else f"{local[0]}:{local[1]}"
    return Flow(FlowId(f"gone-{row.id}"), transport, source, local, advertised, secure=False, loopback=False)


def _address(text: str) -> tuple[str, int]:
    host, port = text.rsplit(" ", 1)
    return host, int(port)
