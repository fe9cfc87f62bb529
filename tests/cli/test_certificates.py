"""Broken chains explain themselves: each fault is named, with what to do about it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from offhook.cli.certificates import Check, check_chain

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAME = "pbx.example.com"


class Party:
    """An authority or a server with its key; `issuer` None signs itself."""

    def __init__(self, name: str, issuer: "Party | None", days: int = 90, names: tuple[str, ...] = (NAME,)) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by = issuer or self
        self.subject = subject
        authority = not name.endswith(".com")
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(by.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=30))
            .not_valid_after(NOW + timedelta(days=days))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False)
        )
        if authority:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
            builder = builder.add_extension(use, critical=False)
            if names:
                alternative = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
                builder = builder.add_extension(alternative, critical=False)
        self.certificate = builder.sign(by.key, hashes.SHA256())


ROOT = Party("Root", None)
MIDDLE = Party("Middle", ROOT)


def checked(folder: Path, chain: list[Party], key: Party | None = None, name: str = NAME) -> list[Check]:
    certificate, private = folder / "chain.pem", folder / "key.pem"
    pem = serialization.Encoding.PEM
    certificate.write_bytes(b"".join(one.certificate.public_bytes(pem) for one in chain))
    plain = (pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes((key or chain[0]).key.private_bytes(*plain))
    return check_chain(certificate, private, name, NOW, [ROOT.certificate])


def test_a_good_chain(tmp_path: Path) -> None:
    (good,) = checked(tmp_path, [Party(NAME, MIDDLE), MIDDLE])
    assert good == Check(True, f"the certificate for {NAME} is good until 2026-08-30")
    wild = Party(NAME, MIDDLE, names=("*.example.com",))
    assert checked(tmp_path, [wild, MIDDLE])[0].well
    assert checked(tmp_path, [wild, MIDDLE, ROOT])[0].well


@pytest.mark.parametrize(
    ("chain", "said", "remedy"),
    [
        ([Party(NAME, None)], "self-signed", "authority"),
        ([Party(NAME, MIDDLE)], "its issuer Middle is neither in the file nor trusted here", "intermediate"),
        ([Party(NAME, MIDDLE, days=-1), MIDDLE], "ended on 2026-05-31", "Renew"),
        ([Party(NAME, MIDDLE, days=3), MIDDLE], "ends on 2026-06-04", "Renew"),
        ([Party(NAME, MIDDLE, names=("other.example.com",)), MIDDLE], f"but clients dial {NAME}", "sip.domain"),
        ([Party(NAME, MIDDLE, names=()), MIDDLE], "no subjectAltName", "Renew"),
        ([Party(NAME, MIDDLE), ROOT, MIDDLE], "Root did not issue", "first"),
    ],
)
def test_broken_chains(tmp_path: Path, chain: list[Party], said: str, remedy: str) -> None:
    found = checked(tmp_path, chain)
    assert [one.well for one in found] == [False]
    assert said in found[0].text
    assert remedy in found[0].remedy


def test_a_forged_issuer(tmp_path: Path) -> None:
    # Names alone prove nothing: an authority of the same name did not sign it.
    (found,) = checked(tmp_path, [Party(NAME, Party("Middle", ROOT)), MIDDLE])
    assert "does not verify" in found.text


def test_keys_and_files(tmp_path: Path) -> None:
    server = Party(NAME, MIDDLE)
    (wrong,) = checked(tmp_path, [server, MIDDLE], key=MIDDLE)
    assert "is not the key" in wrong.text
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    (missing,) = check_chain(tmp_path / "none.pem", key, NAME, NOW, [])
    assert "No such file" in missing.text
    certificate.write_text("no certificate")
    assert "no PEM certificate" in check_chain(certificate, key, NAME, NOW, [])[0].text
    checked(tmp_path, [server, MIDDLE])
    key.write_text("no key")
    assert "no PEM key" in check_chain(certificate, key, NAME, NOW, [ROOT.certificate])[0].text
