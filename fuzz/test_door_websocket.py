"""Invariant: any octets behind an upgrade give answers, pongs or a close frame with a slug, and the server goes on."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from fuzz.support import REQUESTS, Door, cut, fuzzed, mutated
from offhook.calls.catalogue import CATALOGUE
from offhook.sip.flow import Transport
from offhook.sip.parse import parse_websocket
from offhook.transport.flow import FlowTable
from offhook.transport.websocket import SipWebSocket, WebSocketSettings
from tests.support.messages import make_flow
from tests.support.wire import Wire
from tests.transport.test_frames import masked

SEEDS = [masked(1, one) for one in REQUESTS]
SEEDS += [masked(1, one[:50], final=False) + masked(9, b"?") + masked(0, one[50:]) for one in REQUESTS[:4]]
SEEDS += [masked(8, b"\x03\xe9"), masked(1, b"\r\n\r\n"), masked(10, b"") + masked(2, REQUESTS[0])]
SLUGS = {row.slug.encode() for row in CATALOGUE.values()}


async def knock(pieces: list[bytes]) -> None:
    door, wire = Door(parse_websocket), Wire()
    flows = FlowTable(10, 10)
    page = SipWebSocket(make_flow("page", Transport.WS), flows, door, WebSocketSettings(max_message=4000))  # type: ignore[arg-type]
    page.start(wire, "dGhlIHNhbXBsZSBub25jZQ==")
    door.send = lambda flow, data: page.send(data)
    door.close = page.close
    del wire.written[:]
    for piece in pieces:
        if not wire.closed:
            page.data_received(piece)
    said, last = bytes(wire.written), b""
    while said:
        size, head = said[1], 2
        if size == 126:
            size, head = int.from_bytes(said[2:4], "big"), 4
        last, said = said[: head + size], said[head + size :]
        assert last[0] in (0x81, 0x82, 0x88, 0x8A)
    if wire.closed and last[:1] == b"\x88" and last[4:]:
        assert last[4:] in SLUGS
    page.connection_lost(None)
    assert len(flows) == 0
    assert len(door.lost) == 1
    assert door.answers


@fuzzed
@given(st.data())
def test_websockets(data: st.DataObject) -> None:
    octets = data.draw(mutated(SEEDS))
    asyncio.run(knock(data.draw(cut(octets))))
