"""What one call costs does not grow with the calls that stand, and calls leave nothing for the cycle collector.

Counted, not timed: the bytecodes that the core executes for a whole call, and the objects that only a collection frees.
"""

import gc
import sys
from collections import deque
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
from tests.support.transferring import answer_notify, dialog, refer, second_call

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
        known = carried._aors[bob.flow.id]
        # `in` walks through a tuple, which the watch below would hide.
        assert isinstance(known, set)
        watched = carried._aors[bob.flow.id] = Watched(known)
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


def containers(root: object) -> dict[str, int]:
    """What the dicts, lists, sets and queues within the core hold, by where they are; not what has a length of its own."""
    found: dict[str, int] = {}
    seen, todo = {id(root)}, [("", root)]
    while todo:
        path, one = todo.pop()
        inner: list[tuple[str, object]] = []
        if isinstance(one, dict | list | set | deque | tuple | frozenset):
            if not isinstance(one, tuple | frozenset) and getattr(one, "maxlen", None) is None:
                found[path] = found.get(path, 0) + len(one)
            inner = [(f"{path}[]", value) for value in (*one, *(one.values() if isinstance(one, dict) else ()))]
        elif type(one).__module__.startswith("offhook."):
            slots = [name for of in type(one).__mro__ for name in getattr(of, "__slots__", ())]
            names = dict.fromkeys((*slots, *getattr(one, "__dict__", {})))
            inner = [(f"{path}.{name}", getattr(one, name, None)) for name in names]
        todo += [(to, value) for to, value in inner if id(value) not in seen]
        seen.update(id(value) for _, value in inner)
    return found


def transferred(alice: Phone, bob: Phone, carol: Phone, answer: int) -> None:
    """Alice sends Bob to Carol, who takes the call or does not."""
    call(alice, bob)
    refer(alice, f"<sip:carol@{DOMAIN}>")
    if answer == 200:
        carol.respond(200, SDP)
        alice.house.link.run(3)
        bob.hang_up(bob.ringing)
    else:
        carol.respond(answer)
        alice.hang_up()


def consulted(alice: Phone, bob: Phone, carol: Phone) -> None:
    """Alice asks Carol first, and Carol talks with Bob longer than the trace of Alice's second call is open."""
    call(alice, bob)
    usage = second_call(alice, "carol")
    carol.respond(200, SDP)
    named = dialog(alice, usage).replace(";", "%3B").replace("=", "%3D").replace("@", "%40")
    refer(alice, f"<sip:carol@{DOMAIN}?Replaces={named}>", seconds=10)
    alice.house.node.recorder.finished(alice.house.link.now)
    carol.hang_up(carol.ringing)


def refused(alice: Phone, bob: Phone, target: str, status: int) -> None:
    """A call that comes to nothing."""
    alice.call = UsageId(f"call-{next(NUMBERS)}")
    alice.dial(target)
    if target == "bob":
        bob.respond(status)


def test_no_container_grows_with_the_calls_that_are_over() -> None:
    house, alice, bob = busy_house()
    carol = house.callee("carol")
    answer_notify(alice)
    core = house.node
    core.recorder._limits = replace(core.recorder._limits, calls=7)
    core.switchboard._config = replace(core.switchboard._config, ended_kept=7)
    sizes: list[dict[str, int]] = []
    for _ in range(3):
        for _ in range(4):
            whole_call(alice, bob)
            refused(alice, bob, "nobody", 404)
            refused(alice, bob, "bob", 486)
            transferred(alice, bob, carol, 200)
            transferred(alice, bob, carol, 486)
            consulted(alice, bob, carol)
        house.link.run(200)
        core.recorder.finished(house.link.now)
        core.recorder.forget_strangers(lambda _: False)
        rooms = {"calls": core.switchboard, "sip": core.endpoint, "trace": core.recorder}
        sizes.append({room + path: size for room, one in rooms.items() for path, size in containers(one).items()})
        # 1. As many ended calls are kept as may be.
        assert (len(core.recorder._ended), len(core.switchboard._ended)) == (7, 7)
    # 2. Nothing else has become more since those tables were full.
    assert {path: size for path, size in sizes[2].items() if size != sizes[1].get(path)} == {}
