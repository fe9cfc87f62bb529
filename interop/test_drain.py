"""WS-15 on a real server: SIGTERM closes idle pages with 1012, and a page with a call stays until the call ends."""

import asyncio
import os
import signal

import pytest
import websockets
from websockets.exceptions import ConnectionClosed

from interop.conftest import ServerMaker
from interop.support.plain_phone import PlainPhone
from interop.test_transports import ask, options
from tests.support.patience import PATIENCE, PATIENTLY


async def test_idle_pages_are_told_to_come_back_and_a_call_goes_on(serve: ServerMaker) -> None:
    async with serve() as server:
        url = server.websocket_url
        async with websockets.connect(url, subprotocols=["sip"], **PATIENTLY) as page:  # type: ignore[list-item]
            await page.send(options("ws").decode())
            assert str(await page.recv()).startswith("SIP/2.0 200")
            phone = PlainPhone("alice", server.passwords["alice"], server.domain, server.sip)
            await phone.call("echo")
            os.kill(server.pid, signal.SIGTERM)
            # 1. The idle page hears why.
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(page.recv(), PATIENCE)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "node-draining")
            # 2. The call is still there, and no new one is taken.
            assert len(await server.calls()) == 1
            assert (await ask(server, "udp", "127.0.0.1")).startswith("SIP/2.0 200")
            other = PlainPhone("bob", server.passwords["bob"], server.domain, server.sip)
            with pytest.raises(AssertionError, match="503"):
                await other.call("echo")
            # 3. A call for help is let in as far as the trunks; there is none here, and that is what it is told.
            with pytest.raises(AssertionError, match="emergency-not-configured"):
                await other.call("112")
            # 4. Once it has ended the server stops by itself.
            await phone.hang_up()
            assert await asyncio.wait_for(server.ended(), PATIENCE) == 0
            phone.close()
            other.close()
