"""Texts that wait for a device of their endpoint: in memory, written behind, bounded per endpoint and in age."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.calls.effects import KeptText
from offhook.store.changes import read_again
from offhook.store.statements import GONE, Remove, Upsert
from offhook.store.tables import texts
from offhook.store.writer import Writer

_WRITE = Upsert(texts)
_DELETE = Remove(texts)


class Texts:
    """`per_endpoint` texts wait for one endpoint, the oldest go first; none longer than `days`."""

    def __init__(self, engine: AsyncEngine, writer: Writer, per_endpoint: int, days: int) -> None:
        self._engine = engine
        self._writer = writer
        self._per_endpoint = per_endpoint
        self._days = days
        self._waiting: dict[str, dict[str, tuple[datetime, KeptText]]] = {}
        self._endpoint: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._endpoint)

    async def load(self) -> None:
        """Takes up what was kept before a restart."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(texts).order_by(texts.c.kept_at, texts.c.ref))).all()
        for row in rows:
            self._remember(*_from_row(row._asdict()))

    async def refresh(self, refs: Collection[str] | None) -> None:
        """Reads rows again that another process has changed (store/changes.py): what it delivered waits here no longer.
        All at once are not read: what waits here may not be written yet, what was delivered not yet be deleted."""
        if refs is None:
            return
        found = await read_again(self._engine, texts, refs)
        for ref in refs:
            row = found.get(ref)
            if row is None:
                self._forget(ref)
            elif ref not in self._endpoint:
                self._remember(*_from_row(row))

    def put(self, text: KeptText) -> None:
        """Keeps one, with the time it came in its Date field."""
        now = datetime.now(UTC)
        if not any(name == "Date" for name, _ in text.fields):
            date = ("Date", now.strftime("%a, %d %b %Y %H:%M:%S GMT"))
            text = KeptText(text.ref, text.to, text.from_, (*text.fields, date), text.body)
        self._remember(text, now)
        values: dict[str, Any] = {
            "ref": text.ref,
            "recipient": text.to,
            "sender": text.from_,
            "fields": [list(pair) for pair in text.fields],
            "body": text.body,
            "kept_at": now,
        }
        self._writer.put(_WRITE, values)

    def _remember(self, text: KeptText, at: datetime) -> None:
        endpoint = text.to.casefold()
        waiting = self._waiting.setdefault(endpoint, {})
        waiting[text.ref], self._endpoint[text.ref] = (at, text), endpoint
        for ref in list(waiting)[: max(0, len(waiting) - self._per_endpoint)]:
            self.drop(ref)

    def find(self, username: str) -> tuple[KeptText, ...]:
        """What waits for an endpoint, oldest first."""
        oldest = datetime.now(UTC) - timedelta(days=self._days)
        waiting = self._waiting.get(username.casefold(), {})
        self._drop_all([ref for ref, (at, _) in waiting.items() if at < oldest])
        return tuple(text for _, text in self._waiting.get(username.casefold(), {}).values())

    def expire(self, now: datetime) -> int:
        """Drops what has waited too long for whom nobody asks; returns how many there were."""
        oldest = now - timedelta(days=self._days)
        waiting = [one for group in self._waiting.values() for one in group.items()]
        return self._drop_all([ref for ref, (at, _) in waiting if at < oldest])

    def _drop_all(self, refs: Collection[str]) -> int:
        for ref in refs:
            self.drop(ref)
        return len(refs)

    def drop(self, ref: str) -> None:
        """It has been taken; unknown ones are ignored."""
        if self._forget(ref):
            self._writer.put(_DELETE, {GONE: ref})

    def _forget(self, ref: str) -> bool:
        """False for an unknown one."""
        endpoint = self._endpoint.pop(ref, None)
        if endpoint is None:
            return False
        waiting = self._waiting[endpoint]
        del waiting[ref]
        if not waiting:
            del self._waiting[endpoint]
        return True


def _from_row(row: Mapping[str, Any]) -> tuple[KeptText, datetime]:
    fields = tuple((str(name), str(value)) for name, value in row["fields"])
    text = KeptText(row["ref"], row["recipient"], row["sender"], fields, row["body"])
    return text, row["kept_at"].replace(tzinfo=UTC)
