"""A backup: one ZIP file with all tables (store/backup.py), the files of the data directory, and what it is.

Lives here: which files belong to it, and when a restore is refused. Never here: rows.
"""

import asyncio
import contextlib
import json
import os
import sqlite3
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy.exc import SQLAlchemyError

from offhook import __version__
from offhook.server.config import Settings
from offhook.server.data_directory import LOCK, RUNNING, held
from offhook.server.errors import StartError
from offhook.store import backup
from offhook.store.database import StoreError, known_revisions, migrate, open_database, reason
from offhook.store.spool import FILE as SPOOL

FORMAT = 1
"""Version of what is written here; a reader refuses a later one."""
ABOUT = "backup.json"
DATABASE, JOURNAL = "offhook.sqlite", "journal.sqlite"
NOT_KEPT = (DATABASE, JOURNAL, SPOOL, RUNNING, "media.sock", LOCK)
"""What a data directory holds besides: the tables are saved as rows, the rest is of this life of the server alone."""
PASSING = (".part", ".broken", "-wal", "-shm", "-journal", ".restoring")
"""Ends of names that are not kept either."""


class ArchiveError(Exception):
    """A backup cannot be made or used; the text says why and what would help."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup holds. `rows` by table; `files` by their path in the data directory."""

    rows: dict[str, int]
    files: tuple[str, ...]
    made_at: str
    version: str
    schema: str

    def __str__(self) -> str:
        rows = sum(self.rows.values())
        return f"{rows} rows of {len(self.rows)} tables and {len(self.files)} files"


# ---- making one


def make(settings: Settings, path: Path) -> Contents:
    """Writes a backup, mode 0600, while a server runs or not. Raises ArchiveError."""
    partial = path.with_name(path.name + ".part")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                contents = _fill(settings, archive)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be written: {error.strerror or error}") from None
    except SQLAlchemyError as error:
        raise ArchiveError(f"the database cannot be read: {reason(error)}") from None
    except StoreError as error:
        raise ArchiveError(str(error)) from None
    finally:
        partial.unlink(missing_ok=True)
    return contents


def _fill(settings: Settings, archive: zipfile.ZipFile) -> Contents:
    where = _where(settings)
    if isinstance(where, Path) and not where.exists():
        raise ArchiveError(f"there is no database in {settings.data}: name the data directory by --data")
    # Before the tables: what moves from the one to the other meanwhile is in both, and written once all the same.
    files = [*_save_spool(settings.data, archive), *_save_files(settings.data, archive)]
    engine = backup.open_unhurried(where)
    try:
        schema, rows = backup.save(engine, lambda name: archive.open(name, "w", force_zip64=True))
    finally:
        engine.dispose()
    if not schema:
        raise ArchiveError("the database has no tables of Offhook yet: start the server once")
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"format": FORMAT, "offhook": __version__, "schema": schema, "made_at": made_at, "rows": rows}
    archive.writestr(ABOUT, json.dumps({**about, "files": files}, indent=2))
    return Contents(rows, tuple(files), made_at, __version__, schema)


def _where(settings: Settings) -> Path | str:
    return settings.store.url.get_secret_value() or settings.data / DATABASE


def _kept(data: Path) -> Iterator[Path]:
    """Files of the data directory that a backup holds, in a fixed order."""
    for path in sorted(data.rglob("*")):
        name = path.relative_to(data).as_posix()
        if name in NOT_KEPT or name.endswith(PASSING) or path.is_symlink() or not path.is_file():
            continue
        yield path


def _save_files(data: Path, archive: zipfile.ZipFile) -> Iterator[str]:
    for path in _kept(data):
        name = path.relative_to(data).as_posix()
        with contextlib.suppress(FileNotFoundError):  # it went since it was listed
            archive.write(path, f"files/{name}")
            yield name


def _save_spool(data: Path, archive: zipfile.ZipFile) -> Iterator[str]:
    """Records that wait for the database, as they stand at one moment."""
    if not (data / SPOOL).exists():
        return
    copy = data / f"{SPOOL}.part"
    try:
        with (
            contextlib.closing(sqlite3.connect(data / SPOOL)) as live,
            contextlib.closing(sqlite3.connect(copy)) as one,
        ):
            live.backup(one)
        archive.write(copy, f"files/{SPOOL}")
    finally:
        copy.unlink(missing_ok=True)
    yield SPOOL


# ---- using one


def restore(settings: Settings, path: Path, force: bool) -> Contents:
    """Puts a backup into the data directory and the database that the settings name. Raises ArchiveError."""
    try:
        with zipfile.ZipFile(path) as archive, contextlib.ExitStack() as still:
            contents = _read_about(archive, path)
            still.enter_context(held(settings.data, patience=0.0))
            _refuse_users(settings)
            if not force:
                _refuse_occupied(settings)
            asyncio.run(_restore_tables(settings, archive, contents))
            for name in contents.files:
                _restore_file(settings.data, archive, name)
    except OSError as error:
        raise ArchiveError(f"{error.filename or path}: {error.strerror or error}") from None
    except zipfile.BadZipFile as error:
        raise ArchiveError(f"{path} is no whole backup: {error}") from None
    except SQLAlchemyError as error:
        raise ArchiveError(f"the database refuses the backup: {reason(error)}") from None
    except (StartError, StoreError) as error:
        raise ArchiveError(str(error)) from None
    return contents


