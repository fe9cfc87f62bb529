"""Unmodified clients transfer calls: JsSIP, SIP.js and baresip, blind and attended, with the sound measured afterwards."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from interop.conftest import ServerMaker
from interop.support.baresip import Baresip
from interop.support.linphone import Linphone
from interop.support.parties import ALICE, BOB, CAROL, consult, phone, talk, three
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from interop.test_events import until_told
from tests.support.patience import PATIENCE


async def bob_and_carol_talk(bob: Baresip, carol: Baresip) -> None:
    """Each hears the other's tone."""
    await asyncio.gather(bob.hears(CAROL), carol.hears(BOB))


async def over(server: Offhook, first: Baresip, other: Baresip) -> None:
    """One hangs up, and nothing is left."""
    await first.hang_up()
    await other.expect("CALL_CLOSED")
    await server.until_idle()


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
    bob = phone(server, tmp_path, "bob", BOB)
    async with three(server, tmp_path, bob, library, name, codec="opus/48000/2") as (page, carol):
        await talk(page, server, bob)
        await page.refer(server.uri("carol"))
        await page.expect("refer-requestSucceeded")
        await carol.expect("CALL_INCOMING")
        await carol.answer()
        assert "200" in ((await page.expect("refer-accepted"))["line"] or "")
        await page.expect("ended")
        await bob_and_carol_talk(bob, carol)
        await over(server, bob, carol)


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
    bob = phone(server, tmp_path, "bob", BOB)
    async with three(server, tmp_path, bob, library, name) as (page, carol):
        await talk(page, server, bob)
        await consult(page, server, carol)
        await page.transfer()
        assert "200" in ((await page.expect("refer-accepted"))["line"] or "")
        await page.expect("ended")
        await bob_and_carol_talk(bob, carol)
        # Nobody was called anew.
        await over(server, carol, bob)


@pytest.mark.parametrize("library", ["jssip", "sipjs"])
async def test_a_page_gets_its_call_back_when_the_target_is_busy(server: Offhook, tmp_path: Path, library: str) -> None:
    bob = phone(server, tmp_path, "bob", BOB)
    async with three(server, tmp_path, bob, library) as (page, carol):
        await talk(page, server, bob)
        await page.refer(server.uri("carol"))
        await carol.expect("CALL_INCOMING")
        await carol.hang_up()
        assert "486" in ((await page.expect("refer-failed"))["line"] or "")
        await asyncio.gather(page.hears(BOB), bob.hears(ALICE))
        await page.hang_up()
        await bob.expect("CALL_CLOSED")
        await server.until_idle()


async def test_baresip_transfers(server: Offhook, tmp_path: Path) -> None:
    """Blindly: the version of Debian 12 knows no Replaces."""
    bob = phone(server, tmp_path, "bob", BOB)
    async with three(server, tmp_path, bob) as (page, carol):
        await talk(page, server, bob)
        await bob.transfer("carol")
        await carol.expect("CALL_INCOMING")
        await carol.answer()
        await carol.expect("CALL_ESTABLISHED")
        await bob.expect("CALL_CLOSED")
        await asyncio.gather(page.hears(CAROL), carol.hears(ALICE))
        await page.hang_up()
        await carol.expect("CALL_CLOSED")
        await server.until_idle()
        [told] = await until_told(server, "", "call.transferred", 1)
        assert told["data"]["to"] == "carol"


@pytest.mark.parametrize("attended", [False, True])
async def test_linphone_transfers(server: Offhook, tmp_path: Path, attended: bool) -> None:
    bob = Linphone(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, BOB)
    async with three(server, tmp_path, bob) as (page, carol):
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
        await asyncio.gather(page.hears(CAROL), carol.hears(ALICE))
        await page.hang_up()
        await carol.expect("CALL_CLOSED")
        await server.until_idle()


async def test_calls_on_two_cores_of_the_engine_meet(serve: ServerMaker, tmp_path: Path) -> None:
    """MEDIA.md section 3: an attended transfer joins calls of two shards, and a conference has members of both."""
    async with serve(OFFHOOK_MEDIA_SHARDS="2") as server, contextlib.AsyncExitStack() as stack:
        # Calls of one person are opened together: alice's six on one shard, bob's five on the other, with them hers to bob.
        # Who has more calls gets them spread: the consultation is where less is, which is the first shard.
        for username, calls in (("alice", 6), ("bob", 5)):
            for _ in range(calls):
                busy = PlainPhone(username, server.passwords[username], server.domain, server.sip)
                stack.callback(busy.close)
                await busy.call("echo")
        before = await _legs_by_shard(server, lambda legs: sum(legs.values()) == 11)
        bob = phone(server, tmp_path, "bob", BOB)
        page, carol = await stack.enter_async_context(three(server, tmp_path, bob))
        await talk(page, server, bob)
        await consult(page, server, carol)
        await page.transfer()
        assert "200" in ((await page.expect("refer-accepted"))["line"] or "")
        await page.expect("ended")
        await bob_and_carol_talk(bob, carol)
        after = {shard: legs + 1 for shard, legs in before.items()}
        await _legs_by_shard(server, lambda legs: legs == after)
        await carol.hang_up()
        await bob.expect("CALL_CLOSED")


async def test_a_conference_has_members_on_two_cores(serve: ServerMaker, tmp_path: Path) -> None:
    async with serve(OFFHOOK_MEDIA_SHARDS="2") as server:
        bob = phone(server, tmp_path, "bob", BOB)
        async with three(server, tmp_path, bob) as (page, carol):
            await carol.dial("conference-room")
            await carol.expect("CALL_ESTABLISHED")
            # The room costs its shard more than this call costs any: the call is on the other one, and bob stays there.
            await talk(page, server, bob)
            await page.refer(server.uri("conference-room"))
            assert "200" in ((await page.expect("refer-accepted"))["line"] or "")
            await page.expect("ended")
            await bob_and_carol_talk(bob, carol)
            await _legs_by_shard(server, lambda legs: legs == {"0": 1, "1": 1})
            await carol.hang_up()
            await bob.hang_up()


async def _legs_by_shard(server: Offhook, holds: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """How many legs of live calls each shard of the engine has, once `holds` is true of it."""
    found: dict[str, int] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while True:
                page = (await server.http.get("/metrics", auth=None)).text
                rows = re.findall(r'offhook_shard_legs\{shard="(\d+)"\} (\S+)', page)
                found = {shard: int(float(legs)) for shard, legs in rows}
                if holds(found):
                    return found
                await asyncio.sleep(0.1)  # the page is asked, as a collector asks
    raise AssertionError(f"legs by shard: {found}")
