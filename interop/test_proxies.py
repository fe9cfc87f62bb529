"""Behind three reverse proxies with their default timeouts of a minute (WS-9, WS-12)."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import websockets

from interop.conftest import ServerMaker
from interop.support.edge import Page
from interop.support.proxies import COMMANDS, Proxy
from interop.support.server import Offhook
from tests.support.patience import PATIENTLY


async def connected(stack: AsyncExitStack, server: Offhook, name: str, folder: Path) -> Page:
    """A page that is registered through a proxy."""
    behind = str(server.running["http_url"]).removeprefix("http://").replace("localhost", "127.0.0.1")
    proxy = await stack.enter_async_context(Proxy(name, folder, behind))
    # The page leaves keepalive to the server, as browsers do: their API has no ping.
    socket = await stack.enter_async_context(
        websockets.connect(proxy.url, subprotocols=["sip"], **PATIENTLY)  # type: ignore[list-item]
    )
    page = Page(socket, "bob", server.passwords["bob"], server.domain)
    await page.register()
    return page


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_page_registers_through_a_proxy_and_its_flow_is_secure(
    serve: ServerMaker, tmp_path: Path, name: str
) -> None:
    async with serve() as server, AsyncExitStack() as stack:
        await connected(stack, server, name, tmp_path)
        # `X-Forwarded-Proto: https` of a trusted proxy: the flow counts as WSS.
        assert "flow='wss-" in server.log() or 'flow="wss-' in server.log()


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_an_idle_flow_outlives_the_minute_of_every_proxy(serve: ServerMaker, tmp_path: Path) -> None:
    """Ten minutes in which the page says nothing; then it does, and is answered on the same connection."""
    async with serve(OFFHOOK_LIMITS_EXPIRES_MAX="3600") as server, AsyncExitStack() as stack:
        pages = [await connected(stack, server, name, tmp_path) for name in COMMANDS]
        lost = server.log().count("flow lost")
        quiet = [asyncio.create_task(page.next("nothing", within=600)) for page in pages]
        await asyncio.wait(quiet)
        assert all(isinstance(one.exception(), TimeoutError) for one in quiet), [one.exception() for one in quiet]
        assert server.log().count("flow lost") == lost
        for number, page in enumerate(pages):
            target = f"sip:{server.domain}"
            await page.send(page.request("OPTIONS", target, 1, f"alive-{number}", f"<{target}>"))
            await page.next("200")
