"""Digest computations against published and SIP-shaped vectors, in both roles."""

import json
from pathlib import Path
from typing import Any

import pytest

from offhook.sip.digest import (
    HASHES,
    Credentials,
    both_ha1,
    challenge,
    ha1,
    parse_credentials,
    proves,
    response_of,
)

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent.parent / "vectors/digest/vectors.json").read_text())


def credentials(row: dict[str, Any], response: str = "") -> Credentials:
    return Credentials(
        username=row["user"],
        realm=row["realm"],
        nonce=row["nonce"],
        uri=row["uri"],
        response=response,
        algorithm=row["alg"] + ("-SESS" if row.get("sess") else ""),
        qop=row.get("qop") or "",
        nc=row.get("nc") or "",
        cnonce=row.get("cnonce") or "",
    )


def secret_of(row: dict[str, Any]) -> Any:
    return ha1(row["alg"], row["user"], row["realm"], row["pw"])


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["name"])
def test_client_role(row: dict[str, Any]) -> None:
    body = row.get("body", "").encode()
    assert response_of(credentials(row), secret_of(row), row["method"], body) == row["response"]
    if not row.get("sess"):
        assert secret_of(row).reveal() == row["ha1"]


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["name"])
def test_server_role(row: dict[str, Any]) -> None:
    body = row.get("body", "").encode()
    assert proves(credentials(row, row["response"]), secret_of(row), row["method"], body)
    assert proves(credentials(row, row["response"].upper()), secret_of(row), row["method"], body)
    wrong = ("0" if row["response"][0] != "0" else "1") + row["response"][1:]
    assert not proves(credentials(row, wrong), secret_of(row), row["method"], body)
    assert not proves(credentials(row, row["response"]), secret_of(row), "X" + row["method"], body)
    assert not proves(credentials(row, row["response"]), secret_of({**row, "pw": "other"}), row["method"], body)


def test_vectors_cover_what_we_know() -> None:
    assert {row["alg"] for row in VECTORS} == set(HASHES)
    assert {row.get("qop") or "" for row in VECTORS} == {"", "auth", "auth-int"}
    assert {row["alg"] for row in VECTORS if row.get("sess")} == set(HASHES)
    assert len(VECTORS) == 17


def test_both() -> None:
    md5, sha256 = both_ha1("Mufasa", "http-auth@example.org", "Circle of Life")
    assert md5.reveal() == "3d78807defe7de2157e2b0b6573a855f"
    assert sha256.reveal() == "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232"


def test_parse() -> None:
    found = parse_credentials(
        'DIGEST nc=00000002,qop="auth",algorithm="sha-256",uri="sip:a",NONCE="n",realm="r\\"s",username="u",'
        'response="x",cnonce="c"'
    )
    assert found == Credentials("u", 'r"s', "n", "sip:a", "x", "SHA-256", "auth", "00000002", "c")
    assert repr(found) == "<digest credentials of 'u', SHA-256>"
    plain = parse_credentials('Digest username="u", realm="r", nonce="n", uri="sip:a", response="x"')
    assert plain is not None
    assert (plain.algorithm, plain.qop) == ("MD5", "")


@pytest.mark.parametrize(
    "text",
    ["", "Basic abc", "Bearer abc", "NoOneKnowsThisScheme opaque-data=here", 'Digest username="u"',
     'Digest username="", realm="r", nonce="n", uri="sip:a", response="x"', "Digest " + "a=" + " " * 1000 + '"'],
)  # fmt: skip
def test_no_credentials(text: str) -> None:
    assert parse_credentials(text) is None


def test_octets_that_are_not_utf8_prove_nothing_and_break_nothing() -> None:
    found = Credentials("u\udcff", "r", "n\udcff", "sip:\udcff", "\udcff", qop="auth", nc="1", cnonce="\udcff")
    assert not proves(found, ha1("MD5", "u", "r", "p"), "INVITE")


def test_challenge() -> None:
    assert challenge('a"b', "n", "MD5") == 'Digest realm="a\\"b", nonce="n", algorithm=MD5, qop="auth"'
    assert challenge("r", "n", "SHA-256", stale=True).endswith('algorithm=SHA-256, qop="auth", stale=true')