def _read_about(archive: zipfile.ZipFile, path: Path) -> Contents:
    try:
        about = json.loads(archive.read(ABOUT))
        made_by, format_ = str(about["offhook"]), int(about["format"])
        contents = Contents(dict(about["rows"]), tuple(about["files"]), about["made_at"], made_by, str(about["schema"]))
    except (KeyError, ValueError, TypeError):
        raise ArchiveError(f"{path} is no backup of Offhook: it has no readable {ABOUT}") from None
    if format_ > FORMAT or contents.schema not in known_revisions():
        raise ArchiveError(
            f"{path} was made by Offhook {made_by} (format {format_}, schema {contents.schema}); this is Offhook"
            f" {__version__} (format {FORMAT}, schema {known_revisions()[0]}): restore it with that version or a newer one"
        )
    if broken := _damaged(archive):
        raise ArchiveError(f"{path} is damaged: {broken} in it is not as it was written")
    return contents


def _damaged(archive: zipfile.ZipFile) -> str:
    """The first file in it that is not as it was written, "" if all are."""
    for name in archive.namelist():
        try:
            with archive.open(name) as file:
                while file.read(1 << 20):
                    pass
        except (zlib.error, zipfile.BadZipFile, EOFError, NotImplementedError):
            return name
    return ""


def _refuse_users(settings: Settings) -> None:
    where = _where(settings)
    if isinstance(where, str):
        engine = backup.open_unhurried(where)
        try:
            count = backup.users(engine)
        finally:
            engine.dispose()
        if count:
            raise ArchiveError(f"{count} running servers use the database of store.url: stop them first")


def _refuse_occupied(settings: Settings) -> None:
    where = _where(settings)
    if isinstance(where, Path):
        occupied = where.exists()
    else:
        engine = backup.open_unhurried(where)
        try:
            occupied = not backup.is_empty(engine)
        finally:
            engine.dispose()
    if occupied:
        place = (
            f"{where} is there already" if isinstance(where, Path) else "the database of store.url has tables already"
        )
        raise ArchiveError(f"{place}: --force replaces it, and all that it holds is lost")
    if any(True for _ in _kept(settings.data)):
        raise ArchiveError(
            f"{settings.data} is not empty: --force replaces what is in it, or name another one by --data"
        )


async def _restore_tables(settings: Settings, archive: zipfile.ZipFile, contents: Contents) -> None:
    """The schema as it was, the rows, then what this version has made of it since."""
    where = _where(settings)
    fresh = where.with_name(DATABASE + ".restoring") if isinstance(where, Path) else where
    _clear(settings.data, fresh)
    await _migrated(fresh, contents.schema)
    engine = backup.open_unhurried(fresh)
    try:
        rows = await asyncio.to_thread(backup.load, engine, contents.rows, lambda name: _opened(archive, name))
    finally:
        engine.dispose()
    if rows != contents.rows:
        raise ArchiveError(f"the backup names other rows than it holds: {contents.rows} and {rows}")
    await _migrated(fresh, "head")
    if isinstance(where, Path) and isinstance(fresh, Path):
        _whole(fresh)
        os.replace(fresh, where)


def _opened(archive: zipfile.ZipFile, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    return archive.open(name)


def _clear(data: Path, fresh: Path | str) -> None:
    """What belongs to the database that is replaced."""
    for name in (JOURNAL, SPOOL, f"{DATABASE}.restoring"):
        for end in ("", "-wal", "-shm", "-journal"):
            (data / f"{name}{end}").unlink(missing_ok=True)
    if isinstance(fresh, Path):
        # Of a server that was killed: they would be read into the new database.
        for end in ("-wal", "-shm"):
            (data / f"{DATABASE}{end}").unlink(missing_ok=True)
        return
    engine = backup.open_unhurried(fresh)
    try:
        backup.drop_all(engine)
    finally:
        engine.dispose()


async def _migrated(where: Path | str, revision: str) -> None:
    engine = open_database(where)
    try:
        await migrate(engine, revision)
    finally:
        await engine.dispose()


def _whole(path: Path) -> None:
    """One file without a log beside it, on the disk."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.chmod(0o600)


def _restore_file(data: Path, archive: zipfile.ZipFile, name: str) -> None:
    target = (data / name).resolve()
    if not target.is_relative_to(data.resolve()):
        raise ArchiveError(f"the backup holds a file outside the data directory: {name}")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    entry: Any = archive.getinfo(f"files/{name}")
    mode = stat.S_IMODE(entry.external_attr >> 16) or 0o600
    partial = target.with_name(target.name + ".part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file, archive.open(entry) as source:
        while block := source.read(1 << 20):
            file.write(block)
    partial.replace(target)


__all__ = ["ArchiveError", "Contents", "make", "restore"]
