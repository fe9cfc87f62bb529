"""Firewalls: a network that lets no UDP through still has sound, over TCP to the port for pages (RFC 6544); and one open UDP
port is enough for any number of browsers."""

import os
from pathlib import Path

import pytest

from interop.conftest import ServerMaker
from interop.support.browser import Browser
from interop.support.namespace import INSIDE, passes_inside
from interop.support.parties import signed_in

TONE = 1000
PORT = 40_123
ONE_FOR_ALL = {"OFFHOOK_HOST": "0.0.0.0", "OFFHOOK_MEDIA_SHARDS": "2", "OFFHOOK_MEDIA_SINGLE_PORT": "true"}
"""Two media threads that share a port, as on a larger machine behind a strict firewall."""


def test_udp_cut_in_a_namespace() -> None:
    passes_inside(__file__, "without_udp", ("-A INPUT -p udp -j DROP",))


ONE_PORT = (f"-A INPUT -p udp --dport {PORT} -j ACCEPT", f"-A INPUT -p udp --sport {PORT} -j ACCEPT",
            "-A INPUT -p udp -j DROP")  # fmt: skip


def test_one_udp_port_in_a_namespace() -> None:
    passes_inside(__file__, "by_one_port and few", ONE_PORT)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_hundred_calls_by_one_udp_port() -> None:
    passes_inside(__file__, "by_one_port and hundred", ONE_PORT)


if INSIDE in os.environ:

    async def test_sound_without_udp(serve: ServerMaker, tmp_path: Path) -> None:
        async with serve(**ONE_FOR_ALL) as server, Browser("chromium", tmp_path, tone=TONE) as browser:
            page = await signed_in(browser, server, "alice")
            await page.call(server.uri("echo"))
            await page.expect("confirmed")
            await page.hears(TONE, 4)
            call = await server.call((await server.calls())[0]["call_ref"])
            leg = call["legs"][0]
            assert leg["media"]["path"]["protocol"] == "tcp"
            # It is said, as something to mend and no fault.
            [finding] = [one for one in leg["findings"] if one["code"] == "udp_blocked"]
            assert "UDP" in finding["cause"]
            # Others beside it lie on the other thread, too.
            heard = await page.run("await agent.many(args, 3)", server.uri("echo"))
            assert len(heard) == 3
            assert all(packets > 50 for packets in heard), heard

    @pytest.mark.timeout(600)
    @pytest.mark.parametrize("rounds", [pytest.param(1, id="few"), pytest.param(20, id="hundred")])
    async def test_calls_by_one_port(serve: ServerMaker, tmp_path: Path, rounds: int) -> None:
        settings = {**ONE_FOR_ALL, "OFFHOOK_MEDIA_PORT": str(PORT), "OFFHOOK_MEDIA_ICE_TCP": "false"}
        async with serve(**settings) as server, Browser("chromium", tmp_path, tone=TONE) as browser:
            page = await signed_in(browser, server, "alice")
            for _ in range(rounds):
                # Five at once, as many as two processors can encode beside everything else.
                heard = await page.run("await agent.many(args, 5)", server.uri("echo"))
                assert len(heard) == 5
                assert all(packets > 50 for packets in heard), heard
