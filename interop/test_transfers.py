"""Unmodified clients transfer calls: JsSIP, SIP.js and baresip, blind and attended, with the sound measured afterwards."""

import asyncio
import contextlib
import re
from pathlib import Path

import pytest

from interop.conftest import ServerMaker
from interop.support.audio import Tone
from interop.support.baresip import Baresip
from interop.support.browser import Browser, Page
from interop.support.linphone import Linphone
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from interop.test_events import until_told

ALICE, BOB, CAROL = 1000, 700, 440
"""Hz of each party's tone."""
SECRET = "carols-own-long-secret"


def is_tone(heard: Tone, frequency: float) -> None:
    """Right frequency within 1 %, audible, without gaps."""
    assert heard.frequency == pytest.approx(frequency, rel=0.01)
    assert -30 < heard.level_db < -3
    assert heard.longest_gap <= 0.2


def phone(
    server: Offhook, home: Path, username: str, tone: int, password: str = "", codec: str = "PCMU/8000/1"
) -> Baresip:
    """A baresip that registers as the endpoint."""
    secret = password or server.passwords[username]
    return Baresip(home, username, secret, server.domain, server.sip, "udp", codec, tone)


async def signed_in(browser: Browser, server: Offhook, library: str) -> Page:
    """Alice's page."""
    page = await browser.open("alice", server.http_url, library)
    await page.start(server.websocket_url, server.uri("alice"), server.passwords["alice"])
    await page.expect("registered")
    return page


async def bob_and_carol_talk(bob: Baresip, carol: Baresip) -> None:
    """Each hears the other's tone."""
    await asyncio.sleep(0.5)  # the last packets of the old source may still be on their way
    at_bob, at_carol = await asyncio.gather(bob.heard_now(3), carol.heard_now(3))
    is_tone(at_bob, CAROL)
    is_tone(at_carol, BOB)


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("chromium", "jssip"),
        ("chromium", "sipjs"),
        ("firefox", "jssip"),
        pytest.param("firefox", "sipjs", marks=pytest.mark.long),
    ],
)
async def test_a_page_transfers_blindly(server: Offhook, tmp_path: Path, name: str, library: str) -> None:
    await server.add_endpoint("carol", SECRET)
    async with (
        Browser(name, tmp_path, tone=ALICE) as browser,
        phone(server, tmp_path, "bob", BOB) as bob,
        phone(server, tmp_path, "carol", CAROL, SECRET, "opus/48000/2") as carol,
    ):
        await bob.registered()
        await carol.registered()
        page = await signed_in(browser, server, library)
        await page.call(server.uri("bob"))
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await page.expect("confirmed")
        await page.refer(server.uri("carol"))
        await page.expect("refer-requestSucceeded")
        await carol.expect("CALL_INCOMING")
        await carol.answer()
        assert "200" in ((await page.expect("refer-accepted"))["line"] or "")
        await page.expect("ended")
        await bob_and_carol_talk(bob, carol)
        await bob.hang_up()
        await carol.expect("CALL_CLOSED")
        await server.until_idle(5)


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("chromium", "jssip"),
        ("chromium", "sipjs"),
        pytest.param("firefox", "jssip", marks=pytest.mark.long),
        pytest.param("firefox", "sipjs", marks=pytest.mark.long),
    ],
)
async def test_a_page_transfers_after_a_consultation(server: Offhook, tmp_path: Path, name: str, library: str) -> None:
    await server.add_endpoint("carol", SECRET)
    async with (
        Browser(name, tmp_path, tone=ALICE) as browser,
        phone(server, tmp_path, "bob", BOB) as bob,
        phone(server, tmp_path, "carol", CAROL, SECRET) as carol,
    ):
        await bob.registered()
        await carol.registered()
        page = await signed_in(browser, server, library)
        await page.call(server.uri("bob"))
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await page.expect("confirmed")
        await page.consult(server.uri("carol"))
        await carol.expect("CALL_INCOMING")
        await carol.answer()
        await page.expect("confirmed")
        await page.transfer()
        assert "200" in ((await page.expect("refer-accepted"))["line"] or "")
        await page.expect("ended")
        await bob_and_carol_talk(bob, carol)
        # Nobody was called anew.
        await carol.hang_up()
        await bob.expect("CALL_CLOSED")
        await server.until_idle(5)


@pytest.mark.parametrize("library", ["jssip", "sipjs"])
async def test_a_page_gets_its_call_back_when_the_target_is_busy(server: Offhook, tmp_path: Path, library: str) -> None:
    await server.add_endpoint("carol", SECRET)
    async with (
        Browser("chromium", tmp_path, tone=ALICE) as browser,
        phone(server, tmp_path, "bob", BOB) as bob,
        phone(server, tmp_path, "carol", CAROL, SECRET) as carol,
    ):
        await bob.registered()
        await carol.registered()
        page = await signed_in(browser, server, library)
        await page.call(server.uri("bob"))
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await page.expect("confirmed")
        await page.refer(server.uri("carol"))
        await carol.expect("CALL_INCOMING")
        await carol.hang_up()
        assert "486" in ((await page.expect("refer-failed"))["line"] or "")
        await asyncio.sleep(0.5)  # the music's last packets
        at_page, at_bob = await asyncio.gather(page.heard(3), bob.heard_now(3))
        is_tone(at_page, BOB)
        is_tone(at_bob, ALICE)
        await page.hang_up()
        await bob.expect("CALL_CLOSED")
        await server.until_idle(5)


