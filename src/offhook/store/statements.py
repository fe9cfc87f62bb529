"""What the writer is handed: statements that every database speaks and that can wait on disk (store/spool.py).

All kinds may be done twice with the same end, because nobody can tell whether a connection that broke in a commit had
done it.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sqlalchemy import Executable, Table, bindparam, delete
from sqlalchemy.dialects import postgresql, sqlite

from offhook.record import record

GONE = "gone"
"""The parameter of `Remove`: the value of its column."""


@record
class Upsert:
    """A whole row, over the one with its primary key if there is one."""

    table: Table


@record
class Remove:
    """All rows with a value (parameter `GONE`) in a column, of the primary key unless another is named."""

    table: Table
    column: str = ""


class Stated:
    """A statement with a name, built for a dialect from its own `insert`, which knows `on_conflict_do_nothing`. Make one
    per statement, as a constant of a module that is always imported."""

    by_name: dict[str, "Stated"] = {}

    def __init__(self, name: str, build: Callable[[Callable[[Table], Any]], Executable]) -> None:
        self.name = name
        self._build = build
        self._built: dict[str, Executable] = {}
        self.by_name[name] = self

    def of(self, dialect: str) -> Executable:
        """The same object for the same dialect."""
        if dialect not in self._built:
            self._built[dialect] = self._build(_insert(dialect))
        return self._built[dialect]


Kept = Upsert | Remove | Stated


def _insert(dialect: str) -> Callable[[Table], Any]:
    return postgresql.insert if dialect == "postgresql" else sqlite.insert


def prepared(kept: Kept, dialect: str) -> Executable:
    """As the database of that SQLAlchemy dialect speaks it; the same object for the same statement."""
    if isinstance(kept, Stated):
        return kept.of(dialect)
    column = kept.column if isinstance(kept, Remove) else ""
    return _prepared(isinstance(kept, Remove), kept.table, column, dialect)


@lru_cache(256)
def _prepared(removes: bool, table: Table, column: str, dialect: str) -> Executable:
    if removes:
        wanted = table.c[column] if column else next(iter(table.primary_key))
        return delete(table).where(wanted == bindparam(GONE))
    key = [one.name for one in table.primary_key]
    insert = _insert(dialect)(table)
    fresh = {one.name: insert.excluded[one.name] for one in table.c if one.name not in key}
    statement: Executable = insert.on_conflict_do_update(index_elements=key, set_=fresh)
    return statement
