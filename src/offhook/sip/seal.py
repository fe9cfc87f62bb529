"""Sealed text: what only we can read, and what nobody can make up, in the alphabet of a SIP user part.

Encrypt-then-MAC with HMAC-SHA-256 as the stream and as the seal, because the core needs no more than hashes for it. Lives
here: sealing. Never here: what is inside (gruu.py, flow_token.py).
"""

import base64
import binascii
import hmac

_NONCE = 8
_BLOCK = 32
"""Octets that one HMAC-SHA-256 gives."""
_SEAL = 12
"""Octets: 96 bits cannot be guessed over a network."""
LONGEST = 512
"""Characters of a sealed text that are looked at at all."""


class Sealer:
    """`key` is 32 octets, shared by all nodes. The nonce of a text is drawn by the caller and never used twice."""

    def __init__(self, key: bytes) -> None:
        self._stream = hmac.digest(key, b"stream", "sha256")
        self._seal = hmac.digest(key, b"seal", "sha256")

    def seal(self, data: bytes, nonce: bytes) -> str:
        """base64url without padding of (nonce, data encrypted, seal over both)."""
        body = nonce + self._crypt(data, nonce)
        return base64.urlsafe_b64encode(body + self._mark(body)).rstrip(b"=").decode()

    def open(self, text: str) -> bytes | None:
        """What was sealed; None for anything we did not seal."""
        if len(text) > LONGEST or not text.isascii():
            return None
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        body, mark = raw[:-_SEAL], raw[-_SEAL:]
        if len(body) < _NONCE or not hmac.compare_digest(mark, self._mark(body)):
            return None
        return self._crypt(body[_NONCE:], body[:_NONCE])

    def _mark(self, body: bytes) -> bytes:
        return hmac.digest(self._seal, body, "sha256")[:_SEAL]

    def _crypt(self, data: bytes, nonce: bytes) -> bytes:
        size = len(data)
        stream = b"".join([self._block(nonce, number) for number in range(-(-size // _BLOCK))])[:size]
        return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")

    def _block(self, nonce: bytes, number: int) -> bytes:
        return hmac.digest(self._stream, nonce + number.to_bytes(4, "big"), "sha256")
