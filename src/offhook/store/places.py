"""Places of trunks, divided among the nodes that share a PostgreSQL: together they never take more than there are.

Each node holds some places of each trunk, and takes and gives them in its own memory. What it holds changes here, in one
transaction at a time over all nodes: a node lowers its own number freely, in its memory first, and raises it only by what
nobody holds, in its memory last. A node that was not seen for a while loses its rows. A registration is a place of which
there is one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from offhook.store import tables

LOCK = 0x0FF400E
"""Key of PostgreSQL's advisory lock for dividing."""
PRESENT = ""
"""In the place of a trunk's id: the row by which a node without trunks is seen."""
SEEN_AGAIN = 1 / 4
"""Part of the lease after which a row is written although nothing in it has changed."""

_rows = tables.trunk_places


@dataclass(frozen=True, slots=True)
class Wish:
    """One trunk as a node knows it: how many places there are, None without a bound of its own, and how many are in use."""

    channels: int
    channels_in: int | None = None
    channels_out: int | None = None
    registers: bool = False
    used_in: int = 0
    used_out: int = 0
    wants: bool = False
    """A call was refused a moment ago for want of a place."""


@dataclass(frozen=True, slots=True)
class Held:
    """One row: what a node holds of a trunk, and what it uses."""

    node: str
    used_in: int = 0
    used_out: int = 0
    held: int = 0
    held_in: int = 0
    held_out: int = 0
    registers: bool = False
    wants: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """What one node uses and holds of one number of places, and whether it was short of them."""

    used: int
    held: int = 0
    wants: bool = False


@dataclass(frozen=True, slots=True)
class Division:
    """`mine` by trunk; `used` of the others by trunk, as (in, out); `alone` if no other node is there."""

    mine: Mapping[str, Held]
    used: Mapping[str, tuple[int, int]]
    alone: bool


def hold(places: int, node: str, mine: Part, others: Mapping[str, Part]) -> int:
    """How many places a node holds from now on; `others` by node.

    Everybody gets what he uses and an equal part of what nobody does, but no more than nobody holds at this moment: who
    holds too much lowers it the next time that he looks. The last places go to who was short of them, then to who uses most:
    an idle node must not keep them. What is in use is held, whatever happens.
    """
    parts = {**others, node: mine}
    free = max(0, places - sum(one.used for one in parts.values()))
    order = sorted(parts, key=lambda one: (not parts[one].wants, -parts[one].used, one))
    fair = mine.used + free // len(parts) + (order.index(node) < free % len(parts))
    left = places - sum(max(one.used, one.held) for one in others.values())
    return max(mine.used, min(fair, left))


def divide(wish: Wish, before: Held, others: Iterable[Held]) -> Held:
    """The next row of a node."""
    by_node = {one.node: one for one in others}

    def of(places: int | None, part: Callable[[Held], Part]) -> int:
        """The row's own `used` are old: those of the wish count."""
        if places is None:
            return 0
        return hold(places, before.node, part(now), {name: part(one) for name, one in by_node.items()})

    line = before.registers and wish.registers
    now = replace(before, used_in=wish.used_in, used_out=wish.used_out, registers=line, wants=wish.wants)
    return replace(
        now,
        held=of(wish.channels, lambda one: Part(one.used_in + one.used_out, one.held, one.wants)),
        held_in=of(wish.channels_in, lambda one: Part(one.used_in, one.held_in, one.wants)),
        held_out=of(wish.channels_out, lambda one: Part(one.used_out, one.held_out, one.wants)),
        registers=wish.registers and of(1, lambda one: Part(int(one.registers), int(one.registers))) > 0,
    )


Lower = Callable[[Mapping[str, Held]], Mapping[str, Held]]
"""Takes what a node is about to hold by trunk, uses no more from now on, and says what it must hold all the same, because it
was taken meanwhile."""


class Places:
    """`settle` again and again; every row that it writes is told to the other nodes (store/changes.py)."""

    def __init__(self, engine: AsyncEngine, node: str, lease: float) -> None:
        self._engine, self._node, self._lease = engine, node, lease

    async def settle(self, wishes: Mapping[str, Wish], lower: Lower) -> Division:
        """What this node holds of each trunk from now on. Raises SQLAlchemyError, OSError."""
        async with self._engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            now = float((await connection.execute(text("SELECT extract(epoch FROM clock_timestamp())"))).scalar_one())
            stale = _rows.c.node != self._node, _rows.c.seen < now - self._lease
            await connection.execute(delete(_rows).where(*stale))
            found = [dict(row) for row in (await connection.execute(select(_rows))).mappings()]
            mine = {row["trunk_id"]: row for row in found if row["node"] == self._node}
            theirs: dict[str, list[Held]] = {}
            for row in found:
                if row["node"] != self._node:
                    theirs.setdefault(row["trunk_id"], []).append(_held(row))
            before = {trunk: _held(mine[trunk]) if trunk in mine else Held(self._node) for trunk in (PRESENT, *wishes)}
            after = dict(
                lower({trunk: divide(one, before[trunk], theirs.get(trunk, ())) for trunk, one in wishes.items()})
            )
            after[PRESENT] = before[PRESENT]
            for trunk, now_held in after.items():
                late = trunk in mine and mine[trunk]["seen"] < now - self._lease * SEEN_AGAIN
                if trunk not in mine or late or _worth(before[trunk], now_held, alone=not theirs):
                    await self._write(connection, trunk, now_held, now)
            gone = [mine[trunk]["id"] for trunk in mine.keys() - after.keys()]
            if gone:
                await connection.execute(delete(_rows).where(_rows.c.id.in_(gone)))
        used = {
            trunk: (sum(one.used_in for one in rows), sum(one.used_out for one in rows))
            for trunk, rows in theirs.items()
        }
        return Division({trunk: one for trunk, one in after.items() if trunk != PRESENT}, used, alone=not theirs)

    async def _write(self, connection: AsyncConnection, trunk: str, row: Held, now: float) -> None:
        values = {name: getattr(row, name) for name in Held.__dataclass_fields__} | {"seen": now}
        statement = insert(_rows).values(id=f"{trunk}.{self._node}", trunk_id=trunk, **values)
        await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))

    async def leave(self) -> None:
        """Gives everything back: what it held is free for the others at once. Raises SQLAlchemyError, OSError."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(_rows).where(_rows.c.node == self._node))


def _worth(before: Held, after: Held, alone: bool) -> bool:
    """Whether the difference is worth a row: to nobody, what is in use is no news."""
    return replace(before, used_in=0, used_out=0) != replace(after, used_in=0, used_out=0) if alone else before != after


def _held(row: Mapping[str, Any]) -> Held:
    return Held(**{name: row[name] for name in Held.__dataclass_fields__})
