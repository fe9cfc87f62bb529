"""Calls that survive, with real browsers and phones: broken connections, reloaded pages, killed processes."""

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interop.conftest import ServerMaker
from interop.support.baresip import Baresip
from interop.support.browser import Browser, Page
from interop.support.cable import Cable
from interop.support.crowd import Crowd
from interop.support.parties import talk
from interop.support.promises import Within, promised
from interop.support.server import Offhook
from interop.test_events import every_event
from tests.support.patience import PATIENCE

LIBRARIES = [("chromium", "jssip"), ("chromium", "sipjs"), ("firefox", "jssip"), ("firefox", "sipjs")]


@pytest.fixture
async def cable(server: Offhook) -> AsyncIterator[Cable]:
    """The way from pages to the server."""
    async with Cable("127.0.0.1", int(server.running["http_url"].rpartition(":")[2])) as one:
        yield one


async def signed_in(
    browser: Browser, server: Offhook, cable: Cable, username: str, library: str = "jssip", name: str = ""
) -> Page:
    """A page that came by the cable, and is registered."""
    page = await browser.open(name or username, f"http://127.0.0.1:{cable.port}/", library)
    await page.start(f"ws://127.0.0.1:{cable.port}", server.uri(username), server.passwords[username])
    await page.expect("registered")
    return page


async def sounds(page: Page, browser: Browser, seconds: float = 2.0) -> None:
    """Sound comes. A browser without a sound card tells by its counters."""
    if browser.name == "chromium":
        await page.hears(1000, seconds)
    else:
        await page.receives(int(40 * seconds))


@pytest.mark.parametrize(("program", "library"), LIBRARIES)
async def test_the_socket_breaks_in_mid_call_and_comes_back(
    server: Offhook, cable: Cable, tmp_path: Path, program: str, library: str
) -> None:
    async with Browser(program, tmp_path, tone=1000) as browser:
        page = await signed_in(browser, server, cable, "alice", library)
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        await sounds(page, browser)
        ref = (await server.calls())[0]["call_ref"]
        cable.pull()
        # 1. the call goes on without a connection
        await server.until(ref, lambda call: call["legs"][0]["flow"]["state"] == "detached")
        await sounds(page, browser, 3)
        cable.plug()
        # 2. the library comes back and has its call again (LIVE-5)
        await server.until(ref, lambda call: call["legs"][0]["flow"]["state"] == "attached")
        assert (await server.call(ref))["legs"][0]["flow"]["moves"] == 1
        await sounds(page, browser)
        # 3. what it says now arrives
        await page.hang_up()
        await server.until_idle()
        assert (await server.call(ref))["end_code"] == "hangup"
        # 4. both were told of, in a row without gaps, and the trace knows of path and keys
        told = [(one["sequence"], one["type"]) for one in await every_event(server, call_ref=ref)]
        assert [number for number, _ in told] == list(range(1, len(told) + 1))
        types = [type_ for _, type_ in told]
        assert types.index("call.answered") < types.index("call.detached") < types.index("call.moved")
        trace = (await server.http.get(f"/api/offhook/calls/{ref}/trace")).json()["data"]
        assert {"ice", "dtls", "sdp"} <= {one["kind"] for one in trace}


@pytest.mark.parametrize("library", ["jssip", "sipjs"])
async def test_the_peer_hangs_up_in_the_gap(server: Offhook, cable: Cable, tmp_path: Path, library: str) -> None:
    async with (
        Browser("chromium", tmp_path, tone=1000) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone,
    ):
        await phone.registered()
        page = await signed_in(browser, server, cable, "alice", library)
        await talk(page, server, phone)
        cable.pull()
        await phone.hang_up()
        await server.until_idle()
        cable.plug()
        # The page hears of it when it is back, and not before (LIVE-7, LIVE-14).
        await page.expect("ended")


async def hears_again(page: Page, server: Offhook, ref: str) -> bool:
    """Returns once sound has come on two looks since the engine died, or False once the call has ended. The page counts what
    it can decrypt; its counter begins anew with the stream of a new engine."""
    before, rises = int((await page.stats()).get("packetsReceived", 0)), 0
    async with asyncio.timeout(PATIENCE):
        while rises < 2:
            if (await server.call(ref))["end_code"] is not None:
                return False
            await asyncio.sleep(0.5)  # a page tells when it is asked
            now = int((await page.stats()).get("packetsReceived", 0))
            rises += now > before
            before = now
    return True


