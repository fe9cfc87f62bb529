"""A connection that ended is gone: nothing of it waits for the cycle collector, which comes to what is old once in days."""

import asyncio
import contextlib
import gc
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interop.support.certificate import write_certificate
from offhook.transport.flow import FlowTable
from offhook.transport.front import Front, FrontSettings
from offhook.transport.stream import StreamListener, StreamSettings
from tests.support.patience import PATIENCE
from tests.transport.test_front import Ear, page
from tests.transport.test_websocket import OK, UPGRADE

MESSAGE = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n"
CONNECTIONS = 5
OWN = ("offhook.transport", "offhook.sip")


@contextlib.asynccontextmanager
async def listening(kind: str, ear: Ear, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """A listener of the kind, and its port."""
    if kind in ("tcp", "tls"):
        server = await StreamListener(ear.flows, ear, StreamSettings(), context).listen("127.0.0.1", 0)
    else:
        server = await Front(page, ear.flows, ear, FrontSettings(), context).listen("127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def one(port: int, kind: str, ear: Ear, tls: ssl.SSLContext | None) -> None:
    """Connects, says one thing, hears it again and goes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    if kind in ("ws", "wss"):
        writer.write(UPGRADE + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        assert await asyncio.wait_for(reader.readexactly(4), PATIENCE) == b"\x81\x02ok"
    else:
        writer.write(MESSAGE)
        assert await asyncio.wait_for(reader.readexactly(len(MESSAGE)), PATIENCE) == MESSAGE
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    await asyncio.wait_for(ear.lost.get(), PATIENCE)


@pytest.mark.parametrize("kind", ["tcp", "tls", "ws", "wss"])
async def test_a_connection_that_ended_leaves_nothing_for_the_collector(kind: str, tmp_path: Path) -> None:
    context = tls = None
    if kind in ("tls", "wss"):
        certificate, key = write_certificate(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        tls = ssl.create_default_context(cafile=str(certificate))
        tls.check_hostname = False
    ear = Ear(FlowTable(100, 100))
    async with listening(kind, ear, context) as port:
        await one(port, kind, ear, tls)  # what is made once
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(CONNECTIONS):
                await one(port, kind, ear, tls)
            gc.collect()
            left = [type(thing).__qualname__ for thing in gc.garbage if type(thing).__module__.startswith(OWN)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    # 1: each was there
    assert len(ear.opened) == CONNECTIONS + 1
    # 2: nothing of them waits
    assert left == []
