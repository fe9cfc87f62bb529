"""A browser that leaves silence out, and a phone that agrees on comfort noise (MEDIA.md section 8, trap 6)."""

import asyncio
from pathlib import Path

from interop.support.browser import Browser
from interop.support.parties import signed_in
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from tests.support.patience import PATIENCE

NOISE, SPEECH = 13, 0


class Attentive(PlainPhone):
    """It takes comfort noise (RFC 3389)."""

    description = PlainPhone.description.replace("RTP/AVP 0", "RTP/AVP 0 13")


async def test_a_browsers_silence_is_comfort_noise(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        page = await signed_in(browser, server, "alice")
        await page.run("agent.sparing()")
        phone = Attentive("bob", server.passwords["bob"], server.domain, server.sip)
        try:
            calling = asyncio.create_task(phone.call("alice"))
            await page.expect("incoming")
            await page.answer()
            await calling
            await page.expect("confirmed")
            # 1. the tone of the microphone is sound
            await speaks(phone)
            # 2. of a muted one Chromium sends little, and that is described once in 400 ms
            await page.run("agent.mute(true)")
            async with asyncio.timeout(PATIENCE):
                while True:
                    silence = await phone.packets(4)
                    types = _types(silence)
                    # Opus makes up its mind first, and a busy machine is late with what it sends.
                    if 5 <= types.count(NOISE) <= 40 and types.count(SPEECH) < 60:
                        break
            assert all(len(packet) == 13 for packet in silence if packet[1] & 127 == NOISE)
            # 3. and the next word is sound again
            await page.run("agent.mute(false)")
            await speaks(phone)
            await phone.hang_up()
        finally:
            phone.close()


async def speaks(phone: PlainPhone) -> None:
    """Waits for sound: within three seconds more than a few packets."""
    async with asyncio.timeout(PATIENCE):
        while _types(await phone.packets(3)).count(SPEECH) <= 20:
            pass


def _types(packets: list[bytes]) -> list[int]:
    """Payload types of RTP, without the reports beside it."""
    return [packet[1] & 127 for packet in packets if not 192 <= packet[1] <= 223]
