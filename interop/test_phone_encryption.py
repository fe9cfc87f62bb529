"""A foreign phone with SRTP by keys in the descriptions (RFC 4568), demanded or left to us.

baresip's DTLS-SRTP is refused: its certificate is RSA and cannot be chosen (docs/reference/foreign-peers.md).
"""

import asyncio
from pathlib import Path

import pytest

from interop.support.baresip import Baresip
from interop.support.browser import Browser
from interop.support.server import Offhook
from interop.test_browser_calls import signed_in
from interop.test_phone_calls import PAGE_TONE, PHONE_TONE, is_tone


@pytest.mark.parametrize("encryption", ["srtp", "srtp-mand"])
async def test_a_phone_with_srtp_and_a_browser_hear_each_other(
    server: Offhook, tmp_path: Path, encryption: str
) -> None:
    async with (
        Browser("chromium", tmp_path, tone=PAGE_TONE) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, encryption=encryption) as phone,
    ):
        await phone.registered()
        page = await signed_in(browser, server, "alice")
        await phone.dial("alice")
        await page.expect("incoming")
        await page.answer()
        await phone.expect("CALL_ESTABLISHED")
        await asyncio.sleep(1)  # the phone's first packets come when its audio has started
        is_tone(await page.heard(3), PHONE_TONE, 2.5)
        call = await server.call((await server.calls())[0]["call_ref"])
        # Both legs are encrypted, and the API says by which suite.
        assert all(leg["media"]["encryption"] for leg in call["legs"]), call
        await phone.hang_up()
        await page.expect("ended")
        is_tone(phone.heard(), PAGE_TONE, 2.5)
