"""A network that lets no UDP through: the browser's call still has sound, over TCP to the port for pages (RFC 6544).

Server and browser run in a network namespace of their own whose firewall drops every UDP packet.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from interop.conftest import ServerMaker
from interop.support.browser import Browser
from interop.test_browser_calls import signed_in

TONE = 1000
INSIDE = "OFFHOOK_TEST_WITHOUT_UDP"


def run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=120)


def test_udp_cut_in_a_namespace() -> None:
    name = f"offhook-{os.getpid()}"
    inside = ("ip", "netns", "exec", name)
    run("ip", "netns", "add", name)
    try:
        run(*inside, "ip", "link", "set", "lo", "up")
        run(*inside, "ip", "link", "add", "outside", "type", "veth", "peer", "name", "beyond")
        run(*inside, "ip", "address", "add", "192.0.2.1/24", "dev", "outside")
        for link in ("outside", "beyond"):
            run(*inside, "ip", "link", "set", link, "up")
        run(*inside, "iptables", "-A", "INPUT", "-p", "udp", "-j", "DROP")
        tests = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--no-header",
            __file__,
            "-k",
            "without",
        ]
        done = subprocess.run(
            [*inside, *tests], env={**os.environ, INSIDE: "1"}, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    finally:
        run("ip", "netns", "del", name)


if INSIDE in os.environ:

    async def test_sound_without_udp(serve: ServerMaker, tmp_path: Path) -> None:
        async with serve(OFFHOOK_HOST="0.0.0.0") as server, Browser("chromium", tmp_path, tone=TONE) as browser:
            page = await signed_in(browser, server, "alice")
            await page.call(server.uri("echo"))
            await page.expect("confirmed")
            heard = await page.heard(4)
            assert heard.frequency == pytest.approx(TONE, rel=0.01)
            assert heard.longest_gap <= 0.1
            call = await server.call((await server.calls())[0]["call_ref"])
            leg = call["legs"][0]
            assert leg["media"]["path"]["protocol"] == "tcp"
            # It is said, as something to mend and no fault.
            assert [one["code"] for one in leg["findings"]] == ["udp_blocked"]
            assert "UDP" in leg["findings"][0]["cause"]
