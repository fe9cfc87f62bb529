"""What rows of the store have in common, as the API sees them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol, TypeVar


class Stored(Protocol):
    """A row of a project."""

    @property
    def id(self) -> str: ...
    @property
    def project_id(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...


class Changing(Stored, Protocol):
    """One that can be changed."""

    @property
    def updated_at(self) -> datetime: ...


R = TypeVar("R", covariant=True)


class Rows(Protocol[R]):
    """All of the installation, the oldest first. Reads never wait."""

    def __iter__(self) -> Iterator[R]: ...
    def get(self, id_: str) -> R | None: ...


class PlainRows(Rows[R], Protocol[R]):
    """Those written field by field. Writes are committed when they return: None when what must be unique is taken, from
    `change` also when the row is gone."""

    async def create(self, **fields: Any) -> R | None: ...
    async def change(self, id_: str, **fields: Any) -> R | None: ...
    async def remove(self, id_: str) -> None: ...
