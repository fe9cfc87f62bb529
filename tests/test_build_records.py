"""build_records.py: what the compiler reads means the same as the source, line for line."""

import ast
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from build_records import Unsupported, stays_plain, written_out

CORE = Path(__file__).parent.parent / "src" / "offhook"
SOURCE = '''
from dataclasses import dataclass, field
from offhook.record import record


@record
class Point:
    """A place
    on a map."""

    x: int
    y: int = 0
    marks: list[str] = field(default_factory=list)


@record
class Read:
    """Text, and where it was read."""

    text: str
    line: int = field(default=0, compare=False)


@record
class Nothing:
    """Nothing at all."""


@dataclass(slots=True)
class Walker:
    """Goes to points."""

    at: Point
    next: "Walker | None" = None
    last: "Point" = Point(9)
    steps: int = field(init=False)

    def __post_init__(self) -> None:
        self.steps = self.at.x
'''


def run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "offhook.sip.flow"}
    exec(compile(source, "sample.py", "exec"), names)
    return names


def functions(source: str) -> dict[str, int]:
    """Names and lines of the functions that have no business in a dataclass."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return {one.name: one.lineno for one in found if one.name not in ("__init__", "__eq__", "__hash__")}


def test_a_class_written_out_does_what_dataclass_made_of_it() -> None:
    plain, out = run(SOURCE), run(written_out(SOURCE))
    for names in (plain, out):
        point, walker = names["Point"], names["Walker"]
        # 1. Fields are taken by place and by name, defaults are filled in, a factory is asked each time.
        assert (point(1).x, point(1).y, point(x=1, y=2).y) == (1, 0, 2)
        assert point(1).marks == []
        assert point(1).marks is not point(1).marks
        # 2. Equal fields are equal, and nothing else is.
        assert point(1) == point(1) != point(2)
        assert point(1) != names["Nothing"]()
        assert names["Read"]("a", 1) == names["Read"]("a", 2)
        assert hash(names["Read"]("a", 1)) == hash(names["Read"]("a", 2))
        # 3. Records have a hash of their fields, what may change has none.
        assert hash(names["Nothing"]()) == hash(())
        assert walker.__hash__ is None
        # 4. Fields outside the constructor come from __post_init__.
        assert walker(point(3)).steps == 3
        assert walker(point(3)).last == point(9)
        # 5. repr, replace, fields and patterns know the fields.
        assert repr(point(1, 2)) == "Point(x=1, y=2, marks=[])"
        assert replace(point(1, 2), y=5) == point(1, 5)
        assert [one.name for one in fields(walker)] == ["at", "next", "last", "steps"]
        assert point.__match_args__ == ("x", "y", "marks")


def test_what_cannot_be_written_out_is_refused() -> None:
    for wrong in (
        "@dataclass(order=True)\nclass Odd:\n    x: int\n",
        "@dataclass(slots=True)\nclass Odd(Exception):\n    x: int\n",
        "@dataclass\nclass Odd:\n    x: int = field(kw_only=True)\n",
    ):
        with pytest.raises(Unsupported, match="Odd"):
            written_out(wrong)


def test_every_module_of_the_core_keeps_its_lines() -> None:
    plain = []
    for path in sorted(path for room in ("sip", "sdp", "calls") for path in Path(CORE, room).rglob("*.py")):
        source = path.read_text()
        if stays_plain(source):
            plain.append(path.name)
            continue
        out = written_out(source)
        # 1. Tracebacks of the compiled form name the lines of the source.
        assert functions(out) == functions(source), path
    # 2. These alone run as they are: msgspec's structs, and a subclass of str.
    assert plain == ["kept.py", "dialog_record.py", "secret.py"]
