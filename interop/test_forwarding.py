"""Calls that go on to somebody else, with unmodified callers: 181 disturbs no library, and the sound is the new callee's."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from interop.support.browser import Browser
from interop.support.parties import ALICE, BOB, CAROL, phone, signed_in, three
from interop.support.server import Offhook

ENDPOINTS = "/api/relay/rest/endpoints/sip"


async def change(server: Offhook, username: str, **offhook: Any) -> None:
    """The endpoint's options."""
    rows = (await server.http.get(f"{ENDPOINTS}?filter_username={username}")).json()["data"]
    answer = await server.http.patch(f"{ENDPOINTS}/{rows[0]['id']}", json={"offhook": offhook})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("library", ["jssip", "sipjs"])
async def test_a_busy_endpoint_forwards(server: Offhook, tmp_path: Path, library: str) -> None:
    await change(server, "bob", forward={"busy": "carol"})
    bob = phone(server, tmp_path, "bob", BOB)
    async with three(server, tmp_path, bob, library) as (page, carol):
        await page.call(server.uri("bob"))
        await bob.expect("CALL_INCOMING")
        await bob.hang_up()
        await carol.expect("CALL_INCOMING")
        await carol.answer()
        await page.expect("confirmed")
        await asyncio.gather(page.hears(CAROL), carol.hears(ALICE))
        await page.hang_up()
        await carol.expect("CALL_CLOSED")
        await server.until_idle()


async def test_do_not_disturb_says_so(server: Offhook, tmp_path: Path) -> None:
    await change(server, "bob", do_not_disturb=True)
    async with (
        Browser("chromium", tmp_path) as browser,
        phone(server, tmp_path, "bob", BOB) as bob,
    ):
        await bob.registered()
        page = await signed_in(browser, server, "alice")
        await page.call(server.uri("bob"))
        failed = await page.expect("failed")
        assert failed["status"] == 480
        assert "do-not-disturb bob takes no calls now" in failed["warning"]
