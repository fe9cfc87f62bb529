"""Domain applications and SIP addresses: URIs of ours that strangers may call (API.md 6.2, 6.3), in memory for the call
path."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Executable, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.sip.location import Secret
from offhook.store.identifiers import new_id
from offhook.store.tables import applications


@dataclass(frozen=True, slots=True)
class ApplicationRow:
    """One row. `type` is domain_application or sip_address; `identifier` names it in its URI; `settings` are the other
    fields, the handler's flat among them. The HA1 values are those of a SIP address's password, "" without one."""

    id: str
    project_id: str
    type: str
    identifier: str
    created_at: datetime
    updated_at: datetime
    name: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    ha1_md5: Secret = Secret("")
    ha1_sha256: Secret = Secret("")


class ApplicationRows:
    """All of the installation. Reads never wait; a write is committed before it is seen and returned."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._rows: dict[str, ApplicationRow] = {}

    async def load(self) -> None:
        """Reads every row."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(applications).order_by(applications.c.id))).mappings().all()
        self._rows = {row["id"]: _from_row(dict(row)) for row in rows}

    def __iter__(self) -> Iterator[ApplicationRow]:
        return iter(tuple(self._rows.values()))

    def get(self, id_: str) -> ApplicationRow | None:
        """By id."""
        return self._rows.get(id_)

    def named(self, identifier: str) -> ApplicationRow | None:
        """By the name in its URI."""
        return next((row for row in self._rows.values() if row.identifier == identifier), None)

    async def create(self, **fields: Any) -> ApplicationRow | None:
        """A new row, committed; None when the identifier is taken."""
        now = datetime.now(UTC)
        row = ApplicationRow(id=new_id(), created_at=now, updated_at=now, **fields)
        if not await self._execute(insert(applications).values(**_values(row))):
            return None
        self._rows[row.id] = row
        return row

    async def change(self, id_: str, **fields: Any) -> ApplicationRow | None:
        """The row with those fields changed, committed; None when the identifier is taken or the row is gone."""
        row = self._rows.get(id_)
        if row is None:
            return None
        changed = replace(row, updated_at=datetime.now(UTC), **fields)
        if not await self._execute(update(applications).where(applications.c.id == id_).values(**_values(changed))):
            return None
        self._rows[id_] = changed
        return changed

    async def remove(self, id_: str) -> None:
        """Deletes the row; a second time does nothing."""
        await self._execute(delete(applications).where(applications.c.id == id_))
        self._rows.pop(id_, None)

    async def _execute(self, statement: Executable) -> bool:
        try:
            async with self._engine.begin() as connection:
                await connection.execute(statement)
        except IntegrityError:
            return False
        return True


def _values(row: ApplicationRow) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in ApplicationRow.__dataclass_fields__}
    return values | {"ha1_md5": row.ha1_md5.reveal(), "ha1_sha256": row.ha1_sha256.reveal()}


def _from_row(row: dict[str, Any]) -> ApplicationRow:
    for name in ("created_at", "updated_at"):
        row[name] = row[name].replace(tzinfo=UTC)
    return ApplicationRow(**{**row, "ha1_md5": Secret(row["ha1_md5"]), "ha1_sha256": Secret(row["ha1_sha256"])})
