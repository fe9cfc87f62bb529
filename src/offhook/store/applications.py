"""Domain applications and SIP addresses: URIs of ours that strangers may call (API.md 6.2, 6.3), in memory for the call
path."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from offhook.sip.secret import Secret
from offhook.store.mirror import Mirror
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


class ApplicationRows(Mirror[ApplicationRow]):
    """All of the installation. `create` and `change` are None when the identifier is taken."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, applications, ApplicationRow)

    def named(self, identifier: str) -> ApplicationRow | None:
        """By the name in its URI."""
        return next((row for row in self if row.identifier == identifier), None)

    async def create(self, **fields: Any) -> ApplicationRow | None:
        """A new row."""
        return await self._insert(**fields)

    async def change(self, id_: str, **fields: Any) -> ApplicationRow | None:
        """The row with those fields changed; None when it is gone, too."""
        return await self._update(id_, **fields)

    def _write(self, row: ApplicationRow) -> dict[str, Any]:
        return super()._write(row) | {"ha1_md5": row.ha1_md5.reveal(), "ha1_sha256": row.ha1_sha256.reveal()}

    def _read(self, columns: dict[str, Any]) -> ApplicationRow:
        secrets = {name: Secret(columns[name]) for name in ("ha1_md5", "ha1_sha256")}
        return super()._read(columns | secrets)