async def test_baresip_transfers(server: Offhook, tmp_path: Path) -> None:
    """Blindly: the version of Debian 12 knows no Replaces."""
    await server.add_endpoint("carol", SECRET)
    async with (
        Browser("chromium", tmp_path, tone=ALICE) as browser,
        phone(server, tmp_path, "bob", BOB) as bob,
        phone(server, tmp_path, "carol", CAROL, SECRET) as carol,
    ):
        await bob.registered()
        await carol.registered()
        page = await signed_in(browser, server, "jssip")
        await page.call(server.uri("bob"))
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await page.expect("confirmed")
        await bob.transfer("carol")
        await carol.expect("CALL_INCOMING")
        await carol.answer()
        await carol.expect("CALL_ESTABLISHED")
        await bob.expect("CALL_CLOSED")
        await asyncio.sleep(0.5)  # the last packets of the old source
        at_page, at_carol = await asyncio.gather(page.heard(3), carol.heard_now(3))
        is_tone(at_page, CAROL)
        is_tone(at_carol, ALICE)
        await page.hang_up()
        await carol.expect("CALL_CLOSED")
        await server.until_idle(5)
        [told] = await until_told(server, "", "call.transferred", 1)
        assert told["data"]["to"] == "carol"


@pytest.mark.parametrize("attended", [False, True])
async def test_linphone_transfers(server: Offhook, tmp_path: Path, attended: bool) -> None:
    await server.add_endpoint("carol", SECRET)
    async with (
        Browser("chromium", tmp_path, tone=ALICE) as browser,
        Linphone(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, BOB) as bob,
        phone(server, tmp_path, "carol", CAROL, SECRET) as carol,
    ):
        await bob.registered()
        await carol.registered()
        page = await signed_in(browser, server, "jssip")
        await page.call(server.uri("bob"))
        await bob.in_state("IncomingReceived")
        await bob.answer()
        await page.expect("confirmed")
        await bob.in_state("StreamsRunning")
        if attended:
            await bob.command("pause")
            await bob.in_state("Paused")
            await bob.dial("carol")
        else:
            await bob.transfer("carol")
        await carol.expect("CALL_INCOMING")
        await carol.answer()
        await carol.expect("CALL_ESTABLISHED")
        if attended:
            await bob.in_state("StreamsRunning")
            await bob.join(1, 2)
        await bob.in_state("End")
        await asyncio.sleep(0.5)  # the last packets of the old source
        at_page, at_carol = await asyncio.gather(page.heard(3), carol.heard_now(3))
        is_tone(at_page, CAROL)
        is_tone(at_carol, ALICE)
        await page.hang_up()
        await carol.expect("CALL_CLOSED")
        await server.until_idle(5)


async def test_calls_on_two_cores_of_the_engine_meet(serve: ServerMaker, tmp_path: Path) -> None:
    """MEDIA.md section 3: an attended transfer joins calls of two shards, and a conference has members of both."""
    async with serve(OFFHOOK_MEDIA_SHARDS="2") as server, contextlib.AsyncExitStack() as stack:
        await server.add_endpoint("carol", SECRET)
        # Calls of one person are opened together: alice's six on one shard, bob's five on the other, with them hers to bob.
        # Who has more calls gets them spread: the consultation is where less is, which is the first shard.
        for username, calls in (("alice", 6), ("bob", 5)):
            for _ in range(calls):
                busy = PlainPhone(username, server.passwords[username], server.domain, server.sip)
                stack.callback(busy.close)
                await busy.call("echo")
        before = await _legs_by_shard(server)
        browser = await stack.enter_async_context(Browser("chromium", tmp_path, tone=ALICE))
        bob = await stack.enter_async_context(phone(server, tmp_path, "bob", BOB))
        carol = await stack.enter_async_context(phone(server, tmp_path, "carol", CAROL, SECRET))
        await bob.registered()
        await carol.registered()
        page = await signed_in(browser, server, "jssip")
        await page.call(server.uri("bob"))
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await page.expect("confirmed")
        await page.consult(server.uri("carol"))
        await carol.expect("CALL_INCOMING")
        await carol.answer()
        await page.expect("confirmed")
        await page.transfer()
        assert "200" in ((await page.expect("refer-accepted"))["line"] or "")
        await page.expect("ended")
        await bob_and_carol_talk(bob, carol)
        assert await _legs_by_shard(server) == {shard: legs + 1 for shard, legs in before.items()}
        await carol.hang_up()
        await bob.expect("CALL_CLOSED")


async def test_a_conference_has_members_on_two_cores(serve: ServerMaker, tmp_path: Path) -> None:
    async with serve(OFFHOOK_MEDIA_SHARDS="2") as server, contextlib.AsyncExitStack() as stack:
        await server.add_endpoint("carol", SECRET)
        browser = await stack.enter_async_context(Browser("chromium", tmp_path, tone=ALICE))
        bob = await stack.enter_async_context(phone(server, tmp_path, "bob", BOB))
        carol = await stack.enter_async_context(phone(server, tmp_path, "carol", CAROL, SECRET))
        await bob.registered()
        await carol.registered()
        await carol.dial("conference-room")
        await carol.expect("CALL_ESTABLISHED")
        page = await signed_in(browser, server, "jssip")
        # The room costs its shard more than this call costs any: the call is on the other one, and bob stays there.
        await page.call(server.uri("bob"))
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await page.expect("confirmed")
        await page.refer(server.uri("conference-room"))
        assert "200" in ((await page.expect("refer-accepted"))["line"] or "")
        await page.expect("ended")
        await bob_and_carol_talk(bob, carol)
        assert await _legs_by_shard(server) == {"0": 1, "1": 1}
        await carol.hang_up()
        await bob.hang_up()


async def _legs_by_shard(server: Offhook) -> dict[str, int]:
    """How many legs of live calls each shard of the engine has."""
    page = (await server.http.get("/metrics", auth=None)).text
    return {shard: int(float(legs)) for shard, legs in re.findall(r'offhook_shard_legs\{shard="(\d+)"\} (\S+)', page)}
