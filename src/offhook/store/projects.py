"""Projects: the root and its subprojects, each with its signing key and its SIP profile (API.md sections 3 and 7).

Every row is in memory; a write is committed before it is seen. The signing key must be readable again, because each webhook
is signed with it, and is sealed at rest (offhook.store.vault).
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.sip.secret import Secret
from offhook.store.mirror import Mirror
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


class Projects(Mirror[Project]):
    """All projects of the installation."""

    def __init__(self, engine: AsyncEngine, vault: Vault) -> None:
        super().__init__(engine, projects, Project)
        self._vault = vault

    async def load(self) -> None:
        """Reads every row; one without a signing key gets its first. Raises VaultError."""
        await super().load()
        for one in self:
            if not one.signing_key.reveal():
                await self.rotate(one.id)

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
        """A new subproject with a signing key."""
        row = await self._insert(
            space_id=self._rows[parent].space_id,
            name=name,
            parent_id=parent,
            settings=settings,
            profile=profile or {},
            signing_key=_new_key(),
        )
        assert row is not None, "nothing of it is unique but the id that was just drawn"
        return row

    async def change(self, id_: str, **fields: Any) -> Project | None:
        """The row with those fields changed; None when it is gone."""
        return await self._update(id_, **fields)

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

    def _read(self, columns: dict[str, Any]) -> Project:
        sealed = columns["signing_key"]
        filled = {
            "signing_key": self._vault.open(sealed, _about(columns["id"])) if sealed is not None else Secret(""),
            "updated_at": columns["updated_at"] or columns["created_at"],
            "settings": columns["settings"] or {},
            "profile": columns["profile"] or {},
        }
        return super()._read(columns | filled)

    def _write(self, row: Project) -> dict[str, Any]:
        return super()._write(row) | {"signing_key": self._vault.seal(row.signing_key.reveal(), _about(row.id))}


def _about(id_: str) -> str:
    return f"project {id_} signing_key"


def _new_key() -> Secret:
    return Secret("PSK_" + secrets.token_hex(16))
