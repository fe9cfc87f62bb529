"""Addresses: the name under which an endpoint or a resource is called (API.md 4.4), in memory for the call path."""

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Executable, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.changes import read_again
from offhook.store.identifiers import new_id
from offhook.store.tables import addresses
from offhook.turns import Turns

BUILT_IN = re.compile(r"echo|tone|music|clock|test|resume|conference-.*")
"""Names that mean something to everybody who dials them."""
LONGEST = 64
"""Characters of a name; it is dialled by people."""


@dataclass(frozen=True, slots=True)
class Address:
    """One row. `name` is a slug, unique in the project; `locked` refuses calls; `owner_id` is what rings."""

    id: str
    project_id: str
    owner_id: str
    name: str
    created_at: datetime
    locked: bool = False


class Addresses:
    """All addresses of the installation. An address is made with its owner, keeps its name whatever the owner is called
    later, and goes with it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._rows: dict[str, Address] = {}
        self._by_owner: dict[str, Address] = {}
        self._by_name: dict[tuple[str, str], Address] = {}
        self._turns = Turns()

    async def load(self) -> None:
        """Reads every row."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(addresses).order_by(addresses.c.id))).mappings().all()
        for row in rows:
            self._remember(_from_row(dict(row)))

    async def refresh(self, ids: Collection[str] | None) -> None:
        """Reads rows again that another process has changed (store/changes.py)."""
        found = await read_again(self._engine, addresses, ids)
        for id_ in set(self._rows).union(found) if ids is None else ids:
            if id_ in self._rows:
                self._forget(self._rows[id_])
            if id_ in found:
                self._remember(_from_row(found[id_]))

    def __iter__(self) -> Iterator[Address]:
        return iter(tuple(self._rows.values()))

    def get(self, id_: str) -> Address | None:
        """By id."""
        return self._rows.get(id_)

    def of(self, owner_id: str) -> Address | None:
        """The address of an endpoint or a resource."""
        return self._by_owner.get(owner_id)

    def named(self, project_id: str, name: str) -> Address | None:
        """By name, without regard to case."""
        return self._by_name.get((project_id, name.casefold()))

    async def ensure(self, project_id: str, owner_id: str, display_name: str) -> Address:
        """The owner's address, made from its display name when there is none yet; `-2`, `-3` when the name is taken."""
        made = self._by_owner.get(owner_id)
        if made is not None:
            return made
        stem, number = slug(display_name), 1
        async with self._turns.of(f"{project_id} {stem}"):
            while made is None:
                name = stem if number == 1 else f"{stem}-{number}"
                number += 1
                if (project_id, name) in self._by_name:
                    continue
                row = Address(new_id(), project_id, owner_id, name, datetime.now(UTC))
                try:
                    await self._write(insert(addresses).values(**_to_row(row)))
                except IntegrityError:
                    made = await self._taken(owner_id, project_id, name)
                else:
                    made = row
                    self._remember(row)
        return made

    async def _taken(self, owner_id: str, project_id: str, name: str) -> Address | None:
        """Another node was first: the address that it made for this owner, or None where the name is another's. Raises
        IntegrityError when neither is so: the project is gone."""
        theirs = or_(
            addresses.c.owner_id == owner_id, and_(addresses.c.project_id == project_id, addresses.c.name == name)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(addresses).where(theirs))).mappings().all()
        if not rows:
            raise IntegrityError("an address", None, Exception("its project is gone"))
        for row in rows:
            self._remember(_from_row(dict(row)))
        return self._by_owner.get(owner_id)

    async def lock(self, id_: str, locked: bool) -> Address | None:
        """Refuses or takes calls from now on; None when it is gone."""
        row = self._rows.get(id_)
        async with self._turns.of(row.owner_id if row is not None else ""):
            row = self._rows.get(id_)
            if row is None or not await self._write(
                update(addresses).where(addresses.c.id == id_).values(locked=locked)
            ):
                return None
            changed = replace(row, locked=locked)
            self._remember(changed)
            return changed

    async def remove_of(self, owner_id: str) -> None:
        """The owner is gone; a second time does nothing."""
        async with self._turns.of(owner_id):
            await self._write(delete(addresses).where(addresses.c.owner_id == owner_id))
            row = self._by_owner.get(owner_id)
            if row is not None:
                self._forget(row)

    async def _write(self, statement: Executable) -> int:
        """Commits one statement; how many rows it wrote. Raises IntegrityError."""
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount

    def _forget(self, row: Address) -> None:
        self._rows.pop(row.id, None)
        self._by_owner.pop(row.owner_id, None)
        # Its name may be another's since.
        if (named := self._by_name.get((row.project_id, row.name))) is not None and named.id == row.id:
            del self._by_name[row.project_id, row.name]

    def _remember(self, row: Address) -> None:
        self._rows[row.id] = row
        self._by_owner[row.owner_id] = row
        self._by_name[row.project_id, row.name] = row


def _to_row(row: Address) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Address.__dataclass_fields__}


def _from_row(row: dict[str, Any]) -> Address:
    return Address(**{**row, "created_at": row["created_at"].replace(tzinfo=UTC)})


def slug(display_name: str) -> str:
    """Lower-case ASCII letters, digits and `-`, from any text; `address` when nothing of it is left."""
    plain = unicodedata.normalize("NFKD", display_name).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST].rstrip("-") or "address"
    return f"address-{name}" if BUILT_IN.fullmatch(name) else name
