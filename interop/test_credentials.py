"""No long-lived password in a page (AUTH-10, AUTH-11): unmodified JsSIP and SIP.js with tokens and passwords that end."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from interop.conftest import ServerMaker
from interop.support.browser import Browser, Page
from interop.support.keys import pair, token
from interop.support.server import Offhook
from interop.test_command_line import offhook
from tests.support.patience import PATIENCE


async def provisioned(server: Offhook, **body: Any) -> dict[str, Any]:
    answer = await server.http.post("/api/offhook/provision", json={"endpoint": "alice", **body})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def registrations(server: Offhook) -> list[dict[str, Any]]:
    return list((await server.http.get("/api/offhook/registrations")).json()["data"])


async def calls_echo(server: Offhook, page: Page) -> None:
    await page.call(server.uri("echo"))
    await page.expect("confirmed")
    await page.hang_up()
    await page.expect("ended")


@pytest.mark.parametrize("browser_name", ["chromium", "firefox"])
async def test_jssip_with_all_that_provisioning_gives(server: Offhook, tmp_path: Path, browser_name: str) -> None:
    given = await provisioned(server, device={"instance_id": "0199aaaa-0000-7000-8000-000000000041"})
    async with Browser(browser_name, tmp_path) as browser:
        page = await browser.open("alice", server.http_url)
        # 1. what the API gives is what JsSIP takes
        jssip = dict(given["jssip"])
        uri, password = jssip.pop("uri"), jssip.pop("password")
        await page.start(given["sip"]["websocket_urls"][0], uri, password, **jssip)
        registered = await page.expect("registered")
        # 2. it has GRUUs from then on, which its calls carry as Contact (REG-13)
        instance = "urn:uuid:0199aaaa-0000-7000-8000-000000000041"
        assert registered["gruu"] == f"sip:alice@{server.domain};gr={instance}"
        assert registered["temporary"].endswith(f"@{server.domain};gr")
        (row,) = await registrations(server)
        assert (row["username"], row["instance_id"]) == ("alice", "0199aaaa-0000-7000-8000-000000000041")
        # 3. the password is good for calls too
        await calls_echo(server, page)


@pytest.mark.parametrize("browser_name", ["chromium", "firefox"])
async def test_jssip_with_a_token_and_no_password(server: Offhook, tmp_path: Path, browser_name: str) -> None:
    given = await provisioned(server)
    async with Browser(browser_name, tmp_path) as browser:
        page = await browser.open("alice", server.http_url)
        bearer = f"Bearer {given['token']['value']}"
        await page.start(server.websocket_url, server.uri("alice"), "", authorization_jwt=bearer)
        await page.expect("registered")
        await calls_echo(server, page)


async def test_jssip_with_a_token_in_the_url_and_nothing_else(server: Offhook, tmp_path: Path) -> None:
    origin = server.http_url.rstrip("/")
    given = await provisioned(server, origin=origin)
    async with Browser("chromium", tmp_path) as browser:
        page = await browser.open("alice", server.http_url)
        value = given["token"]["value"]
        await page.start(f"{server.websocket_url}/?access_token={value}", server.uri("alice"), "")
        await page.expect("registered")
        await calls_echo(server, page)
        # Not a letter of it is in the log.
        assert value not in server.log()
        assert value.split(".")[2] not in server.log()


async def test_sipjs_with_an_ending_password_and_with_a_token(server: Offhook, tmp_path: Path) -> None:
    given = await provisioned(server)
    bearer = [f"Authorization: Bearer {given['token']['value']}"]
    async with Browser("chromium", tmp_path) as browser:
        for name, password, more in (
            ("pair", given["jssip"]["password"], {"authorization_user": given["jssip"]["authorization_user"]}),
            ("token", "", {"extra_headers": bearer}),
        ):
            page = await browser.open(name, server.http_url, library="sipjs")
            await page.start(server.websocket_url, server.uri("alice"), password, **more)
            await page.expect("registered")
            await calls_echo(server, page)


@pytest.mark.parametrize("library", ["jssip", "sipjs"])
async def test_ended_forged_and_foreign_credentials_say_which(server: Offhook, tmp_path: Path, library: str) -> None:
    user, password = pair(server, "alice", -5)
    async with Browser("chromium", tmp_path) as browser:

        async def refused(name: str, password: str, bearer: str = "", **more: Any) -> tuple[int, str]:
            page = await browser.open(name, server.http_url, library=library)
            if bearer and library == "jssip":
                more["authorization_jwt"] = f"Bearer {bearer}"
            elif bearer:
                more["extra_headers"] = [f"Authorization: Bearer {bearer}"]
            await page.start(server.websocket_url, server.uri("alice"), password, **more)
            event = await page.expect("registrationFailed")
            words = (event["warning"] or "").split('"')
            return event["status"], words[1].split()[0] if len(words) > 1 else ""

        assert await refused("pair", password, authorization_user=user) == (401, "token-expired")
        assert await refused("old", "", token(server, "alice", -90)) == (401, "token-expired")
        assert await refused("forged", "", token(server, "alice", 600)[:-3] + "xyz") == (401, "token-wrong-key")
        assert await refused("origin", "", token(server, "alice", 600, "https://other.example")) == (
            403, "token-other-space",
        )  # fmt: skip
        # A wrong password of that form is told nothing.
        assert await refused("guess", "guess", authorization_user=user) == (401, "")


async def test_a_password_that_ends_in_a_call(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path) as browser:
        page = await browser.open("alice", server.http_url)
        user, password = pair(server, "alice", 20)
        await page.start(server.websocket_url, server.uri("alice"), password, authorization_user=user)
        await page.expect("registered")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        # 1. the registration ends with the password (REG-9), in words
        failed = await page.expect("registrationFailed")
        assert failed["status"] == 401
        assert "token-expired" in failed["warning"]
        async with asyncio.timeout(PATIENCE):
            while await registrations(server):
                await asyncio.sleep(0.1)  # the API is asked, as a dashboard asks
        await server.until_logged("event='unregistered'")
        # 2. the call is not touched (AUTH-12)
        await asyncio.sleep(2)  # long enough for an end to arrive
        (call,) = await server.calls()
        assert call["state"] == "talking"
        await page.hang_up()
        await page.expect("ended")


async def test_a_token_of_an_authorization_server(serve: ServerMaker, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    row = {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "one", "alg": "ES256"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [row]}))
    settings = {
        "OFFHOOK_SIP_TOKEN_JWKS": str(tmp_path / "jwks.json"), "OFFHOOK_SIP_TOKEN_ISSUER": "https://id.example",
    }  # fmt: skip
    async with serve(**settings) as server, Browser("chromium", tmp_path) as browser:
        claims = {"sub": "bob", "aud": [server.domain], "exp": int(time.time()) + 600, "iss": "https://id.example"}
        page = await browser.open("bob", server.http_url)
        bearer = "Bearer " + jwt.encode(claims, key, "ES256", {"kid": "one"})
        await page.start(server.websocket_url, server.uri("bob"), "", authorization_jwt=bearer)
        await page.expect("registered")
        (row,) = await registrations(server)
        assert row["username"] == "bob"


async def test_command_line_mints_shows_and_removes(server: Offhook, tmp_path: Path) -> None:
    code, said = await offhook(server.data, "token", "mint", "alice", "--ttl", "600")
    assert code == 0, said
    lines = dict(line.split(maxsplit=1) for line in said.replace("auth user", "auth_user").splitlines())
    async with Browser("chromium", tmp_path) as browser:
        page = await browser.open("alice", server.http_url)
        await page.start(server.websocket_url, lines["uri"], lines["password"], authorization_user=lines["auth_user"])
        await page.expect("registered")
        code, said = await offhook(server.data, "registration", "list")
        assert [line.split()[1] for line in said.splitlines()] == ["NAME", "alice"]
        assert "JsSIP" in said
        # The page hears that it was taken away, and comes back by itself: nothing forbids it.
        code, said = await offhook(server.data, "registration", "remove", "alice")
        assert code == 0, said
        assert "of alice" in said
        assert (await page.expect("disconnected"))["code"] in (1008, None)
        await page.expect("registered")
    code, said = await offhook(server.data, "registration", "remove", "nobody")
    assert (code, "offhook registration list" in said) == (1, True)
    code, said = await offhook(server.data, "token", "mint", "nobody")
    assert (code, "No SIP endpoint" in said) == (1, True)