async def test_a_killed_engine_is_followed_by_another_and_chromium_rekeys(server: Offhook, tmp_path: Path) -> None:
    """LIVE-15: new addresses, new ICE credentials, a new fingerprint."""
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        page = await browser.open("alice", server.http_url)
        await page.start(server.websocket_url, server.uri("alice"), server.passwords["alice"])
        await page.expect("registered")
        assert await outlives_its_engine(page, browser, server)


FIREFOX_TRIES = 5
"""Calls in which Firefox may miss its own new transport, which happens where it gets too little processor time."""


@pytest.mark.parametrize("library", ["jssip", pytest.param("sipjs", marks=pytest.mark.long)])
async def test_firefox_is_given_a_new_transport_by_a_new_engine(
    serve: ServerMaker, tmp_path: Path, library: str
) -> None:
    """LIVE-15: it begins no handshake on a transport that had one, so that it is offered another. Each call goes on with
    sound both ways, also after hold and resume, or ends with its cause."""
    async with serve(OFFHOOK_LIMITS_REOPEN_SILENCE="10") as server, Browser("firefox", tmp_path) as browser:
        page = await browser.open("alice", server.http_url, library)
        await page.start(server.websocket_url, server.uri("alice"), server.passwords["alice"])
        await page.expect("registered")
        for _ in range(FIREFOX_TRIES):
            if await outlives_its_engine(page, browser, server):
                return
    raise AssertionError(f"not heard again in any of {FIREFOX_TRIES} calls")


async def outlives_its_engine(page: Page, browser: Browser, server: Offhook) -> bool:
    """A call of the page to the echo goes on with a new engine; False if it ended, with the cause told to the page."""
    await page.call(server.uri("echo"))
    await page.expect("confirmed")
    await sounds(page, browser)
    ref = (await server.calls())[0]["call_ref"]
    engine = server.engine_pid
    os.kill(engine, signal.SIGKILL)
    await server.until_ready()
    if not await hears_again(page, server, ref):
        ended = await page.expect("ended")
        assert "media engine is gone" in ended["reason"]
        assert (await server.call(ref))["end_code"] == "media_engine_lost"
        return False
    assert server.engine_pid != engine
    await sounds(page, browser)
    await page.hold()
    await page.resume()
    await sounds(page, browser)
    assert [one["call_ref"] for one in await server.calls()] == [ref]
    await page.hang_up()
    await page.expect("ended")
    await server.until_idle()
    return True


async def test_a_killed_server_takes_its_calls_back(server: Offhook, cable: Cable, tmp_path: Path) -> None:
    """LIVE-15: the page and a phone over UDP talk on, nothing is renegotiated, and the call is logged once."""
    async with (
        Browser("chromium", tmp_path, tone=1000) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, tone=700) as phone,
    ):
        await phone.registered()
        page = await signed_in(browser, server, cable, "alice")
        await talk(page, server, phone)
        ref = (await server.calls())[0]["call_ref"]
        engine = server.engine_pid
        await journalled(server, ref)
        await server.kill()
        # 1. nobody signals, the sound goes on
        await page.hears(700)
        await phone.press("5")
        await server.start(**server.same_ports())
        # 2. the same call, on the same engine, with the phone where it was; a digit pressed meanwhile is not lost
        assert server.engine_pid == engine
        call = await server.until(ref, lambda one: any(leg["digits"] for leg in one["legs"]))
        assert [press["digit"] for leg in call["legs"] for press in leg["digits"]] == ["5"]
        assert [leg["state"] for leg in call["legs"]] == ["answered", "answered"]
        # 3. the page comes back and its call goes on
        await server.until(ref, lambda one: one["legs"][0]["flow"]["state"] == "attached")
        await page.hears(700)
        # 4. a BYE of the page reaches the phone
        await page.hang_up()
        await phone.expect("CALL_CLOSED")
        await server.until_idle()
        assert (await server.call(ref))["end_code"] == "hangup"
        await server.stop()
        assert logged(server) == {ref: 2}


