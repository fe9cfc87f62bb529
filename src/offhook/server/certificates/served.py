"""The certificate that every TLS listener presents.

OpenSSL reads a context's certificate when a handshake begins, so a new one put into the same context serves all later
connections and drops none.
"""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from offhook.server.observe import log

LOOK = 5.0
"""Seconds between looks at the files: whoever renews them expects no more than a moment."""


NO_PEM = "holds no certificate in PEM, which begins -----BEGIN CERTIFICATE-----"


class CertificateError(Exception):
    """The files cannot be served; the text names them and what is wrong."""


@dataclass(frozen=True, slots=True)
class Files:
    """A PEM chain, the server's own certificate first, and the PEM file of its key (perhaps the same file)."""

    chain: Path
    key: Path

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Changes whenever one of the files does."""
        stats = [path.stat() for path in (self.chain, self.key)]
        return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in stats)

    def fault(self, error: OSError) -> str:
        """What is wrong with the files that OpenSSL has refused: it names neither of the two."""
        try:
            chain = self.chain.read_bytes()
        except OSError as unread:
            return f"the certificate {self.chain}: {unread.strerror}"
        try:
            self.key.read_bytes()
        except OSError as unread:
            return f"the certificate's key {self.key}: {unread.strerror}"
        try:
            x509.load_pem_x509_certificates(chain)
        except ValueError:
            return f"the certificate {self.chain} {NO_PEM}"
        reason = getattr(error, "reason", None) or error
        return f"{self.key} is not the key of the certificate {self.chain}, in PEM without a passphrase ({reason})"


def fault_of_authorities(path: Path) -> str:
    """Why nothing can be verified against the certificates of a PEM file; empty where it can."""
    try:
        text = path.read_bytes()
    except OSError as error:
        return error.strerror or str(error)
    return "" if b"-----BEGIN" in text else NO_PEM


@dataclass(frozen=True, slots=True)
class Shown:
    """What is said of the certificate in the status."""

    subject: str
    expires_at: datetime
    names: frozenset[str] = frozenset()
    """DNS names and addresses that it is for."""


class Served:
    """One certificate for many contexts. `follow` before listening, `reload` when the files may have changed."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._contexts: list[ssl.SSLContext] = []
        self._stamp: tuple[tuple[int, int, int], ...] | None = None
        self.shown: Shown | None = None
        self.trouble = ""
        """Why the files as they are now are not served; empty while they are."""

    def follow(self, context: ssl.SSLContext) -> None:
        """Puts the certificate into a context, now and whenever it changes. Raises CertificateError."""
        self._load(context)
        self._contexts.append(context)
        self._read()

    def reload(self) -> bool:
        """True if a new certificate is served from now on. A bad one is named in `trouble`, and the old one stays."""
        try:
            if self._files.stamp() == self._stamp:
                return False
            # Into a context of its own first: half a change must reach no connection.
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            for context in self._contexts:
                self._load(context)
        except (CertificateError, OSError) as error:
            if str(error) != self.trouble:
                self.trouble = str(error)
                log.warning("the new certificate is not served", reason=self.trouble)
            return False
        self._read()
        log.info("a new certificate is served", subject=self.shown.subject if self.shown else "")
        return True

    def covers(self, name: str) -> bool:
        """True if a browser that dials this name, or address without brackets, takes the certificate for ours."""
        names = self.shown.names if self.shown is not None else frozenset()
        wild = "*." + name.partition(".")[2]
        return name in names or wild in names

    async def watch(self) -> None:
        """Looks at the files for ever."""
        while True:
            await asyncio.sleep(LOOK)
            self.reload()

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._files.chain, self._files.key)
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(self._files.fault(error)) from error

    def _read(self) -> None:
        """Remembers what was served when."""
        try:
            self._stamp, self.trouble = self._files.stamp(), ""
            leaf = x509.load_pem_x509_certificates(self._files.chain.read_bytes())[0]
        except (OSError, ValueError):
            return
        names = _names(leaf)
        subject = leaf.subject.rfc4514_string() or next(iter(names), "")
        self.shown = Shown(subject, leaf.not_valid_after_utc, frozenset(names))


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
