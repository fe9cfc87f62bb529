"""Databases for tests: a SQLite file, and a PostgreSQL cluster of the session's own, ended by its process id."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.store.database import open_database
from tests.support.patience import PATIENCE

KINDS = ("sqlite", "postgresql")
_START_TIME = PATIENCE


@dataclass
class Database:
    """One empty database. `where` is what `open_database` takes."""

    kind: str
    where: Path | str
    _engines: list[AsyncEngine] = field(default_factory=list)

    def open(self) -> AsyncEngine:
        """An engine on it; all are disposed of at the end of the test."""
        engine = open_database(self.where)
        self._engines.append(engine)
        return engine

    async def close(self) -> None:
        """Lets go of every engine."""
        for engine in self._engines:
            await engine.dispose()

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """What a stranger with the database's own client reads."""
        if isinstance(self.where, Path):
            import sqlite3

            with contextlib.closing(sqlite3.connect(self.where)) as raw:
                return list(raw.execute(statement))
        with psycopg.connect(self.where) as raw:
            return list(raw.execute(statement.encode()).fetchall())


def _program(name: str) -> str:
    found = shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))[-1:]), None)
    assert found is not None, f"{name} is not there: install Debian's package postgresql (interop/peers.sh does)"
    return found


class Cluster:
    """A PostgreSQL server on a Unix socket, in a directory of its own. `with Cluster() as one`."""

    def __init__(self) -> None:
        self._names = (f"test_{number}" for number in count(1))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Cluster":
        # Not pytest's directory: root's is closed to the user the server must run as.
        self.folder = Path(tempfile.mkdtemp(prefix="offhook-pg-"))
        self._user = self._unprivileged()
        folder = str(self.folder)
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._run(
            [_program("initdb"), "-D", f"{folder}/data", "-U", "offhook", "-A", "trust", "-E", "UTF8", "--no-sync"]
        )
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _unprivileged() -> pwd.struct_passwd | None:
        """PostgreSQL refuses to run as root."""
        if os.getuid() != 0:
            return None
        names = {one.pw_name: one for one in pwd.getpwall()}
        return names.get("postgres") or names["nobody"]

    def _options(self) -> dict[str, object]:
        if self._user is None:
            return {"cwd": self.folder}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": [], "cwd": self.folder}

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._options())  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Starts the server on the data it has."""
        settings = ("listen_addresses=", f"unix_socket_directories={self.folder}", "max_connections=200")
        # What a crash of the machine would cost is not tested here: no fsync.
        fast = ("fsync=off", "synchronous_commit=on", "full_page_writes=off", "shared_buffers=32MB")
        command = [_program("postgres"), "-D", f"{self.folder}/data"]
        for one in (*settings, *fast):
            command += ["-c", one]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._options())  # type: ignore[call-overload]
        deadline = time.monotonic() + _START_TIME
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    @property
    def pids(self) -> list[int]:
        """The server's processes, the first of which started the others."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [self._process.pid, *map(int, children)]

    def signal(self, number: signal.Signals) -> None:
        """To every process of the server: SIGSTOP makes it slow beyond measure, SIGCONT wakes it."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """Ends the server at once, as a fast shutdown does; its data stays."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGCONT)  # a failed test may have left it stopped
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_START_TIME)

    def url(self, name: str) -> str:
        """A URL as users write it."""
        return f"postgresql://offhook@/{name}?host={self.folder}"

    def create(self) -> str:
        """A new, empty database; its URL."""
        name = next(self._names)
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def drop(self, url: str) -> None:
        """Takes it away, with whoever is connected."""
        name = url.partition("@/")[2].partition("?")[0]
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
