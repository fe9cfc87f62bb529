"""Invariant: any octets on a stream, however cut, give the same messages and the same end, and the server answers."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from fuzz.support import MESSAGES, REQUESTS, Door, cut, fuzzed, mutated
from offhook.sip.flow import Transport
from offhook.sip.parse import parse_stream_message
from offhook.transport.flow import Advertiser, FlowTable
from offhook.transport.stream import SipStream, StreamSettings
from tests.support.wire import Wire

SEEDS = [*MESSAGES, *(a + b"\r\n\r\n" + b for a in REQUESTS[:4] for b in REQUESTS[4:8])]


async def knock(pieces: list[bytes]) -> tuple[int, bool]:
    """How many messages were heard, and whether the connection was closed."""
    door, wire = Door(parse_stream_message), Wire()
    flows = FlowTable(10, 10)
    stream = SipStream(flows, door, StreamSettings(), Transport.TCP, Advertiser())  # type: ignore[arg-type]
    stream.connection_made(wire)
    door.send = lambda flow, data: stream.send(data)
    for piece in pieces:
        if not wire.closed:
            stream.data_received(piece)
    closed = wire.closed
    stream.connection_lost(None)
    assert len(flows) == 0
    assert len(door.lost) == 1
    assert door.answers
    return door.heard, closed


@fuzzed
@given(st.data())
def test_streams(data: st.DataObject) -> None:
    octets = data.draw(mutated(SEEDS))
    pieces = data.draw(cut(octets))
    assert asyncio.run(knock(pieces)) == asyncio.run(knock([octets]))
