"""Kamailio as an edge in front of Offhook: Path, double Record-Route, pages whose address nobody uses (TRK-12, WS-6)."""

import asyncio
from pathlib import Path

import websockets

from interop.conftest import ServerMaker
from interop.support.edge import Edge, Page
from interop.support.plain_phone import SDP, PlainPhone
from offhook.sip.message import Headers, Request
from offhook.sip.response import response_to
from tests.support.patience import PATIENCE, PATIENTLY


async def test_a_page_behind_an_edge_registers_by_path_and_takes_a_call(serve: ServerMaker, tmp_path: Path) -> None:
    async with (
        serve() as server,
        Edge(tmp_path, server.sip) as edge,
        websockets.connect(edge.url, subprotocols=["sip"], **PATIENTLY) as socket,  # type: ignore[list-item]
    ):
        bob = Page(socket, "bob", server.passwords["bob"], server.domain)
        # 1. The registration goes through, and the Path of both sides of the edge comes back (RFC 3327).
        registered = await bob.register()
        path = ", ".join(registered.headers.all("Path"))
        assert path.count(f"127.0.0.3:{edge.port}") == 2, path
        assert "r2=on" in path
        # 2. A call finds the page by its Path; its Contact is the Request-URI and is resolved by nobody.
        alice = PlainPhone("alice", server.passwords["alice"], server.domain, server.sip)
        calling = asyncio.create_task(alice.call("bob"))
        invite = await bob.next("INVITE")
        assert isinstance(invite, Request)
        assert invite.uri.host == bob.host
        routes = [one for value in invite.headers.all("Record-Route") for one in value.split(",")]
        assert len(routes) == 2, "double Record-Route: WebSocket here, UDP there"
        await bob.answer(invite, SDP.format(port=40_000).encode())
        # 3. The ACK takes both routes, in their order, unchanged.
        await bob.next("ACK")
        await asyncio.wait_for(calling, PATIENCE)
        await server.until_logged("ACK sip:")
        acks = [line for line in server.log().splitlines() if "sip out" in line and "ACK sip:" in line]
        sent = acks[-1]
        assert sent.count("Route: <") == 2, sent
        assert sent.index("Route: <sip:127.0.0.3") < sent.index("r2=on")
        assert edge.counted("routed ACK") >= 1
        # 4. The other side's BYE takes them too.
        await alice.hang_up()
        bye = await bob.next("BYE")
        assert isinstance(bye, Request)
        await bob.send(response_to(bye, 200, Headers(), to_tag="page"))
        assert edge.counted("routed BYE") == 1
        await server.until_idle()
        alice.close()


async def test_the_page_hangs_up_through_the_edge(serve: ServerMaker, tmp_path: Path) -> None:
    async with (
        serve() as server,
        Edge(tmp_path, server.sip) as edge,
        websockets.connect(edge.url, subprotocols=["sip"], **PATIENTLY) as socket,  # type: ignore[list-item]
    ):
        bob = Page(socket, "bob", server.passwords["bob"], server.domain)
        await bob.register()
        alice = PlainPhone("alice", server.passwords["alice"], server.domain, server.sip)
        calling = asyncio.create_task(alice.call("bob"))
        invite = await bob.next("INVITE")
        assert isinstance(invite, Request)
        await bob.answer(invite, SDP.format(port=40_002).encode())
        await bob.next("ACK")
        await asyncio.wait_for(calling, PATIENCE)
        # The dialog's route set as the callee has it: the Record-Routes in their order (RFC 3261 12.1.1).
        routes = [("Route", value) for value in invite.headers.all("Record-Route")]
        contact = (invite.headers.get("Contact") or "").split("<")[1].split(">")[0]
        from_, to = invite.headers.get("From") or "", invite.headers.get("To") or ""
        call_id = invite.headers.get("Call-ID") or ""
        bye = bob.request("BYE", contact, 1, call_id, from_, *routes)
        await bob.send(Request("BYE", bye.uri, bye.headers.replaced("From", f"{to};tag=page"), b""))
        await bob.next("200")
        await server.until_idle()
        alice.close()
