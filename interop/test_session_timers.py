"""CALL-11, LIVE-11 with JsSIP as it is: it offers 90 s, and leaves the timer to us when asked after its ACK."""

import asyncio
import re
from pathlib import Path

import pytest

from interop.conftest import ServerMaker
from interop.support.browser import Browser
from interop.support.parties import signed_in
from interop.support.server import Offhook


def messages(server: Offhook, way: str, start: str) -> list[str]:
    """SIP messages of the log that go `in` or `out` and begin so."""
    lines = [line for line in server.log().splitlines() if f"event='sip {way}'" in line]
    texts = [found.group(1) for line in lines if (found := re.search(r"message='(.*)'$", line))]
    return [text for text in texts if text.startswith(start)]


async def test_jssip_is_asked_to_leave_the_timer_to_us(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        page = await signed_in(browser, server, "alice")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        await page.hears(1000)
        # 1. its INVITE says 90, ours after the ACK 1800 with us as refresher
        assert any("Session-Expires: 90" in text for text in messages(server, "in", "INVITE "))
        asked = messages(server, "out", "UPDATE ")
        assert ["Session-Expires: 1800;refresher=uac" in text for text in asked] == [True]
        # 2. it agrees, and the call goes on
        agreed = [text for text in messages(server, "in", "SIP/2.0 200") if "UPDATE" in text]
        assert ["Session-Expires: 1800;refresher=uac" in text for text in agreed] == [True]
        # 3. a hold and what follows repeat the terms, or the page would take the timer back
        await page.hold()
        await page.resume()
        reinvited = [text for text in messages(server, "out", "SIP/2.0 200") if "m=audio" in text]
        assert len(reinvited) == 3
        assert all("Session-Expires: 1800;refresher=uas" in text for text in reinvited[1:])
        await page.hang_up()
        await page.expect("ended")


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_jssip_talks_past_its_own_interval(server: Offhook, tmp_path: Path) -> None:
    """No drop at half, whole or 1.1 times 90 s."""
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        page = await signed_in(browser, server, "alice")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        await asyncio.sleep(110)  # longer than the page's own patience
        await page.hears(1000)
        await page.hang_up()
        await page.expect("ended")


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_sip_js_without_timers_is_refreshed_by_re_invite(serve: ServerMaker, tmp_path: Path) -> None:
    """It takes no UPDATE and knows no timers: a re-INVITE with the description as it stands, and the sound goes on."""
    async with (
        serve(OFFHOOK_SIP_SESSION_EXPIRES="90") as server,
        Browser("chromium", tmp_path, tone=1000) as browser,
    ):
        page = await browser.open("alice", server.http_url, library="sipjs")
        await page.start(server.websocket_url, server.uri("alice"), server.passwords["alice"])
        await page.expect("registered")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        await asyncio.sleep(70)  # two refreshes at a third of 90 s
        assert len(messages(server, "out", "INVITE ")) == 2
        assert messages(server, "out", "UPDATE ") == []
        await page.hears(1000)
        await page.hang_up()
        await page.expect("ended")
