"""What one call costs does not grow with the calls that stand, and calls leave nothing for the cycle collector.

Counted, not timed: the bytecodes that the core executes for a whole call, and the objects that only a collection frees.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from types import FrameType
from typing import Any

import pytest

from offhook.calls import events as did
from offhook.calls.ports import Quality
from offhook.sip.events import UsageId
from offhook.sip.location import Binding
from offhook.sip.uri import parse_uri
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.registering import Registering

NUMBERS = count()
FEW, MANY = 10, 1_000
SLACK = 1.1
"""Digits of longer numbers, and the odd look at a limit."""


def executed(work: Callable[[], object]) -> int:
    """Bytecodes of `offhook` that the work executes."""
    done = 0

    def step(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal done
        done += event == "opcode"
        return step

    def enter(frame: FrameType, event: str, _: Any) -> Any:
        if "/offhook/" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        work()
    finally:
        sys.settrace(before)
    return done


def busy_house() -> tuple[House, Phone, Phone]:
    """Alice and Bob, who may have any number of calls."""
    house = House(Link(), call_rate=1e6)
    for name, account in house.node.accounts.items():
        house.node.accounts[name] = replace(account, max_calls=10 * MANY)
    return house, house.caller(), house.callee()


def call(alice: Phone, bob: Phone) -> None:
    """One more call, answered."""
    alice.call = UsageId(f"call-{next(NUMBERS)}")
    alice.dial("bob")
    bob.respond(200, SDP)


def whole_call(alice: Phone, bob: Phone) -> None:
    """A call from INVITE to BYE."""
    call(alice, bob)
    alice.hang_up()


@pytest.mark.source
def test_a_call_and_a_media_event_cost_the_same_among_a_thousand_calls() -> None:
    house, alice, bob = busy_house()
    costs: dict[int, list[int]] = {}
    for standing in (FEW, MANY):
        while len(house.node.switchboard.calls()) < standing:
            call(alice, bob)
        leg = house.node.switchboard.calls()[standing // 2].caller
        assert leg.media is not None
        report = did.QualityReported(leg.media.leg, Quality(packets_in=standing))
        costs[standing] = [
            executed(lambda: whole_call(alice, bob)),
            executed(lambda event=report: house.node.tell(event)),  # type: ignore[misc]
        ]
        # 1. The event reached its leg.
        assert leg.quality.packets_in == standing
        # 2. The call came and went.
        assert len(house.node.switchboard.calls()) == standing
    # 3. Neither costs more than it did among few.
    for few, many in zip(costs[FEW], costs[MANY], strict=True):
        assert few > 0
        assert many <= SLACK * few, costs


class Watched(set[str]):
    """A set that notes when somebody goes through it, which no count of bytecodes shows."""

    walks = 0

    def __iter__(self) -> Iterator[str]:
        self.walks += 1
        return super().__iter__()


@pytest.mark.source
def test_a_refresh_costs_the_same_among_a_thousand_others_on_its_flow() -> None:
    bob = Registering(Link())
    carried = bob.node.node._registrar._carried
    contact = "<sip:bob@192.0.2.1:5070>"
    bob.register(contact)
    costs: dict[int, int] = {}
    for standing in (FEW, MANY):
        for number in range(standing):
            aor = f"sip:other{number}@{DOMAIN}"
            other = Binding(aor, parse_uri(contact[1:-1]), bob.flow, "call", 1, 1e9)
            carried.rewritten(aor, (), (other,), bob.link.now)
        watched = carried._aors[bob.flow.id] = Watched(carried._aors[bob.flow.id])
        answers: list[int] = []
        costs[standing] = executed(lambda kept=answers: kept.append(bob.register(contact).status))  # type: ignore[misc]
        # 1. The refresh was challenged and served.
        assert answers == [200]
        # 2. Nobody went through what else is registered by way of the same proxy or PBX.
        assert watched.walks == 0
    # 3. It makes the refresh no dearer.
    assert costs[MANY] <= SLACK * costs[FEW], costs


def test_calls_leave_no_cycles() -> None:
    house, alice, bob = busy_house()
    for _ in range(3):
        whole_call(alice, bob)
    house.link.run(40)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(20):
            whole_call(alice, bob)
        house.link.run(40)
        gc.collect()
        left = [one for one in gc.garbage if type(one).__module__.startswith("offhook")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    # 1. Everything that is not kept was freed when its last user let go of it.
    assert left == []
