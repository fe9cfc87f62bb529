"""Invariant: any datagrams leave a server that answers; each gets at most one final answer, and nothing raises."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fuzz.support import MESSAGES, Door, fuzzed, mutated
from offhook.sip.parse import parse_datagram
from offhook.transport.datagram import DatagramPath
from offhook.transport.sockets import DATAGRAM, bind_all


@fuzzed
@given(st.lists(mutated(MESSAGES), min_size=1, max_size=6))
def test_datagrams(datagrams: list[bytes]) -> None:
    async def knock() -> None:
        door = Door(parse_datagram)
        path = DatagramPath(door)  # type: ignore[arg-type]
        await path.serve(bind_all([("127.0.0.1", DATAGRAM)], 0)[0])
        sent: list[Any] = []
        door.send = lambda flow, data: sent.append((flow.id, data))
        for data in datagrams:
            finals = sum(status >= 200 for status in door.statuses)
            path.datagram_received(data, ("127.0.0.2", 5070))
            # A CANCEL is answered twice: itself, and the INVITE it ends.
            assert sum(status >= 200 for status in door.statuses) <= finals + 2
        assert door.answers
        path.close()

    asyncio.run(knock())
