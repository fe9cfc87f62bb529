"""Foreign phones with SRTP: by keys in the descriptions (RFC 4568), demanded or left to us, and by a handshake (RFC 5763) in
which they show a certificate with an RSA key, on the RTP port and on the RTCP port."""

import asyncio
from pathlib import Path

import pytest

from interop.support.baresip import Baresip
from interop.support.browser import Browser
from interop.support.linphone import Linphone
from interop.support.parties import signed_in
from interop.support.server import Offhook
from interop.test_phone_calls import PAGE_TONE, PHONE_TONE


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
        await asyncio.gather(page.hears(PHONE_TONE), phone.hears(PAGE_TONE))
        call = await server.call((await server.calls())[0]["call_ref"])
        # Both legs are encrypted, and the API says by which suite.
        assert all(leg["media"]["encryption"] for leg in call["legs"]), call
        await phone.hang_up()
        await page.expect("ended")


@pytest.mark.parametrize("name", ["baresip", "linphone"])
async def test_a_phone_with_an_rsa_certificate_is_heard_and_hears(server: Offhook, tmp_path: Path, name: str) -> None:
    where = (tmp_path, "alice", server.passwords["alice"], server.domain, server.sip)
    caller = (
        Baresip(*where, encryption="dtls_srtp", tone=PHONE_TONE + 300)
        if name == "baresip"
        else Linphone(*where, PHONE_TONE + 300, encryption="dtls")
    )
    async with caller, Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as bob:
        await caller.registered()
        await bob.registered()
        await caller.dial("bob")
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await bob.expect("CALL_ESTABLISHED")
        call_ref = (await server.calls())[0]["call_ref"]
        # 1: the handshake succeeds: its certificate is the described one, and the suite is told
        await server.until(call_ref, lambda one: "dtls-srtp" in str(one["legs"][0]["media"]["encryption"]))
        # 2: the other phone hears it
        await bob.hears(PHONE_TONE + 300)
        # 3: nothing is silent, in either direction
        await server.until(
            call_ref,
            lambda one: not any(leg["facts"][f"verdict_{way}"] for leg in one["legs"] for way in ("in", "out")),
        )
        # 4: its reports open: without a=rtcp-mux, their port has shaken hands for itself
        await server.until(call_ref, lambda one: one["legs"][0]["quality"]["signs_in"] > 0)
        await caller.hang_up()
        await bob.expect("CALL_CLOSED")
        if isinstance(caller, Linphone):
            await caller.in_state("Released")  # with its recording
        # 5: it has heard the other
        assert caller.heard().frequency == pytest.approx(PHONE_TONE, rel=0.01)
