"""A page that registers again in the words of the last time (sip/refresh.py), at a real server by a real WebSocket."""

import re
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

from interop.support.digest import authorization
from interop.support.server import Offhook
from tests.support.patience import PATIENTLY


def words(server: Offhook, number: int, call_id: str = "page-1", proof: str = "") -> str:
    """REGISTER as JsSIP writes it."""
    me = server.uri("alice")
    domain = me.partition("@")[2]
    return (
        f"REGISTER sip:{domain} SIP/2.0\r\nVia: SIP/2.0/WS x7.invalid;branch=z9hG4bK{4000 + number}\r\nMax-Forwards: 69\r\n"
        f'To: <{me}>\r\nFrom: "Alice" <{me}>;tag=t{number}\r\nCall-ID: {call_id}\r\nCSeq: {number} REGISTER\r\n{proof}'
        'Contact: <sip:k3@x7.invalid;transport=ws>;+sip.ice;reg-id=1;+sip.instance="<urn:uuid:'
        '1b9c6f4e-0000-4000-8000-000000000001>";expires=600\r\nExpires: 600\r\n'
        "Allow: INVITE,ACK,CANCEL,BYE\r\nSupported: path,gruu,outbound\r\nUser-Agent: words\r\nContent-Length: 0\r\n\r\n"
    )


async def said(page: ClientConnection, text: str) -> str:
    await page.send(text)
    return str(await page.recv())


async def counted(server: Offhook, status: str, direction: str) -> float:
    text = (await server.http.get("/metrics", auth=None)).text
    name = f'sip_messages_total{{direction="{direction}",method="REGISTER",status="{status}"}}'
    found = re.search(rf"{re.escape(name)} (\S+)", text)
    assert found, text
    return float(found[1])


async def row(server: Offhook) -> dict[str, Any]:
    (only,) = (await server.http.get("/api/offhook/registrations")).json()["data"]
    return dict(only)


async def test_refreshes_in_the_same_words_are_served_and_seen(server: Offhook) -> None:
    async with websockets.connect(server.websocket_url, subprotocols=[Subprotocol("sip")], **PATIENTLY) as page:
        domain = server.uri("alice").partition("@")[2]
        challenge = await said(page, words(server, 1))
        proof = authorization(challenge, "REGISTER", f"sip:{domain}", "alice", server.passwords["alice"]) + "\r\n"
        # 1. Proved, then once more without credentials, which from then on are the words that are known.
        for text in (words(server, 2, proof=proof), words(server, 3)):
            assert (await said(page, text)).startswith("SIP/2.0 200 OK\r\n")
        before, asked, answered = (
            await row(server),
            await counted(server, "", "in"),
            await counted(server, "200", "out"),
        )
        first = await said(page, words(server, 4))
        second = await said(page, words(server, 5, "page-2"))
        # 2. The answers are to these requests, and each has another temporary GRUU and another To tag.
        assert "CSeq: 5 REGISTER\r\n" in second
        assert "Call-ID: page-2\r\n" in second
        assert 'From: "Alice" <' in second
        assert ";tag=t5\r\n" in second
        drawn = [set(re.findall(r'temp-gruu="([^"]+)"|To: [^\r]*;tag=(\w+)', text)) for text in (first, second)]
        assert [len(one) for one in drawn] == [2, 2]
        assert not drawn[0] & drawn[1]
        # 3. It is the same registration, and the only one.
        assert (await row(server))["id"] == before["id"]
        # 4. The metrics count both sides of each.
        assert await counted(server, "", "in") == asked + 2
        assert await counted(server, "200", "out") == answered + 2
        # 5. A number that was used goes the whole way, which refuses it.
        assert (await said(page, words(server, 5, "page-2"))).startswith("SIP/2.0 500 ")
