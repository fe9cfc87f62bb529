"""The races of RFC 5407 through the house: whoever crosses whom, both sides believe the same, and nothing is left.

A script plays the side whose messages the RFC's figure orders; the other side is a phone. CALL-8, CALL-12, CALL-13.
"""

import pytest

from offhook.calls.call import CallState
from offhook.sip.commands import HangUp, SendInDialog
from tests.support.house import WITH_SDP, House
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.script import Script

MOVED = SDP.replace(b"4000", b"4100")
HELD = SDP + b"a=sendonly\r\n"
pytestmark = pytest.mark.ladder


@pytest.fixture
def house(link: Link) -> House:
    return House(link)


def test_rfc5407_3_1_1_invite_resent_in_moratorium(house: House, link: Link) -> None:
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(200, SDP)
    # A copy of the INVITE crosses the 200: absorbed, not taken for a second call and not answered again by the copy.
    before = len(script.heard("INVITE"))
    script.invite()
    assert len(script.heard("INVITE")) == before
    assert len(bob.got("INVITE")) == 1
    script.confirm()
    script.send("BYE", 2, script.tag)
    house.assert_nothing_left(bob)


def test_rfc5407_3_1_2_cancel_in_moratorium(house: House, link: Link) -> None:
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(180)
    bob.respond(200, SDP)
    script.send("CANCEL", branch="z9hG4bKINVITE1")
    # 1. CANCEL is answered and means nothing more: the call stands until BYE
    assert script.heard("CANCEL") == [200]
    assert 487 not in script.heard("INVITE")
    assert house.call().state is CallState.TALKING
    script.confirm()
    script.send("BYE", 2, script.tag)
    # 2. and with it both sides end
    assert script.heard("BYE") == [200]
    assert bob.got("BYE")
    house.assert_nothing_left(bob)


def test_rfc5407_3_1_3_early_bye_in_moratorium(house: House, link: Link) -> None:
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(180)
    bob.respond(200, SDP)
    script.send("BYE", 2, script.tag)
    # 1. answered; the callee is hung up at once
    assert script.heard("BYE") == [200]
    assert bob.got("BYE")
    # 2. the 200 is repeated until the ACK that may yet come
    link.run(0.6)
    script.confirm()
    repeated = len(script.heard("INVITE"))
    link.run(40)
    assert len(script.heard("INVITE")) == repeated
    house.assert_nothing_left(bob)


def test_rfc5407_3_1_4_reinvite_in_moratorium_case_1(house: House, link: Link) -> None:
    """The ACK is lost or late and a re-INVITE is there first: offer and answer are done, so it is served."""
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(200, SDP)
    script.send("INVITE", 2, script.tag, body=MOVED)
    assert script.heard("INVITE")[-1] == 200
    script.send("ACK", 2, script.tag)
    # The first 200 still wants its own ACK.
    script.send("ACK", 1, script.tag)
    repeated = len(script.heard("INVITE"))
    link.run(40)
    assert len(script.heard("INVITE")) == repeated
    script.send("BYE", 3, script.tag)
    house.assert_nothing_left(bob)


def test_rfc5407_3_1_5_reinvite_in_moratorium_case_2(house: House, link: Link) -> None:
    """The ACK that is missing carries the answer: another offer now is 491."""
    script, bob = Script(house), house.callee()
    script.send("INVITE")
    bob.respond(200, SDP)
    script.send("INVITE", 2, script.tag, body=MOVED)
    assert script.heard("INVITE")[-1] == 491
    script.send("ACK", 2, script.tag, branch="z9hG4bKINVITE2")
    script.send("ACK", 1, script.tag, body=SDP)
    # Then it is welcome.
    script.send("INVITE", 3, script.tag, body=MOVED)
    assert script.heard("INVITE")[-1] == 200
    script.send("ACK", 3, script.tag)
    script.send("BYE", 4, script.tag)
    house.assert_nothing_left(bob)


def test_rfc5407_3_1_6_bye_in_moratorium(house: House, link: Link) -> None:
    """The callee hangs up before the caller's ACK: no BYE to the caller until it comes (RFC 3261 section 15)."""
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(200, SDP)
    bob.hang_up(bob.ringing)
    assert script.asked("BYE") == []
    script.confirm()
    assert len(script.asked("BYE")) == 1
    script.answer(200)
    house.assert_nothing_left(bob)


def test_rfc5407_3_2_1_bye_crosses_bye(house: House, link: Link) -> None:
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(200, SDP)
    script.confirm()
    bob.station.perform(HangUp(bob.ringing))
    link.run(0.03)
    # The house's BYE is on its way to the caller when the caller's own comes: both are answered 200.
    script.send("BYE", 2, script.tag)
    assert script.heard("BYE") == [200]
    script.answer(200)
    house.assert_nothing_left(bob)
    assert len(house.node.log) == 1


