"""Hold and resume by real pages: role and keys of DTLS stay, and sound is there again each time, also after long holds."""

import asyncio
from pathlib import Path

import pytest

from interop.support.baresip import Baresip
from interop.support.browser import Browser
from interop.support.parties import meet, signed_in, talk
from interop.support.server import Offhook
from interop.test_phone_calls import PAGE_TONE, PHONE_TONE
from interop.test_survival import sounds

LIBRARIES = [("chromium", "jssip"), ("chromium", "sipjs"), ("firefox", "jssip")]
MINUTE = 60


async def cycles(server: Offhook, folder: Path, program: str, library: str, count: int) -> None:
    """Holds and resumes an echo call; sound is measured after the first cycle and after the last."""
    async with Browser(program, folder, tone=1000) as browser:
        page = await browser.open("alice", server.http_url, library)
        await page.start(server.websocket_url, server.uri("alice"), server.passwords["alice"])
        await page.expect("registered")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        await sounds(page, browser)
        ref = (await server.calls())[0]["call_ref"]
        suite = (await server.call(ref))["legs"][0]["media"]["encryption"]
        for cycle in range(count):
            await page.hold()
            assert (await server.call(ref))["legs"][0]["state"] == "held"
            await page.resume()
            assert (await server.call(ref))["legs"][0]["state"] == "answered"
            if cycle in (0, count - 1):
                await sounds(page, browser)
        # The association of the first moment still serves.
        assert (await server.call(ref))["legs"][0]["media"]["encryption"] == suite
        await page.hang_up()


@pytest.mark.parametrize(("program", "library"), LIBRARIES)
async def test_hold_and_resume(server: Offhook, tmp_path: Path, program: str, library: str) -> None:
    await cycles(server, tmp_path, program, library, 3)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("program", "library"), LIBRARIES)
async def test_fifty_holds(server: Offhook, tmp_path: Path, program: str, library: str) -> None:
    await cycles(server, tmp_path, program, library, 50)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_trap_1_chromium_makes_up_next_to_nothing_when_the_source_changes(
    server: Offhook, tmp_path: Path
) -> None:
    """The peer and music in turn, twenty times: MEDIA.md section 8, trap 1 (`concealedSamples` stays flat)."""
    async with Browser("chromium", tmp_path, tone=PAGE_TONE) as browser:
        bob = await signed_in(browser, server, "bob")
        alice = await signed_in(browser, server, "alice")
        await meet(alice, bob, server.uri("bob"))
        await alice.receives()
        before = await alice.stats()
        for _ in range(10):
            await bob.hold()
            await alice.receives(40)
            await bob.resume()
            await alice.receives(40)
        after = await alice.stats()
        # A frame of 20 ms each, and as much for a machine that lets a page wait.
        concealed, switches = int(after["concealed"]) - int(before["concealed"]), 20
        print(f"{concealed / switches / 48:.1f} ms made up for each change of source")
        assert concealed <= switches * 2 * 960, (before, after)
        await alice.hang_up()


@pytest.mark.long
@pytest.mark.timeout(20 * MINUTE)
async def test_sound_after_twelve_minutes_of_hold(server: Offhook, tmp_path: Path) -> None:
    async with (
        Browser("chromium", tmp_path, tone=PAGE_TONE) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone,
    ):
        await phone.registered()
        page = await signed_in(browser, server, "alice")
        await talk(page, server, phone)
        await page.hold()
        await asyncio.sleep(12 * MINUTE)  # the hold itself
        await page.resume()
        await page.hears(PHONE_TONE)
        await phone.hears(PAGE_TONE)
        await page.hang_up()


@pytest.mark.long
@pytest.mark.timeout(15 * MINUTE)
async def test_jssip_as_it_comes_talks_for_ten_minutes(server: Offhook, tmp_path: Path) -> None:
    """JsSIP proposes 90 s of session timer: no drop at half of it, at the whole, or at 1.1 times."""
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        page = await signed_in(browser, server, "alice")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        for _ in range(10):
            await asyncio.sleep(MINUTE)  # the call itself
            await sounds(page, browser)
        await page.hang_up()
        await page.expect("ended")
