"""Trunks: every row in memory, every write through the database first; passwords sealed at rest."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Executable, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.sip.location import Secret
from offhook.store.changes import read_again
from offhook.store.identifiers import new_id
from offhook.store.tables import trunks
from offhook.store.vault import Vault, VaultError


@dataclass(frozen=True, slots=True)
class TrunkRow:
    """One row. `settings` are the fields of API.md 12.1 without secrets, as validated; `broken` says why a sealed password
    could not be opened."""

    id: str
    project_id: str
    name: str
    settings: dict[str, Any] = field(repr=False)
    created_at: datetime
    updated_at: datetime
    password: Secret | None = None
    digest_password: Secret | None = None
    broken: str = ""


class TrunkRows:
    """All trunks of the installation."""

    def __init__(self, engine: AsyncEngine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault
        self._rows: dict[str, TrunkRow] = {}

    async def load(self) -> None:
        """Reads every row. A password that cannot be opened costs its trunk the password, never the start."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(trunks).order_by(trunks.c.id))).mappings().all()
        self._rows = {row["id"]: self._read(dict(row)) for row in rows}

    async def refresh(self, ids: Collection[str] | None) -> None:
        """Reads rows again that another process has changed (store/changes.py)."""
        found = await read_again(self._engine, trunks, ids)
        for id_ in set(self._rows).union(found) if ids is None else ids:
            known = self._rows.get(id_)
            if id_ not in found:
                self._rows.pop(id_, None)
            elif known is None or found[id_]["updated_at"].replace(tzinfo=UTC) >= known.updated_at:
                self._rows[id_] = self._read(found[id_])
        self._rows = dict(sorted(self._rows.items()))

    def __iter__(self) -> Iterator[TrunkRow]:
        return iter(tuple(self._rows.values()))

    def get(self, id_: str) -> TrunkRow | None:
        """By id."""
        return self._rows.get(id_)

    def named(self, name: str) -> TrunkRow | None:
        """By name, without regard to case."""
        return next((row for row in self._rows.values() if row.name.casefold() == name.casefold()), None)

    async def create(
        self, project_id: str, settings: dict[str, Any], password: str | None, digest_password: str | None
    ) -> TrunkRow | None:
        """A new row, committed; None when the name is taken."""
        now = datetime.now(UTC)
        opened = _secret(password), _secret(digest_password)
        row = TrunkRow(new_id(), project_id, settings["name"], settings, now, now, *opened)
        if not await self._execute(insert(trunks).values(**self._write(row))):
            return None
        self._rows[row.id] = row
        return row

    async def change(self, id_: str, settings: dict[str, Any], **secrets: str | None) -> TrunkRow | None:
        """The row with these settings and the given ones of `password`, `digest_password`; None when the name is taken."""
        row = self._rows.get(id_)
        if row is None:
            return None
        kept: dict[str, Any] = {name: _secret(text) for name, text in secrets.items()}
        now = datetime.now(UTC)
        changed = replace(row, name=settings["name"], settings=settings, updated_at=now, **kept)
        if not await self._execute(update(trunks).where(trunks.c.id == id_).values(**self._write(changed))):
            return None
        self._rows[id_] = changed
        return changed

    async def remove(self, id_: str) -> None:
        """Deletes the row; a second time does nothing."""
        await self._execute(delete(trunks).where(trunks.c.id == id_))
        self._rows.pop(id_, None)

    async def _execute(self, statement: Executable) -> bool:
        try:
            async with self._engine.begin() as connection:
                await connection.execute(statement)
        except IntegrityError:
            return False
        return True

    def _write(self, row: TrunkRow) -> dict[str, Any]:
        return {
            "id": row.id,
            "project_id": row.project_id,
            "name": row.name,
            "name_folded": row.name.casefold(),
            "settings": row.settings,
            "password": self._sealed(row.password, f"trunk {row.id} password"),
            "digest_password": self._sealed(row.digest_password, f"trunk {row.id} digest_password"),
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        }

    def _sealed(self, secret: Secret | None, about: str) -> bytes | None:
        return None if secret is None else self._vault.seal(secret.reveal(), about)

    def _read(self, row: dict[str, Any]) -> TrunkRow:
        made, changed = (row[name].replace(tzinfo=UTC) for name in ("created_at", "updated_at"))
        plain = TrunkRow(row["id"], row["project_id"], row["name"], row["settings"], made, changed)
        try:
            password = self._opened(row, "password")
            return replace(plain, password=password, digest_password=self._opened(row, "digest_password"))
        except VaultError as error:
            return replace(plain, broken=str(error))

    def _opened(self, row: dict[str, Any], name: str) -> Secret | None:
        return None if row[name] is None else self._vault.open(row[name], f"trunk {row['id']} {name}")


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(text)
