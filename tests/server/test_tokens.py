"""AUTH-10: which signatures count. Tokens are made with the real library, and by hand where it would refuse."""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from interop.support.certificate import write_certificate
from offhook.server.tokens import Tokens
from offhook.sip.tokens import Claims
from tests.support.patience import PATIENCE

REALM, OWN = "example.com", b"k" * 32
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
KEYS: dict[str, Any] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}
WRITERS: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


def claims(**more: Any) -> dict[str, Any]:
    return {"aud": REALM, "sub": "bob", "exp": int(time.time()) + 600, **more}


def key_set(*algorithms: str, **more: Any) -> dict[str, Any]:
    rows = []
    for name in algorithms:
        row = WRITERS[name].to_jwk(KEYS[name].public_key(), as_dict=True)
        rows.append({**row, "kid": f"key-{name}", "use": "sig", "alg": name, **more})
    return {"keys": rows}


async def reading(folder: Path, text: dict[str, Any], issuer: str = "") -> Tokens:
    file = folder / "jwks.json"
    file.write_text(json.dumps(text))
    tokens = Tokens(REALM, OWN, str(file), issuer)
    await tokens.start()
    return tokens


def test_a_token_of_our_own() -> None:
    tokens = Tokens(REALM, OWN)
    text, ends = tokens.mint("bob", 600, "https://app.example")
    assert tokens.read(text) == Claims("bob", (REALM,), ends, 0.0, "member", "https://app.example")
    assert tokens.read(text) is tokens.read(text)
    assert Tokens(REALM, b"x" * 32).read(text) is None
    assert tokens.read(text[:-2] + ("AA" if text[-2:] != "AA" else "BB")) is None


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_of_the_key_set(tmp_path: Path, algorithm: str) -> None:
    tokens = await reading(tmp_path, key_set("RS256", "ES256", "EdDSA"))
    for header in ({"kid": f"key-{algorithm}"}, {}):
        text = jwt.encode(claims(nbf=5, tier="guest"), KEYS[algorithm], algorithm, header)
        found = tokens.read(text)
        assert found is not None
        assert (found.subject, found.audience, found.not_before, found.tier) == ("bob", (REALM,), 5.0, "guest")
    other = jwt.encode(claims(), KEYS[algorithm], algorithm, {"kid": "unknown"})
    assert tokens.read(other) is None
    assert Tokens(REALM, OWN).read(text) is None


async def test_never_none_and_never_a_public_key_as_a_secret(tmp_path: Path) -> None:
    tokens = await reading(tmp_path, key_set("RS256"))

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    for algorithm in ("none", "None", "NONE"):
        assert tokens.read(f"{part({'alg': algorithm})}.{part(claims())}.") is None
    public = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head = f"{part({'alg': 'HS256', 'kid': 'key-RS256'})}.{part(claims())}"
    seal = base64.urlsafe_b64encode(hmac.new(public, head.encode(), hashlib.sha256).digest()).decode().rstrip("=")
    assert tokens.read(f"{head}.{seal}") is None
    assert Tokens(REALM, b"k" * 48).read(jwt.encode(claims(), b"k" * 48, "HS384")) is None


async def test_a_token_does_not_choose_its_key(tmp_path: Path) -> None:
    """Whatever its header says of keys: only those of the set count, by whole names."""
    tokens = await reading(tmp_path, key_set("RS256"))
    strange = rsa.generate_private_key(65_537, 2048)
    own = RSAAlgorithm.to_jwk(strange.public_key(), as_dict=True)
    headers: tuple[dict[str, Any], ...] = (
        {"jwk": own}, {"jku": "http://127.0.0.1:9/keys"}, {"x5u": "http://127.0.0.1:9/cert"}, {"x5c": ["MIIB"]},
        {"kid": "key-RS256"}, {"kid": "../../../../dev/null"}, {"kid": "key-RS256' OR '1'='1"}, {"kid": ""},
    )  # fmt: skip
    for header in headers:
        assert tokens.read(jwt.encode(claims(), strange, "RS256", header)) is None, header
        # Nor an empty file's contents, nor the name itself, as a secret.
        for secret in (b"", b"\0", str(header.get("kid", "")).encode()):
            assert tokens.read(hs256({"alg": "HS256", **header}, claims(), secret)) is None, (header, secret)
    assert tokens.read(jwt.encode(claims(), RSA, "RS256", {"kid": "key-RS256", "jwk": own})) is not None


