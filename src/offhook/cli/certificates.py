"""What browsers and phones will say of our certificate: each way in which a chain can be broken, with the remedy.

Lives here: looking. Never here: serving TLS (transport/tls.py).
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

SOON = timedelta(days=14)
"""A certificate that ends within this time is reported."""
HELP = "docs/help/certificates.md has the steps"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: is it well, what was seen, and the remedy if it is not."""

    well: bool
    text: str
    remedy: str = ""


def system_roots() -> list[x509.Certificate]:
    """The authorities that this machine trusts; none where it has no list."""
    paths = ssl.get_default_verify_paths()
    file = Path(paths.cafile or paths.openssl_cafile)
    candidates = [file, Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt")]
    found = next((one for one in candidates if one.is_file()), None)
    return x509.load_pem_x509_certificates(found.read_bytes()) if found is not None else []


def check_chain(
    certificate: Path, key: Path, name: str, now: datetime, roots: Sequence[x509.Certificate]
) -> list[Check]:
    """All that is wrong with the files, the worst first; one good line if nothing is. `name` is the host that clients dial,
    `now` is aware of its zone."""
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    except OSError as error:
        return [Check(False, f"{certificate} cannot be read: {error.strerror}", "Give the path of a PEM file")]
    except ValueError:
        return [Check(False, f"{certificate} holds no PEM certificate", f"Give a PEM chain; {HELP}")]
    leaf = chain[0]
    wrong = [*_of_key(leaf, key), *_of_time(leaf, now), *_of_name(leaf, name), *_of_issuers(chain, name, now, roots)]
    if wrong:
        return wrong
    return [Check(True, f"the certificate for {name} is good until {leaf.not_valid_after_utc:%Y-%m-%d}")]


def _of_key(leaf: x509.Certificate, key: Path) -> list[Check]:
    try:
        private = load_pem_private_key(key.read_bytes(), None)
    except OSError as error:
        return [Check(False, f"{key} cannot be read: {error.strerror}", "Give the path of the key's PEM file")]
    except (ValueError, TypeError):
        return [Check(False, f"{key} holds no PEM key without a passphrase", "Give the key as plain PEM, mode 0600")]
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) == leaf.public_key().public_bytes(*form):
        return []
    text = f"{key} is not the key of the first certificate in the chain"
    return [Check(False, text, "Give the key the certificate was made with; the server's own certificate stands first")]


def _of_time(leaf: x509.Certificate, now: datetime) -> list[Check]:
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now < begin:
        remedy = "Set this machine's clock, or wait"
        return [Check(False, f"the certificate is not good before {begin:%Y-%m-%d %H:%M} UTC", remedy)]
    if now > end:
        return [
            Check(
                False,
                f"the certificate ended on {end:%Y-%m-%d}",
                "Renew it; the running server takes new files by itself",
            )
        ]
    if end - now < SOON:
        return [
            Check(
                False,
                f"the certificate ends on {end:%Y-%m-%d}",
                "Renew it; the running server takes new files by itself",
            )
        ]
    return []


def _of_name(leaf: x509.Certificate, name: str) -> list[Check]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [Check(False, "the certificate has no subjectAltName, which every browser demands", f"Renew it; {HELP}")]
    covered = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    if any(_covers(one.lower(), name.lower()) for one in covered):
        return []
    text = f"the certificate is for {', '.join(covered) or 'nobody'}, but clients dial {name}"
    return [Check(False, text, "Get one for that name, or set sip.domain to a name it has")]


def _covers(pattern: str, name: str) -> bool:
    return pattern == name or (pattern.startswith("*.") and name.partition(".")[2] == pattern[2:])


def _of_issuers(
    chain: list[x509.Certificate], name: str, now: datetime, roots: Sequence[x509.Certificate]
) -> list[Check]:
    leaf, above = chain[0], chain[1:]
    if leaf.issuer == leaf.subject and leaf not in roots:
        text = "the certificate is self-signed: browsers refuse WSS to it without a word to the page"
        return [Check(False, text, f"Get one from an authority, or install this one on every device; {HELP}")]
    for lower, upper in zip(chain, above, strict=False):
        if lower.issuer != upper.subject:
            text = f"the chain is out of order: {_word(upper.subject)} did not issue {_word(lower.subject)}"
            return [Check(False, text, "The server's certificate first, then each one's issuer")]
    top = chain[-1]
    if not any(root.subject in (top.issuer, top.subject) for root in roots):
        issuer = f"its issuer {_word(top.issuer)} is neither in the file nor trusted here"
        text = f"the chain ends at {_word(top.subject)}; {issuer}"
        return [Check(False, text, f"Append the authority's intermediate certificate to the file; {HELP}")]
    return _verified(leaf, above, name, now, roots)


def _verified(
    leaf: x509.Certificate, above: list[x509.Certificate], name: str, now: datetime, roots: Sequence[x509.Certificate]
) -> list[Check]:
    """What no other check has named: a signature that does not fit, a constraint that is broken."""
    try:
        subject: x509.IPAddress | x509.DNSName = x509.IPAddress(ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    verifier = PolicyBuilder().store(Store(list(roots))).time(min(now, leaf.not_valid_after_utc))
    try:
        verifier.build_server_verifier(subject).verify(leaf, above)
    except VerificationError as error:
        outside = not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc
        covered = not _of_name(leaf, name)
        if outside or not covered:
            return []
        return [Check(False, f"the chain does not verify: {error}", f"Get the certificate anew; {HELP}")]
    return []


def _word(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()
