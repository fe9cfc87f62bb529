"""Sound before the answer (CALL-6; 4.1 rows 2 to 7): one description for the caller, sources that switch behind it."""

from dataclasses import replace

import pytest

from offhook.calls import effects as do
from offhook.calls.ports import SourceKind
from offhook.sip.flow import Transport
from offhook.sip.message import Response
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP

OTHER = SDP.replace(b"4000", b"5000")


def informed(phone: Phone, status: int) -> list[Response]:
    """1xx that came to a caller, copies left out."""
    found = [one for one in phone.station.received if isinstance(one, Response) and one.status == status]
    return list({(one.headers.get("RSeq"), one.body): one for one in found}.values())


def hears(house: House) -> object:
    """What the caller's leg hears: the leg bridged with it, or what a player plays."""
    caller = house.call().caller.media
    assert caller is not None
    return house.media.source_of(caller.leg)


def leg_of(house: House, phone: Phone) -> int:
    """The engine's leg of a device."""
    leg = next(one for one in house.call().legs if one.flow.id == phone.back.id)
    assert leg.media is not None
    return leg.media.leg


def test_early_media_two_forks(link: Link) -> None:
    house = House(link)
    alice = house.caller(transport=Transport.WSS)
    desk, cell = house.callee(name="desk"), house.callee(name="cell")
    alice.dial("bob")
    desk.respond(183, SDP)
    cell.respond(183, OTHER)
    # 1. one answer to the browser, and the branch heard first keeps the ear
    assert len(informed(alice, 183)) == 1
    assert hears(house) == leg_of(house, desk)
    # 1.1 nor does it hear of a ringing device, or of more from the one that it hears: its own tone would cover the sound
    cell.respond(180)
    desk.respond(183, SDP)
    assert informed(alice, 180) == []
    assert hears(house) == leg_of(house, desk)
    # 2. when it ends the other is heard, and the browser is not told
    answers = len(alice.station.received)
    desk.respond(486)
    assert hears(house) == leg_of(house, cell)
    assert len(alice.station.received) == answers
    # 3. its 200 leaves out what its reliable 183 said; the browser's repeats the one answer byte for byte
    cell.respond(200, OTHER)
    assert alice.final().body == informed(alice, 183)[0].body
    assert hears(house) == leg_of(house, cell)
    alice.hang_up()
    house.assert_nothing_left(alice, desk, cell)


def test_a_199_ends_the_early_dialog_that_is_heard(link: Link) -> None:
    """RFC 6228: received and mapped, never sent."""
    house = House(link)
    alice, bob = house.caller(transport=Transport.WSS), house.callee()
    alice.dial("bob")
    bob.respond(183, SDP)
    assert hears(house) == leg_of(house, bob)
    bob.respond(199)
    assert hears(house) is SourceKind.RINGBACK
    assert informed(alice, 199) == []
    bob.respond(486)
    assert alice.final().status == 486
    house.assert_nothing_left(alice, bob)


def test_early_media_before_keys(link: Link) -> None:
    """Nothing leaks: the engine knows both halves before it bridges, and the caller hears of it last."""
    house = House(link)
    alice, bob = house.caller(transport=Transport.WSS), house.callee()
    alice.dial("bob")
    bob.respond(183, SDP)
    kinds = [type(one) for one in house.media.told]
    assert kinds == [do.OpenMedia, do.CompleteMedia, do.CompleteMedia, do.BridgeMedia]
    alice.cancel()
    house.assert_nothing_left(alice, bob)


def test_ringback_after_early_media(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(transport=Transport.WSS), house.callee()
    alice.dial("bob")
    bob.respond(183, SDP)
    assert hears(house) == leg_of(house, bob)
    # 1. 180 without a description behind it: the caller's own tone is off, so the engine rings
    bob.respond(180)
    assert hears(house) is SourceKind.RINGBACK
    assert [one.body for one in informed(alice, 180)] == [b""]
    # 2. the answer is heard
    bob.respond(200, SDP)
    assert hears(house) == leg_of(house, bob)
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob)


def test_only_180_leaves_the_tone_to_the_caller(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(180)
    assert house.media.of(do.PlayMedia) == []
    assert [one.body for one in informed(alice, 180)] == [b""]
    alice.cancel()
    house.assert_nothing_left(alice, bob)


def test_the_ear_is_lost_and_nobody_else_brings_sound(link: Link) -> None:
    house = House(link)
    alice = house.caller(transport=Transport.WSS)
    desk, cell = house.callee(name="desk"), house.callee(name="cell")
    alice.dial("bob")
    cell.respond(180)
    desk.respond(183, SDP)
    desk.respond(480)
    assert hears(house) is SourceKind.RINGBACK
    alice.cancel()
    house.assert_nothing_left(alice, desk, cell)


def test_early_media_off(link: Link) -> None:
    house = House(link)
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], early_media=False)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(183, SDP)
    # The caller rings by itself; the callee's description is kept for the answer, which leaves it out.
    assert informed(alice, 183) == []
    assert len(informed(alice, 180)) == 1
    bob.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_client_that_takes_one_18x_gets_one(link: Link) -> None:
    house = House(link)
    house.node.accounts["alice"] = replace(house.node.accounts["alice"], single_provisional=True)
    alice, desk, cell = house.caller(), house.callee(name="desk"), house.callee(name="cell")
    alice.dial("bob")
    desk.respond(180)
    cell.respond(183, SDP)
    desk.respond(180)
    came = [one.status for one in alice.station.received if isinstance(one, Response) and 100 < one.status < 200]
    assert came == [180]
    cell.respond(200, SDP)
    assert alice.final().body
    alice.hang_up()
    house.assert_nothing_left(alice, desk, cell)


