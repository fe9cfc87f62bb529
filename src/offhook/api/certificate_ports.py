"""What the API needs of the certificate keeper."""

from typing import Protocol


class CertificateDesk(Protocol):
    """Proofs for an authority that looks, our own authority's certificate, and where a page is safe."""

    def proof(self, token: str) -> str | None:
        """What an ACME authority expects below `/.well-known/acme-challenge/` (RFC 8555 section 8.3)."""
        ...

    def authority(self) -> tuple[bytes, str] | None:
        """(DER of our own authority, its SHA-256 as hex pairs), if that is what devices must trust."""
        ...

    def secure_url(self, host: str) -> str | None:
        """Where the page is over TLS for whoever came by plain HTTP to `host`; None where plain HTTP does."""
        ...
