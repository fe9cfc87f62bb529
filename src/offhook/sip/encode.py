"""Messages to bytes. Content-Length is always written; a control character of ours is a bug and refused."""

from offhook.sip.errors import Misuse
from offhook.sip.grammar import CONTROL
from offhook.sip.message import Message, Request

ECHOED = frozenset({"Via", "From", "To", "Call-ID", "CSeq"})
"""Copied byte for byte from the peer's request; the parser lets a control character in only as an escaped quoted-pair."""


def encode(message: Message) -> bytes:
    """The message as it goes on the wire, UTF-8, CRLF line ends. Raises Misuse."""
    if isinstance(message, Request):
        lines = [f"{message.method} {message.uri} SIP/2.0"]
    else:
        lines = [f"SIP/2.0 {message.status} {message.reason}"]
    for name, value in message.headers:
        if name == "Content-Length":
            continue
        if CONTROL.search(value) and (name not in ECHOED or "\r" in value or "\n" in value):
            raise Misuse(f"a control character in {name} of a message of ours")
        lines.append(f"{name}: {value}")
    if CONTROL.search(lines[0]):
        raise Misuse("a control character in the start line of a message of ours")
    lines.append(f"Content-Length: {len(message.body)}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + message.body
