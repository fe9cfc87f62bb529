"""Video between real browsers: a picture that moves, in every way that video comes to a call.

A browser sends no key frame by itself: that there is a picture at all shows that one was asked for in time."""

import asyncio
import contextlib
import re
from pathlib import Path
from typing import Any

import pytest

from interop.support.baresip import Baresip
from interop.support.browser import Browser, Page
from interop.support.linphone import Linphone
from interop.support.lossy import LossyLink
from interop.support.parties import meet, signed_in, talk
from interop.support.promises import promised
from interop.support.server import Offhook
from tests.support.patience import PATIENCE


async def moves(page: Page, since: str = "confirmed") -> dict[str, Any]:
    """Waits for a picture, and tells what is known of it once it has moved."""
    seen: dict[str, Any] = {}
    first = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while True:
                seen = await page.pictures(since)
                if seen["shownAfter"] is not None:
                    first = first or seen["framesDecoded"]
                    if first and seen["framesDecoded"] > first + 5:
                        assert seen["frameWidth"] >= 160
                        return seen
                await asyncio.sleep(0.1)  # the page is asked
    raise AssertionError(f"{page.name} sees nothing that moves: {seen}")


async def stands_still(page: Page) -> None:
    """Waits until no new picture has come for a second."""
    async with asyncio.timeout(PATIENCE):
        last = -1
        while (now := (await page.pictures())["framesDecoded"]) != last:
            last = now
            await asyncio.sleep(1)  # pictures had the time to come


async def moves_again(page: Page) -> None:
    """Waits for more pictures than there are now."""
    first = (await page.pictures())["framesDecoded"]
    async with asyncio.timeout(PATIENCE):
        while (await page.pictures())["framesDecoded"] <= first + 5:
            await asyncio.sleep(0.1)  # the page is asked


def soon(seen: dict[str, Any]) -> None:
    """The picture came within a second of the answer."""
    promised("milliseconds to the picture", seen["shownAfter"], 1_000)


