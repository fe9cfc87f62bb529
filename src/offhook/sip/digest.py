"""Digest computations (RFC 7616, RFC 8760): HA1, responses, and what an Authorization field says.

Lives here: pure functions for both roles. Never here: nonces and who may do what (credentials.py).
"""

import hashlib
import hmac
from collections.abc import Callable
from functools import lru_cache

from offhook.record import record
from offhook.sip.fields import parse_auth, quote
from offhook.sip.secret import Secret

Hash = Callable[[bytes], str]


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha512_256(data: bytes) -> str:
    return hashlib.new("sha512_256", data).hexdigest()


HASHES: dict[str, Hash] = {"MD5": _md5, "SHA-256": _sha256, "SHA-512-256": _sha512_256}
"""By the algorithm's name without `-sess`."""


def ha1(algorithm: str, username: str, realm: str, password: str) -> Secret:
    """H(username:realm:password), lower-case hex (RFC 7616 section 3.4.2); `algorithm` without `-sess`."""
    return Secret(HASHES[algorithm](_octets(f"{username}:{realm}:{password}")))


def both_ha1(username: str, realm: str, password: str) -> tuple[Secret, Secret]:
    """(MD5, SHA-256)."""
    return ha1("MD5", username, realm, password), ha1("SHA-256", username, realm, password)


@record
class Credentials:
    """The parameters of an Authorization or Proxy-Authorization field; absent ones are empty."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "MD5"
    qop: str = ""
    nc: str = ""
    cnonce: str = ""
    opaque: str = ""

    def __repr__(self) -> str:
        return f"<digest credentials of {self.username!r}, {self.algorithm}>"


_MANDATORY = ("username", "realm", "nonce", "uri", "response")
_KNOWN = (*_MANDATORY, "qop", "nc", "cnonce", "opaque")


@lru_cache(maxsize=256)
def parse_credentials(value: str) -> Credentials | None:
    """Digest credentials, None for another scheme or if a mandatory parameter is missing. Remembered for a while: a request
    is asked for its user, for whom it claims to be and for its proof."""
    scheme, params = parse_auth(value)
    if scheme != "digest" or not all(map(params.get, _MANDATORY)):
        return None
    known = {name: params[name] for name in _KNOWN if name in params}
    return Credentials(algorithm=params.get("algorithm", "MD5").upper(), **known)


def response_of(credentials: Credentials, secret: Secret, method: str, body: bytes = b"") -> str:
    """The response that proves `secret` (an HA1 of the right algorithm) for these parameters (RFC 7616 section 3.4.1).

    Serves both roles; knows MD5, SHA-256, SHA-512-256, each also as `-sess`, and qop `auth`, `auth-int` and none.
    Raises KeyError for another algorithm.
    """
    base, session, _ = credentials.algorithm.partition("-SESS")
    digest = HASHES[base]
    a1 = secret.reveal()
    if session:
        a1 = digest(_octets(f"{a1}:{credentials.nonce}:{credentials.cnonce}"))
    a2 = f"{method}:{credentials.uri}"
    if credentials.qop == "auth-int":
        a2 = f"{a2}:{digest(body)}"
    middle = f"{credentials.nonce}:"
    if credentials.qop:
        middle += f"{credentials.nc}:{credentials.cnonce}:{credentials.qop}:"
    return digest(_octets(f"{a1}:{middle}{digest(_octets(a2))}"))


def _octets(text: str) -> bytes:
    """As they came from the wire, also where that was no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def proves(credentials: Credentials, secret: Secret, method: str, body: bytes = b"") -> bool:
    """Constant-time comparison with the response given."""
    wanted = response_of(credentials, secret, method, body)
    return hmac.compare_digest(wanted.encode(), _octets(credentials.response.lower()))


def challenge(realm: str, nonce: str, algorithm: str, stale: bool = False) -> str:
    """A Digest challenge, parameters in the order of AUTH-1; only `qop="auth"`, no opaque."""
    stale_text = ", stale=true" if stale else ""
    return f'Digest realm={quote(realm)}, nonce="{nonce}", algorithm={algorithm}, qop="auth"{stale_text}'
