"""Writes the methods of records and dataclasses out, so that a compiled module has them in C.

mypyc compiles the methods that stand in a class; those that `dataclass` makes while a module is imported stay
interpreted, and making a record would be slower than before. What comes out of here is read by the compiler alone and
shipped nowhere. Every line keeps its number, because tracebacks of compiled modules name it: methods go where docstrings
and blank lines are.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_PLAIN_BASES = {"Struct", "str"}
"""msgspec makes its structs itself, and mypyc knows no subclass of a built-in type."""
_FACTORIES = {"list": "[]", "dict": "{}"}


class Unsupported(Exception):
    """A dataclass uses what is not written out here; the text names it."""


@dataclass(frozen=True)
class Field:
    """One field as it stands in the source: `default` and `factory` are expressions, `annotation` without its quotes."""

    name: str
    annotation: str
    default: str | None = None
    factory: str | None = None
    init: bool = True
    compare: bool = True

    def parameter(self) -> str:
        """Its parameter of `__init__`."""
        if self.factory is not None:
            return f"{self.name}: {self.annotation} | None = None"
        return f"{self.name}: {self.annotation}" + ("" if self.default is None else f" = {self.default}")

    def assignment(self) -> str | None:
        """What `__init__` does with it; None for a field that `__post_init__` sets."""
        made = None if self.factory is None else _FACTORIES.get(self.factory, f"({self.factory})()")
        if not self.init:
            value = made if made is not None else self.default
        else:
            value = self.name if made is None else f"{self.name} if {self.name} is not None else {made}"
        return None if value is None else f"self.{self.name} = {value}"


def stays_plain(source: str) -> bool:
    """Whether the compiler cannot take the module, or gains nothing from it."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return any(isinstance(base, ast.Name) and base.id in _PLAIN_BASES for one in classes for base in one.bases)


def written_out(source: str) -> str:
    """The module with the methods of its records and dataclasses. Raises Unsupported."""
    tree = ast.parse(source)
    lines = source.split("\n")
    never = False
    notes = []
    for node in tree.body:
        options = _options(node)
        if isinstance(node, ast.ClassDef) and options is not None:
            never |= _hide_forward_references(node, lines)
            _place(node, _methods(node, options), lines)
            if annotations := {one.name: one.annotation.strip("'") for one in _fields(node)}:
                # mypyc keeps no more than the classes of the types, and msgspec reads records by their types.
                notes.append(f"vars({node.name})['__annotations__'].update({annotations!r})")
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "offhook.record":
            lines[node.lineno - 1] = "from dataclasses import dataclass"
    if never:
        first = next(node for node in tree.body if isinstance(node, ast.ImportFrom) and node.lineno == node.end_lineno)
        lines[first.lineno - 1] += "; from typing import Never"
    return "\n".join([*lines, *notes])


def _options(node: ast.stmt) -> dict[str, bool] | None:
    """What `dataclass` was asked for; None for everything else."""
    if not isinstance(node, ast.ClassDef) or not node.decorator_list:
        return None
    decorator = node.decorator_list[0]
    if ast.unparse(decorator) == "record":
        return {"unsafe_hash": True}
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "dataclass":
        options = {str(word.arg): ast.literal_eval(word.value) for word in decorator.keywords}
    elif ast.unparse(decorator) == "dataclass":
        options = {}
    else:
        return None
    if node.bases or len(node.decorator_list) > 1 or not options.keys() <= {"frozen", "slots", "eq"}:
        raise Unsupported(f"dataclass {node.name}: its bases, decorators or options")
    return options


def _fields(node: ast.ClassDef) -> Iterator[Field]:
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name, value = statement.target.id, statement.value
        annotation = ast.unparse(statement.annotation)
        if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
            words = {str(word.arg): ast.unparse(word.value) for word in value.keywords}
            if not words.keys() <= {"default", "default_factory", "init", "repr", "compare"}:
                raise Unsupported(f"field {node.name}.{name}: its options")
            default, factory = words.get("default"), words.get("default_factory")
            init, compare = (words.get(word) != "False" for word in ("init", "compare"))
            yield Field(name, annotation, default, factory, init, compare)
        else:
            yield Field(name, annotation, None if value is None else ast.unparse(value))


def _methods(node: ast.ClassDef, options: dict[str, bool]) -> list[str]:
    fields = list(_fields(node))
    own = {statement.name for statement in node.body if isinstance(statement, ast.FunctionDef)}
    methods = []
    compared = [field.name for field in fields if field.compare]
    done = [step for field in fields if (step := field.assignment()) is not None]
    if "__post_init__" in own:
        done.append("self.__post_init__()")
    if done:
        parameters = ", ".join(["self", *(field.parameter() for field in fields if field.init)])
        methods.append(f"    def __init__({parameters}) -> None: {'; '.join(done)}")
    if options.get("eq", True) and "__eq__" not in own:
        same = " and ".join([f"isinstance(other, {node.name})", *(f"self.{name} == other.{name}" for name in compared)])
        methods.append(f"    def __eq__(self, other: object) -> bool: return {same}")
    hashed = options.get("unsafe_hash") or (options.get("frozen") and options.get("eq", True))
    if hashed and "__hash__" not in own:
        whole = "".join(f"self.{name}, " for name in compared)
        methods.append(f"    def __hash__(self) -> int: return hash(({whole}))")
    return methods


def _place(node: ast.ClassDef, methods: list[str], lines: list[str]) -> None:
    """Puts the methods where the docstring is, on the blank line below it and on those below the class."""
    decorator = node.decorator_list[0]
    for number in range(decorator.lineno, decorator.end_lineno or decorator.lineno):
        lines[number] = ""
    lines[decorator.lineno - 1] = "@dataclass(init=False, eq=False)"
    text, end = node.body[0], node.end_lineno or node.lineno
    free = [end, end + 1]
    if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
        docstring = range(text.lineno - 1, text.end_lineno or text.lineno)
        for number in docstring:
            lines[number] = ""
        free = list(dict.fromkeys([*docstring, docstring.stop, *free]))
    places = [number for number in free if number < len(lines) and not lines[number].strip()]
    if len(places) < len(methods):
        raise Unsupported(f"dataclass {node.name}: no line is free for its methods")
    for number, method in zip(places, methods, strict=False):
        lines[number] = method


def _hide_forward_references(node: ast.ClassDef, lines: list[str]) -> bool:
    """`"Call"` becomes `"Call | Never"`, the same type: mypyc would look for the class while it does not exist yet."""
    found = False
    for statement in node.body:
        note = statement.annotation if isinstance(statement, ast.AnnAssign) else None
        if isinstance(note, ast.Constant) and isinstance(note.value, str) and "|" not in note.value:
            number = note.lineno - 1
            lines[number] = lines[number].replace(f'"{note.value}"', f'"{note.value} | Never"', 1)
            found = True
    return found