def hs256(head: dict[str, Any], body: dict[str, Any], secret: bytes) -> str:
    """A token that is signed with any secret, empty ones too."""
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in (head, body)]
    seal = hmac.new(secret, ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join((*parts, base64.urlsafe_b64encode(seal).decode().rstrip("=")))


@pytest.mark.parametrize("missing", ["exp", "aud", "sub"])
def test_what_a_token_must_say(missing: str) -> None:
    said = claims()
    del said[missing]
    assert Tokens(REALM, OWN).read(jwt.encode(said, OWN, "HS256")) is None


@pytest.mark.parametrize("odd", [{"exp": "soon"}, {"exp": float("nan")}, {"sub": 7}, {"aud": [7]}, {"tier": 3}])
def test_claims_of_another_shape(odd: dict[str, Any]) -> None:
    assert Tokens(REALM, OWN).read(jwt.encode(claims(**odd), OWN, "HS256")) is None


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "....", "\x00", "\udcff", "eyJhbGciOiJIUzI1NiJ9.e30.x"])
def test_anything_else_is_no_token(text: str) -> None:
    assert Tokens(REALM, OWN).read(text) is None


async def test_the_issuer_counts_for_the_key_set_alone(tmp_path: Path) -> None:
    tokens = await reading(tmp_path, key_set("ES256"), "https://id.example")
    assert tokens.read(jwt.encode(claims(iss="https://id.example"), EC, "ES256")) is not None
    assert tokens.read(jwt.encode(claims(iss="https://evil.example"), EC, "ES256")) is None
    assert tokens.read(jwt.encode(claims(), EC, "ES256")) is None
    assert tokens.read(tokens.mint("bob", 60)[0]) is not None


async def test_keys_for_other_uses_are_passed_over(tmp_path: Path) -> None:
    tokens = await reading(tmp_path, {"keys": [{"kty": "oct", "k": "AAAA"}, *key_set("ES256", use="enc")["keys"]]})
    assert tokens.read(jwt.encode(claims(), EC, "ES256")) is None


@pytest.mark.parametrize("text", ["", "[]", '{"keys": 1}', '{"keys": [{"kty": "EC"}]}', "x" * 300_000])
async def test_a_file_that_is_no_key_set_stops_the_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"sip\.token_jwks"):
        await Tokens(REALM, OWN, str(file)).start()
    with pytest.raises(ValueError, match="No such file"):
        await Tokens(REALM, OWN, str(tmp_path / "missing")).start()


class Issuer:
    """An authorization server's key set behind HTTPS."""

    def __init__(self, text: dict[str, Any]) -> None:
        self.text, self.asked = text, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        body = json.dumps(self.text).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()


async def test_a_key_set_by_https_is_fetched_again_for_a_new_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr("offhook.server.tokens.UNKNOWN", 0.05)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    issuer = Issuer(key_set("ES256"))
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0, ssl=context)
    tokens = Tokens(REALM, OWN, f"https://localhost:{server.sockets[0].getsockname()[1]}/jwks.json")
    await tokens.start()
    old = jwt.encode(claims(), EC, "ES256", {"kid": "key-ES256"})
    new = jwt.encode(claims(), ED, "EdDSA", {"kid": "key-EdDSA"})
    # 1. the set was there before the first token came
    assert tokens.read(old) is not None
    # 2. a token of a key that the set did not have is refused, and has it fetched anew
    issuer.text = key_set("EdDSA")
    async with asyncio.timeout(PATIENCE):
        while tokens.read(new) is None:
            await asyncio.sleep(0.05)  # the fetch is its own task; its effect is what counts
    # 3. a key that was taken out of the set is good no longer
    assert tokens.read(old) is None
    # 4. an issuer that answers nonsense changes nothing
    issuer.text, asked = {"keys": 1}, issuer.asked
    tokens.read(jwt.encode(claims(), RSA, "RS256", {"kid": "key-RS256"}))
    async with asyncio.timeout(PATIENCE):
        while issuer.asked == asked:
            await asyncio.sleep(0.05)  # as above
    assert tokens.read(new) is not None
    await tokens.stop()
    server.close()


async def test_an_issuer_that_is_away_does_not_stop_the_start() -> None:
    tokens = Tokens(REALM, OWN, "https://127.0.0.1:9/jwks.json")
    await tokens.start()
    assert tokens.read(tokens.mint("bob", 60)[0]) is not None
    assert tokens.read(jwt.encode(claims(), EC, "ES256")) is None
    await tokens.stop()
