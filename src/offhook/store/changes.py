"""Rows that others change: on PostgreSQL every process hears of each change to the tables it keeps in memory, and reads
those rows again (API.md 1.1: the next SIP message on every node obeys a write).

A trigger tells, so that nothing that writes can forget to, not even a person with a database client. A process that has
written asks the others whether they know (`everywhere`): they read what was told before the question before they answer. A
SQLite file has one process, and nothing to tell.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Collection
from itertools import count
from typing import Any

import psycopg
from sqlalchemy import Connection, Table, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store import postgres

CHANNEL = "offhook_rows"
AT_ONCE = 500
"""Rows read in one statement."""
PAUSE = 1.0
"""Seconds to the next try to listen after the connection was lost."""
CONFIRM = 1.0
"""Seconds in which the others say that they know: one that hangs must not hold up who writes."""
TRIGGER_LOCK = 0x0FF400D
"""Key of PostgreSQL's advisory lock for making the triggers."""
LISTENER = "offhook-node-"
"""How the name of a connection begins that listens."""
QUESTION, ANSWER = "?", "!"
"""In the place of a table's name: `? PROCESS NUMBER` asks all others, `! PROCESS NUMBER` answers that process."""

Refresh = Callable[[Collection[str] | None], Awaitable[None]]
"""Reads the rows with these primary keys again, gone ones included; None reads everything."""

_FUNCTION = f"""
CREATE OR REPLACE FUNCTION offhook_row_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changed jsonb;
BEGIN
  IF TG_OP = 'DELETE' THEN changed := to_jsonb(OLD); ELSE changed := to_jsonb(NEW); END IF;
  PERFORM pg_notify('{CHANNEL}', TG_TABLE_NAME || ' ' || (changed ->> TG_ARGV[0]));
  RETURN NULL;
END $$
"""
_TRIGGER = (
    "CREATE TRIGGER offhook_row_changed AFTER INSERT OR UPDATE OR DELETE ON {table}"
    " FOR EACH ROW EXECUTE FUNCTION offhook_row_changed('{key}')"
)
_ASK = text(
    f"SELECT pg_notify('{CHANNEL}', :question),"
    " (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    f" AND application_name LIKE '{LISTENER}%' AND application_name <> :own)"
)
_THERE = text("SELECT relname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid WHERE tgname = 'offhook_row_changed'")


async def read_again(engine: AsyncEngine, table: Table, ids: Collection[str] | None) -> dict[str, dict[str, Any]]:
    """The rows that are there, by primary key."""
    key = next(iter(table.primary_key))
    wanted = select(table).order_by(key)
    parts = [wanted] if ids is None else [
        wanted.where(key.in_(list(ids)[at : at + AT_ONCE])) for at in range(0, len(ids), AT_ONCE)
    ]  # fmt: skip
    found: dict[str, dict[str, Any]] = {}
    async with engine.connect() as connection:
        for part in parts:
            for row in (await connection.execute(part)).mappings():
                found[row[key.name]] = dict(row)
    return found


class Changes:
    """`follow` each table, then `start`, which returns once nothing can be missed; `stop` ends it."""

    def __init__(self, engine: AsyncEngine, note: Callable[[str, dict[str, Any]], None]) -> None:
        self._engine = engine
        self._note = note
        self._tables: dict[str, Table] = {}
        self._refresh: dict[str, Refresh] = {}
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self._name = uuid.uuid4().hex
        self._questions = count(1)
        self._answers: dict[str, asyncio.Semaphore] = {}

    def follow(self, table: Table, refresh: Refresh) -> None:
        """Calls `refresh` when rows of a table have changed."""
        self._tables[table.name], self._refresh[table.name] = table, refresh

    async def start(self) -> None:
        """Begins to listen. Raises SQLAlchemyError when the triggers cannot be made."""
        if self._engine.dialect.name != "postgresql":
            return
        async with self._engine.begin() as connection:
            await connection.run_sync(self._make_triggers)
        self._task = asyncio.create_task(self._run(), name="changes of other nodes")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(postgres.PATIENCE):
                await self._listening.wait()

    def _make_triggers(self, connection: Connection) -> None:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({TRIGGER_LOCK})"))
        there = set(connection.scalars(_THERE))
        connection.execute(text(_FUNCTION))
        for name, table in self._tables.items():
            if name not in there:
                key = next(iter(table.primary_key)).name
                connection.execute(text(_TRIGGER.format(table=name, key=key)))

    async def stop(self) -> None:
        """Listens no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def everywhere(self) -> bool:
        """Returns once every other process knows what was committed before; False when one did not say so in time."""
        if not self._listening.is_set():
            return self._task is None
        number = str(next(self._questions))
        answers = self._answers[number] = asyncio.Semaphore(0)
        try:
            async with asyncio.timeout(CONFIRM), self._engine.begin() as connection:
                asked = {"question": f"{QUESTION} {self._name} {number}", "own": LISTENER + self._name}
                others = (await connection.execute(_ASK, asked)).one()[1]
            async with asyncio.timeout(CONFIRM):
                for _ in range(others):
                    await answers.acquire()
        except (SQLAlchemyError, OSError):
            return False
        finally:
            del self._answers[number]
        return True

    async def _run(self) -> None:
        lost = False
        while True:
            try:
                await self._listen(lost)
            except Exception as error:
                # Whatever it was: a new connection reads everything again.
                if self._listening.is_set() or not lost:
                    self._note("changes of other nodes are not heard", {"reason": str(error).partition("\n")[0]})
                self._listening.clear()
                lost = True
                await asyncio.sleep(PAUSE)

    async def _listen(self, lost: bool) -> None:
        url = postgres.libpq_url(self._engine.url.render_as_string(hide_password=False))
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True, **postgres.OPTIONS)
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            if lost:
                # The pool's connections went with ours: nobody should find that out by a failed request.
                await self._engine.dispose()
            # What was committed before this connection listened has told nobody here.
            for refresh in self._refresh.values():
                await refresh(None)
            await connection.execute("SELECT set_config('application_name', %s, false)", (LISTENER + self._name,))
            self._listening.set()
            if lost:
                self._note("changes of other nodes are heard again", {})
            while True:
                await self._hear(connection)

    async def _hear(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """What was told while the last rows were read is read together."""
        told = [one.payload async for one in connection.notifies(stop_after=1)]
        told += [one.payload async for one in connection.notifies(timeout=0)]
        changed: dict[str, set[str]] = {}
        for payload in told:
            table, _, id_ = payload.partition(" ")
            changed.setdefault(table, set()).add(id_)
        self._count(changed.pop(ANSWER, ()))
        questions = [one for one in changed.pop(QUESTION, ()) if not one.startswith(self._name)]
        for name, refresh in self._refresh.items():
            if name in changed:
                await refresh(changed[name])
        for one in questions:
            await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, f"{ANSWER} {one} {self._name}"))

    def _count(self, answers: Collection[str]) -> None:
        for one in answers:
            name, number, _ = one.split(" ")
            if name == self._name and number in self._answers:
                self._answers[number].release()
