"""The certificate keeper as the API sees it (api.certificate_ports)."""

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

if TYPE_CHECKING:
    from offhook.server.app import App

AT_HOME = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Hosts that browsers trust without TLS."""


class CertificateViews:
    """Reads the keeper and the listeners."""

    def __init__(self, app: "App") -> None:
        self._app = app

    def proof(self, token: str) -> str | None:
        return self._app.certificates.text(token)

    def authority(self) -> tuple[bytes, str] | None:
        certificate = self._app.certificates.authority()
        if certificate is None:
            return None
        digest = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        return certificate.public_bytes(Encoding.DER), digest

    def secure_url(self, host: str) -> str | None:
        name, colon, port = host.rpartition(":")
        bare = name if colon and port.isdigit() else host
        listener = self._app.listeners.get("https")
        if listener is None or bare.lower() in AT_HOME or not bare:
            return None
        secure = listener.rpartition(":")[2]
        return f"https://{bare}" if secure == "443" else f"https://{bare}:{secure}"
