"""Projects: the root and its subprojects, each with its signing key and its SIP profile (API.md sections 3 and 7).

Every row is in memory; a write is committed before it is seen. The signing key must be readable again, because each webhook
is signed with it, and is sealed at rest (offhook.store.vault).
"""

import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Executable, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.sip.secret import Secret
from offhook.store.changes import read_again
from offhook.store.identifiers import new_id
from offhook.store.tables import metadata, projects
from offhook.store.vault import Vault


@dataclass(frozen=True, slots=True)
class Project:
    """One row. `settings` are the flags of section 7, `profile` the SIP profile's fields as given."""

    id: str
    space_id: str
    name: str
    parent_id: str | None
    created_at: datetime
    updated_at: datetime
    settings: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    signing_key: Secret = field(default=Secret(""), repr=False)


class Projects:
    """All projects of the installation."""

    def __init__(self, engine: AsyncEngine, vault: Vault) -> None:
        self._engine, self._vault = engine, vault
        self._rows: dict[str, Project] = {}

    async def load(self) -> None:
        """Reads every row; one without a signing key gets its first. Raises VaultError."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(projects))).mappings().all()
        for row in rows:
            self._rows[row["id"]] = self._read(dict(row))
        for one in tuple(self):
            if not one.signing_key.reveal():
                await self.rotate(one.id)

    async def refresh(self, ids: Collection[str] | None) -> None:
        """Reads rows again that another process has changed (store/changes.py)."""
        found = await read_again(self._engine, projects, ids)
        for id_ in set(self._rows).union(found) if ids is None else ids:
            known = self._rows.get(id_)
            fresh = self._read(found[id_]) if id_ in found else None
            if fresh is None:
                self._rows.pop(id_, None)
            elif known is None or fresh.updated_at >= known.updated_at:
                self._rows[id_] = fresh

    def _read(self, row: dict[str, Any]) -> Project:
        sealed = row["signing_key"]
        key = self._vault.open(sealed, _about(row["id"])) if sealed is not None else Secret("")
        made = row["created_at"].replace(tzinfo=UTC)
        return Project(
            id=row["id"],
            space_id=row["space_id"],
            name=row["name"],
            parent_id=row["parent_id"],
            created_at=made,
            updated_at=row["updated_at"].replace(tzinfo=UTC) if row["updated_at"] is not None else made,
            settings=row["settings"] or {},
            profile=row["profile"] or {},
            signing_key=key,
        )

    def __iter__(self) -> Iterator[Project]:
        return iter(tuple(self._rows.values()))

    def get(self, id_: str) -> Project | None:
        """By id."""
        return self._rows.get(id_)

    def children(self, id_: str) -> list[Project]:
        """The subprojects of one."""
        return [one for one in self if one.parent_id == id_]

    def signing_key(self, id_: str) -> Secret:
        """The key that webhooks of a project are signed with; "" for a project that is gone."""
        row = self._rows.get(id_)
        return row.signing_key if row is not None else Secret("")

    async def create(
        self, parent: str, name: str, settings: dict[str, Any], profile: dict[str, Any] | None = None
    ) -> Project:
        """A new subproject with a signing key, committed."""
        above = self._rows[parent]
        now = datetime.now(UTC)
        row = Project(new_id(), above.space_id, name, parent, now, now, settings, profile or {}, _new_key())
        await self._execute(insert(projects).values(**self._write(row)))
        self._rows[row.id] = row
        return row

    async def change(self, id_: str, **fields: Any) -> Project | None:
        """The row with those fields changed, committed; None when it is gone."""
        row = self._rows.get(id_)
        if row is None:
            return None
        changed = replace(row, updated_at=datetime.now(UTC), **fields)
        await self._execute(update(projects).where(projects.c.id == id_).values(**self._write(changed)))
        self._rows[id_] = changed
        return changed

    async def rotate(self, id_: str) -> Project | None:
        """The row with a new signing key; None when it is gone."""
        return await self.change(id_, signing_key=_new_key())

    async def remove(self, id_: str) -> None:
        """Deletes the project and whatever any table keeps for it; a second time does nothing."""
        async with self._engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                if "project_id" in table.c:
                    await connection.execute(delete(table).where(table.c.project_id == id_))
            await connection.execute(delete(projects).where(projects.c.id == id_))
        self._rows.pop(id_, None)

    async def _execute(self, statement: Executable) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    def _write(self, row: Project) -> dict[str, Any]:
        return {
            "id": row.id,
            "space_id": row.space_id,
            "name": row.name,
            "parent_id": row.parent_id,
            "settings": row.settings,
            "profile": row.profile,
            "signing_key": self._vault.seal(row.signing_key.reveal(), _about(row.id)),
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        }


def _about(id_: str) -> str:
    return f"project {id_} signing_key"


def _new_key() -> Secret:
    return Secret("PSK_" + secrets.token_hex(16))
