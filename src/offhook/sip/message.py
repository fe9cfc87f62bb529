"""Messages as data: `Request`, `Response` and their header fields in order.

Lives here: shape and access. Never here: bytes (parse.py, encode.py) or the meaning of a field (fields.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import TYPE_CHECKING

from offhook.record import record
from offhook.sip.uri import Uri

if TYPE_CHECKING:
    from offhook.sip.envelope import Envelope


class Headers:
    """Header fields in the order they came, under their canonical long names; values as received, unfolded and stripped.

    Immutable: `with_…` methods return a copy. Names given to methods are canonical ("Call-ID", "Via", "CSeq").
    `envelope` is kept here by envelope.py once it has been read.
    """

    __slots__ = ("_fields", "_first", "envelope")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: tuple[tuple[str, str], ...] = tuple(fields)
        self._first: dict[str, str] | None = None
        self.envelope: Envelope | None = None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return f"Headers({', '.join(name for name, _ in self._fields)})"

    def get(self, name: str) -> str | None:
        """The first field's value, or None."""
        first = self._first
        if first is None:
            first = self._first = dict(reversed(self._fields))
        return first.get(name)

    def first(self) -> dict[str, str]:
        """The first field's value of each name; to be read only."""
        first = self._first
        if first is None:
            first = self._first = dict(reversed(self._fields))
        return first

    def unique(self) -> dict[str, str] | None:
        """The values by name where no name comes twice, as in most messages; to be read only. Else None."""
        first = self._first
        if first is None:
            first = self._first = dict(reversed(self._fields))
        return first if len(first) == len(self._fields) else None

    def all(self, name: str) -> tuple[str, ...]:
        """Every field's value, one per header line; comma lists are not split here (fields.split_list does)."""
        first = self._first
        if first is None:
            first = self._first = dict(reversed(self._fields))
        if name not in first:
            return ()
        if len(first) == len(self._fields):
            return (first[name],)
        return tuple([value for key, value in self._fields if key == name])

    def with_field(self, name: str, value: str) -> "Headers":
        """A copy with the field added at the end."""
        return Headers((*self._fields, (name, value)))

    def replaced(self, name: str, value: str) -> "Headers":
        """A copy in which the first field of that name has the value, later ones are gone; added if absent."""
        out: list[tuple[str, str]] = []
        done = False
        for key, old in self._fields:
            if key != name:
                out.append((key, old))
            elif not done:
                out.append((key, value))
                done = True
        if not done:
            out.append((name, value))
        return Headers(out)

    def without(self, name: str) -> "Headers":
        """A copy without any field of that name."""
        return Headers((key, value) for key, value in self._fields if key != name)


@record
class Request:
    """RFC 3261 section 7.1. `method` is case-sensitive; `uri` is the Request-URI."""

    method: str
    uri: Uri
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""


@record
class Response:
    """RFC 3261 section 7.2. `status` is 100-699."""

    status: int
    reason: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""


Message = Request | Response
