"""A conference with a browser and two foreign phones: each hears the others and not itself."""

import asyncio
from pathlib import Path

from interop.support.audio import level_at
from interop.support.baresip import Baresip
from interop.support.browser import Browser
from interop.support.server import Offhook
from interop.test_browser_calls import signed_in

PAGE, FIRST, SECOND = 1000, 650, 1470
# No sum or difference of two is the third: loud voices together bend each other.
HEARD, NOT_HEARD = -35.0, -50.0


async def test_three_hear_each_other(server: Offhook, tmp_path: Path) -> None:
    await server.http.post(
        "/api/relay/rest/endpoints/sip", json={"username": "carol", "password": "a-password-of-carol"}
    )
    async with (
        Browser("chromium", tmp_path, tone=PAGE) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, tone=FIRST) as bob,
        Baresip(tmp_path, "carol", "a-password-of-carol", server.domain, server.sip, tone=SECOND) as carol,
    ):
        await bob.registered()
        await carol.registered()
        page = await signed_in(browser, server, "alice")
        await page.call(server.uri("conference-room"))
        await page.expect("confirmed")
        for phone in (bob, carol):
            await phone.dial("conference-room")
            await phone.expect("CALL_ESTABLISHED")
        await asyncio.sleep(4)  # sound to be recorded
        calls = await server.calls()
        assert len(calls) == 3
        for phone in (bob, carol):
            await phone.hang_up()
        for phone, other, own in ((bob, SECOND, FIRST), (carol, FIRST, SECOND)):
            samples, rate = phone.recording()
            levels = {hertz: level_at(samples, rate, hertz) for hertz in (PAGE, other, own)}
            assert levels[PAGE] > HEARD, levels
            assert levels[other] > HEARD, levels
            assert levels[own] < NOT_HEARD, levels
        # The page is alone now, and hears music: nothing of itself.
        await asyncio.sleep(1)  # the last of their sound is played out
        alone = await page.heard(2)
        assert alone.level_db > HEARD, alone
        assert abs(alone.frequency - PAGE) > 5, alone
