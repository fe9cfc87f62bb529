"""What is wrong with a setting, where it stands and what would be right, in words for whoever wrote it."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

Place = tuple[str, ...]
PAGE = "docs/reference/settings.md"
_WANTED = {
    "int_parsing": "give a whole number",
    "int_type": "give a whole number",
    "int_from_float": "give a whole number",
    "float_parsing": "give a number",
    "float_type": "give a number",
    "finite_number": "give a number",
    "bool_parsing": "give true or false",
    "bool_type": "give true or false",
    "string_type": "give a text in quotes",
    "path_type": "give a path in quotes",
    "tuple_type": 'give a list: ["one", "another"]',
}
"""By pydantic's name of the fault."""
_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def told(error: ValidationError, tree: type[BaseModel], origins: Mapping[Place, str]) -> str:
    """One sentence about the first fault of a tree of settings."""
    first = error.errors()[0]
    place = tuple(str(part) for part in first["loc"] if isinstance(part, str))
    where = next((text for known, text in origins.items() if place[: len(known)] == known), None)
    # A group that is unknown stands where its first setting does.
    where = where or next((text for known, text in origins.items() if known[: len(place)] == place), "a setting")
    return f"{where}: {'.'.join(place)}: {_what(dict(first), tree, place)}; see {PAGE}"


def _what(fault: dict[str, Any], tree: type[BaseModel], place: Place) -> str:
    kind = str(fault["type"])
    if kind == "extra_forbidden":
        return "is not a setting"
    if kind == "model_type":
        return f"is a group: write [{place[-1]}] above its settings"
    if kind in _WANTED:
        return _given(fault) + _WANTED[kind]
    bounds = fault.get("ctx", {})
    if kind == "literal_error":
        return f"{_given(fault)}give {bounds['expected']}"
    if kind == "too_short":
        return "give one at least"
    if (bound := next((name for name in _LIMITS if name in bounds), None)) is not None:
        return f"{_given(fault)}give {_LIMITS[bound]} {bounds[bound]}"
    if kind == "string_pattern_mismatch" and (meaning := _meaning(tree, place)):
        return f"{_given(fault)}what is wanted: {meaning}"
    return str(fault["msg"]).removeprefix("Value error, ")


def _given(fault: dict[str, Any]) -> str:
    """What was written; only numbers and words, because the rest may be long, or a secret."""
    given = fault.get("input")
    short = isinstance(given, str | int | float) and len(str(given)) < 40
    return f"{given!r} is not right, " if short and fault["type"] != "string_type" else ""


def _meaning(tree: type[BaseModel], place: Place) -> str:
    """The first sentence of a setting's docstring."""
    model: Any = tree
    for part in place[:-1]:
        model = model.model_fields[part].annotation
    description = " ".join((model.model_fields[place[-1]].description or "").split())
    return description.partition(". ")[0].rstrip(".")