async def listens(address: str) -> None:
    """Waits until connections are taken; what is said in them is read once the server is ready."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            return


async def journalled(server: Offhook, *refs: str) -> None:
    """Waits until the calls stand in the journal, which gathers for some milliseconds, and nothing is written any more."""
    before: list[tuple[str, bytes]] = []
    async with asyncio.timeout(PATIENCE):
        with contextlib.closing(sqlite3.connect(server.data / "journal.sqlite")) as database:
            while True:
                rows = database.execute("SELECT ref, state FROM calls ORDER BY ref").fetchall()
                if set(refs) <= {ref for ref, _ in rows} and rows == before:
                    return
                before = rows
                await asyncio.sleep(0.3)  # a file; nothing can be awaited for it


def logged(server: Offhook) -> dict[str, int]:
    """How many legs of each call the log holds."""
    with contextlib.closing(sqlite3.connect(server.data / "offhook.sqlite")) as database:
        return dict(database.execute("SELECT call_ref, count(*) FROM call_log GROUP BY call_ref"))


async def test_an_upgrade_costs_no_call(server: Offhook, cable: Cable, tmp_path: Path) -> None:
    """SIGUSR2 stops at once and leaves engine and journal to the next start."""
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        page = await signed_in(browser, server, cable, "alice")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        ref, engine = (await server.calls())[0]["call_ref"], server.engine_pid
        await server.hand_over()
        await sounds(page, browser)
        await server.start(**server.same_ports())
        assert server.engine_pid == engine
        await server.until(ref, lambda one: one["legs"][0]["flow"]["state"] == "attached")
        await sounds(page, browser)
        await page.hang_up()
        await server.until_idle()


async def test_a_stopped_server_ends_its_calls(server: Offhook, cable: Cable, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        page = await signed_in(browser, server, cable, "alice")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        ref = (await server.calls())[0]["call_ref"]
        os.kill(server.pid, signal.SIGTERM)
        await server.until_draining()
        await server.stop()
        await page.expect("ended")
        assert logged(server) == {ref: 1}


CROWD = 50
CROWDED = {"OFFHOOK_LIMITS_CALL_RATE": "1000", "OFFHOOK_LIMITS_UNAUTH_RATE": "1000"}
"""All phones are on one machine here."""


async def crowd_of(server: Offhook, size: int = CROWD) -> Crowd:
    """Endpoints with a phone each."""
    names = [f"phone{number}" for number in range(size)]
    for name in names:
        await server.add_endpoint(name, "a long enough secret")
    return Crowd(names, "a long enough secret", server.domain, server.sip)


async def test_fifty_calls_outlive_a_killed_engine(serve: ServerMaker) -> None:
    """LIVE-15: nine in ten are heard again within 5 s, the rest end with a clear cause."""
    async with serve(**CROWDED) as server, await crowd_of(server) as crowd:
        assert await crowd.hearing() == CROWD
        refs = [call["call_ref"] for call in await server.calls()]
        os.kill(server.engine_pid, signal.SIGKILL)
        with Within("nine in ten heard after the engine's death", 5):
            assert await crowd.hearing(enough=0.9) >= 0.9 * CROWD
        await crowd.hearing()
        for phone, ref in zip(crowd.phones, refs, strict=False):
            assert phone.moved == 1 or (await server.call(ref))["end_code"] == "media_engine_lost"
        for phone in crowd.phones:
            await phone.bye()
        await server.until_idle()
        await server.stop()
        assert logged(server) == dict.fromkeys(refs, 1)


async def test_a_hundred_calls_outlive_a_killed_server(serve: ServerMaker) -> None:
    """LIVE-15: no packet of sound is lost, every call goes on and is logged once."""
    size = 100
    async with serve(**CROWDED) as server, await crowd_of(server, size) as crowd:
        assert await crowd.hearing() == size
        refs = {call["call_ref"] for call in await server.calls()}
        assert len(refs) == size
        await journalled(server, *refs)
        before = crowd.missed
        await server.kill()
        assert await crowd.hearing(least=100) == size
        with Within("a killed server listens again", 1):
            starting = asyncio.create_task(server.start(**server.same_ports()))
            await listens(server.sip)
        await starting
        assert {call["call_ref"] for call in await server.calls()} == refs
        # Nobody was asked to move, nothing that anybody said is missing, and each can hang up.
        assert [phone.moved for phone in crowd.phones] == [0] * size
        assert await crowd.hearing(least=100) == size
        # Less than a packet a phone, which a busy machine loses by itself; who was cut off would miss dozens.
        assert crowd.missed - before < size
        promised("packets lost by a killed server", crowd.missed - before, 0)
        for phone in crowd.phones:
            await phone.bye()
        await server.until_idle()
        assert await crowd.ended() == {"bye"}
        await server.stop()
        assert logged(server) == dict.fromkeys(refs, 1)


async def test_calls_outlive_the_death_of_both(serve: ServerMaker) -> None:
    """LIVE-15: a whole node is lost; phones are told new addresses as soon as it is back."""
    async with serve(**CROWDED) as server, await crowd_of(server) as crowd:
        assert await crowd.hearing() == CROWD
        refs = {call["call_ref"] for call in await server.calls()}
        await journalled(server, *refs)
        os.kill(server.engine_pid, signal.SIGKILL)
        await server.kill()
        await server.start(**server.same_ports())
        assert await crowd.hearing() >= 0.9 * CROWD
        for phone in crowd.phones:
            await phone.bye()
        await server.until_idle()
        await server.stop()
        assert logged(server) == dict.fromkeys(refs, 1)


@pytest.mark.parametrize(
    ("program", "library"),
    [
        ("chromium", "jssip"),
        ("firefox", "jssip"),
        pytest.param("chromium", "sipjs", marks=pytest.mark.long),
        pytest.param("firefox", "sipjs", marks=pytest.mark.long),
    ],
)
async def test_a_reloaded_page_takes_its_call_back(
    server: Offhook, cable: Cable, tmp_path: Path, program: str, library: str
) -> None:
    """LIVE-13: a page that was loaded anew knows nothing; it calls `resume`, and the other side has noticed nothing."""
    async with (
        Browser(program, tmp_path, tone=1000) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, tone=700) as phone,
    ):
        await phone.registered()
        page = await signed_in(browser, server, cable, "alice", library)
        await talk(page, server, phone)
        ref = (await server.calls())[0]["call_ref"]
        await page.close()
        await server.until(ref, lambda call: call["legs"][0]["flow"]["state"] == "detached")
        again = await signed_in(browser, server, cable, "alice", library, name="again")
        await again.call(server.uri("resume"))
        await again.expect("confirmed")
        await again.receives()
        assert len(await server.calls()) == 1
        await again.hang_up()
        await phone.expect("CALL_CLOSED")
        await server.until_idle()
        assert (await server.call(ref))["end_code"] == "hangup"


async def test_a_page_whose_media_died_is_restarted_by_us(server: Offhook, cable: Cable, tmp_path: Path) -> None:
    """LIVE-9: no page code asks for it; the re-INVITE restarts ICE in an unmodified browser."""
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        page = await signed_in(browser, server, cable, "alice")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        await sounds(page, browser)
        ref = (await server.calls())[0]["call_ref"]
        cable.pull()
        await page.run("await agent.quiet(true)")
        await server.until(ref, lambda call: "media_stopped" in call["findings"])
        before = await page.run("agent.ufrag()")
        cable.plug()
        await server.until(ref, lambda call: call["legs"][0]["flow"]["state"] == "attached")
        async with asyncio.timeout(PATIENCE):
            while await page.run("agent.ufrag()") == before:
                await asyncio.sleep(0.1)  # LIVE-9: the page has a moment to speak first
        await page.run("await agent.quiet(false)")
        await sounds(page, browser)
        await page.hang_up()
        await server.until_idle()


async def test_a_page_on_another_network_leaves_a_half_open_connection(
    server: Offhook, cable: Cable, tmp_path: Path
) -> None:
    """LIVE-5: the old connection does not answer a ping; it is closed, and the call follows to the new one."""
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        page = await signed_in(browser, server, cable, "alice")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        ref = (await server.calls())[0]["call_ref"]
        flows = (await server.status())["counts"]["flows"]
        cable.vanish()
        await page.expect("registered")
        await server.until(ref, lambda call: call["legs"][0]["flow"]["moves"] == 1)
        assert (await server.call(ref))["legs"][0]["flow"]["state"] == "attached"
        async with asyncio.timeout(PATIENCE):
            while (await server.status())["counts"]["flows"] != flows:
                await asyncio.sleep(0.1)  # the old one is looked for by a ping
        await sounds(page, browser)
        await page.hang_up()
        await server.until_idle()


@pytest.mark.parametrize("breaks", [3, pytest.param(15, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
async def test_a_call_outlives_many_breaks(server: Offhook, cable: Cable, tmp_path: Path, breaks: int) -> None:
    """The eighth of the thirty pains: the socket is killed every 20 s; in the short form, as soon as it is back."""
    pause = 20 if breaks > 3 else 1
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        page = await signed_in(browser, server, cable, "alice")
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        ref = (await server.calls())[0]["call_ref"]
        for number in range(1, breaks + 1):
            await asyncio.sleep(pause)  # the breaks' distance
            cable.pull()
            await server.until(ref, lambda call: call["legs"][0]["flow"]["state"] == "detached")
            cable.plug()
            await server.until(ref, lambda call, moves=number: call["legs"][0]["flow"]["moves"] == moves)  # type: ignore[misc]
            await sounds(page, browser)
        await page.hang_up()
        await server.until_idle()
        assert (await server.call(ref))["end_code"] == "hangup"
