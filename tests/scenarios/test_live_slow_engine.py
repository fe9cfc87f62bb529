"""The engine takes its time to open: whatever ends the call meanwhile, no leg stays open and it is logged once."""

import pytest

from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.commands import HangUpCall
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP


def opening(link: Link) -> tuple[House, Phone, Phone]:
    """Alice has dialled, the engine will need two seconds."""
    house = House(link)
    alice, bob = house.caller(), house.callee()
    house.media.slow = 2.0
    alice.dial("bob")
    assert len(house.media.of(do.OpenMedia)) == 1
    assert not bob.got("INVITE")
    return house, alice, bob


def test_the_caller_hears_at_once_that_it_is_tried(link: Link) -> None:
    house, alice, bob = opening(link)
    assert link.arrows() == ["alice: INVITE", "offhook: 100 INVITE"]
    link.run(2)
    bob.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_the_caller_gives_up_meanwhile(link: Link) -> None:
    house, alice, bob = opening(link)
    alice.cancel()
    # 1. the caller does not wait for the engine
    assert alice.final().status == 487
    link.run(10)
    # 2. the callee never hears of it, the legs are closed again
    assert bob.got("INVITE") == []
    assert len(house.media.of(do.CloseMedia)) == 1
    house.assert_nothing_left(alice, bob)
    assert [one.call_ref for one in house.node.log] == [house.call().ref]


def test_the_api_hangs_up_meanwhile(link: Link) -> None:
    house, alice, bob = opening(link)
    house.apply(lambda: house.node.command(HangUpCall(house.call().ref, "api_hangup")))
    assert alice.final().status >= 400
    house.assert_nothing_left(alice, bob)
    assert bob.got("INVITE") == []


def test_the_engine_refuses_after_the_caller_gave_up(link: Link) -> None:
    house, alice, bob = opening(link)
    house.media.refuse = "ports_exhausted"
    alice.cancel()
    house.assert_nothing_left(alice, bob)
    assert alice.final().status == 487


def test_the_callers_flow_breaks_meanwhile(link: Link) -> None:
    house, alice, bob = opening(link)
    link.disconnect(alice.there.id)
    link.run(10)
    assert len(bob.got("INVITE")) == len(bob.got("CANCEL"))
    house.assert_nothing_left(bob)


@pytest.mark.parametrize("code", ["engine_lost", "ports_exhausted"])
def test_a_refusal_says_which(link: Link, code: str) -> None:
    house, alice, bob = opening(link)
    house.media.refuse = code
    link.run(3)
    assert alice.final().status == 503
    slug = {"engine_lost": "media-engine-lost", "ports_exhausted": "media-ports-exhausted"}[code]
    assert slug in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice, bob)


def test_an_engine_lost_while_it_rings(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(180)
    house.media.open.clear()
    house.media.calls.clear()
    house.apply(lambda: house.node.tell(did.EngineLost()))
    assert alice.final().status == 503
    assert "media-engine-lost" in (alice.final().headers.get("Warning") or "")
    assert bob.got("CANCEL")
    house.assert_nothing_left(alice, bob)


def test_the_engine_is_slow_with_everything(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    house.media.slow = 0.5
    alice.dial("bob")
    link.run(1)
    bob.respond(183, SDP)
    bob.respond(200, SDP)
    alice.ask("INVITE", SDP + b"a=sendonly\r\n")
    bob.hang_up(bob.ringing)
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
    assert len(house.node.log) == 1
