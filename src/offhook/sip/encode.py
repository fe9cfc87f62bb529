"""Messages to bytes. Content-Length is always written; a control character of ours is a bug and refused."""

from collections.abc import Iterator

from offhook.sip.errors import Misuse
from offhook.sip.grammar import CANONICAL, COMPACT, CONTROL, TOKEN
from offhook.sip.message import Headers, Message, Request

_WRITTEN = frozenset(CANONICAL.values()) - {"Content-Length"}
"""Names that need no look; of the one that is left out the value is ours."""
_QUOTING = frozenset({"From", "To"})
"""The parser lets an escaped control character into their quoted names (RFC 4475 section 3.1.1.2); answers repeat it."""


def encode(message: Message, compact: bool = False) -> bytes:
    """The message as it goes on the wire, UTF-8, CRLF line ends; `compact` with the short names of fields. Raises Misuse."""
    if compact:
        return _compacted(encode(message))
    if isinstance(message, Request):
        lines = [f"{message.method} {message.uri} SIP/2.0"]
    else:
        lines = [f"SIP/2.0 {message.status} {message.reason}"]
    if CONTROL.search(lines[0]):
        raise Misuse("a control character in the start line of a message of ours")
    lines += [f"{name}: {value}" for name, value in message.headers]
    if not ("".join(lines).isprintable() and _WRITTEN.issuperset(message.headers.first())):
        lines[1:] = _checked(message.headers)
    lines.append(f"Content-Length: {len(message.body)}\r\n\r\n")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + message.body


def _checked(headers: Headers) -> Iterator[str]:
    """The same lines where a name or a value is not one of the usual."""
    for name, value in headers:
        if name == "Content-Length":
            continue
        if not value.isprintable():
            _check(name, value)
        if name not in _WRITTEN and not TOKEN.fullmatch(name):
            raise Misuse(f"{name!r} is no name of a header field")
        yield f"{name}: {value}"


def _check(name: str, value: str) -> None:
    if CONTROL.search(value) and (name not in _QUOTING or "\r" in value or "\n" in value):
        raise Misuse(f"a control character in {name} of a message of ours")


_SHORT = {name: letter for letter, name in COMPACT.items()}


def _compacted(data: bytes) -> bytes:
    head, blank, body = data.partition(b"\r\n\r\n")
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    for at, line in enumerate(lines[1:], 1):
        name, _, value = line.partition(": ")
        if name in _SHORT:
            lines[at] = f"{_SHORT[name]}:{value}"
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + blank + body