def test_rfc5407_3_2_2_reinvite_after_bye(house: House, link: Link) -> None:
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(200, SDP)
    script.confirm()
    tag = script.tag
    bob.station.perform(HangUp(bob.ringing))
    link.run(0.03)
    # The caller's re-INVITE crosses the house's BYE.
    script.send("INVITE", 2, tag, body=MOVED)
    assert script.heard("INVITE")[-1] == 481
    script.send("ACK", 2, tag, branch="z9hG4bKINVITE2")
    script.answer(200)
    house.assert_nothing_left(bob)


def test_rfc5407_3_2_3_reinvite_200_after_bye(house: House, link: Link) -> None:
    """The 200 to a re-INVITE of ours comes after the peer's BYE was answered: it still gets its ACK."""
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(200, SDP)
    script.confirm()
    usage = house.call().caller.usage
    house.station.perform(SendInDialog(usage, "INVITE", WITH_SDP, SDP))
    link.run(0.03)
    script.send("BYE", 2, script.tag)
    assert script.heard("BYE") == [200]
    script.answer(200, MOVED, method="INVITE")
    acks = [one for one in script.phone.station.received if getattr(one, "method", "") == "ACK"]
    assert [one.headers.get("CSeq") for one in acks] == ["1 ACK"]
    house.assert_nothing_left(bob)


def test_rfc5407_3_2_4_ack_after_bye(house: House, link: Link) -> None:
    """The ACK to a re-INVITE is overtaken by the BYE of the same side: BYE ends the call, the late ACK ends the repeats."""
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(200, SDP)
    script.confirm()
    script.send("INVITE", 2, script.tag, body=MOVED)
    script.send("BYE", 3, script.tag)
    assert script.heard("BYE") == [200]
    script.send("ACK", 2, script.tag)
    repeated = len(script.heard("INVITE"))
    link.run(40)
    assert len(script.heard("INVITE")) == repeated
    house.assert_nothing_left(bob)


def test_rfc5407_3_3_1_reinvite_crossover(house: House, link: Link) -> None:
    """Both sides of one leg offer: each refuses the other's with 491 (CALL-8), and the session is as it was."""
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(200, SDP)
    script.confirm()
    usage = house.call().caller.usage
    house.station.perform(SendInDialog(usage, "INVITE", WITH_SDP, SDP))
    link.run(0.03)
    script.send("INVITE", 2, script.tag, body=HELD)
    assert script.heard("INVITE")[-1] == 491
    script.send("ACK", 2, script.tag, branch="z9hG4bKINVITE2")
    script.answer(491, method="INVITE")
    # The second try of the other side does not meet a trace of the first.
    script.send("INVITE", 3, script.tag, body=HELD)
    assert script.heard("INVITE")[-1] == 200
    script.send("ACK", 3, script.tag)
    script.send("BYE", 4, script.tag)
    house.assert_nothing_left(bob)


def test_rfc5407_3_3_2_update_reinvite_crossover(house: House, link: Link) -> None:
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(200, SDP)
    script.confirm()
    usage = house.call().caller.usage
    house.station.perform(SendInDialog(usage, "UPDATE", WITH_SDP, SDP))
    link.run(0.03)
    # 1. our UPDATE with an offer is on its way: their re-INVITE is 491
    script.send("INVITE", 2, script.tag, body=HELD)
    assert script.heard("INVITE")[-1] == 491
    script.send("ACK", 2, script.tag, branch="z9hG4bKINVITE2")
    script.answer(491, method="UPDATE")
    # 2. with both settled an UPDATE is served
    script.send("UPDATE", 3, script.tag, body=HELD)
    assert script.heard("UPDATE")[-1] == 200
    script.send("BYE", 4, script.tag)
    house.assert_nothing_left(bob)


def test_rfc5407_3_3_3_refer_after_bye(house: House, link: Link) -> None:
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(200, SDP)
    script.confirm()
    tag = script.tag
    bob.station.perform(HangUp(bob.ringing))
    link.run(0.03)
    script.send("REFER", 2, tag, Refer_To="<sip:carol@example.com>")
    assert script.heard("REFER")[-1] == 481
    script.answer(200, method="BYE")
    house.assert_nothing_left(bob)


def test_rfc5407_two_pages_hang_up_in_the_same_instant(house: House, link: Link) -> None:
    alice, bob = house.talking()
    alice.station.perform(HangUp(alice.call))
    bob.station.perform(HangUp(bob.ringing))
    house.assert_nothing_left(alice, bob)
    assert house.call().ended_by in ("caller", "callee")
    assert len(house.node.log) == 1


def test_rfc5407_cancel_crosses_the_answer_of_the_callee(house: House, link: Link) -> None:
    """3.1.2 seen from the other side of the house: its CANCEL crosses the callee's 200."""
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(180)
    link.delay("bob", "200 INVITE", 1.0)
    bob.respond(200, SDP)
    alice.cancel()
    link.run(3)
    # 1. the caller's CANCEL won here
    assert alice.final().status == 487
    # 2. the callee had answered: CANCEL comes too late, so ACK and BYE follow
    assert bob.got("CANCEL")
    assert bob.got("ACK")
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob)
    assert house.call().end_code == "caller_canceled"
