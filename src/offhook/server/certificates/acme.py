"""One order with an ACME authority (RFC 8555): account, proof of each name, certificate. Blocks; run it in a thread.

The protocol is the `acme` library's. Here is what it leaves to its user: keeping the account, answering the challenges
(HTTP-01, and TLS-ALPN-01 of RFC 8737), and saying what failed in words.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

from offhook import __version__
from offhook.server.certificates.making import certificate_for, key_pem, new_key, write_private

PATIENCE = timedelta(seconds=120)
"""How long an authority may take to look at us and to sign."""
TIMEOUT = 20
"""Seconds for one request to the authority."""
IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""id-pe-acmeIdentifier (RFC 8737 section 3)."""


class AcmeError(Exception):
    """No certificate came; the text says which name failed, in the authority's words, and what must be reachable."""


@dataclass(frozen=True, slots=True)
class AcmeSettings:
    """`directory` is the authority's URL, `directory_ca` the PEM file that its own certificate is verified against."""

    names: tuple[str, ...]
    email: str
    directory: str
    directory_ca: Path | None
    challenge: str


class Answers(Protocol):
    """Where proofs are shown while the authority looks; called from the thread of the order."""

    def show_http(self, token: str, text: str) -> None: ...
    def show_tls(self, name: str, certificate: bytes) -> None:
        """PEM of certificate and key."""
        ...

    def withdraw(self) -> None: ...


@challenges.ChallengeResponse.register
class _TlsAlpn01Response(challenges.KeyAuthorizationChallengeResponse):
    typ = "tls-alpn-01"


@challenges.Challenge.register
class _TlsAlpn01(challenges.KeyAuthorizationChallenge):
    typ = "tls-alpn-01"
    response_cls = _TlsAlpn01Response

    def validation(self, account_key: JWK, **_: Any) -> bytes:
        """SHA-256 of the key authorization."""
        return hashlib.sha256(self.key_authorization(account_key).encode()).digest()


def obtain(settings: AcmeSettings, folder: Path, answers: Answers, now: datetime) -> None:
    """Orders a certificate and writes chain and key into `folder`/certificate.pem. Raises AcmeError."""
    key = new_key()
    try:
        acme = _client(settings, _account_key(folder / "account.pem"))
        order = acme.new_order(crypto_util.make_csr(key_pem(key), list(settings.names)))
        for authorization in order.authorizations:
            _answer(acme, authorization, settings.challenge, answers, now)
        # The library compares with a naive local time.
        order = acme.poll_and_finalize(order, datetime.now() + PATIENCE)
    except errors.ValidationError as error:
        raise AcmeError(_refused(error, settings.challenge)) from error
    except messages.Error as error:
        raise AcmeError(f"{settings.directory}: {error.detail or error.typ}") from error
    except (errors.Error, JoseError, requests.RequestException, ValueError) as error:
        raise AcmeError(f"{settings.directory}: {error or type(error).__name__}") from error
    finally:
        answers.withdraw()
    write_private(folder / "certificate.pem", order.fullchain_pem.encode() + key_pem(key))


def _account_key(path: Path) -> JWKEC:
    if not path.exists():
        write_private(path, key_pem(new_key()))
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AcmeError(f"{path} holds no elliptic-curve key; move it away and a new account is made")
    return JWKEC(key=key)


def _client(settings: AcmeSettings, key: JWKEC) -> client.ClientV2:
    # `verify_ssl` goes to requests as it is, which also takes the path of a file with authorities.
    trusted: Any = str(settings.directory_ca) if settings.directory_ca is not None else True
    network = client.ClientNetwork(
        key, alg=ES256, verify_ssl=trusted, user_agent=f"Offhook/{__version__}", timeout=TIMEOUT
    )
    acme = client.ClientV2(client.ClientV2.get_directory(settings.directory, network), network)
    wanted = messages.NewRegistration.from_data(email=settings.email or None, terms_of_service_agreed=True)
    try:
        acme.new_account(wanted)
    except errors.ConflictError as known:
        network.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())
    return acme


def _answer(
    acme: client.ClientV2, authorization: messages.AuthorizationResource, kind: str, answers: Answers, now: datetime
) -> None:
    if authorization.body.status == messages.STATUS_VALID:
        return
    name = str(authorization.body.identifier.value)
    offered = {one.chall.typ: one for one in authorization.body.challenges if hasattr(one.chall, "typ")}
    if kind not in offered:
        offers = ", ".join(offered) or "nothing we know"
        raise AcmeError(f"{name}: the authority does not offer {kind}, only {offers}; set acme.challenge")
    one, account = offered[kind], acme.net.key
    if kind == "http-01":
        answers.show_http(one.chall.encode("token"), one.chall.validation(account))
    else:
        answers.show_tls(name, _proof(name, one.chall.validation(account), now))
    acme.answer_challenge(one, one.chall.response(account))


def _proof(name: str, digest: bytes, now: datetime) -> bytes:
    """The certificate of RFC 8737 section 3: the name, and the digest as a DER octet string, critical."""
    identifier = x509.UnrecognizedExtension(IDENTIFIER, b"\x04\x20" + digest)
    pair = certificate_for([name], now - timedelta(days=1), now + timedelta(days=7), None, [identifier])
    return pair.pem() + key_pem(pair.key)


def _refused(error: errors.ValidationError, kind: str) -> str:
    """Every name that failed, with what the authority saw."""
    told: list[str] = []
    for authorization in error.failed_authzrs:
        details = [one.error.detail for one in authorization.body.challenges if one.error is not None]
        told.append(f"{authorization.body.identifier.value}: {'; '.join(filter(None, details)) or 'refused'}")
    port = "80" if kind == "http-01" else "443"
    return f"{'. '.join(told)}. The authority must reach TCP port {port} of each name from the internet"


def names_of(path: Path) -> Sequence[str]:
    """The names of the certificate in a file; none if there is no good one."""
    try:
        leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))
