"""Who is behind a proxy (WS-12): `Forwarded` (RFC 7239) and `X-Forwarded-*`, believed from trusted networks only.

Lives here: the client's address, scheme and host as the nearest trusted proxies tell them. Never here: sockets.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

UNKNOWN = "unknown"
"""The client of a proxy that does not say whom it serves; never a loopback address."""
LONGEST = 2_000
"""Characters of `Forwarded` that are read: a dozen proxies. The client of a longer one stays unknown."""

_PAIR = re.compile(r'\s*([^\s=;,"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*')
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::\d{1,5})?")

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields, names in lower case."""


@dataclass(frozen=True, slots=True)
class Client:
    """`address` is an IP address, or `unknown`; `host` is what the client called us, "" when no proxy said."""

    address: str
    secure: bool = False
    host: str = ""


@dataclass(frozen=True, slots=True)
class _Step:
    """What one proxy said of whom it served."""

    address: str
    scheme: str
    host: str


def client_of(fields: Fields, peer: str, trusts: Callable[[str], bool]) -> Client:
    """The first address, seen from us, that no trusted proxy has; what lies behind it could be anybody's invention."""
    if not trusts(peer):
        return Client(peer)
    found = Client(peer)
    for step in reversed(_forwarded(fields) or _x_forwarded(fields)):
        found = Client(step.address, step.scheme in ("https", "wss"), step.host or found.host)
        if not trusts(step.address):
            break
    return found


def _values(fields: Fields, name: bytes) -> list[str]:
    return [value.decode("latin-1") for one, value in fields if one == name]


def _forwarded(fields: Fields) -> list[_Step]:
    steps = []
    text = ",".join(_values(fields, b"forwarded"))
    if len(text) > LONGEST:
        return [_Step(UNKNOWN, "", "")]
    for element in _elements(text):
        pairs = {name.lower(): _unquoted(value) for name, value in _PAIR.findall(element)}
        steps.append(
            _Step(_address(pairs.get("for", "")), pairs.get("proto", "").lower(), _host(pairs.get("host", "")))
        )
    return steps


def _elements(text: str) -> list[str]:
    """Comma list, commas in quotes left alone."""
    return [one for one in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', text) if one.strip()]


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _x_forwarded(fields: Fields) -> list[_Step]:
    clients, schemes, hosts = (
        [one.strip() for value in _values(fields, name) for one in value.split(",")]
        for name in (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")
    )
    if not clients and (schemes or hosts):
        clients = [UNKNOWN]
    return [
        _Step(_address(client), _beside(schemes, at, len(clients)).lower(), _host(_beside(hosts, at, len(clients))))
        for at, client in enumerate(clients)
    ]


def _beside(values: list[str], at: int, count: int) -> str:
    """The value that belongs to the client at a place: proxies either add to each list, or keep one value for all."""
    if not values:
        return ""
    return values[at] if len(values) == count else values[-1]


def _address(text: str) -> str:
    """An IP address without port and brackets; `unknown` for a hidden one or anything else."""
    for candidate in (text, text.partition("]")[0].removeprefix("["), text.partition(":")[0]):
        try:
            return str(ipaddress.ip_address(candidate))
        except ValueError:
            continue
    return UNKNOWN


def _host(text: str) -> str:
    return text.lower() if _HOST.fullmatch(text) else ""
