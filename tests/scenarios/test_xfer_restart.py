"""A call that a transfer has joined survives the death of the signalling process like any other (LIVE-15, XFER-4)."""

from offhook.sip.events import UsageId
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.restart import restart
from tests.support.transferring import answer_notify, bridged, dialog, refer, second_call


def test_a_joined_call_is_taken_back_whole(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    carol = house.callee("carol")
    answer_notify(alice)
    second = second_call(alice, "carol")
    carol.respond(200, SDP)
    named = dialog(alice, UsageId(second)).replace(";", "%3B").replace("=", "%3D")
    refer(alice, f"<sip:carol@{DOMAIN}?Replaces={named}>")
    link.run(3)
    before = house.call()
    open_before = dict(house.media.open)
    restart(house)
    call = house.call()
    # 1. both far ends, both of the engine's calls, and the transferor's call is not brought back
    assert [leg.account.username for leg in call.parties if leg.account] == ["bob", "carol"]
    assert call.media_calls == before.media_calls
    assert len(call.media_calls) == 2
    assert len(house.node.switchboard.calls()) == 1
    assert house.media.open == open_before
    # 2. BYE from one reaches the other
    carol.hang_up(carol.ringing)
    assert bob.got("BYE")
    link.run(200)
    assert house.node.switchboard.calls() == []
    assert house.media.open == {}


def test_a_call_that_was_replaced_is_taken_back_with_the_new_leg(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    desk = house.caller("alice", "desk")
    desk.dial("bob", Replaces=dialog(alice))
    assert alice.got("BYE")
    ref = house.call().caller.ref
    restart(house)
    assert house.call().caller.ref == ref
    bob.hang_up(bob.ringing)
    link.run(300)
    assert house.node.switchboard.calls() == []
    assert house.media.open == {}


def test_a_transfer_under_way_gives_the_old_call_back(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    carol = house.callee("carol")
    answer_notify(alice)
    refer(alice, f"<sip:carol@{DOMAIN}>")
    carol.respond(180)
    restart(house)
    # What rang is lost, but bob hears alice again and no ringback.
    assert bridged(house) == {frozenset(("alice", "bob"))}
    bob.hang_up(bob.ringing)
    link.run(300)
    assert house.node.switchboard.calls() == []
    assert house.media.open == {}


def test_a_transferee_who_waits_alone_is_told(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    carol = house.callee("carol")
    answer_notify(alice)
    refer(alice, f"<sip:carol@{DOMAIN}>", seconds=0.05)
    alice.hang_up()
    carol.respond(180)
    restart(house)
    assert "lost in a restart" in (bob.got("BYE")[0].headers.get("Reason") or "")
    link.run(300)
    assert house.node.switchboard.calls() == []
    assert house.media.open == {}
