"""TLS towards a peer that we connect to: the same thin layer, the other side of the handshake."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

from offhook.transport.identity import identities, proves
from offhook.transport.tls import Tls


class TlsRefused(Exception):
    """The peer is not who it should be, or the handshake failed; the text is a sentence for people."""


class TlsClient(Tls):
    """One connection of ours. The application's protocol is made once the peer has proved `name` (RFC 5922)."""

    def __init__(
        self,
        context: ssl.SSLContext,
        factory: Callable[[], asyncio.Protocol],
        handshake: float,
        name: str,
        wildcards: bool,
    ) -> None:
        super().__init__(context, factory, handshake, server_name=name)
        self._name, self._wildcards = name, wildcards
        self.ready: asyncio.Future[asyncio.Protocol] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._receive(b"")  # the client speaks first

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("the peer closed the connection in the TLS handshake, or did not finish it in time")
        super().connection_lost(exc)

    def _shake_hands(self) -> None:
        try:
            super()._shake_hands()
        except ssl.SSLCertVerificationError as error:
            self._end(f"its certificate is refused: {error.verify_message}")
            raise
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as error:
            # One that the library did not raise has no `reason`.
            self._end(f"the TLS handshake failed: {getattr(error, 'reason', None) or error}")
            raise
        if self._app is not None and not self.ready.done():
            self.ready.set_result(self._app)

    def _established(self) -> None:
        assert self._tls is not None
        certificate = self._tls.getpeercert() or {}
        if not proves(certificate, self._name, self._wildcards):
            names = ", ".join(identities(certificate)) or "nobody"
            hint = "; sip.tls_wildcards would let * count" if "*" in names and not self._wildcards else ""
            self._end(f"its certificate is for {names}, not for {self._name}{hint}")
            raise ssl.SSLError(1, f"certificate is not for {self._name}")

    def _end(self, text: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(TlsRefused(text))
            self.ready.exception()  # whoever connects may have given up


def client_context(authorities: Path | None) -> ssl.SSLContext:
    """Verifies chains against `authorities` (None: those of the system).

    Names are compared by identity.py, because RFC 5922 differs from what HTTPS does. Raises OSError and ssl.SSLError.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
