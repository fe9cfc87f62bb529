"""The space (tenant), its root project and API tokens, and what a first start makes."""

import json
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.api_tokens import ApiToken, ApiTokens, digest, new_text, values_of
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


class Spaces:
    """The space of this installation and its tokens, in memory."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.tokens = ApiTokens(engine)

    async def load(self) -> Space | None:
        """Reads the space and its tokens; None before the first start."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(spaces).order_by(spaces.c.id))).first()
            if row is None:
                return None
            root = select(projects).where(projects.c.space_id == row.id, projects.c.parent_id.is_(None))
            project = (await connection.execute(root)).first()
            assert project is not None
        await self.tokens.load()
        return Space(row.id, row.domain, row.realm, project.id, row.secret)

    async def create(self, domain: str) -> tuple[Space, str]:
        """Makes the space, its project and one API token; returns the token's text, which is kept nowhere."""
        now = datetime.now(UTC)
        space = Space(new_id(), domain, domain, new_id(), secrets.token_bytes(32))
        text = new_text()
        token = ApiToken(new_id(), space.project_id, "first run", digest(text), frozenset(ALL_SCOPES), now)
        async with self._engine.begin() as connection:
            await connection.execute(
                spaces.insert().values(id=space.id, domain=domain, realm=domain, secret=space.secret, created_at=now)
            )
            await connection.execute(
                projects.insert().values(id=space.project_id, space_id=space.id, name="Offhook", created_at=now)
            )
            await connection.execute(tokens.insert().values(**values_of(token)))
        loaded = await self.load()
        assert loaded is not None
        return loaded, text

    def token(self, project: str, text: str) -> ApiToken | None:
        """The token of that project with that text; `project` is a UUID or AC + 32 hex."""
        return self.tokens.find(project, text)


FIRST_RUN = "first-run.json"


def write_first_run(directory: Path, facts: dict[str, Any]) -> Path:
    """Writes what a first start made, once, readable by the owner only (mode 0600)."""
    path = directory / FIRST_RUN
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(facts, file, indent=2)
        file.write("\n")
    return path