def test_late_offer_from_trunk(link: Link) -> None:
    """4.1 row 2 for a peer with 100rel: our offer in the first reliable 1xx, the answer in the PRACK, silence after."""
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.device.late_answer = OTHER
    alice.dial("bob", body=b"")
    # 1. the callee never sees a late offer
    assert bob.invite.body
    bob.respond(180)
    offer = informed(alice, 180)[0]
    assert b"m=audio" in offer.body
    assert offer.headers.get("Require") == "100rel"
    # 2. the answer of the PRACK completes the caller's leg
    completed = house.media.of(do.CompleteMedia)[-1]
    assert isinstance(completed, do.CompleteMedia)
    assert completed.remote.port == 5000
    # 3. the 200 says it no more, and the ACK has nothing to answer
    bob.respond(200, SDP)
    assert alice.final().body == b""
    assert alice.got("BYE") == []
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_late_offer_with_early_media(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.device.late_answer = OTHER
    alice.dial("bob", body=b"")
    bob.respond(183, SDP)
    assert b"m=audio" in informed(alice, 183)[0].body
    assert hears(house) == leg_of(house, bob)
    bob.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_late_offer_without_an_answer_in_the_prack_is_refused(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", body=b"")
    bob.respond(180)
    assert alice.final().status == 488
    assert bob.got("CANCEL")
    house.assert_nothing_left(alice, bob)


def test_late_offer_without_100rel_is_made_in_the_200(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(transport=Transport.WSS), house.callee()
    alice.device.late_answer = OTHER
    alice.dial("bob", body=b"")
    bob.respond(180)
    assert informed(alice, 180)[0].body == b""
    bob.respond(200, SDP)
    assert b"m=audio" in alice.final().body
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_update_in_early_dialog(link: Link) -> None:
    """B moves its media before it answers (RFC 3311 section 5.2)."""
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(183, SDP)
    told = len(alice.station.received)
    bob.ask("UPDATE", OTHER, usage=bob.ringing)
    # 1. answered here, the media of its leg moves, it still rings, and the caller hears nothing of it
    assert [one.status for one in bob.answers("UPDATE")] == [200]
    completed = house.media.of(do.CompleteMedia)[-1]
    assert isinstance(completed, do.CompleteMedia)
    assert completed.remote.port == 5000
    assert not house.call().branches[0].confirmed
    assert len(alice.station.received) == told
    # 2. its 200 without description means the new place
    bob.respond(200, SDP)
    assert [one.remote.port for one in house.media.of(do.CompleteMedia)][-1] == 5000  # type: ignore[union-attr]
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize("heard", [True, False])
def test_a_refused_update_in_the_early_dialog_leaves_its_description(link: Link, heard: bool) -> None:
    """RFC 6141, RFC 3311 section 5.2: the 200 without a description means what the 183 said; whether the branch is the one
    that the caller hears or another."""
    house = House(link)
    alice, other, bob = house.caller(), house.callee(name="other"), house.callee()
    alice.dial("bob")
    for phone, body in ((bob, SDP), (other, OTHER)) if heard else ((other, OTHER), (bob, SDP)):
        phone.respond(183, body)
    bob.ask("UPDATE", SDP.replace(b"AVP 0", b"AVP 18"), usage=bob.ringing)
    assert [one.status for one in bob.answers("UPDATE")] == [488]
    bob.respond(200)
    assert alice.final().status == 200
    winner = house.call().winner
    assert winner is not None
    assert winner.flow.id == bob.back.id
    assert winner.audio is not None
    assert winner.audio.port == 4000
    alice.hang_up()
    house.assert_nothing_left(alice, other, bob)


def test_update_of_the_caller_before_the_answer(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(183, SDP)
    alice.ask("UPDATE", OTHER)
    assert [one.status for one in alice.answers("UPDATE")] == [200]
    completed = house.media.of(do.CompleteMedia)[-1]
    assert isinstance(completed, do.CompleteMedia)
    assert completed.remote.port == 5000
    bob.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_further_offer_in_the_prack_is_answered_in_its_200(link: Link) -> None:
    """RFC 3262 section 5: the 183 brought the answer, so the PRACK may make the next offer."""
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    alice.device.late_answer = OTHER
    bob.respond(183, SDP)
    [answer] = alice.answers("PRACK")
    assert (answer.status, b"m=audio" in answer.body) == (200, True), "1."
    completed = house.media.of(do.CompleteMedia)[-1]
    assert isinstance(completed, do.CompleteMedia)
    assert completed.remote.port == 5000, "2. sound goes where the new offer says"
    bob.respond(200, SDP)
    assert (alice.final().status, alice.final().body) == (200, b""), "3. what was agreed is not said again"
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_prack_lost_and_repeated(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    # 1. the house's PRACK to the callee is lost: the 183 comes again and is acknowledged again, the caller hears it once
    link.drop("offhook", "PRACK")
    bob.respond(183, SDP, seconds=1)
    assert len(informed(alice, 183)) == 1
    assert len(bob.got("PRACK")) >= 1
    assert len({one.headers.get("CSeq") for one in bob.got("PRACK")}) == 1
    bob.respond(200, SDP, seconds=1)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_the_caller_never_acknowledges(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    link.drop("alice", "PRACK", times=100)
    alice.dial("bob")
    bob.respond(183, SDP, seconds=33)
    assert alice.final().status == 504
    assert bob.got("CANCEL")
    assert house.call().end_code == "prack_missing"
    house.assert_nothing_left(alice, bob)
