"""The guide for a server behind NAT (docs/guides/behind-nat.md), word by word: a router of network namespaces forwards its
ports, `media.public_address` names its outer address, and whoever is outside hears sound."""

import asyncio
import os
import ssl
from pathlib import Path

import httpx

from interop.conftest import DOMAIN, check_log
from interop.support.browser import Browser
from interop.support.namespace import INSIDE, PUBLIC, STRANGER, passes_outside_a_router, server_side
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from tests.support.patience import PATIENCE

FORWARDED = ("tcp:8080", "tcp:8443", "tcp:5060", "udp:5060", "udp:40000", "udp:41000:41099")


def test_through_a_router() -> None:
    passes_outside_a_router(__file__, "hears", FORWARDED)


if INSIDE in os.environ:

    async def test_who_is_outside_hears(tmp_path: Path) -> None:
        settings = {
            "OFFHOOK_DOMAIN": DOMAIN,
            "OFFHOOK_HOST": "0.0.0.0",
            "OFFHOOK_HTTP_LOCAL_AUTHORITY": "true",
            "OFFHOOK_MEDIA_PUBLIC_ADDRESS": PUBLIC,
            "OFFHOOK_HTTP_PORT": "8080",
            "OFFHOOK_HTTPS_PORT": "8443",
            "OFFHOOK_SIP_PORT": "5060",
            "OFFHOOK_MEDIA_PORT": "40000",
            "OFFHOOK_RTP_PORTS": "41000-41099",
        }
        async with Offhook(tmp_path, settings, inside=server_side(), reached=f"http://{PUBLIC}:8080") as server:
            await browser_hears(server, tmp_path)
            await phone_hears(server)
        check_log(server)

    async def browser_hears(server: Offhook, tmp_path: Path) -> None:
        """1 the page and its WebSocket at the outer address, by our own authority; 2 sound there and back."""
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as plain:
            authority = (await plain.get(f"http://{PUBLIC}:8080/ca/offhook-authority.crt")).content
        async with Browser("chromium", tmp_path, tone=1000, trusts=ssl.DER_cert_to_PEM_cert(authority)) as browser:
            page = await browser.open("alice", f"https://{PUBLIC}:8443/")
            await page.start(f"wss://{PUBLIC}:8443", server.uri("alice"), server.passwords["alice"])
            await page.expect("registered")
            await page.call(server.uri("echo"))
            await page.expect("confirmed")
            await page.hears(1000)  # promise 2
            await page.hang_up()

    async def phone_hears(server: Offhook) -> None:
        """3 a phone is told the outer address for sound, and gets it from there."""
        phone = PlainPhone("bob", server.passwords["bob"], DOMAIN, f"{PUBLIC}:5060", address=STRANGER)
        try:
            await phone.register()
            await phone.call("music")
            assert phone.media[0] == PUBLIC, "promise 3"
            speaking = asyncio.create_task(phone.rtp(0, 50))
            await phone.hears(50)
            await speaking
            await phone.hang_up()
        finally:
            phone.close()
