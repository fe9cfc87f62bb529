"""Proofs of possession (RFC 9449): a page shows that it holds the key whose fingerprint its token names (API.md 4.3).

The fingerprint is the JWK thumbprint of RFC 7638. Nothing is asked of a token's ordinary use, for SIP clients send no such
proof: it is what renewing a token without a backend costs.
"""

import base64
import hashlib
import json
from collections import OrderedDict
from typing import Any

import jwt

ALGORITHMS = ("RS256", "ES256")
"""Browsers' keys: RSA by the hosted platform's SDK, ECDSA by others."""
MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}
"""What the thumbprint of each kind of key is made of, in order (RFC 7638 section 3.2)."""
FRESH = 60
"""Seconds that the clocks of page and server may be apart."""
LONGEST = 4_096
"""Characters of a proof: one with an RSA key of 4096 bits has 2,200."""
REMEMBERED = 50_000
"""Proofs that are remembered while they would be fresh; more than this in two minutes is an attack, and the oldest go."""


class Possession:
    """Judges proofs. Each is good once."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, int] = OrderedDict()

    def wrong(self, proof: str, thumbprint: str, path: str, token: str | None, now: int) -> str:
        """Why a proof does not show that a POST to the path comes from who holds that key; "" if it does. `token` is the one
        that it must name by its hash (`ath`), None for one that need not. `now` in Unix seconds."""
        try:
            found, key = self._read(proof)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
            return f"it is no proof of possession ({str(error)[:100]})"
        if key != thumbprint:
            return "it is made with another key than the token's fingerprint"
        if (found.get("htm"), _path(str(found.get("htu")))) != ("POST", path):
            return f"it is for another request than POST {path}"
        if token is not None and found.get("ath") != _hash(token):
            return "its ath is not the hash of the token"
        if abs(now - int(found["iat"])) > FRESH:
            return f"its iat is more than {FRESH} seconds from the server's clock"
        return "" if self._first_time(f"{thumbprint} {found['jti']}", now) else "it was used before"

    @staticmethod
    def _read(proof: str) -> tuple[dict[str, Any], str]:
        """The claims of a proof that its own key has signed, and the thumbprint of that key."""
        if len(proof) > LONGEST:
            raise ValueError("it is too long")
        header = jwt.get_unverified_header(proof)
        jwk, algorithm = header["jwk"], header.get("alg")
        if header.get("typ") != "dpop+jwt" or algorithm not in ALGORITHMS or "d" in jwk:
            raise ValueError("typ must be dpop+jwt, alg RS256 or ES256, and jwk a public key")
        if jwk.get("kty") != ("RSA" if algorithm == "RS256" else "EC"):
            raise ValueError("the key does not fit the algorithm")
        claims = jwt.decode(proof, jwt.PyJWK(jwk, algorithm), [algorithm], options=_SIGNATURE_ONLY)
        return claims, thumbprint(jwk)

    def _first_time(self, name: str, now: int) -> bool:
        while self._seen and (next(iter(self._seen.values())) <= now - 2 * FRESH or len(self._seen) > REMEMBERED):
            self._seen.popitem(last=False)
        if name in self._seen:
            return False
        self._seen[name] = now
        return True


def thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638 with SHA-256: 43 characters."""
    plain = {name: jwk[name] for name in MEMBERS[jwk["kty"]]}
    return _hash(json.dumps(plain, separators=(",", ":"), sort_keys=True))


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def _path(uri: str) -> str:
    """Of a URI, or what is one already: the server behind a proxy does not know the name it is called by."""
    rest = uri.partition("://")[2]
    return ("/" + rest.partition("/")[2] if rest else uri).partition("?")[0].rstrip("/")


_SIGNATURE_ONLY: Any = {
    "verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False, "require": ["jti", "iat"],
}  # fmt: skip
