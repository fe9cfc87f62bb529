"""Trunk calls under any order of dialling, answers, silence, broken connections and a slow engine.

Nothing is left behind, no channel is lost, and every caller gets exactly one final response.
"""

import random

import pytest

from offhook.calls.commands import DropTrunk
from offhook.sip.commands import HangUp, RespondInvite
from offhook.sip.events import InviteReceived, UsageId
from offhook.sip.flow import Transport
from offhook.sip.message import Headers
from tests.support.carriers import Carrier, TrunkHouse
from tests.support.house import WITH_SDP, Phone
from tests.support.link import Link
from tests.support.messages import SDP

ADDRESSES = ("198.51.100.1", "198.51.100.2", "198.51.100.3")
STATUSES = (180, 183, 200, 200, 200, 302, 403, 404, 408, 480, 486, 488, 500, 503, 503, 603)


class Storm:
    """One sequence of one seed."""

    def __init__(self, link: Link, seed: int) -> None:
        self.luck = random.Random(seed)
        self.link = link
        self.house = TrunkHouse(link, rate=100.0, burst=100.0)
        self.house.media.slow = self.luck.choice((0.0, 0.0, 0.4))
        self.carriers = [self.house.carrier(one, self.luck.choice((Transport.UDP, Transport.TLS))) for one in ADDRESSES]
        self.set_up()
        self.callers = [self.house.caller(name) for name in ("alice", "bob", "carol")]
        self.house.node.numbers["+15125550100"] = "carol"
        self.dialled = 0
        self.placed: list[tuple[Phone, UsageId]] = []

    def set_up(self) -> None:
        for at, address in enumerate(ADDRESSES):
            others = [{"uri": f"sip:{one}", "priority": 20} for one in ADDRESSES if one != address]
            fields = {"targets": [{"uri": f"sip:{address}"}, *others], "max_channels": self.luck.choice((1, 2, 30))}
            self.house.trunk(f"t{at}", allowed_prefixes=["+1"], priority=10 * at, **fields)

    def step(self) -> None:
        """Something happens."""
        phone, carrier = self.luck.choice(self.callers), self.luck.choice(self.carriers)
        match self.luck.randrange(10):
            case 0 | 1:
                self.dial(phone)
            case 2 | 3 | 4:
                self.answer(carrier)
            case 5:
                phone.cancel() if self.luck.random() < 0.5 else phone.hang_up()
            case 6:
                self.hang_up(carrier)
            case 7:
                self.link.drop(carrier.address, "100 INVITE", self.luck.randrange(1, 4))
            case 8 if carrier.back.transport.reliable:
                old = carrier.back.id
                carrier.there, carrier.back = self.link.connect(
                    carrier.station, self.house.station, Transport.TLS, 5061, carrier.address
                )
                self.link.disconnect(old)
            case 9:
                carrier.refuses = self.luck.choice(("", "", "trunk_unreachable"))
            case _:
                pass
        self.link.run(self.luck.choice((0.05, 0.5, 3.0)))

    def dial(self, phone: Phone) -> None:
        self.dialled += 1
        phone.call = UsageId(f"call-{self.dialled}-of-{phone.name}")
        self.placed.append((phone, phone.call))
        phone.dial(self.luck.choice(("+14155550123", "+14155550124", "911", "5555")))

    def answer(self, carrier: Carrier) -> None:
        events = carrier.station.of(InviteReceived)
        if events:
            event = self.luck.choice(events[-3:])
            assert isinstance(event, InviteReceived)
            status = self.luck.choice(STATUSES)
            body = SDP if status in (183, 200) else b""
            carrier.station.perform(RespondInvite(event.usage, status, WITH_SDP if body else Headers(), body))

    def hang_up(self, carrier: Carrier) -> None:
        events = carrier.station.of(InviteReceived)
        if events:
            event = self.luck.choice(events[-3:])
            assert isinstance(event, InviteReceived)
            carrier.station.perform(HangUp(event.usage))


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_left_and_every_caller_is_answered_once(link: Link, seed: int) -> None:
    storm = Storm(link, seed)
    for _ in range(30):
        storm.step()
    for phone, usage in storm.placed:
        phone.station.perform(HangUp(usage))
    link.run(200)
    for at in range(len(ADDRESSES)):
        trunk = storm.house.state(f"t{at}").usage
        assert not trunk.legs_in | trunk.legs_out, f"t{at} keeps a channel"
        storm.house.apply(lambda at=at: storm.house.node.command(DropTrunk(f"t{at}")))
    link.run(200)
    assert storm.house.node.switchboard.calls() == []
    assert storm.house.media.open == {}
    left = storm.house.node.endpoint
    assert (left.transactions, left.usages) == (0, 0)
    finals = sum(len({one.headers.get("Call-ID") for one in phone.answers("INVITE")}) for phone in storm.callers)
    assert finals == storm.dialled
