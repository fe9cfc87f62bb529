"""Trunks: every row in memory, every write through the database first; passwords sealed at rest."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.sip.secret import Secret
from offhook.store.mirror import Mirror, in_utc
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


class TrunkRows(Mirror[TrunkRow]):
    """All trunks of the installation. A password that cannot be opened costs its trunk the password, never the start."""

    def __init__(self, engine: AsyncEngine, vault: Vault) -> None:
        super().__init__(engine, trunks, TrunkRow)
        self._vault = vault

    def named(self, name: str) -> TrunkRow | None:
        """By name, without regard to case."""
        return next((row for row in self if row.name.casefold() == name.casefold()), None)

    async def create(
        self, project_id: str, settings: dict[str, Any], password: str | None, digest_password: str | None
    ) -> TrunkRow | None:
        """A new row; None when the name is taken."""
        secrets = {"password": _secret(password), "digest_password": _secret(digest_password)}
        return await self._insert(project_id=project_id, name=settings["name"], settings=settings, **secrets)

    async def change(self, id_: str, settings: dict[str, Any], **secrets: str | None) -> TrunkRow | None:
        """The row with these settings and the given ones of `password`, `digest_password`; None when the name is taken."""
        kept: dict[str, Any] = {name: _secret(text) for name, text in secrets.items()}
        return await self._update(id_, name=settings["name"], settings=settings, **kept)

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

    def _read(self, columns: dict[str, Any]) -> TrunkRow:
        plain = {name: one for name, one in in_utc(columns).items() if name in TrunkRow.__dataclass_fields__}
        row = TrunkRow(**plain | {"password": None, "digest_password": None})
        try:
            password = self._opened(columns, "password")
            return replace(row, password=password, digest_password=self._opened(columns, "digest_password"))
        except VaultError as error:
            return replace(row, broken=str(error))

    def _opened(self, row: dict[str, Any], name: str) -> Secret | None:
        return None if row[name] is None else self._vault.open(row[name], f"trunk {row['id']} {name}")


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(text)
