"""Passwords that expire by themselves, for any client that knows digest (AUTH-11).

The user name is `EXPIRY:ENDPOINT` with the expiry in Unix seconds, the password base64(HMAC(key, user name)). No row is
stored: whoever holds the key makes the pair, and the pair proves itself.
"""

import base64
import hmac
from dataclasses import dataclass

from offhook.sip.secret import Secret


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """A user name of this form. `expires_at` in Unix seconds."""

    endpoint: str
    expires_at: int


def read(username: str) -> Ephemeral | None:
    """None for an ordinary user name, which holds no colon."""
    expiry, colon, endpoint = username.partition(":")
    if not colon or not endpoint or not (expiry.isascii() and expiry.isdigit()) or len(expiry) > 12:
        return None
    return Ephemeral(endpoint, int(expiry))


def write(endpoint: str, expires_at: int) -> str:
    """The user name to answer challenges with."""
    return f"{expires_at}:{endpoint}"


def password(key: bytes, username: str, digest: str = "sha256") -> Secret:
    """The password of such a user name; `digest` is sha256 or sha1."""
    return Secret(base64.b64encode(hmac.digest(key, username.encode("utf-8", "surrogateescape"), digest)).decode())
