"""SIP and tel URIs (RFC 3261 section 19.1, RFC 3966): parse, write, compare.

Lives here: one URI by itself. Never here: resolving a host, or knowing which hosts are ours.
"""

import ipaddress
import re
from dataclasses import field
from functools import lru_cache
from urllib.parse import unquote

from offhook.record import record
from offhook.sip.errors import MalformedMessage, TooLarge
from offhook.sip.grammar import FIELD_LIMITS

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*+):")
_USER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/#\[\]@:]++|%[0-9A-Fa-f]{2})*+")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9\-_.]*+(?<![-.])")
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]++\]")
_PARAM = re.compile(r"[A-Za-z0-9\-_.!~*'()\[\]/:&+$%]++")
_BAD = re.compile(r"[\s<>\"\x00-\x1f\x7f\\^`{|}]")


@record
class Uri:
    """A parsed URI. Escapes of the user part are kept as received; `unescaped_user` removes them once.

    `scheme` and `host` are lower case; the dot that ends an absolute name (RFC 1034 section 3.1) is left out, an IPv6 `host`
    keeps its brackets. `params` maps a lower-case name to its value (None for a bare flag) in order; `headers` is what
    follows `?`, as received. For schemes other than sip, sips and tel only `scheme` and `opaque` are filled.
    """

    scheme: str
    user: str | None
    host: str
    port: int | None = None
    password: str | None = None
    params: dict[str, str | None] = field(default_factory=dict)
    headers: str = ""
    opaque: str = ""

    @property
    def unescaped_user(self) -> str:
        """The user part with %-escapes decoded once (esc01 of RFC 4475), empty if absent; what is no UTF-8 is U+FFFD."""
        user = self.user or ""
        return unquote(user) if "%" in user else user

    def __str__(self) -> str:
        if self.opaque:
            return f"{self.scheme}:{self.opaque}"
        password = "" if self.password is None else f":{self.password}"
        user = "" if self.user is None else f"{self.user}{password}@" if self.scheme != "tel" else self.user
        port = "" if self.port is None else f":{self.port}"
        params = "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self.params.items())
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{self.host}{port}{params}{headers}"


@lru_cache(maxsize=1024)
def parse_uri(text: str) -> Uri:
    """Parses one URI without display name or brackets. Raises errors.MalformedMessage naming the place."""
    if len(text) > FIELD_LIMITS.max_uri:
        raise TooLarge("max_uri", FIELD_LIMITS.max_uri)
    bad = _BAD.search(text)
    if bad:
        raise MalformedMessage(f"a URI may not hold {bad.group()!r}: {text[:60]!r}")
    scheme = _SCHEME.match(text)
    if not scheme:
        raise MalformedMessage(f"a URI begins with its scheme: {text[:60]!r}")
    name, rest = scheme.group(1).lower(), text[scheme.end() :]
    if name == "tel":
        number, params = _cut_params(rest)
        return Uri("tel", number, "", params=params)
    if name not in ("sip", "sips"):
        return Uri(name, None, "", opaque=rest)
    return _parse_sip(name, rest, text)


def _parse_sip(scheme: str, rest: str, text: str) -> Uri:
    # The user part may hold ; and ?, so the last @ before the headers ends it (semiuri of RFC 4475).
    at = rest.find("@")
    user = password = None
    if at >= 0:
        userinfo, rest = rest[:at], rest[at + 1 :]
        if not _USER.fullmatch(userinfo) or not userinfo:
            raise MalformedMessage(f"bad user part: {text[:60]!r}")
        user, colon, secret = userinfo.partition(":")
        password = secret if colon else None
    rest, _, headers = rest.partition("?")
    hostport, params = _cut_params(rest)
    host, port = parse_host_port(hostport)
    return Uri(scheme, user, host, port, password, params, headers)


def _cut_params(rest: str) -> tuple[str, dict[str, str | None]]:
    first, semicolon, text = rest.partition(";")
    return first, _params(text) if semicolon else {}


@lru_cache(maxsize=256)
def _params(text: str) -> dict[str, str | None]:
    """Shared by all URIs that write theirs alike: every page's Contact has `transport=ws` and no more."""
    pieces = text.split(";")
    if len(pieces) > FIELD_LIMITS.max_field_params:
        raise TooLarge("max_field_params", FIELD_LIMITS.max_field_params)
    params: dict[str, str | None] = {}
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if not _PARAM.fullmatch(name) or (equals and value and not _PARAM.fullmatch(value)):
            raise MalformedMessage(f"bad URI parameter: {piece[:60]!r}")
        params.setdefault(_plain(name) if "%" in name else name.lower(), value if equals else None)
    return params


def _plain(name: str) -> str:
    """A parameter's name without its escapes, as it is compared; with them where it could not be written again otherwise."""
    plain = unquote(name)
    return (plain if "%" not in plain and _PARAM.fullmatch(plain) else name).lower()


def parse_host_port(text: str) -> tuple[str, int | None]:
    """`host`, `host:port` or `[IPv6]:port`; the host comes back as it is compared: in lower case, and `example.com.` as the
    `example.com` that it means. Raises MalformedMessage."""
    if text.startswith("["):
        end = text.find("]")
        host, rest = text[: end + 1], text[end + 1 :]
        try:
            if not _IPV6.fullmatch(host):
                raise ValueError
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise MalformedMessage(f"bad IPv6 address: {text[:60]!r}") from None
    else:
        host, colon, port = text.partition(":")
        rest, host = colon + port, host.removesuffix(".")
        if not _HOST.fullmatch(host):
            raise MalformedMessage(f"bad host: {text[:60]!r}")
    if not rest:
        return host.lower(), None
    digits = rest[1:]
    if (
        not rest.startswith(":")
        or not digits.isascii()
        or not digits.isdigit()
        or len(digits) > 5
        or int(digits) > 65535
    ):
        raise MalformedMessage(f"bad port: {text[:60]!r}")
    return host.lower(), int(digits)


_MUST_MATCH = ("user", "ttl", "method", "maddr", "transport")


def equivalent(a: Uri, b: Uri) -> bool:
    """URI comparison of RFC 3261 section 19.1.4."""
    if (a.scheme, a.opaque, a.unescaped_user, a.password, a.host, a.port) != (
        b.scheme, b.opaque, b.unescaped_user, b.password, b.host, b.port,
    ):  # fmt: skip
        return False
    if (a.user is None) != (b.user is None):
        return False
    for name in {*a.params, *b.params}:
        both = name in a.params and name in b.params
        if not both and name in _MUST_MATCH:
            return False
        if both and unquote(a.params[name] or "").lower() != unquote(b.params[name] or "").lower():
            return False
    return _headers(a) == _headers(b)


def _headers(uri: Uri) -> list[str]:
    return sorted(unquote(one).lower() for one in uri.headers.split("&")) if uri.headers else []


def address_of_record(uri: Uri) -> str:
    """`sip:user@host` with user unescaped, host lower case, no port or parameters (REG-5)."""
    return f"sip:{uri.unescaped_user}@{uri.host}"
