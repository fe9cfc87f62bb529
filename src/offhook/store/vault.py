"""Secrets that must be readable again, sealed at rest: passwords of carriers, which SIP needs in clear (API.md 12.1).

AES-256-GCM by the library `cryptography`; the key comes from the space's secret by HKDF. What a text is about is bound into
its seal, so that a sealed password moved to another row cannot be opened there.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from offhook.sip.secret import Secret

NONCE = 12
"""Octets of a nonce of GCM; random ones are safe for 2^32 seals under one key."""


class VaultError(Exception):
    """A sealed text cannot be opened: another space's secret, or it was altered. The text says which row."""


class Vault:
    """Seals and opens under one space's secret."""

    def __init__(self, secret: bytes) -> None:
        key = HKDF(SHA256(), 32, None, b"offhook secrets at rest").derive(secret)
        self._cipher = AESGCM(key)

    def seal(self, text: str, about: str) -> bytes:
        """The text, sealed for what it is about."""
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._cipher.encrypt(nonce, text.encode(), about.encode())

    def open(self, sealed: bytes, about: str) -> Secret:
        """The text again. Raises VaultError."""
        try:
            plain = self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], about.encode())
        except (InvalidTag, ValueError):
            raise VaultError(f"the stored secret of {about} cannot be opened; set it anew") from None
        return Secret(plain.decode())
