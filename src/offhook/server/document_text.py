"""Text that says what becomes of a call, as steps: SWML in JSON or YAML, cXML in XML (API.md 8.4).

Lives here: the three grammars, hardened, because whoever serves a document may be anybody: no entities and no document type
in XML, no aliases and no tags in YAML, bounded depth. Never here: what a verb means (calls/swml.py, calls/cxml.py).
"""

import json
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

import yaml

from offhook.calls import cxml, swml
from offhook.calls.cxml import Element
from offhook.calls.document import Broken, Document, invalid

DEPTH = 32
"""Levels of a document: what routes calls needs ten."""


def read_document(text: bytes, base: str) -> Document:
    """The document of a URL. Raises Broken."""
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise invalid("document", "it is not UTF-8") from None
    if decoded.lstrip().startswith("<"):
        return cxml.read(read_xml(text), base)
    return swml.read(read_plain(decoded))


def read_inline(value: object) -> Document:
    """SWML as a command gives it: an object, or its text. Raises Broken."""
    return swml.read(read_plain(value) if isinstance(value, str) else value)


def read_plain(text: str) -> Any:
    """JSON, or else YAML. Raises Broken with line and column."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise invalid("document", f"more than {DEPTH} levels") from None
    except ValueError as error:
        if text.lstrip().startswith("{"):
            raise invalid("document", f"neither JSON nor YAML: {error}") from None
        value = _read_yaml(text)
    if _depth(value) > DEPTH:
        raise invalid("document", f"more than {DEPTH} levels")
    return value


class _Plain(yaml.SafeLoader):
    """Without aliases: a few lines of them can mean gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def _read_yaml(text: str) -> Any:
    try:
        return yaml.load(text, _Plain)
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 1}" if error.problem_mark is not None else "document"
        raise invalid(place, f"neither JSON nor YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise invalid("document", f"neither JSON nor YAML: {error}") from None


def _depth(value: Any, level: int = 1) -> int:
    if level > DEPTH or not isinstance(value, dict | list):
        return level
    inner = value.values() if isinstance(value, dict) else value
    return max((_depth(one, level + 1) for one in inner), default=level)


# ---- XML


@dataclass
class _Open:
    name: str
    line: int
    attributes: dict[str, str]
    text: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)


def read_xml(text: bytes) -> Element:
    """The root element. Raises Broken with the line."""
    return _Tree().read(text)


class _Tree:
    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._open: list[_Open] = []
        self._root: Element | None = None

    def read(self, text: bytes) -> Element:
        try:
            self._parser.Parse(text, True)
        except expat.ExpatError as error:
            words = expat.ErrorString(error.code)
            raise invalid(f"line {error.lineno}", f"this is no XML: {words}") from None
        if self._root is None:
            raise invalid("document", "it is empty")
        return self._root

    def _doctype(self, *_: object) -> None:
        raise invalid(f"line {self._parser.CurrentLineNumber}", "a document type is not read")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        line = self._parser.CurrentLineNumber
        if len(self._open) >= DEPTH:
            raise invalid(f"line {line}", f"more than {DEPTH} levels")
        self._open.append(_Open(name, line, attributes))

    def _text(self, text: str) -> None:
        if self._open:
            self._open[-1].text.append(text)

    def _end(self, _: str) -> None:
        one = self._open.pop()
        made = Element(one.name, one.line, one.attributes, "".join(one.text), tuple(one.children))
        if self._open:
            self._open[-1].children.append(made)
        else:
            self._root = made


__all__ = ["Broken", "read_document", "read_inline", "read_plain", "read_xml"]
