"""Registration as browsers do it, and the refusals of RFC 7118 and RFC 3261 section 22."""

from pathlib import Path

import pytest
import websockets
from websockets.exceptions import InvalidStatus

from interop.conftest import ServerMaker
from interop.support.browser import Browser
from interop.support.certificate import write_certificate
from interop.support.server import Offhook
from tests.support.patience import PATIENTLY


async def test_chromium_registers_over_ws(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path) as browser:
        page = await browser.open("alice", server.http_url)
        await page.start(server.websocket_url, server.uri("alice"), server.passwords["alice"])
        await page.expect("registered")
        row = (await server.http.get("/api/relay/rest/endpoints/sip?filter_username=alice")).json()["data"][0]
        assert row["offhook"]["registered"] is True


async def test_chromium_registers_over_wss_and_any_path(serve: ServerMaker, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    async with (
        serve(OFFHOOK_HTTP_CERTIFICATE=str(certificate), OFFHOOK_HTTP_KEY=str(key)) as server,
        Browser("chromium", tmp_path) as browser,
    ):
        page = await browser.open("alice", server.running["https_url"] + "/")
        url = server.running["wss_url"] + "/some/path"
        await page.start(url, server.uri("alice"), server.passwords["alice"])
        await page.expect("registered")


@pytest.mark.parametrize("username", ["alice", "nobody-at-all"])
async def test_wrong_password_and_unknown_user_hear_the_same(server: Offhook, tmp_path: Path, username: str) -> None:
    async with Browser("chromium", tmp_path) as browser:
        page = await browser.open("x", server.http_url)
        await page.start(server.websocket_url, server.uri(username), "certainly wrong")
        refused = await page.expect("registrationFailed")
        assert refused["status"] == 401


async def test_a_created_endpoint_registers_at_once(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path) as browser:
        page = await browser.open("carol", server.http_url)
        await server.add_endpoint("carol", "a long enough secret")
        await page.start(server.websocket_url, server.uri("carol"), "a long enough secret")
        await page.expect("registered")


async def test_a_websocket_without_the_sub_protocol_is_refused(server: Offhook) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await websockets.connect(server.websocket_url, **PATIENTLY)
    assert refused.value.response.status_code == 400
    assert b"sub-protocol 'sip'" in (refused.value.response.body or b"")


async def test_a_foreign_origin_is_refused_by_name(server: Offhook) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await websockets.connect(server.websocket_url, subprotocols=["sip"], origin="https://evil.example", **PATIENTLY)
    assert refused.value.response.status_code == 403
    assert b"https://evil.example" in (refused.value.response.body or b"")


async def test_sipjs_registers_and_hears_itself(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path, tone=900) as browser:
        page = await browser.open("alice", server.http_url, library="sipjs")
        await page.start(server.websocket_url, server.uri("alice"), server.passwords["alice"])
        await page.expect("registered")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        await page.hears(900)
        await page.hang_up()
        await page.expect("ended")
