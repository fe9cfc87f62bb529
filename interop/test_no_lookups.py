"""WS-6 on a real server: whatever a WebSocket's peer writes into Via, Contact and Route, no name of it is ever looked up.

The server's only DNS server is the test's, which counts the questions (pain 7).
"""

import asyncio

import websockets

from interop.conftest import ServerMaker
from interop.support.edge import Page
from interop.support.plain_phone import SDP, PlainPhone
from offhook.sip.message import Headers, Request
from offhook.sip.response import response_to
from tests.support.dns_server import DnsServer
from tests.support.patience import PATIENTLY


async def test_a_call_to_a_page_asks_dns_nothing(serve: ServerMaker) -> None:
    async with DnsServer("example.test. 60 IN A 127.0.0.1") as dns:
        async with (
            serve(OFFHOOK_SIP_DNS_SERVERS=dns.address) as server,
            websockets.connect(server.websocket_url, subprotocols=["sip"], **PATIENTLY) as socket,  # type: ignore[list-item]
        ):
            bob = Page(socket, "bob", server.passwords["bob"], server.domain)
            bob.host = "page.example.test"  # a name that would resolve
            bob.contact = f"<sip:bob@{bob.host};transport=ws>"
            await bob.register()
            alice = PlainPhone("alice", server.passwords["alice"], server.domain, server.sip)
            calling = asyncio.create_task(alice.invite("bob"))
            invite = await bob.next("INVITE")
            assert isinstance(invite, Request)
            assert invite.uri.host == bob.host
            # A Record-Route and a Contact with names: the ACK or the answer goes down the flow all the same.
            named = [("Record-Route", "<sip:proxy.example.test;lr>"), ("Contact", "<sip:x@elsewhere.example.test>")]
            fields = Headers([*named, ("Content-Type", "application/sdp")])
            await bob.send(response_to(invite, 200, fields, SDP.format(port=40_004).encode(), "page"))
            await bob.next("ACK")
            bye = bob.request(
                "BYE",
                (invite.headers.get("Contact") or "").split("<")[1].split(">")[0],
                1,
                invite.headers.get("Call-ID") or "",
                invite.headers.get("From") or "",
            )
            away = f"{invite.headers.get('To')};tag=page"
            await bob.send(Request("BYE", bye.uri, bye.headers.replaced("From", away), b""))
            await bob.next("200")
            await calling
            alice.close()
        assert dns.asked == []
