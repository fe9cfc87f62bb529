"""Every way a call can fail tells the caller why, in words."""

from pathlib import Path

import pytest

from interop.conftest import ServerMaker
from interop.support.baresip import Baresip
from interop.support.browser import Browser
from interop.support.parties import signed_in
from interop.support.server import Offhook


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [("nobody", 404, "Nobody here is called nobody"), ("bob", 480, "bob is not registered")],
)
async def test_nobody_to_call(server: Offhook, tmp_path: Path, target: str, status: int, words: str) -> None:
    async with Browser("chromium", tmp_path) as browser:
        page = await signed_in(browser, server, "alice")
        await page.call(server.uri(target))
        failed = await page.expect("failed")
        assert failed["status"] == status
        assert words in failed["warning"]


async def test_a_decline_is_a_decline(server: Offhook, tmp_path: Path) -> None:
    async with (
        Browser("chromium", tmp_path) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone,
    ):
        await phone.registered()
        page = await signed_in(browser, server, "alice")
        await page.call(server.uri("bob"))
        await phone.expect("CALL_INCOMING")
        await phone.hang_up()
        failed = await page.expect("failed")
        assert failed["status"] in (486, 603)
        assert "bob" in failed["warning"]


async def test_nobody_answers(serve: ServerMaker, tmp_path: Path) -> None:
    async with (
        serve(OFFHOOK_SIP_RING_SECONDS="4") as server,
        Browser("chromium", tmp_path) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone,
    ):
        await phone.registered()
        page = await signed_in(browser, server, "alice")
        await page.call(server.uri("bob"))
        await phone.expect("CALL_INCOMING")
        failed = await page.expect("failed")
        assert (failed["status"], failed["reason"]) == (480, 'Q.850;cause=19;text="bob did not answer"')
        await phone.expect("CALL_CLOSED")


async def test_the_caller_gives_up(server: Offhook, tmp_path: Path) -> None:
    async with (
        Browser("chromium", tmp_path) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone,
    ):
        await phone.registered()
        page = await signed_in(browser, server, "alice")
        await page.call(server.uri("bob"))
        await phone.expect("CALL_INCOMING")
        await page.hang_up()
        await phone.expect("CALL_CLOSED")
        await server.until_idle()
