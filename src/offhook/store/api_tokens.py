"""API tokens, in memory and known by their SHA-256 only (API.md 1.2, 7)."""

import hashlib
import hmac
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.identifiers import new_id
from offhook.store.mirror import written
from offhook.store.tables import tokens
from offhook.turns import Turns


@dataclass(frozen=True, slots=True)
class ApiToken:
    """One token. Its text is told once, when it is made, and kept nowhere."""

    id: str
    project_id: str
    name: str
    sha256: str = field(repr=False)
    permissions: frozenset[str]
    created_at: datetime


class ApiTokens:
    """All tokens of the installation. A write is committed before it is seen."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._rows: dict[str, ApiToken] = {}
        self._turns = Turns()

    async def load(self) -> None:
        """Reads every row."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(tokens))).all()
        self._rows = {
            one.id: ApiToken(
                one.id,
                one.project_id,
                one.name,
                one.sha256,
                frozenset(one.permissions),
                one.created_at.replace(tzinfo=UTC),
            )
            for one in rows
        }

    def __iter__(self) -> Iterator[ApiToken]:
        return iter(tuple(self._rows.values()))

    def get(self, id_: str) -> ApiToken | None:
        """By id."""
        return self._rows.get(id_)

    def find(self, project: str, text: str) -> ApiToken | None:
        """The token of that project with that text, in constant time in the text; `project` is a UUID or AC + 32 hex."""
        wanted, named = digest(text), project.lower()
        found = None
        for one in self._rows.values():
            same = hmac.compare_digest(one.sha256, wanted)
            if same and named in (one.project_id, "ac" + one.project_id.replace("-", "")):
                found = one
        return found

    async def create(self, project_id: str, name: str, permissions: Collection[str]) -> tuple[ApiToken, str] | None:
        """A new token, committed, and its text; None when the project is gone."""
        text = new_text()
        row = ApiToken(new_id(), project_id, name, digest(text), frozenset(permissions), datetime.now(UTC))
        if not await written(self._engine, insert(tokens).values(**values_of(row))):
            return None
        self._rows[row.id] = row
        return row, text

    async def change(self, id_: str, **fields: Any) -> ApiToken | None:
        """The token under another name or with other permissions; None when it is gone."""
        async with self._turns.of(id_):
            row = self._rows.get(id_)
            if row is None:
                return None
            changed = replace(row, **fields)
            if not await written(self._engine, update(tokens).where(tokens.c.id == id_).values(**values_of(changed))):
                self._rows.pop(id_, None)  # another node has deleted it
                return None
            self._rows[id_] = changed
            return changed

    async def remove(self, id_: str) -> None:
        """Deletes the token, which opens nothing from now on."""
        async with self._turns.of(id_):
            await written(self._engine, delete(tokens).where(tokens.c.id == id_))
            self._rows.pop(id_, None)


def values_of(row: ApiToken) -> dict[str, Any]:
    """As the table has it."""
    return {
        "id": row.id,
        "project_id": row.project_id,
        "name": row.name,
        "sha256": row.sha256,
        "permissions": sorted(row.permissions),
        "created_at": row.created_at,
    }


def new_text() -> str:
    """A new token's text."""
    return "PT" + secrets.token_hex(24)


def digest(text: str) -> str:
    """What is kept of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
