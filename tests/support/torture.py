"""The messages of RFC 4475 and RFC 5118 with what their rows in expected.json say."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VECTORS = Path(__file__).parent.parent / "vectors"


@dataclass(frozen=True)
class Torture:
    """`outcomes` are those a server may have: a status, `accept` or `drop`; `kind` is the class of the row."""

    name: str
    collection: str
    kind: str
    outcomes: tuple[str, ...]
    behaviour: str
    data: bytes

    def __repr__(self) -> str:
        return f"<{self.collection} {self.name}>"


@cache
def torture() -> tuple[Torture, ...]:
    """All 49 and 12; those whose published Content-Length is wrong come with it put right."""
    return tuple(one for folder in ("rfc4475", "rfc5118") for one in _collection(folder))


def message(name: str) -> bytes:
    """The octets of one message."""
    return next(one.data for one in torture() if one.name == name)


def as_published() -> tuple[bytes, ...]:
    """The three IPv6 messages with the Content-Length of the RFC text."""
    return tuple((VECTORS / "rfc5118" / path.name).read_bytes() for path in _put_right("rfc5118"))


def _collection(folder: str) -> list[Torture]:
    right = {path.stem: path for path in _put_right(folder)}
    rows = json.loads((VECTORS / folder / "expected.json").read_text())
    return [
        Torture(
            name=row["name"],
            collection=folder,
            kind=row["class"],
            outcomes=tuple(row["server_outcomes"]),
            behaviour=row["behaviour"],
            data=right.get(row["name"], VECTORS / folder / f"{row['name']}.dat").read_bytes(),
        )
        for row in rows
    ]


def _put_right(folder: str) -> list[Path]:
    return sorted((VECTORS / folder / "fixed-length").glob("*.dat"))
