"""A network of IPv6 alone: a browser by ICE, over UDP and over TCP, and foreign phones with every kind of keys."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from interop.conftest import ServerMaker
from interop.support.baresip import Baresip
from interop.support.browser import Browser
from interop.support.namespace import INSIDE, passes_inside
from interop.support.parties import signed_in
from interop.test_phone_calls import PAGE_TONE, PHONE_TONE
from tests.support.patience import PATIENCE

HERE = "2001:db8::1"
KINDS = {"dtls": "dtls_srtp", "sdes": "srtp-mand", "plain": ""}


@pytest.mark.parametrize("kind", ["dtls", *[pytest.param(kind, marks=pytest.mark.long) for kind in ("sdes", "plain")]])
def test_a_phone_and_a_browser_in_a_namespace(kind: str) -> None:
    passes_inside(__file__, f"hear_each_other and {kind}", ())


@pytest.mark.long
def test_without_udp_in_a_namespace() -> None:
    passes_inside(__file__, "over_tcp", ())


class PhoneOf6(Baresip):
    """Bound to the address of IPv6."""

    def _write_config(self) -> None:
        super()._write_config()
        path, four = self.home / "config", f"127.0.0.1:{self.sip_port}"
        path.write_text(path.read_text().replace(four, f"[{HERE}]:{self.sip_port}") + "net_af ipv6\n")

    async def writes(self) -> None:
        """Waits until it has begun to write what it hears."""
        async with asyncio.timeout(PATIENCE):
            while not [*(self.home / "sounds").glob("*dec*.wav")]:
                await asyncio.sleep(0.1)  # a file; nothing can be awaited for it


if INSIDE in os.environ:

    def _only_ip6(*more: str) -> None:
        for words in (f"ip address add {HERE}/64 dev outside nodad", "ip address del 192.0.2.1/24 dev outside", *more):
            subprocess.run(words.split(), check=True, timeout=60)

    @pytest.mark.parametrize("kind", KINDS)
    async def test_they_hear_each_other(serve: ServerMaker, tmp_path: Path, kind: str) -> None:
        _only_ip6()
        async with serve(OFFHOOK_HOST="::") as server:
            sip = f"[{HERE}]:{server.sip.rpartition(':')[2]}"
            phone = PhoneOf6(tmp_path, "bob", server.passwords["bob"], server.domain, sip, encryption=KINDS[kind])
            async with Browser("chromium", tmp_path, tone=PAGE_TONE) as browser, phone:
                await phone.registered()
                page = await signed_in(browser, server, "alice")
                await phone.dial("alice")
                await page.expect("incoming")
                await page.answer()
                await phone.expect("CALL_ESTABLISHED")
                await page.hears(PHONE_TONE)
                # What it hears it begins to write with the first packet, which comes after its handshake.
                await phone.writes()
                await phone.hears(PAGE_TONE)
                call = await server.call((await server.calls())[0]["call_ref"])
                # Each end is met by IPv6, and encrypted as it asked for.
                paths = [leg["media"]["path"][end] for leg in call["legs"] for end in ("local", "remote")]
                assert all(one.startswith(f"[{HERE}]:") for one in paths), paths
                assert bool(call["legs"][0]["media"]["encryption"]) == bool(KINDS[kind])
                await phone.hang_up()
                await page.expect("ended")

    async def test_over_tcp(serve: ServerMaker, tmp_path: Path) -> None:
        _only_ip6("ip6tables -A INPUT -p udp -j DROP")
        async with serve(OFFHOOK_HOST="::") as server, Browser("chromium", tmp_path, tone=PAGE_TONE) as browser:
            page = await signed_in(browser, server, "alice")
            await page.call(server.uri("echo"))
            await page.expect("confirmed")
            await page.hears(PAGE_TONE, 4)
            path = (await server.call((await server.calls())[0]["call_ref"]))["legs"][0]["media"]["path"]
            assert path["protocol"] == "tcp"
            assert path["local"].startswith(f"[{HERE}]:")
