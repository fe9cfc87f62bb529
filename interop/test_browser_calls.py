"""Browsers call the echo and each other: real DTLS-SRTP, real audio, measured in the page."""

import asyncio
from pathlib import Path

import pytest

from interop.support.browser import Browser
from interop.support.parties import signed_in
from interop.support.server import Offhook
from tests.support.patience import PATIENCE


async def test_chromium_hears_its_own_tone_from_echo(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        page = await signed_in(browser, server, "alice")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        assert -25 < (await page.hears(1000)).level_db < -5
        call = (await server.calls())[0]
        leg = (await server.call(call["call_ref"]))["legs"][0]
        assert leg["media"]["encryption"].startswith("dtls-srtp AEAD_AES_")
        assert leg["media"]["codec"] == "OPUS"
        await page.hang_up()
        # For the page it is over when its BYE goes out.
        assert (await server.until(call["call_ref"], lambda one: one["end_code"] is not None))["end_code"] == "hangup"


async def test_firefox_hears_its_own_tone_from_echo(server: Offhook, tmp_path: Path) -> None:
    async with Browser("firefox", tmp_path) as browser:
        page = await signed_in(browser, server, "alice")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        await page.receives()
        await page.hang_up()


@pytest.mark.parametrize(("destination", "frequency"), [("tone", 1000), ("music", None)])
async def test_tone_and_music_are_heard(
    server: Offhook, tmp_path: Path, destination: str, frequency: int | None
) -> None:
    async with Browser("chromium", tmp_path) as browser:
        page = await signed_in(browser, server, "alice")
        await page.call(server.uri(destination))
        await page.expect("confirmed")
        if frequency is not None:
            await page.hears(frequency)
        else:
            async with asyncio.timeout(PATIENCE):
                while (heard := await page.heard(4)).level_db <= -45 or heard.seconds <= 2:
                    pass


async def test_two_chromiums_talk_opus_without_transcoding(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path, tone=700) as one, Browser("chromium", tmp_path, tone=1100) as two:
        alice, bob = await signed_in(one, server, "alice"), await signed_in(two, server, "bob")
        await alice.call(server.uri("bob"))
        await bob.expect("incoming")
        await bob.answer()
        await alice.expect("confirmed")
        await asyncio.gather(alice.hears(1100), bob.hears(700))
        call = await server.call((await server.calls())[0]["call_ref"])
        assert [leg["media"]["codec"] for leg in call["legs"]] == ["OPUS", "OPUS"]
        assert not any(leg["media"]["transcoded"] for leg in call["legs"])
        await bob.hang_up()
        assert (await alice.expect("ended"))["originator"] == "remote"


async def test_chromium_and_firefox_talk(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path, tone=700) as one, Browser("firefox", tmp_path) as two:
        alice, bob = await signed_in(one, server, "alice"), await signed_in(two, server, "bob")
        await alice.call(server.uri("bob"))
        await bob.expect("incoming")
        await bob.answer()
        await alice.expect("confirmed")
        # Firefox's fake microphone is a tone of 1 kHz.
        await alice.hears(1000)
        await bob.receives()
        await alice.hang_up()
        await bob.expect("ended")


async def test_two_pages_of_one_user_ring_and_one_answers(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path, tone=700) as browser:
        alice = await signed_in(browser, server, "alice")
        first = await signed_in(browser, server, "bob", "bob-1")
        second = await signed_in(browser, server, "bob", "bob-2")
        await alice.call(server.uri("bob"))
        await asyncio.gather(first.expect("incoming"), second.expect("incoming"))
        await first.answer()
        await alice.expect("confirmed")
        stopped = await second.expect("failed")
        assert stopped["reason"] == 'SIP;cause=200;text="Call completed elsewhere"'
        await alice.hang_up()
        await first.expect("ended")


async def test_a_muted_microphone_is_named(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path, tone=700) as browser:
        alice = await signed_in(browser, server, "alice")
        await alice.call(server.uri("echo"))
        await alice.expect("confirmed")
        await alice.hears(700)
        await alice.run("agent.mute(true)")
        ref = (await server.calls())[0]["call_ref"]
        found = await server.until(ref, lambda call: "microphone_silent" in call["findings"])
        finding = next(one for one in found["legs"][0]["findings"] if one["code"] == "microphone_silent")
        assert finding["direction"] == "from_device"
        diagnosis = (await server.http.get(f"/api/offhook/calls/{ref}/diagnosis")).json()
        assert "alice is not heard" in diagnosis["summary"]
        await alice.run("agent.mute(false)")
        await server.until(ref, lambda call: not call["findings"])


@pytest.mark.parametrize("program", ["chromium", "firefox"])
async def test_an_offer_without_candidates_connects(server: Offhook, tmp_path: Path, program: str) -> None:
    async with Browser(program, tmp_path, tone=1000) as browser:
        page = await signed_in(browser, server, "alice")
        await page.run("agent.jssip.callBare(args)", server.uri("echo"))
        await page.expect("confirmed")
        await page.receives()
        assert "a=candidate" not in server.log().split("INVITE sip:echo")[-1].split("SIP/2.0 200")[0]
        await page.hang_up()
