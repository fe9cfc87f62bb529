"""JSON Web Tokens for SIP (AUTH-10): signatures and key sets. What a good token may do is judged by offhook.sip.tokens.

HS256 is for tokens that this server mints with a key of its own; others come from an authorization server whose public
keys stand in a JWK set (EdDSA, ES256, RS256), read from a file or by HTTPS. The call path never waits for that: a set is
fetched in the background, and the last good one counts.
"""

import asyncio
import contextlib
import hashlib
import json
import math
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import httpx
import jwt
from jwt.types import Options

from offhook.server.observe import log
from offhook.sip.tokens import MEMBER, Claims

OWN = "HS256"
PUBLIC = ("EdDSA", "ES256", "RS256")
"""Algorithms of a key set; `none` and HMAC with a public key are in neither list."""
OWN_KEY_ID = "offhook"
REFRESH = 3600.0
"""Seconds between fetches of a key set: issuers announce a new key a day before they use it."""
UNKNOWN = 60.0
"""Seconds between fetches because of a key we do not know: a stranger's tokens must not become our requests."""
SET_SIZE = 262_144
"""Octets a key set may have."""
FETCH = 5.0
RENEWS = "sat:refresh"
"""The scope of a token that its page may renew by itself."""
REMEMBERED = 1_024
"""Good tokens whose claims are remembered, for each comes with many requests; 1 KiB each."""


class Tokens:
    """Implements offhook.sip.tokens.TokenReader, and mints. `source` is a file or an https URL, "" for no key set."""

    def __init__(self, realm: str, own_key: bytes, source: str = "", issuer: str = "") -> None:
        self._realm = realm
        self._own_key = own_key
        self._source = source
        self._issuer = issuer
        self._keys: list[jwt.PyJWK] = []
        self._read: OrderedDict[bytes, Claims] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()

    # ---- reading

    def read(self, token: str) -> Claims | None:
        """See TokenReader."""
        name = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._read.get(name)
        if known is not None:
            return known
        claims = self._verified(token)
        if claims is not None:
            self._read[name] = claims
            if len(self._read) > REMEMBERED:
                self._read.popitem(last=False)
        return claims

    def _verified(self, token: str) -> Claims | None:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, UnicodeError):
            return None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm == OWN:
            return _claims(token, self._own_key, OWN, "")
        if algorithm not in PUBLIC:
            return None
        fitting = [one for one in self._keys if one.algorithm_name == algorithm and _named(one, key_id)]
        for key in fitting:
            claims = _claims(token, key, algorithm, self._issuer)
            if claims is not None:
                return claims
        if not fitting:
            self._wanted.set()
        return None

    # ---- minting

    def mint(
        self, subject: str, seconds: int, origin: str = "", tier: str = MEMBER, realm: str = "", **more: Any
    ) -> tuple[str, int]:
        """A token for an endpoint or a guest, and the Unix time at which it ends. `realm` is the subject's where that is
        not the canonical domain's."""
        now = int(time.time())
        return self._signed(realm or self._realm, subject, now, now + seconds, origin, tier, more), now + seconds

    def mint_refresh(self, subject: str, seconds: int, origin: str, tier: str, **about: Any) -> str:
        """What such a token is renewed with. It has an audience of its own, so that nobody calls with it."""
        now = int(time.time())
        return self._signed(self._renewals, subject, now, now + seconds, origin, tier, about)

    def read_refresh(self, token: str) -> dict[str, Any] | None:
        """The claims of a refresh token, whatever the time is; None for any other."""
        try:
            found = jwt.decode(token, self._own_key, [OWN], options=_SIGNATURE_ONLY)
        except (jwt.PyJWTError, ValueError, TypeError):
            return None
        return found if found["aud"] == self._renewals else None

    @property
    def _renewals(self) -> str:
        return f"refresh:{self._realm}"

    def _signed(
        self, audience: str, subject: str, now: int, ends: int, origin: str, tier: str, more: dict[str, Any]
    ) -> str:
        payload: dict[str, Any] = {
            "iss": self._realm, "aud": audience, "sub": subject, "iat": now, "exp": ends, "tier": tier, **more,
        }  # fmt: skip
        if origin:
            payload["origin"] = origin
        return jwt.encode(payload, self._own_key, OWN, {"kid": OWN_KEY_ID})

    # ---- the key set

    async def start(self) -> None:
        """Reads a file now, and keeps a fetched set fresh. Raises ValueError when the file is no key set."""
        if not self._source:
            return
        if self._source.startswith("https://"):
            await self._fetch()
            self._task = asyncio.create_task(self._keep_fresh(), name="key set of tokens")
            return
        self._use(_file(self._source))

    async def stop(self) -> None:
        """Fetches no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(UNKNOWN)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH):
                    await self._wanted.wait()
            # Before the fetch, so that a key that is missed meanwhile is asked for again.
            self._wanted.clear()
            await self._fetch()

    async def _fetch(self) -> None:
        try:
            async with httpx.AsyncClient(timeout=FETCH) as client:
                answer = await client.get(self._source)
            answer.raise_for_status()
            self._use(answer.content)
        except (httpx.HTTPError, ValueError) as error:
            log.warning("key set of tokens", source=self._source, error=str(error), remedy="see sip.token_jwks")

    def _use(self, text: bytes) -> None:
        """Takes a set over; what was verified with keys that are gone is forgotten."""
        if len(text) > SET_SIZE:
            raise ValueError(f"sip.token_jwks: {self._source} is larger than {SET_SIZE} octets")
        try:
            listed = json.loads(text)["keys"]
            keys = [jwt.PyJWK(one) for one in listed if _usable(one)]
        except (ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            raise ValueError(f"sip.token_jwks: {self._source} is not a JWK set ({error})") from None
        self._keys = [one for one in keys if one.algorithm_name in PUBLIC]
        self._read.clear()


def _named(key: jwt.PyJWK, key_id: str | None) -> bool:
    return key_id is None or key.key_id in (None, key_id)


def _usable(key: Any) -> bool:
    """Keys for signatures of the kinds we take; a set may hold others."""
    return isinstance(key, dict) and key.get("kty") in ("OKP", "EC", "RSA") and key.get("use", "sig") == "sig"


def _claims(token: str, key: Any, algorithm: str, issuer: str) -> Claims | None:
    """The claims of a token with a valid signature; times are judged elsewhere."""
    try:
        found = jwt.decode(token, key, [algorithm], options=_SIGNATURE_ONLY)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        return None
    if issuer and found.get("iss") != issuer:
        return None
    audience = found["aud"] if isinstance(found["aud"], list) else [found["aud"]]
    times = [found["exp"], found.get("nbf", 0)]
    texts = [found["sub"], found.get("tier", MEMBER), found.get("origin", ""), *audience]
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in times):
        return None
    if not all(isinstance(one, str) for one in texts):
        return None
    return Claims(texts[0], tuple(audience), float(times[0]), float(times[1]), texts[1], texts[2], _bound_to(found))


def _bound_to(found: dict[str, Any]) -> str:
    """The key that a token is bound to (RFC 9449 section 6), where its page may renew it."""
    bound = found.get("cnf")
    fingerprint = bound.get("jkt") if isinstance(bound, dict) and found.get("scope") == RENEWS else None
    return fingerprint if isinstance(fingerprint, str) else ""


_SIGNATURE_ONLY: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_sub": False,
    "require": ["exp", "aud", "sub"],
}


def _file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"sip.token_jwks: {path}: {error.strerror}") from None
