"""Tokens that a page renews by proving its key (API.md 4.3, RFC 9449), made here as the hosted platform's browser SDK makes
them: RS256, the path as htu, the proof in the body."""

import base64
import hashlib
import json
import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.platform import House

TOKENS, REFRESH = "/api/fabric/subscribers/tokens", "/api/fabric/subscriber/devices/refresh"
DEVICE = "/api/fabric/subscriber/devices/token"
RSA_KEY = rsa.generate_private_key(65537, 2048)


def encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


class Key:
    """A page's key."""

    def __init__(self, private: Any = RSA_KEY) -> None:
        self.private, self.algorithm = private, "RS256" if private is RSA_KEY else "ES256"
        kind: Any = jwt.algorithms.RSAAlgorithm if private is RSA_KEY else jwt.algorithms.ECAlgorithm
        self.jwk = json.loads(kind.to_jwk(private.public_key()))
        names = ("e", "kty", "n") if private is RSA_KEY else ("crv", "kty", "x", "y")
        plain = json.dumps({name: self.jwk[name] for name in names}, separators=(",", ":"))
        self.fingerprint = encoded(hashlib.sha256(plain.encode()).digest())

    def proof(self, path: str, token: str = "", jti: str = "", **odd: Any) -> str:
        claims = {"jti": jti or str(time.monotonic_ns()), "htm": "POST", "htu": path, "iat": int(time.time())}
        if token:
            claims["ath"] = encoded(hashlib.sha256(token.encode()).digest())
        return jwt.encode(claims | odd, self.private, self.algorithm, {"typ": "dpop+jwt", "jwk": self.jwk})


async def member(client: httpx.AsyncClient, **fields: Any) -> str:
    answer = await client.post(TOKENS, json={"reference": "ann", **fields})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


async def renew(client: httpx.AsyncClient, path: str, token: str, proof: Any, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    bare = httpx.AsyncClient(transport=client._transport, base_url="http://test")
    return await bare.post(path, json={"dpop_token": proof, **more}, headers=headers)


@pytest.mark.parametrize("private", [RSA_KEY, ec.generate_private_key(ec.SECP256R1())], ids=["RSA", "EC"])
async def test_who_holds_the_key_renews_the_token(client: httpx.AsyncClient, house: House, private: Any) -> None:
    key = Key(private)
    token = await member(client, scope="sat:refresh", fingerprint=key.fingerprint)
    begun = int(time.time())
    first = await renew(client, DEVICE, token, key.proof(DEVICE), expire_in=600)
    assert first.status_code == 200, first.text
    assert first.headers["cache-control"] == "no-store"
    given = first.json()
    assert given["expires_in"] == 600
    assert begun <= given["expires_at"] - 600 <= time.time() + 1, "0. from now on"
    claims = house.tokens.read(given["token"])
    assert claims is not None
    assert (claims.subject, claims.fingerprint) == ("ann", key.fingerprint), "1. for the same endpoint and key"
    again = await renew(client, REFRESH, given["token"], key.proof(f"https://pbx.example{REFRESH}", given["token"]))
    assert again.status_code == 200, again.text
    assert again.json()["expires_in"] == 900, "2. and so on"


async def test_a_stolen_token_is_not_renewed(client: httpx.AsyncClient) -> None:
    key, thief = Key(), Key(ec.generate_private_key(ec.SECP256R1()))
    token = await member(client, scope="sat:refresh", fingerprint=key.fingerprint)
    good = key.proof(DEVICE)
    assert (await renew(client, DEVICE, token, good)).status_code == 200
    hmac = jwt.encode({"jti": "1", "htm": "POST", "htu": DEVICE, "iat": int(time.time())}, "k" * 32, "HS256")
    private = jwt.encode(
        {"jti": "1", "htm": "POST", "htu": DEVICE, "iat": int(time.time())}, RSA_KEY, "RS256",
        {"typ": "dpop+jwt", "jwk": {**key.jwk, "d": "AQAB"}},
    )  # fmt: skip
    wrong = {
        "another key": thief.proof(DEVICE),
        "used before": good,
        "another path": key.proof(REFRESH),
        "another verb": key.proof(DEVICE, htm="GET"),
        "too old": key.proof(DEVICE, iat=int(time.time()) - 120),
        "from the future": key.proof(DEVICE, iat=int(time.time()) + 120),
        "a shared key": hmac,
        "with its private part": private,
        "altered": f"{key.proof(DEVICE)[:-8]}AAAAAAAA",
        "no token": "x.y.z",
    }
    for what, proof in wrong.items():
        answer = await renew(client, DEVICE, token, proof)
        assert [one["code"] for one in answer.json().get("errors", [])] == ["proof_wrong"], f"{what}: {answer.text}"


async def test_a_renewal_names_the_token_that_it_renews(client: httpx.AsyncClient) -> None:
    key = Key()
    token = await member(client, scope="sat:refresh", fingerprint=key.fingerprint)
    for proof in (key.proof(REFRESH), key.proof(REFRESH, "another token")):
        answer = await renew(client, REFRESH, token, proof)
        assert "ath" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("fields", [{}, {"scope": "sat:refresh"}, {"fingerprint": Key().fingerprint}])
async def test_tokens_without_scope_or_fingerprint_are_renewed_by_a_backend_only(
    client: httpx.AsyncClient, fields: dict[str, str]
) -> None:
    key, token = Key(), await member(client, **fields)
    refused = await renew(client, DEVICE, token, key.proof(DEVICE))
    assert (refused.status_code, refused.json()["code"]) == (403, "token_not_renewable")


async def test_a_disabled_endpoint_renews_nothing(client: httpx.AsyncClient, house: House) -> None:
    key = Key()
    token = await member(client, scope="sat:refresh", fingerprint=key.fingerprint)
    row = house.endpoints.named("ann")
    assert row is not None
    await house.endpoints.change(row.id, enabled=False)
    assert (await renew(client, DEVICE, token, key.proof(DEVICE))).status_code == 401
