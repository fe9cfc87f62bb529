"""The location service in memory; bindings of UDP phones are also written down, because their flow outlives us (REG-12)."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.sip.flow import Flow, Transport
from offhook.sip.location import Binding
from offhook.sip.uri import parse_uri
from offhook.store.tables import bindings
from offhook.store.writer import Writer


class Bindings:
    """Address of record -> bindings. Times inside are on the monotonic clock that `now` arguments come from."""

    def __init__(self, engine: AsyncEngine, writer: Writer) -> None:
        self._engine = engine
        self._writer = writer
        self._by_aor: dict[str, tuple[Binding, ...]] = {}

    def find(self, aor: str, now: float) -> tuple[Binding, ...]:
        """The live bindings of an address of record."""
        return tuple(one for one in self._by_aor.get(aor, ()) if one.expires_at > now)

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
        kept = {str(one.contact) for one in group if _lasting(one)}
        for one in before:
            if _lasting(one) and str(one.contact) not in kept:
                self._writer.put(_DELETE, {"of_aor": one.aor, "of_contact": str(one.contact)})
        wall = datetime.now(UTC)
        for one in group:
            if _lasting(one) and not any(one is old for old in before):
                self._writer.put(_INSERT, _row(one, wall + timedelta(seconds=one.expires_at - now)))

    async def load(self, flow_of: Callable[[tuple[str, int]], Flow], now: float) -> int:
        """Takes up the bindings of UDP phones from before a restart; returns how many."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(bindings))).all()
        wall = datetime.now(UTC)
        count = 0
        for row in rows:
            left = (row.expires_at.replace(tzinfo=UTC) - wall).total_seconds()
            if left <= 0:
                continue
            host, port = row.source.rsplit(" ", 1)
            binding = Binding(
                aor=row.aor,
                contact=parse_uri(row.contact),
                flow=flow_of((host, int(port))),
                call_id=row.call_id,
                cseq=row.cseq,
                expires_at=now + left,
                instance=row.instance or None,
                reg_id=row.reg_id or None,
                q=row.q,
                user_agent=row.user_agent,
                registered_at=now,
            )
            self._by_aor[row.aor] = (*self._by_aor.get(row.aor, ()), binding)
            count += 1
        return count


_INSERT = insert(bindings).prefix_with("OR REPLACE")
_DELETE = delete(bindings).where(bindings.c.aor == bindparam("of_aor"), bindings.c.contact == bindparam("of_contact"))


def _row(one: Binding, expires_at: datetime) -> dict[str, Any]:
    return {
        "aor": one.aor,
        "contact": str(one.contact),
        "instance": one.instance or "",
        "reg_id": one.reg_id or 0,
        "source": f"{one.flow.remote[0]} {one.flow.remote[1]}",
        "local": f"{one.flow.local[0]} {one.flow.local[1]}",
        "call_id": one.call_id,
        "cseq": one.cseq,
        "q": one.q,
        "user_agent": one.user_agent,
        "expires_at": expires_at,
    }


def _lasting(binding: Binding) -> bool:
    return binding.flow.transport is Transport.UDP
