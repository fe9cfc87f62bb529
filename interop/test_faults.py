"""What breaks: a killed browser, a killed engine, a restarted server."""

import asyncio
from pathlib import Path

import psutil
import pytest

from interop.conftest import ServerMaker
from interop.support.baresip import Baresip
from interop.support.browser import Browser
from interop.support.parties import signed_in, talk
from interop.support.server import Offhook
from tests.support.patience import PATIENCE

SHORT = {
    "OFFHOOK_LIMITS_FLOW_GRACE": "1",
    "OFFHOOK_LIMITS_DETACHED_SILENCE": "2",
    "OFFHOOK_LIMITS_RELOAD_GRACE": "1",
}
"""LIVE-2's clocks, shortened."""


def udp_sockets(pid: int) -> int:
    """UDP sockets that a process holds."""
    return len(psutil.Process(pid).net_connections(kind="udp"))


async def test_a_killed_browser_leaves_nothing_behind(serve: ServerMaker, tmp_path: Path) -> None:
    async with (
        serve(**SHORT) as server,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone,
    ):
        await phone.registered()
        before, ports = (await server.status())["counts"], udp_sockets(server.engine_pid)
        async with Browser("chromium", tmp_path, tone=700) as browser:
            page = await signed_in(browser, server, "alice")
            await talk(page, server, phone)
            ref = (await server.calls())[0]["call_ref"]
            await browser.kill()
            # The engine notices the silence after 5 s; then come the two clocks.
            await server.until_idle()
        await phone.expect("CALL_CLOSED")
        call = await server.call(ref)
        assert call["end_code"] == "peer_connection_lost"
        kept = ("legs", "registrations", "flows")
        async with asyncio.timeout(PATIENCE):
            # The engine closes its sockets a moment after the call, and a ping finds the connection gone.
            while True:
                after = (await server.status())["counts"]
                if all(after[name] == before[name] for name in kept) and udp_sockets(server.engine_pid) == ports:
                    break
                await asyncio.sleep(0.1)
        assert after["legs"] == 0


@pytest.mark.long
async def test_a_frozen_tab_is_asleep_and_wakes_up_ringing(server: Offhook, tmp_path: Path) -> None:
    """WS-10, pain 17: the socket of a frozen tab answers pings, its page no INVITE. It is shown asleep, the call waits for
    it or for another device, and whoever looks at the tab again finds it ringing."""
    async with (
        Browser("chromium", tmp_path, tone=700) as browser,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone,
    ):
        await phone.registered()
        page = await signed_in(browser, server, "alice")
        await page.freeze()
        await phone.dial("alice")
        async with asyncio.timeout(PATIENCE):
            while not (calls := await server.calls()):
                await asyncio.sleep(0.1)  # the API is asked, as a dashboard asks
        ref = calls[0]["call_ref"]
        call = await server.until(ref, lambda one: any(leg["flow"]["state"] == "asleep" for leg in one["legs"]))
        assert call["state"] != "ended"
        await page.freeze(False)
        await page.expect("incoming")
        await page.answer()
        await page.expect("confirmed")
        talking = [leg for leg in (await server.call(ref))["legs"] if leg["state"] == "answered"]
        assert [leg["flow"]["state"] for leg in talking] == ["attached", "attached"]
        await page.hang_up()
        await phone.expect("CALL_CLOSED")
        await server.until_idle()


async def test_a_second_start_finds_everything_again(server: Offhook, tmp_path: Path) -> None:
    await server.add_endpoint("carol", "a long enough secret")
    async with Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone:
        await phone.registered()
        where = server.running["sip"].rpartition(":")[2]
        await server.stop()
        await server.start(OFFHOOK_SIP_PORT=where)
        rows = (await server.http.get("/api/relay/rest/endpoints/sip")).json()["data"]
        assert {row["username"] for row in rows} == {"alice", "bob", "carol"}
        # A UDP phone's way in outlives the restart: it can be called before it registers again.
        registered = {row["username"]: row["offhook"]["registered"] for row in rows}
        assert registered == {"alice": False, "bob": True, "carol": False}
        async with Browser("chromium", tmp_path) as browser:
            page = await browser.open("carol", server.http_url)
            await page.start(server.websocket_url, server.uri("carol"), "a long enough secret")
            await page.expect("registered")
            await page.call(server.uri("bob"))
            await phone.expect("CALL_INCOMING")
            await page.hang_up()
            await phone.expect("CALL_CLOSED")


async def test_idle_pages_register_again_after_a_restart(server: Offhook, tmp_path: Path) -> None:
    async with Browser("chromium", tmp_path) as browser:
        page = await signed_in(browser, server, "alice")
        where = server.running["http_url"].rpartition(":")[2]
        await server.stop()
        await page.expect("disconnected")
        await asyncio.sleep(0.5)  # the page's first try finds nobody
        await server.start(OFFHOOK_HTTP_PORT=where)
        await page.expect("registered")
