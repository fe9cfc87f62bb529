"""A conference with a browser and two foreign phones: each hears the others and not itself, and so does its recording."""

import asyncio
import contextlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from interop.support.audio import level_at
from interop.support.baresip import Baresip
from interop.support.browser import Browser
from interop.support.parties import signed_in
from interop.support.server import Offhook
from interop.test_recordings import parts, recordings, sound
from interop.test_streams import send
from tests.support.patience import PATIENCE

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
        # The page's leg is recorded: what it says, and what it hears of the room.
        legs = (await server.http.get("/api/calling/calls")).json()["data"]
        (webrtc,) = (one["id"] for one in legs if one["type"] == "relay_webrtc_call")
        answer = await send(server, "calling.record", webrtc, {"audio": {"stereo": True, "direction": "both"}})
        assert answer.status_code == 200, answer.text
        await asyncio.sleep(4)  # sound to be recorded
        calls = await server.calls()
        assert len(calls) == 3
        for phone, other, own in ((bob, SECOND, FIRST), (carol, FIRST, SECOND)):
            levels: dict[int, float] = {}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    # The last two seconds of what it has heard so far.
                    while not levels or min(levels[PAGE], levels[other]) <= HEARD or levels[own] >= NOT_HEARD:
                        await asyncio.sleep(1)
                        levels = {hertz: level_at(*phone.recording(), hertz) for hertz in (PAGE, other, own)}
            assert min(levels[PAGE], levels[other]) > HEARD, levels
            assert levels[own] < NOT_HEARD, levels
        for phone in (bob, carol):
            await phone.hang_up()
        # The page is alone now, and hears music: nothing of itself.
        alone = await page.heard(2)
        async with asyncio.timeout(PATIENCE):
            while alone.level_db <= HEARD or any(abs(alone.frequency - one) <= 5 for one in (PAGE, FIRST, SECOND)):
                alone = await page.heard(2)
        await page.hang_up()
    (row,) = await recordings(server, "completed", 1)
    frames, rate = sound((await server.http.get(row["url"])).content)
    for channel, heard in ((0, {PAGE}), (1, {FIRST, SECOND})):
        tried = [_apart(part[:, channel], rate, heard) for part in parts(frames, rate)]
        assert any(quietest > HEARD and loudest < quietest - 15 for quietest, loudest in tried), (channel, tried)


def _apart(samples: NDArray[np.float64], rate: int, heard: set[int]) -> tuple[float, float]:
    """The quietest of the voices that are to be heard, and the loudest of the others. Gaps on a busy machine spread a tone a
    little; a voice that leaks is as loud as the others."""
    levels = {hertz: level_at(samples, rate, hertz) for hertz in (PAGE, FIRST, SECOND)}
    others = [level for hertz, level in levels.items() if hertz not in heard]
    return min(levels[hertz] for hertz in heard), max(others)
