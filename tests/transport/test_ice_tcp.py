"""ICE-TCP on the port for browsers: the first frame names the engine's shard, the socket goes over whole."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest

from offhook.transport.ice_tcp import LONGEST, IceTcp

FRAME = b"\x00\x04abcd"


class Taker:
    """Takes descriptors as the engine does."""

    def __init__(self) -> None:
        self.taken: asyncio.Queue[tuple[socket.socket, bytes]] = asyncio.Queue()

    def __call__(self, descriptor: int, read: bytes) -> bool:
        self.taken.put_nowait((socket.socket(fileno=os.dup(descriptor)), read))
        return True


@pytest.fixture
async def taker() -> AsyncIterator[tuple[Taker, int]]:
    taker = Taker()
    server = await asyncio.get_running_loop().create_server(lambda: IceTcp(taker), "127.0.0.1", 0)
    yield taker, server.sockets[0].getsockname()[1]
    server.close()


async def test_a_socket_goes_over_with_what_was_read_and_nothing_is_lost(taker: tuple[Taker, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", taker[1])
    # 1. a frame in pieces is waited for
    for at in range(len(FRAME)):
        writer.write(FRAME[at : at + 1])
        await writer.drain()
        await asyncio.sleep(0)
    taken, read = await taker[0].taken.get()
    taken.setblocking(False)
    loop = asyncio.get_running_loop()
    # 2. what was read and what comes later are the whole stream
    writer.write(b"more")
    while len(read) < len(FRAME) + 4:
        read += await loop.sock_recv(taken, 100)
    assert read == FRAME + b"more"
    # 3. the other way is open too: our copy was closed without a farewell
    await loop.sock_sendall(taken, b"answer")
    assert await reader.readexactly(6) == b"answer"
    taken.close()
    writer.close()


@pytest.mark.parametrize("data", [(LONGEST + 1).to_bytes(2, "big") + b"x", b"\x01\xff" + b"x" * 100])
async def test_a_first_frame_longer_than_any_check_ends_the_connection(taker: tuple[Taker, int], data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", taker[1])
    writer.write(data)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    assert taker[0].taken.empty()
    writer.close()
