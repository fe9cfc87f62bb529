"""An authority of our own, for a LAN where no public one gives certificates: made once, installed on each device once.

Its key never leaves the data directory. The certificates it makes for us are short-lived, as browsers demand, and are made
anew by themselves.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from offhook.server.certificates.making import Pair, certificate_for, key_pem, new_key, read_pair, write_private

AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=396)
"""A year: within what every browser takes (Apple's devices take 825 days from an authority that a person installed)."""
RENEW = timedelta(days=60)
"""What is left of a certificate when the next one is made."""
SKEW = timedelta(days=1)
"""Devices' clocks are behind ours."""


class LocalAuthority:
    """Below `folder`: `authority.pem` (with its key) and `server.pem` (with its key)."""

    def __init__(self, folder: Path) -> None:
        self._authority, self.server = folder / "authority.pem", folder / "server.pem"

    def certificate(self, now: datetime) -> Pair:
        """The authority's own, made at the first call. Raises OSError, ValueError."""
        if self._authority.exists():
            return read_pair(self._authority)
        pair = _new_authority(now)
        write_private(self._authority, pair.pem() + key_pem(pair.key))
        return pair

    def provide(self, names: Sequence[str], now: datetime) -> bool:
        """Makes the server's certificate if there is none that is good for a while and covers all names; True if it did."""
        authority = self.certificate(now)
        if self._good(names, now, authority):
            return False
        pair = certificate_for(names, now - SKEW, now + SERVER_LIFE, authority)
        write_private(self.server, pair.pem() + authority.pem() + key_pem(pair.key))
        return True

    def _good(self, names: Sequence[str], now: datetime, authority: Pair) -> bool:
        try:
            leaf = read_pair(self.server).certificate
            covered = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            leaf.verify_directly_issued_by(authority.certificate)
        except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
            return False
        held = {*covered.get_values_for_type(x509.DNSName), *map(str, covered.get_values_for_type(x509.IPAddress))}
        return set(names) <= held and leaf.not_valid_after_utc - now > RENEW


def _new_authority(now: datetime) -> Pair:
    key = new_key()
    label = f"Offhook on this network, {now:%Y-%m-%d}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Pair(builder.sign(key, hashes.SHA256()), key)
