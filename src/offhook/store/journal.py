"""The journal of live calls: a SQLite file of its own, written by a thread of its own, whatever the main database is.

One row per call, the newest state only; what changes again before it is written is written once. A killed process loses
what had not yet been gathered, the last 10 to 50 ms; a power cut may lose the last commits, which then are calls that
nobody takes back.
"""

import contextlib
import os
import sqlite3
import threading
from pathlib import Path

LINGER = 0.01
"""Seconds in which further changes join a commit, for each row of the commit before: a node with 25 calls a second or more
wakes this thread less often, which costs its loop more than the write."""
LONGEST = 0.05
"""Seconds that no change waits longer for."""
PAUSE = 1.0
"""Seconds to the next try after the file refused."""
MOST = 100_000
"""Rows that may wait for a file that refuses: twice the dialogs of a node."""
_SCHEMA = "CREATE TABLE IF NOT EXISTS calls (ref TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID"


class Journal:
    """`load` once, then `start`; `put` and `drop` from the loop's thread, for little; `stop` writes the rest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending: dict[str, bytes | None] = {}
        self._changed = threading.Condition()
        self._ending = False
        self._linger = LINGER
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self.failures = 0
        self.dropped = 0
        self.written = 0

    def load(self) -> dict[str, bytes]:
        """Every row. A file that cannot be read is put aside as `….broken`, for its calls are lost anyhow."""
        try:
            return self._read()
        except sqlite3.DatabaseError:
            self.failures += 1
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    os.replace(f"{self._path}{suffix}", f"{self._path}.broken{suffix}")
            return self._read()

    def _read(self) -> dict[str, bytes]:
        with contextlib.closing(self._open()) as connection:
            return dict(connection.execute("SELECT ref, state FROM calls"))

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self._path, isolation_level=None)
        # NORMAL: a commit costs no fsync, yet outlives the process.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(_SCHEMA)
        return connection

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def put(self, ref: str, state: bytes) -> None:
        """The newest state of a call."""
        self._note(ref, state)

    def drop(self, ref: str) -> None:
        """Nothing of the call is needed any more."""
        self._note(ref, None)

    def _note(self, ref: str, state: bytes | None) -> None:
        with self._changed:
            if len(self._pending) >= MOST and ref not in self._pending:
                self.dropped += 1
                return
            if not self._pending:
                # Only the first of a group has somebody to wake; a wake-up for each costs the loop more than the write.
                self._changed.notify()
            self._pending[ref] = state

    def stop(self, patience: float = 5.0) -> None:
        """Writes what is left and ends; waits for `patience` seconds at most."""
        if not self._thread.is_alive():
            return
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(patience)

    def _run(self) -> None:
        with contextlib.closing(self._open()) as connection:
            while self._turn(connection):
                pass

    def _turn(self, connection: sqlite3.Connection) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._ending)
            if not self._ending:
                self._changed.wait_for(lambda: self._ending, self._linger)
            group, self._pending = self._pending, {}
            self._linger = min(LONGEST, LINGER * max(1, len(group)))
            ending = self._ending
        if group and not self._commit(connection, group) and not ending:
            self._give_back(group)
        return not ending

    def _commit(self, connection: sqlite3.Connection, group: dict[str, bytes | None]) -> bool:
        try:
            connection.execute("BEGIN")
            states = [(ref, state) for ref, state in group.items() if state is not None]
            gone = [(ref,) for ref, state in group.items() if state is None]
            connection.executemany("INSERT OR REPLACE INTO calls VALUES (?, ?)", states)
            connection.executemany("DELETE FROM calls WHERE ref = ?", gone)
            connection.execute("COMMIT")
        except sqlite3.Error:
            self.failures += 1
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            return False
        self.written += len(group)
        return True

    def _give_back(self, group: dict[str, bytes | None]) -> None:
        with self._changed:
            self._pending = {**group, **self._pending}
            self._changed.wait_for(lambda: self._ending, PAUSE)
