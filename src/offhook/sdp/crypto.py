"""Keys in a description: the a=crypto line (RFC 4568 section 9), read and written.

Lives here: one line. Never here: which of several is taken (calls/encryption.py). A line that asks for what we refuse (MKI,
several keys, a key derivation rate, unencrypted or unknown session parameters) is read as none: section 6.3 forbids to
accept it, and another line may do.
"""

import base64
import binascii
from dataclasses import dataclass, field

SUITES = {
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_256_CM_HMAC_SHA1_32": 46,
}
"""Suites by their names in SDP, best first, with the octets of key and salt (RFC 4568 6.2, RFC 6188, RFC 7714)."""

TAG_DIGITS = 9
"""A tag has one to nine digits (section 9.1)."""


@dataclass(frozen=True, slots=True)
class CryptoLine:
    """`key` is master key and master salt in lower-case hex; it is never shown."""

    tag: int
    suite: str
    key: str = field(repr=False)

    def write(self) -> str:
        """The attribute without `a=`."""
        return f"crypto:{self.tag} {self.suite} inline:{base64.b64encode(bytes.fromhex(self.key)).decode()}"


def read(value: str) -> CryptoLine | None:
    """The value behind `a=crypto:`; None for a line that cannot or must not be taken."""
    pieces = value.split()
    if len(pieces) < 3 or not (pieces[0].isascii() and pieces[0].isdigit() and len(pieces[0]) <= TAG_DIGITS):
        return None
    tag, suite, parameters, *session = pieces
    method, _, info = parameters.partition(":")
    # A window size hint may be ignored (section 6.3.7); every other session parameter changes what is on the wire.
    if suite not in SUITES or method.lower() != "inline" or any(not one.startswith("WSH=") for one in session):
        return None
    text, *rest = info.split("|")
    if ";" in info or len(rest) > 1 or any(":" in one for one in rest):
        return None
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return CryptoLine(int(tag), suite, key.hex()) if len(key) == SUITES[suite] else None
