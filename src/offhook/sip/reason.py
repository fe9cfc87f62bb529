"""Reason (RFC 3326) with SIP statuses and Q.850 causes (RFC 6432); several values of one protocol may stand (RFC 9366)."""

from offhook.sip.errors import PeerError
from offhook.sip.fields import parse_params, printable, split_list
from offhook.sip.grammar import TOKEN
from offhook.sip.message import Headers

MOST = 4
"""Values that are passed on: one for SIP, one for Q.850, and what a gateway adds."""
LONGEST = 200
"""Characters of one value that is passed on: they are for people to read."""


def read_reasons(headers: Headers) -> tuple[str, ...]:
    """The values that can be read, each as it came; what is too long or malformed is left out."""
    values: list[str] = []
    for line in headers.all("Reason"):
        try:
            values += [one for one in split_list(line) if _is_reason(one)]
        except PeerError:
            continue
    return tuple(values[:MOST])


def _is_reason(value: str) -> bool:
    protocol, semicolon, rest = value.partition(";")
    if len(value) > LONGEST or not TOKEN.fullmatch(protocol.strip()) or printable(value) != value:
        return False
    try:
        cause = parse_params(semicolon + rest).get("cause") or ""
    except PeerError:
        return False
    return cause.isascii() and cause.isdigit() and len(cause) < 4


def reason_of(headers: Headers) -> str | None:
    """Every value as one field, None if there is none."""
    return ", ".join(read_reasons(headers)) or None


def protocol_of(value: str) -> str:
    """The protocol of one value, lower case."""
    return value.partition(";")[0].strip().lower()
