"""What was answered to requests with an Idempotency-Key, for a day; and cookies that were given back before their end
(API.md 1.2, 1.7). Both outlive a restart, because a client that tries again does not know of one."""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.tables import given_back, idempotent_answers

KEPT = timedelta(hours=24)
SWEEP = 256
"""Answers between two looks for old ones: deleting is cheap when it is not done for each."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`key` names the project, the method, the path and the client's key; `body` is that of the answer, without secrets."""

    key: str
    request: str
    """SHA-256 of the request's body."""
    status: int
    body: bytes
    kind: str
    """The answer's content type."""


class Answers:
    """Reads and writes wait for the database: a replay must be of what was committed. At most `most` are kept."""

    def __init__(self, engine: AsyncEngine, most: int) -> None:
        self._engine, self._most = engine, most
        self._until_sweep = 0
        self._given_back: set[str] = set()

    async def load(self) -> None:
        """Reads which cookies were given back."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(given_back.c.id))).all()
        self._given_back = {row.id for row in rows}

    async def find(self, key: str) -> Answer | None:
        """What was answered under a key within a day."""
        table = idempotent_answers
        since = datetime.now(UTC) - KEPT
        async with self._engine.connect() as connection:
            row = (
                await connection.execute(select(table).where(table.c.key == key, table.c.answered_at > since))
            ).first()
        return Answer(row.key, row.request, row.status, row.body, row.kind) if row is not None else None

    async def keep(self, key: str, request: str, status: int, body: bytes, kind: str) -> None:
        """Keeps an answer; one that another node kept first stays."""
        await self._sweep()
        values = {"key": key, "request": request, "status": status, "body": body, "kind": kind}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(delete(idempotent_answers).where(idempotent_answers.c.key == key))
                await connection.execute(insert(idempotent_answers).values(**values, answered_at=datetime.now(UTC)))
        except IntegrityError:
            return

    async def _sweep(self) -> None:
        self._until_sweep -= 1
        if self._until_sweep > 0:
            return
        self._until_sweep = SWEEP
        table = idempotent_answers
        async with self._engine.begin() as connection:
            await connection.execute(delete(table).where(table.c.answered_at <= datetime.now(UTC) - KEPT))
            count = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            if count > self._most:
                oldest = select(table.c.key).order_by(table.c.answered_at).limit(count - self._most)
                await connection.execute(delete(table).where(table.c.key.in_(oldest)))

    # ---- cookies

    def is_given_back(self, id_: str) -> bool:
        """True for a cookie that its owner has ended."""
        return id_ in self._given_back

    async def give_back(self, id_: str, ends_at: datetime) -> None:
        """A cookie that opens nothing from now on; forgotten once its time is over."""
        self._given_back.add(id_)
        with contextlib.suppress(IntegrityError):  # somebody gave it back at the same moment
            async with self._engine.begin() as connection:
                await connection.execute(delete(given_back).where(given_back.c.ends_at <= datetime.now(UTC)))
                await connection.execute(insert(given_back).values(id=id_, ends_at=ends_at))
