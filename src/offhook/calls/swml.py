"""SWML, the routing subset: `answer connect transfer hangup` (API.md 8.4), from the plain object of its JSON or YAML."""

from typing import Any

from offhook.calls.document import (
    CONNECT_SECONDS,
    LONGEST_RING,
    MOST_TARGETS,
    Answer,
    Broken,
    Connect,
    DialTarget,
    Document,
    Hangup,
    Link,
    Proceed,
    Step,
    checked_seconds,
    checked_url,
    invalid,
    unsupported,
)
from offhook.sip.grammar import CONTROL, TOKEN

MOST_STEPS = 200
"""Steps of one document: a person wrote it, or a program that has gone wrong."""
SHAPES = ("to", "serial", "parallel", "serial_parallel")
HINTS = frozenset({"codecs", "webrtc_media", "session_timeout", "encryption", "answer_on_bridge"})
"""Parameters of `connect` that the settings of endpoints and trunks decide here; they are read past."""
KNOWN = frozenset({*SHAPES, "from", "timeout", "headers", "username", "password"})


def read(value: object) -> Document:
    """The document as steps. Raises Broken, naming the place."""
    if not isinstance(value, dict):
        raise invalid("document", "an object with sections is expected")
    sections = value.get("sections")
    if not isinstance(sections, dict) or not isinstance(sections.get("main"), list):
        raise invalid("sections", "a section named main, a list of steps, is expected")
    for name in sections:
        if name != "main":
            raise unsupported(f"sections.{str(name)[:64]}", "a section besides main")
    main = sections["main"]
    if len(main) > MOST_STEPS:
        raise invalid("sections.main", f"a section may have {MOST_STEPS} steps")
    return Document(tuple(_step(f"sections.main[{at}]", one) for at, one in enumerate(main)))


def _step(where: str, value: object) -> Step:
    if isinstance(value, str):
        verb, given = value, dict[str, Any]()
    elif isinstance(value, dict) and len(value) == 1:
        verb, given = next((str(name), inner) for name, inner in value.items())
    else:
        raise invalid(where, "one verb is expected")
    where = f"{where}.{verb[:64]}"
    reader = _VERBS.get(verb)
    if reader is None:
        raise unsupported(where, f"the verb {verb[:64]}")
    return reader(where, {} if given is None else given)


def _answer(where: str, given: object) -> Step:
    _object(where, given)
    return Answer(where)


def _hangup(where: str, given: object) -> Step:
    reason = _object(where, given).get("reason", "hangup") if not isinstance(given, str) else given
    if reason not in ("hangup", "busy", "decline"):
        raise invalid(where, "reason must be one of: hangup, busy, decline")
    return Hangup(str(reason), where)


def _transfer(where: str, given: object) -> Step:
    dest = given if isinstance(given, str) else _object(where, given).get("dest")
    if isinstance(dest, str) and not dest.lower().startswith(("http:", "https:")):
        raise unsupported(f"{where}.dest", "anything but a URL")
    return Proceed(Link(checked_url(f"{where}.dest", dest)), where)


def _connect(where: str, given: object) -> Step:
    fields = _object(where, given)
    for name in fields:
        if name not in KNOWN and name not in HINTS:
            raise unsupported(f"{where}.{str(name)[:64]}", f"the parameter {str(name)[:64]}")
    shapes = [name for name in SHAPES if name in fields]
    if len(shapes) != 1:
        raise invalid(where, "exactly one of to, serial, parallel is expected")
    groups = _groups(where, shapes[0], fields)
    if sum(len(one) for one in groups) > MOST_TARGETS or not all(groups) or not groups:
        raise invalid(where, f"1 to {MOST_TARGETS} destinations are expected")
    return Connect(groups, checked_seconds(f"{where}.timeout", fields.get("timeout"), CONNECT_SECONDS, LONGEST_RING),
                   where=where)  # fmt: skip


def _groups(where: str, shape: str, fields: dict[str, Any]) -> tuple[tuple[DialTarget, ...], ...]:
    value, where = fields[shape], f"{where}.{shape}"
    match shape:
        case "to":
            return ((_target(where, fields, fields),),)
        case "serial":
            return tuple((_target(f"{where}[{at}]", one, fields),) for at, one in enumerate(_list(where, value)))
        case "parallel":
            return (tuple(_target(f"{where}[{at}]", one, fields) for at, one in enumerate(_list(where, value))),)
        case _:
            return tuple(
                tuple(
                    _target(f"{where}[{at}][{inner}]", one, fields)
                    for inner, one in enumerate(_list(f"{where}[{at}]", group))
                )
                for at, group in enumerate(_list(where, value))
            )


def _target(where: str, value: object, common: dict[str, Any]) -> DialTarget:
    given = {"to": value} if isinstance(value, str) else _object(where, value)
    fields = {name: given.get(name, common.get(name)) for name in ("from", "headers", "username", "password")}
    to = given.get("to")
    if not isinstance(to, str) or not to.strip():
        raise invalid(where, "to must be a callable address")
    return DialTarget(
        to.strip(),
        _text(f"{where}.from", fields["from"]),
        checked_seconds(f"{where}.timeout", given.get("timeout"), 0.0, LONGEST_RING),
        _headers(f"{where}.headers", fields["headers"]),
        _text(f"{where}.username", fields["username"]),
        _text(f"{where}.password", fields["password"]),
    )


def _headers(where: str, value: object) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    pairs = (
        list(value.items())
        if isinstance(value, dict)
        else [
            (one.get("name"), one.get("value")) if isinstance(one, dict) else (None, None)
            for one in _list(where, value)
        ]
    )
    return tuple(checked_header(where, name, text) for name, text in pairs)


def checked_header(where: str, name: object, value: object) -> tuple[str, str]:
    """A field that a document may add to an INVITE: `X-…` or User-to-User. Raises Broken."""
    good = isinstance(name, str) and bool(TOKEN.fullmatch(name)) and len(name) <= 64
    if not good or not isinstance(name, str) or not (name[:2].lower() == "x-" or name.lower() == "user-to-user"):
        raise invalid(where, "a header is named X-… or User-to-User")
    if not isinstance(value, str) or CONTROL.search(value) or len(value) > 1024:
        raise invalid(where, f"the value of {name} must be text of at most 1024 characters")
    return name, value


def _object(where: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(where, "an object is expected")
    return value


def _list(where: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise invalid(where, "a list is expected")
    return value


def _text(where: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 256 or CONTROL.search(value):
        raise invalid(where, "text of at most 256 characters is expected")
    return value


_VERBS = {"answer": _answer, "connect": _connect, "transfer": _transfer, "hangup": _hangup}

__all__ = ["Broken", "checked_header", "read"]
