"""Where rows wait while the database does not take them: a SQLite file of its own in the data directory, in order.

Used by the writer's thread alone, and only in an outage; a commit here has reached the disk. What is in it outlives the
process and is written by the next one.
"""

import contextlib
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import MetaData

from offhook.store.statements import Kept, Remove, Stated, Upsert

FILE = "spool.sqlite"
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS waiting"
    " (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, target TEXT NOT NULL, row BLOB NOT NULL)"
)
_INSERT = "INSERT INTO waiting (kind, target, row) VALUES (?, ?, ?)"
_FIRST = "SELECT id, kind, target, row FROM waiting ORDER BY id LIMIT ?"

Waiting = tuple[Kept, Mapping[str, Any]]


def _named(kept: Kept) -> tuple[str, str]:
    match kept:
        case Upsert(table):
            return "upsert", table.name
        case Remove(table, column):
            return "remove", f"{table.name} {column}".strip()
    return "stated", kept.name


class Spool:
    """`room` is how many rows may wait; beyond it the oldest go. Methods raise sqlite3.Error and OSError when the disk
    refuses too."""

    def __init__(self, path: Path, metadata: MetaData, room: int) -> None:
        self._path = path
        self._tables = metadata.tables
        self.room = room
        self._connection: sqlite3.Connection | None = None
        self.dropped = 0
        self.length = self._count() if path.exists() else 0

    def _count(self) -> int:
        try:
            with self._open() as connection:
                return int(connection.execute("SELECT count(*) FROM waiting").fetchone()[0])
        except sqlite3.DatabaseError:
            # Unreadable: its rows are lost anyhow, those to come need not be.
            self.close()
            os.replace(self._path, f"{self._path}.broken")
            self.dropped += 1
            return 0

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=2)
            # FULL: who hands a row over forgets it. One file beside the database is enough: no WAL.
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(_SCHEMA)
            self._connection = connection
        return self._connection

    def close(self) -> None:
        """Lets go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def append(self, group: Sequence[Waiting]) -> None:
        """Keeps these, behind those that wait. A row that no database could hold is left out and counted."""
        rows = [one for one in map(self._packed, group) if one is not None]
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(_INSERT, rows)
            over = max(0, self.length + len(rows) - self.room)
            if over:
                connection.execute(
                    "DELETE FROM waiting WHERE id IN (SELECT id FROM waiting ORDER BY id LIMIT ?)", (over,)
                )
            connection.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        self.length += len(rows) - over
        self.dropped += over

    def _packed(self, waiting: Waiting) -> tuple[str, str, bytes] | None:
        kept, values = waiting
        try:
            return *_named(kept), msgspec.msgpack.encode(dict(values))
        except (TypeError, ValueError, OverflowError, RecursionError):
            self.dropped += 1
            return None

    def first(self, most: int) -> tuple[list[Waiting], int]:
        """Those that have waited longest, and the id of the last of them."""
        rows = self._open().execute(_FIRST, (most,)).fetchall()
        found = [one for one in (self._read(*row[1:]) for row in rows) if one is not None]
        return found, rows[-1][0] if rows else 0

    def _read(self, kind: str, target: str, row: bytes) -> Waiting | None:
        """None for a row that another version of this program kept and this one does not know."""
        name, _, column = target.partition(" ")
        table, kept = self._tables.get(name), Stated.by_name.get(name)
        if kind == "stated" and kept is not None:
            return kept, msgspec.msgpack.decode(row)
        if table is not None:
            return (Remove(table, column) if kind == "remove" else Upsert(table)), msgspec.msgpack.decode(row)
        self.dropped += 1
        return None

    def forget(self, last: int) -> None:
        """Those up to this id are written."""
        connection = self._open()
        self.length -= connection.execute("DELETE FROM waiting WHERE id <= ?", (last,)).rowcount
