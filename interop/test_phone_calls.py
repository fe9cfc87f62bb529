"""Browser and desk phone: each hears the other's tone, digits both ways, hang-up from either side."""

import asyncio
from pathlib import Path

import pytest

from interop.support.baresip import Baresip
from interop.support.browser import Browser
from interop.support.linphone import Linphone
from interop.support.parties import signed_in, talk
from interop.support.server import Offhook
from tests.support.patience import PATIENCE

PAGE_TONE, PHONE_TONE = 1000, 700


@pytest.mark.parametrize(
    ("codec", "transport", "seconds"),
    [("PCMU/8000/1", "udp", 6), ("PCMU/8000/1", "tcp", 3), ("opus/48000/2", "udp", 3), ("G722/16000/1", "udp", 3)],
)
async def test_chromium_calls_the_phone(
    server: Offhook, tmp_path: Path, codec: str, transport: str, seconds: int
) -> None:
    async with (
        Browser("chromium", tmp_path, tone=PAGE_TONE) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, transport, codec) as phone,
    ):
        await phone.registered()
        page = await signed_in(browser, server, "alice")
        await talk(page, server, phone)
        await asyncio.gather(page.hears(PHONE_TONE, seconds), phone.hears(PAGE_TONE, seconds))
        call = await server.call((await server.calls())[0]["call_ref"])
        names = {leg["media"]["codec"] for leg in call["legs"]}
        assert names == {codec.split("/")[0].upper()}
        await page.digits("5#")
        assert (await phone.expect("CALL_DTMF_START"))["param"] == "5"
        assert (await phone.expect("CALL_DTMF_START"))["param"] == "#"
        await phone.press("7")
        await server.until(call["call_ref"], lambda one: any(leg["digits"] for leg in one["legs"][1:]))
        await phone.hang_up()
        ended = await page.expect("ended")
        assert ended["originator"] == "remote"
        await server.until_idle()
        legs = (await server.call(call["call_ref"]))["legs"]
        assert ["".join(one["digit"] for one in leg["digits"]) for leg in legs] == ["5#", "7"]


async def test_the_phone_calls_chromium(server: Offhook, tmp_path: Path) -> None:
    async with (
        Browser("chromium", tmp_path, tone=PAGE_TONE) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone,
    ):
        await phone.registered()
        page = await signed_in(browser, server, "alice")
        await phone.dial("alice")
        assert "bob" in (await page.expect("incoming"))["from"]
        await page.answer()
        await phone.expect("CALL_ESTABLISHED")
        await asyncio.gather(page.hears(PHONE_TONE), phone.hears(PAGE_TONE))
        await page.hang_up()
        await phone.expect("CALL_CLOSED")


async def test_phones_with_different_codecs_are_transcoded(server: Offhook, tmp_path: Path) -> None:
    async with (
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, codec="opus/48000/2") as bob,
        Baresip(
            tmp_path, "alice", server.passwords["alice"], server.domain, server.sip, codec="PCMA/8000/1", tone=900
        ) as alice,
    ):
        await bob.registered()
        await alice.registered()
        await alice.dial("bob")
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await alice.expect("CALL_ESTABLISHED")
        await asyncio.gather(bob.hears(900), alice.hears(700))
        call = await server.call((await server.calls())[0]["call_ref"])
        assert all(leg["media"]["transcoded"] for leg in call["legs"])
        await alice.hang_up()
        await bob.expect("CALL_CLOSED")


@pytest.mark.long
@pytest.mark.parametrize("name", ["baresip", "linphone"])
async def test_a_phone_holds_and_resumes(server: Offhook, tmp_path: Path, name: str) -> None:
    """CALL-7: what the phone does is answered at once; the other one hears music meanwhile, and the phone afterwards."""
    where = (tmp_path, "alice", server.passwords["alice"], server.domain, server.sip)
    holder = Linphone(*where, 900) if name == "linphone" else Baresip(*where, tone=900)
    async with (
        holder as alice,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as bob,
    ):
        await bob.registered()
        await alice.registered()
        await alice.dial("bob")
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await bob.expect("CALL_ESTABLISHED")
        ref = (await server.calls())[0]["call_ref"]
        await server.until(ref, lambda call: {leg["state"] for leg in call["legs"]} == {"answered"})
        await alice.command("pause" if name == "linphone" else "hold")
        held = await server.until(ref, lambda call: any(leg["state"] == "held" for leg in call["legs"]))
        assert [leg["held_by"] for leg in held["legs"] if leg["state"] == "held"] == ["device"]
        async with asyncio.timeout(PATIENCE):
            while (music := await bob.heard_now()).level_db <= -40 or music.frequency == pytest.approx(900, rel=0.01):
                pass
        await alice.command("resume")
        await server.until(ref, lambda call: {leg["state"] for leg in call["legs"]} == {"answered"})
        await bob.hears(900)
        await alice.hang_up()
        await bob.expect("CALL_CLOSED")
