"""URLs of webhooks and documents: what is sent on the wire is what stands there, byte for byte, because it is signed.

Lives here: one URL in its parts. Never here: addresses behind names (outward_http.py).
"""

import ipaddress
import re
import socket
from base64 import b64encode
from urllib.parse import quote, unquote, urljoin, urlsplit

from offhook.record import record

LONGEST = 2_048
"""Characters of a URL: what browsers and the hosted platforms take."""
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?", re.I)
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.I)
_KEPT = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


class NotAnHttpUrl(Exception):
    """The text is no http or https URL; the message says why, without the URL."""


@record
class HttpUrl:
    """`host` is a name in ASCII or an address; `written` is scheme, host, port, path and query as they stand in the text:
    what is signed. `authorization` is the Basic value of its user information."""

    scheme: str
    host: str
    port: int
    authority: str
    target: str
    authorization: str | None

    @property
    def written(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Who is connected to."""
        return self.scheme.lower(), self.host, self.port

    def joined(self, location: str) -> "HttpUrl":
        """Where a redirect from here leads; user information goes along within one origin. Raises NotAnHttpUrl."""
        other = parse_url(urljoin(f"{self.written}", location))
        keeps = other.authorization is None and other.origin == self.origin
        authorization = self.authorization if keeps else other.authorization
        return HttpUrl(other.scheme, other.host, other.port, other.authority, other.target, authorization)


def parse_url(text: str) -> HttpUrl:
    """Raises NotAnHttpUrl."""
    if len(text) > LONGEST:
        raise NotAnHttpUrl(f"it has more than {LONGEST} characters")
    if any(one <= " " or one == "\x7f" for one in text):
        raise NotAnHttpUrl("it has spaces or control characters")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in _PORTS:
        raise NotAnHttpUrl("it does not begin with http:// or https://")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise NotAnHttpUrl(str(error)) from None
    netloc = parts.netloc
    user, at, authority = netloc.rpartition("@")
    host = host_of(parts.hostname or "")
    shown = authority if authority.isascii() else authority.replace(parts.hostname or "", host)
    after = rest[len(netloc) :].partition("#")[0]
    # An empty query is lost by most receivers before they look at the signature.
    after = after.removesuffix("?")
    target = after if after.startswith("/") else f"/{after}"
    if not target.isascii():
        target = quote(target, safe=_KEPT)
    return HttpUrl(scheme, host, port or _PORTS[scheme.lower()], shown, target, _basic(user) if at else None)


def host_of(text: str) -> str:
    """A host as it is connected to: a name in ASCII, or an address in its usual form, also where it was written as one
    number, in octal or in hexadecimal. Raises NotAnHttpUrl."""
    address = text.partition("%")[0]
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        pass
    if _NUMERIC.fullmatch(text):
        try:
            return str(ipaddress.IPv4Address(socket.inet_aton(text.rstrip("."))))
        except OSError:
            raise NotAnHttpUrl("its host is neither a name nor an address") from None
    try:
        name = text if text.isascii() else text.encode("idna").decode("ascii")
    except UnicodeError:
        raise NotAnHttpUrl("its host is not a name that DNS can have") from None
    if not _HOST.fullmatch(name) or len(name) > 253:
        raise NotAnHttpUrl("it has no host, or one that DNS cannot have")
    # What the encoding of foreign letters made of it may be an address: fullwidth digits are.
    name = name.removesuffix(".")
    return name.lower() if text.isascii() or not _NUMERIC.fullmatch(name) else host_of(name)


def _basic(user_information: str) -> str:
    name, _, password = user_information.partition(":")
    return "Basic " + b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode("ascii")
