"""CALL-25: steps of overload, and the real measure of a late loop. WS-15: a drain."""

import asyncio
import time

from offhook.server.drain import Drain
from offhook.server.load import NO_NEW_CALLS, NOTHING_NEW, SERVE, Load, LoadWatch
from offhook.sip.flow import Flow, FlowId, Transport
from offhook.transport.flow import FlowTable
from tests.support.patience import PATIENCE


def test_steps_up_while_the_lag_lasts_and_down_one_by_one() -> None:
    load = Load(0.2, 0.0)
    assert load.measured(0.05, 1.0) == SERVE
    # 1. One late moment is a hiccup, a second behind it an overload.
    assert load.measured(0.25, 1.1) == SERVE
    assert load.measured(0.0, 1.2) == SERVE
    assert load.measured(0.25, 1.7) == SERVE
    assert load.measured(0.25, 2.0) == NO_NEW_CALLS
    assert load.measured(0.25, 2.5) == NO_NEW_CALLS
    # 2. A second of it, and registrations are refused too.
    assert load.measured(0.25, 3.1) == NOTHING_NEW
    # 3. Two seconds without lag are one step back.
    assert load.measured(0.0, 4.0) == NOTHING_NEW
    assert load.measured(0.0, 5.2) == NO_NEW_CALLS
    assert load.measured(0.0, 6.0) == NO_NEW_CALLS
    assert load.measured(0.0, 7.3) == SERVE
    # 4. Afterwards it begins anew.
    assert load.measured(0.25, 20.0) == SERVE
    assert load.measured(0.25, 20.3) == NO_NEW_CALLS


async def test_a_busy_loop_is_noticed() -> None:
    heard: asyncio.Queue[frozenset[str]] = asyncio.Queue()
    watch = LoadWatch(0.05, heard.put_nowait)
    await asyncio.sleep(0.15)
    for _ in range(3):
        time.sleep(0.3)  # noqa: ASYNC251 (the loop is to be late)
        await asyncio.sleep(0)
    assert await asyncio.wait_for(heard.get(), PATIENCE) == NO_NEW_CALLS
    watch.stop()


class Line:
    """A connection in the flow table."""

    def __init__(self, flows: FlowTable, number: int) -> None:
        remote = (f"127.0.0.{number % 200 + 1}", number)
        self.flow = Flow(FlowId(f"ws-{number}"), Transport.WS, remote, ("127.0.0.1", 1), "x", False, True)
        self.flows, self.closed = flows, ""
        flows.add(self)

    def send(self, data: bytes) -> bool:
        return True

    def close(self, code: int, slug: str) -> None:
        self.closed = f"{code} {slug}"
        self.flows.remove(self)


async def test_ws_15_idle_flows_are_spread_and_calls_are_waited_for() -> None:
    flows = FlowTable(1000, 1000)
    lines = [Line(flows, number) for number in range(60)]
    busy = {line.flow.id for line in lines[:3]}
    draining = asyncio.create_task(Drain(flows, lambda flow: flow.id in busy, lambda: bool(busy), 10.0).run())
    # 1. Not all in the same moment: a hundred a second at most, whatever the spread.
    while len(flows) == 60:
        await asyncio.sleep(0)
    assert len(flows) > 3
    # 2. Idle ones all in the end, those with calls not.
    async with asyncio.timeout(PATIENCE):
        while len(flows) > 3:
            await asyncio.sleep(0.02)
    assert [line.closed for line in lines[:3]] == ["", "", ""]
    assert {line.closed for line in lines[3:]} == {"1012 node-draining"}
    # 3. A call that ends frees its flow.
    busy.clear()
    await asyncio.wait_for(draining, PATIENCE)
    assert len(flows) == 0
