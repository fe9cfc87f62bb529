"""Records: what events, effects, commands and messages are made of.

A record is a slotted dataclass that the type checker holds to be frozen and that nothing guards at run time: the guard of
`dataclass(frozen=True)` costs two thirds of making one, and a call makes some hundreds.
"""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

Kind = TypeVar("Kind")


@dataclass_transform(frozen_default=True)
def record(kind: type[Kind]) -> type[Kind]:
    """A dataclass with slots and a hash of its fields. Assigning to a field of a record is an error of types."""
    return dataclass(slots=True, unsafe_hash=True)(kind)
