"""Keeps a certificate that is good: looks at files given by hand, renews what an authority or we ourselves made.

Lives here: when, and what is said if it fails. Never here: how one is made (acme.py, local.py) or served
(served.py).
"""

import asyncio
import contextlib
import socket
import ssl
import tempfile
from datetime import UTC, datetime, timedelta

from cryptography import x509

from offhook.server.addresses import host_addresses
from offhook.server.certificates.acme import AcmeError, AcmeSettings, names_of, obtain
from offhook.server.certificates.local import LocalAuthority
from offhook.server.certificates.making import certificate_for, key_pem, write_private
from offhook.server.certificates.served import CertificateError, Files, Served, fault_of_authorities
from offhook.server.config import Settings
from offhook.server.errors import StartError
from offhook.server.observe import log

AGAIN, LONGEST = timedelta(minutes=1), timedelta(hours=6)
"""Pause after an order that failed, doubled each time: authorities count failures (five an hour and name at the largest)."""
HOUR = timedelta(hours=1)
"""Longest sleep: the machine's clock may be set meanwhile."""


def renew_at(leaf: x509.Certificate) -> datetime:
    """When a third of a certificate's life is left, as authorities advise."""
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    return end - (end - begin) / 3


class CertificateKeeper:
    """`prepare` before anything listens, `start` when it does, `stop` at the end. Without a certificate `served` is None."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data / "certificates"
        self._local = LocalAuthority(self._folder)
        self._texts: dict[str, str] = {}
        self._proofs: dict[str, ssl.SSLContext] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._trouble = ""
        self.served: Served | None = None

    def prepare(self) -> None:
        """Makes sure that there is something to serve, if anything is wanted. Raises StartError."""
        http = self._settings.http
        for name, path in (
            ("sip.tls_authorities", self._settings.sip.tls_authorities),
            ("acme.directory_ca", self._settings.acme.directory_ca),
        ):
            if path is not None and (fault := fault_of_authorities(path)):
                raise StartError(f"{name} {path}: {fault}")
        try:
            if http.certificate is not None and http.key is not None:
                self.served = Served(Files(http.certificate, http.key))
            elif self._settings.acme.domains:
                self.served = Served(self._acme_files())
            elif http.local_authority:
                self._local.provide(self._own_names(), datetime.now(UTC))
                self.served = Served(Files(self._local.server, self._local.server))
        except (OSError, ValueError) as error:
            raise StartError(f"certificates in {self._folder}: {error}") from error

    def start(self) -> None:
        """Begins to watch and to renew."""
        if self.served is None:
            return
        work = [self.served.watch()]
        if self._settings.http.certificate is None:
            work.append(self._keep_ordered() if self._settings.acme.domains else self._keep_local())
        self._tasks = [asyncio.create_task(one, name="certificates") for one in work]

    async def stop(self) -> None:
        """Ends both; an order that runs in its thread is left to end by itself."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @property
    def trouble(self) -> str:
        """What a person should know; empty if all is well."""
        return self._trouble or (self.served.trouble if self.served is not None else "")

    def context(self, phones: bool) -> ssl.SSLContext | None:
        """A context for listeners, None without a certificate. Phones and trunks may be asked for theirs; browsers never
        are, because they would ask the person. Raises StartError."""
        if self.served is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.follow(context)
        if not phones:
            context.set_alpn_protocols(["http/1.1"])
            return context
        sip = self._settings.sip
        if sip.tls_client_certificates != "off":
            wanted = ssl.CERT_REQUIRED if sip.tls_client_certificates == "required" else ssl.CERT_OPTIONAL
            try:
                context.load_verify_locations(sip.tls_authorities)
            except (OSError, ssl.SSLError) as error:
                raise StartError(f"sip.tls_authorities {sip.tls_authorities}: {error}") from error
            context.verify_mode = wanted
        return context

    def follow(self, context: ssl.SSLContext) -> None:
        """Puts our certificate into a context, and each later one. Raises StartError."""
        if self.served is None:
            return
        try:
            self.served.follow(context)
        except CertificateError as error:
            raise StartError(str(error)) from error

    # ---- proofs of names, shown while an authority looks (acme.Answers)

    def show_http(self, token: str, text: str) -> None:
        self._texts[token] = text

    def show_tls(self, name: str, certificate: bytes) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["acme-tls/1"])
        with tempfile.NamedTemporaryFile(dir=self._folder) as file:
            file.write(certificate)
            file.flush()
            context.load_cert_chain(file.name)
        self._proofs[name] = context

    def withdraw(self) -> None:
        self._texts.clear()
        self._proofs.clear()

    def text(self, token: str) -> str | None:
        """The answer to HTTP-01 (RFC 8555 section 8.3)."""
        return self._texts.get(token)

    def proof(self, hello: bytes) -> ssl.SSLContext | None:
        """The context that answers a client hello of TLS-ALPN-01 (RFC 8737): it names the protocol, and one of our names."""
        if not self._proofs or b"acme-tls/1" not in hello:
            return None
        return next((context for name, context in self._proofs.items() if name.encode() in hello), None)

    def authority(self) -> x509.Certificate | None:
        """Our own authority, if that is what devices must trust."""
        used = self._settings.http.local_authority and self._settings.http.certificate is None
        return self._local.certificate(datetime.now(UTC)).certificate if used else None

    # ---- from an ACME authority

    def _acme_files(self) -> Files:
        path = self._folder / "certificate.pem"
        if not path.exists():
            # Listeners need one; browsers will refuse it, and no order could be answered by TLS without it.
            now = datetime.now(UTC)
            names = self._settings.acme.domains
            pair = certificate_for(names, now - timedelta(days=1), now + timedelta(days=7), None)
            write_private(path, pair.pem() + key_pem(pair.key))
        return Files(path, path)

    def _due(self) -> datetime:
        path = self._folder / "certificate.pem"
        if set(names_of(path)) != set(self._settings.acme.domains):
            return datetime.now(UTC)
        leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
        return datetime.now(UTC) if leaf.issuer == leaf.subject else renew_at(leaf)

    async def _keep_ordered(self) -> None:
        acme, pause = self._settings.acme, AGAIN
        wanted = AcmeSettings(acme.domains, acme.email, acme.directory, acme.directory_ca, acme.challenge)
        while True:
            left = self._due() - datetime.now(UTC)
            if left > timedelta(0):
                await asyncio.sleep(min(left, HOUR).total_seconds())
                continue
            try:
                log.info("a certificate is ordered", names=", ".join(acme.domains), authority=acme.directory)
                await asyncio.to_thread(obtain, wanted, self._folder, self, datetime.now(UTC))
            except (AcmeError, OSError) as error:
                self._trouble = f"no certificate from {acme.directory}: {error}"
                log.warning("no certificate came", reason=str(error), again_in=str(pause))
                await asyncio.sleep(pause.total_seconds())
                pause = min(2 * pause, LONGEST)
            else:
                self._trouble, pause = "", AGAIN
                assert self.served is not None
                self.served.reload()

    # ---- from our own authority

    def _own_names(self) -> list[str]:
        """Everything a device on this network may call us."""
        sip, host = self._settings.sip, socket.gethostname()
        told = [sip.domain, *sip.aliases, "localhost", host, f"{host}.local" if "." not in host else host]
        addresses = [one.strip("[]") for one in (*host_addresses(), *self._settings.media.public_address)]
        return list(dict.fromkeys([*told, "127.0.0.1", "::1", *(one for one in addresses if "%" not in one)]))

    async def _keep_local(self) -> None:
        while True:
            await asyncio.sleep(HOUR.total_seconds())
            with contextlib.suppress(OSError, ValueError):
                self._local.provide(self._own_names(), datetime.now(UTC))
