"""Video between real browsers: a moving picture within a second of the answer, in every way that video comes to a call."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from interop.support.browser import Browser, Page
from interop.support.server import Offhook
from interop.test_browser_calls import signed_in


async def moves(page: Page, since: str = "confirmed") -> dict[str, Any]:
    """Waits for a picture, and tells what is known of it once it has moved."""
    first: dict[str, Any] = {}
    for _ in range(100):
        first = await page.pictures(since)
        if first["framesDecoded"] and first["shownAfter"] is not None:
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError(f"{page.name} sees nothing: {first}")
    await asyncio.sleep(1)
    after = await page.pictures(since)
    assert after["framesDecoded"] > first["framesDecoded"]
    assert after["frameWidth"] >= 160
    return after


async def test_chromium_shows_its_camera_to_chromium(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        alice = await signed_in(browser, server, "alice")
        bob = await signed_in(browser, server, "bob")
        for page in (alice, bob):
            await page.run("agent.camera(true)")
        await alice.call(server.uri("bob"))
        await bob.expect("incoming")
        await bob.answer()
        await alice.expect("confirmed")
        await bob.expect("confirmed")
        # 1: both see the other within a second.
        for page in (alice, bob):
            seen = await moves(page)
            assert seen["shownAfter"] < 1_000, seen
        # 2: the sound is there beside it.
        heard = await alice.heard(2)
        assert heard.frequency == pytest.approx(1000, rel=0.01)
        # 3: nothing of the one's description is shown to the other.
        said = await bob.run("agent.descriptions()")
        assert "transport-cc" not in said["remote"]
        assert "a=group:BUNDLE" in said["remote"]
        await alice.hang_up()
        await bob.expect("ended")


async def test_echo_shows_the_page_its_own_camera(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path) as browser:
        page = await signed_in(browser, server, "alice")
        await page.run("agent.camera(true)")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        seen = await moves(page)
        assert seen["shownAfter"] < 1_000, seen
        await page.hang_up()
