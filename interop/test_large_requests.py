"""CALL-21 with real sockets: a phone over UDP that takes TCP too, and one that does not. The limit is lowered to meet it."""

import asyncio
import contextlib

from interop.conftest import ServerMaker
from interop.support.plain_phone import PlainPhone
from interop.support.ports import free_port
from interop.support.server import Offhook
from tests.support.patience import PATIENCE


async def calling_bob(server: Offhook) -> asyncio.Task[str]:
    alice = PlainPhone("alice", server.passwords["alice"], server.domain, server.sip)
    return asyncio.create_task(alice.invite("bob"))


async def test_a_large_invite_goes_by_tcp_where_the_phone_takes_it(serve: ServerMaker) -> None:
    async with serve(OFFHOOK_LIMITS_DATAGRAM="576") as server:
        bob = PlainPhone("bob", server.passwords["bob"], server.domain, server.sip, listens=free_port())
        await bob.register()
        heard: asyncio.Queue[str] = asyncio.Queue()

        async def phone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            heard.put_nowait(head)
            kept = [
                line for line in head.split("\r\n") if line.startswith(("Via:", "From:", "Call-ID:", "CSeq:", "To:"))
            ]
            kept = [f"{line};tag=b" if line.startswith("To:") else line for line in kept]
            writer.write("\r\n".join(["SIP/2.0 486 Busy Here", *kept, "Content-Length: 0", "", ""]).encode())

        listening = await asyncio.start_server(phone, *bob.address)
        call = await calling_bob(server)
        # 1. By TCP, with a Via of TCP that names the port we listen on.
        head = await asyncio.wait_for(heard.get(), PATIENCE)
        assert head.startswith("INVITE ")
        assert f"Via: SIP/2.0/TCP {server.sip};branch=" in head
        # 2. The answer on the connection is the answer to the call.
        assert (await asyncio.wait_for(call, PATIENCE)).startswith("SIP/2.0 486")
        # 3. It is counted where an operator looks.
        assert (await server.status())["counts"]["large_by_tcp"] == 1
        listening.close()
        bob.close()


async def test_it_goes_in_compact_form_where_the_phone_does_not(serve: ServerMaker) -> None:
    async with serve(OFFHOOK_LIMITS_DATAGRAM="576") as server:
        bob = PlainPhone("bob", server.passwords["bob"], server.domain, server.sip)
        await bob.register()
        call = await calling_bob(server)
        invite = await bob.heard()
        assert invite.startswith("INVITE ")
        assert f"\r\nv:SIP/2.0/UDP {server.sip};" in invite
        assert "\r\nVia:" not in invite
        assert (await server.status())["counts"]["large_compact"] == 1
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        bob.close()
