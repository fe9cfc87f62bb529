"""The space (tenant), its root project and API tokens, and what a first start makes."""

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.identifiers import new_id
from offhook.store.tables import projects, spaces, tokens

ALL_SCOPES = ("calling", "numbers", "management", "storage", "video", "monitor")


@dataclass(frozen=True, slots=True)
class Space:
    """The tenant. `realm` is the domain at creation and never changes, because clients compute HA1 from it; `secret` keys
    nonces and tokens."""

    id: str
    domain: str
    realm: str
    project_id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """An API token, known by its SHA-256 only."""

    id: str
    project_id: str
    sha256: str = field(repr=False)
    permissions: frozenset[str] = frozenset()


class Spaces:
    """The space of this installation and its tokens, in memory."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._tokens: list[Token] = []

    async def load(self) -> Space | None:
        """Reads the space and its tokens; None before the first start."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(spaces).order_by(spaces.c.id))).first()
            if row is None:
                return None
            project = (await connection.execute(select(projects).where(projects.c.space_id == row.id))).first()
            assert project is not None
            rows = (await connection.execute(select(tokens))).all()
        self._tokens = [Token(one.id, one.project_id, one.sha256, frozenset(one.permissions)) for one in rows]
        return Space(row.id, row.domain, row.realm, project.id, row.secret)

    async def create(self, domain: str) -> tuple[Space, str]:
        """Makes the space, its project and one API token; returns the token's text, which is kept nowhere."""
        now = datetime.now(UTC)
        space = Space(new_id(), domain, domain, new_id(), secrets.token_bytes(32))
        token = "PT" + secrets.token_hex(24)
        async with self._engine.begin() as connection:
            await connection.execute(
                spaces.insert().values(id=space.id, domain=domain, realm=domain, secret=space.secret, created_at=now)
            )
            await connection.execute(
                projects.insert().values(id=space.project_id, space_id=space.id, name="Offhook", created_at=now)
            )
            await connection.execute(
                tokens.insert().values(
                    id=new_id(),
                    project_id=space.project_id,
                    name="first run",
                    sha256=_digest(token),
                    permissions=list(ALL_SCOPES),
                    created_at=now,
                )
            )
        loaded = await self.load()
        assert loaded is not None
        return loaded, token

    def token(self, project: str, text: str) -> Token | None:
        """The token of that project with that text. Constant time in the text; `project` is a UUID or AC + 32 hex."""
        wanted = _digest(text)
        found = None
        for one in self._tokens:
            same = hmac.compare_digest(one.sha256, wanted)
            if same and project.lower() in (one.project_id, "ac" + one.project_id.replace("-", "")):
                found = one
        return found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


FIRST_RUN = "first-run.json"


def write_first_run(directory: Path, facts: dict[str, Any]) -> Path:
    """Writes what a first start made, once, readable by the owner only (mode 0600)."""
    path = directory / FIRST_RUN
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(facts, file, indent=2)
        file.write("\n")
    return path
