"""`media.single_port`: browsers whose calls lie on different media threads share a UDP port, and each hears its own call."""

import re
from pathlib import Path

from interop.conftest import ServerMaker
from interop.support.browser import Browser
from interop.support.parties import signed_in
from interop.support.server import Offhook

SETTINGS = {"OFFHOOK_HOST": "0.0.0.0", "OFFHOOK_MEDIA_SHARDS": "2", "OFFHOOK_MEDIA_SINGLE_PORT": "true"}


async def legs_of_threads(server: Offhook) -> dict[str, float]:
    """How many legs of live calls each media thread has."""
    text = (await server.http.get("/metrics", auth=None)).text
    return {shard: float(legs) for shard, legs in re.findall(r'offhook_shard_legs\{shard="(\d+)"\} (\S+)', text)}


async def test_browsers_of_two_threads_by_one_port(serve: ServerMaker, tmp_path: Path) -> None:
    async with (
        serve(**SETTINGS) as server,
        Browser("chromium", tmp_path, tone=700) as one,
        Browser("firefox", tmp_path) as two,
    ):
        alice, bob = await signed_in(one, server, "alice"), await signed_in(two, server, "bob")
        # 1. each calls the echo, and each has a thread of its own
        for page in (alice, bob):
            await page.call(server.uri("echo"))
            await page.expect("confirmed")
        assert await legs_of_threads(server) == {"0": 1, "1": 1}
        # 2. both hear themselves at once
        assert -25 < (await alice.hears(700)).level_db < -5
        await bob.receives()
        for page in (alice, bob):
            await page.hang_up()
        # 3. and they hear each other
        await alice.call(server.uri("bob"))
        await bob.expect("incoming")
        await bob.answer()
        await alice.expect("confirmed")
        # Firefox's fake microphone is a tone of 1 kHz.
        await alice.hears(1000)
        await bob.receives()