async def test_chromium_shows_its_camera_to_chromium(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        alice = await signed_in(browser, server, "alice")
        bob = await signed_in(browser, server, "bob")
        for page in (alice, bob):
            await page.run("agent.camera(true)")
        await meet(alice, bob, server.uri("bob"))
        # 1: both see the other, within a second.
        for page in (alice, bob):
            soon(await moves(page))
        # 2: the sound is there beside it.
        await alice.hears(1000)
        # 3: nothing of the one's description is shown to the other.
        said = await bob.run("agent.descriptions()")
        assert "transport-cc" not in said["remote"]
        assert "a=group:BUNDLE" in said["remote"]
        # 4: what asks for the first picture went without a report before it (RFC 5506), and was heard.
        assert said["remote"].count("a=rtcp-rsize") == 2
        # 5: the picture stands still while one holds, and both see each other again afterwards.
        await alice.hold()
        await stands_still(bob)
        await alice.resume()
        for page in (alice, bob):
            await moves_again(page)
        await alice.hang_up()
        await bob.expect("ended")


@pytest.mark.long
async def test_echo_shows_the_page_its_own_camera(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path) as browser:
        page = await signed_in(browser, server, "alice")
        await page.run("agent.camera(true)")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        soon(await moves(page))
        await page.hang_up()


@pytest.mark.long
async def test_chromium_and_firefox_see_each_other(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path) as one, Browser("firefox", tmp_path) as other:
        alice = await signed_in(one, server, "alice")
        bob = await signed_in(other, server, "bob")
        for page in (alice, bob):
            await page.run("agent.camera(true)")
        await meet(alice, bob, server.uri("bob"))
        for page in (alice, bob):
            soon(await moves(page))
        await alice.hang_up()
        await bob.expect("ended")


async def test_a_camera_is_added_to_a_call_of_sound(server: Offhook, tmp_path: Path) -> None:
    """4.1 row 9, with the page's own re-INVITE."""
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        alice = await signed_in(browser, server, "alice")
        bob = await signed_in(browser, server, "bob")
        await alice.call(server.uri("bob"))
        await bob.expect("incoming")
        await bob.answer()
        await alice.expect("confirmed")
        assert await alice.run("await agent.addCamera()")
        seen = await moves(bob)
        assert seen["codec"] == "video/VP8"
        await bob.hears(1000)
        leg = (await server.call((await server.calls())[0]["call_ref"]))["legs"][1]
        assert leg["media"]["video_codec"] == "VP8"
        await alice.hang_up()
        await bob.expect("ended")


@pytest.mark.long
async def test_a_page_without_camera_hears_who_has_one(server: Offhook, tmp_path: Path) -> None:
    """Who answers without a camera still sees; a call to a phone of sound alone is as it was."""
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        alice = await signed_in(browser, server, "alice")
        bob = await signed_in(browser, server, "bob")
        await alice.run("agent.camera(true)")
        await meet(alice, bob, server.uri("bob"))
        await moves(bob)
        await bob.hears(1000)
        assert (await alice.pictures())["framesDecoded"] == 0
        await alice.hang_up()


async def test_five_percent_of_the_packets_are_lost(server: Offhook, tmp_path: Path) -> None:
    """MEDIA.md trap 22: retransmissions and key frames cross the bridge, the picture comes and goes on."""
    async with Browser("chromium", tmp_path) as browser:
        alice = await signed_in(browser, server, "alice")
        bob = await signed_in(browser, server, "bob")
        async with LossyLink(await media_address(alice, server), 0.05) as link:
            for page in (alice, bob):
                await page.run("agent.camera(true)")
                await page.run("agent.through(args)", link.port)
            await meet(alice, bob, server.uri("bob"))
            for page in (alice, bob):
                await moves(page)
            before = await bob.pictures()
            after = before
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    # 1: what was lost was sent again, over the bridge. 2: the picture moves on.
                    while (
                        link.lost <= 20
                        or not (after["nackCount"] and after["retransmitted"])
                        or after["framesDecoded"] - before["framesDecoded"] <= 60
                    ):
                        await asyncio.sleep(0.2)  # the page is asked
                        after = await bob.pictures()
            assert link.lost > 20
            assert after["nackCount"] > 0, after
            assert after["retransmitted"] > 0, after
            assert after["framesDecoded"] - before["framesDecoded"] > 60, (before, after, await alice.pictures())
            await alice.hang_up()


async def media_address(page: Page, server: Offhook) -> tuple[str, int]:
    """Where the engine takes packets of browsers, as it tells them."""
    await page.call(server.uri("echo"))
    await page.expect("confirmed")
    said = (await page.run("agent.descriptions()"))["remote"]
    found = re.search(r"a=candidate:\S+ \d udp \d+ (\S+) (\d+)", said)
    assert found is not None
    await page.hang_up()
    await page.expect("ended")
    return found.group(1), int(found.group(2))


@pytest.mark.parametrize("encryption", ["", pytest.param("srtp", marks=pytest.mark.long)])
async def test_a_video_phone_and_a_page_see_each_other(server: Offhook, tmp_path: Path, encryption: str) -> None:
    """A SIP phone: its own ports for each line, keys of its own, no retransmission streams."""
    phone = Baresip(
        tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, encryption=encryption, video="VP8"
    )
    async with Browser("chromium", tmp_path) as browser, phone:
        await phone.registered()
        alice = await signed_in(browser, server, "alice")
        await alice.run("agent.camera(true)")
        await talk(alice, server, phone)
        # 1: the page sees the phone's picture move
        seen = await moves(alice)
        assert (seen["codec"], seen["frameWidth"]) == ("video/VP8", 352)
        # 2: the phone acknowledges the page's
        ref = (await server.calls())[0]["call_ref"]
        facts: dict[str, Any] = {}
        for _ in range(int(PATIENCE / 0.1)):
            legs = (await server.call(ref))["legs"]
            facts = legs[1]["facts"]["video"]
            if facts["packets_out"] > 50 and facts["rtt_ms"] > 0:
                break
            await asyncio.sleep(0.1)
        assert facts["packets_out"] > 50, facts
        assert facts["rtt_ms"] > 0, facts
        promised("percent of the page's picture that the phone lost", facts["remote_loss_percent"], 5)
        await alice.hang_up()


async def test_a_video_phone_sees_its_echo(server: Offhook, tmp_path: Path) -> None:
    async with Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, video="VP8") as phone:
        await phone.registered()
        await phone.dial("echo")
        await phone.expect("CALL_ESTABLISHED")
        ref = (await server.calls())[0]["call_ref"]
        facts: dict[str, Any] = {}
        for _ in range(int(PATIENCE / 0.1)):
            facts = (await server.call(ref))["legs"][0]["facts"]["video"] or {}
            if facts and facts["packets_out"] > 30:
                break
            await asyncio.sleep(0.1)
        assert facts["packets_out"] > 30, facts
        assert facts["codec_in"] == "VP8"
        await phone.hang_up()


@pytest.mark.long
async def test_linphone_and_a_page_see_each_other(server: Offhook, tmp_path: Path) -> None:
    """A phone with AVPF on a plain line, NACK and PLI; its camera is a still picture, one a second."""
    phone = Linphone(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, 700, video=True)
    async with Browser("chromium", tmp_path) as browser, phone:
        await phone.registered()
        alice = await signed_in(browser, server, "alice")
        await alice.run("agent.camera(true)")
        await alice.call(server.uri("bob"))
        await phone.in_state("IncomingReceived")
        await phone.answer()
        await alice.expect("confirmed")
        seen: dict[str, Any] = {}
        facts: dict[str, Any] = {}
        for _ in range(int(PATIENCE / 0.1)):
            seen = await alice.pictures()
            facts = (await server.call((await server.calls())[0]["call_ref"]))["legs"][1]["facts"]["video"]
            if seen["framesDecoded"] >= 2 and facts["packets_out"] > 50 and facts["rtt_ms"] > 0:
                break
            await asyncio.sleep(0.1)
        assert seen["framesDecoded"] >= 2, seen
        assert seen["codec"] == "video/VP8"
        assert facts["packets_out"] > 50, facts
        assert facts["rtt_ms"] > 0, facts
        await alice.hang_up()
