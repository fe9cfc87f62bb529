"""Offers and answers through the B2BUA: late ones, early media, hold and resume, refreshes (rows 1 to 12 of the table)."""

import pytest

from offhook.calls import effects as do
from offhook.calls.leg import LegState
from offhook.calls.ports import Direction
from offhook.sdp.parse import parse
from offhook.sip.flow import Transport
from offhook.sip.message import Response
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP

OTHER = SDP.replace(b"m=audio 4000", b"m=audio 5000")
DIRECTIONS = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


def direction_of(response: Response) -> str:
    audio = parse(response.body).audio
    assert audio is not None
    return audio.direction


def version_of(response: Response) -> int:
    return int(parse(response.body).version)


def informed(phone: Phone, status: int) -> list[Response]:
    came = [one for one in phone.station.received if isinstance(one, Response) and one.status == status]
    return [one for one in came if "INVITE" in (one.headers.get("CSeq") or "")]


def completed(house: House) -> list[do.CompleteMedia]:
    return [one for one in house.media.told if isinstance(one, do.CompleteMedia)]


def late(house: House, answer: bytes) -> tuple[Phone, Phone]:
    """Alice makes no offer and puts `answer` into her ACK."""
    alice, bob = house.caller(), house.callee()
    alice.device.late_answer = answer
    alice.dial("bob", body=b"")
    bob.respond(200, SDP)
    return alice, bob


def test_early_media(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(transport=Transport.WSS), house.callee(transport=Transport.WSS)
    alice.dial("bob")
    bob.respond(183, SDP)
    # 1. the caller has our answer in a 183, and both legs are bridged before it leaves
    early = informed(alice, 183)
    assert len(early) == 1
    assert b"m=audio" in early[0].body
    kinds = [type(one) for one in house.media.told]
    assert kinds == [do.OpenMedia, do.CompleteMedia, do.CompleteMedia, do.BridgeMedia]
    assert house.call().caller.state is LegState.EARLY
    # 2. 180 after it is told, without another description
    bob.respond(180)
    assert [one.body for one in informed(alice, 180)] == [b""]
    # 3. the 200 repeats the answer byte for byte though the callee moved, whose leg is re-targeted
    bob.respond(200, OTHER)
    assert alice.final().body == early[0].body
    assert completed(house)[-1].remote.port == 5000
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_early_media_of_two_forks_is_one_answer(link: Link) -> None:
    house = House(link)
    alice, desk, cell = house.caller(transport=Transport.WSS), house.callee(name="desk"), house.callee(name="cell")
    alice.dial("bob")
    desk.respond(183, SDP)
    cell.respond(183, OTHER)
    assert len(informed(alice, 183)) == 1
    bridges = len(house.media.of(do.BridgeMedia))
    # The branch heard first keeps the ear; the one that answers gets it.
    assert bridges == 1
    cell.respond(200, OTHER)
    assert alice.final().body == informed(alice, 183)[0].body
    winner = house.call().winner
    assert winner is not None
    assert winner.media is not None
    last = house.media.of(do.BridgeMedia)[-1]
    assert isinstance(last, do.BridgeMedia)
    assert last.b == winner.media.leg
    assert desk.got("CANCEL")
    alice.hang_up()
    house.assert_nothing_left(alice, desk, cell)


def test_a_ringing_answer_without_a_description_is_a_180(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(183)
    assert [one.body for one in informed(alice, 180)] == [b""]
    assert informed(alice, 183) == []
    alice.cancel()
    house.assert_nothing_left(alice, bob)


def test_the_answer_in_the_ack_completes_the_callers_leg(link: Link) -> None:
    house = House(link)
    alice, bob = late(house, OTHER)
    # 1. the 200 has our offer, whole
    offer = parse(alice.final().body).audio
    assert offer is not None
    assert {one.name for one in offer.formats} == {"OPUS", "G722", "PCMU", "PCMA", "TELEPHONE-EVENT"}
    # 2. the callee's leg first, then the caller's with what the ACK says
    assert [one.remote.port for one in completed(house)] == [4000, 5000]
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize("answer", [b"", b"nonsense", OTHER.replace(b"AVP 0", b"AVP 18"), SDP.replace(b"4000", b"0")])
def test_an_ack_without_a_usable_answer_ends_the_call(link: Link, answer: bytes) -> None:
    house = House(link)
    alice, bob = late(house, answer)
    for phone in (alice, bob):
        assert (phone.got("BYE")[0].headers.get("Reason") or "").startswith("SIP;cause=488")
    assert house.call().end_code == "bad_answer"
    house.assert_nothing_left(alice, bob)


def test_hold_and_resume_by_either_side(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    for phone, usage in ((alice, alice.call), (bob, bob.ringing)):
        for offered, answered in (*DIRECTIONS.items(), ("sendrecv", "sendrecv")):
            phone.ask("INVITE", SDP + f"a={offered}\r\na=x-{len(link.steps)}\r\n".encode(), usage)
            # 1. answered here, by the table
            assert phone.answers("INVITE")[-1].status == 200
            assert direction_of(phone.answers("INVITE")[-1]) == answered
            # 2. the engine knows both halves
            assert completed(house)[-1].remote.direction is Direction(offered)
    # 3. the other side is never asked
    assert (len(bob.got("INVITE")), len(alice.got("INVITE"))) == (1, 0)
    versions = [version_of(one) for one in alice.answers("INVITE")]
    assert versions == sorted(versions)
    assert versions[-1] > 1
    assert len({parse(one.body).session_id for one in alice.answers("INVITE")}) == 1
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_the_old_way_to_hold(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    alice.ask("INVITE", SDP.replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 0.0.0.0"))
    assert direction_of(alice.final()) == "recvonly"
    assert completed(house)[-1].remote.address == ""
    alice.ask("INVITE", SDP)
    assert direction_of(alice.final()) == "sendrecv"
    assert completed(house)[-1].remote.address == "127.0.0.1"
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_resume_without_an_offer_gets_ours_for_both_ways(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    alice.ask("INVITE", SDP + b"a=sendonly\r\n")
    held = version_of(alice.final())
    alice.device.late_answer = OTHER
    alice.ask("INVITE")
    # 1. a phone that resumes this way could not, were our offer what we answered to its hold
    assert direction_of(alice.final()) == "sendrecv"
    assert version_of(alice.final()) > held
    # 2. its answer in the ACK counts
    last = completed(house)[-1].remote
    assert (last.port, last.direction) == (5000, Direction.SENDRECV)
    # 3. the call is up
    assert house.call().caller.state is LegState.ANSWERED
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_the_callee_may_ask_for_our_offer_too(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    bob.device.late_answer = OTHER
    bob.ask("INVITE", usage=bob.ringing)
    winner = house.call().winner
    assert winner is not None
    assert winner.media is not None
    assert (completed(house)[-1].leg, completed(house)[-1].remote.port) == (winner.media.leg, 5000)
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refresh_changes_nothing(link: Link, method: str) -> None:
    house = House(link)
    alice, bob = house.talking()
    first, told = alice.final().body, len(house.media.told)
    alice.ask(method, SDP.replace(b"o=- 1 1", b"o=- 1 2"))
    assert alice.answers(method)[-1].status == 200
    assert alice.answers(method)[-1].body == first
    alice.ask("UPDATE")
    assert (alice.answers("UPDATE")[-1].status, alice.answers("UPDATE")[-1].body) == (200, b"")
    assert len(house.media.told) == told
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize(
    ("offer", "slug"),
    [
        (SDP.replace(b"AVP 0", b"AVP 18"), "codec-mismatch"),
        (SDP.replace(b"m=audio 4000", b"m=audio 0"), "codec-mismatch"),
        (b"nonsense", "sdp-invalid"),
        (SDP + b"a=rtpmap:" + b"9" * 5000 + b" X/8000\r\n", "sdp-invalid"),
    ],
)
def test_a_refused_re_invite_leaves_the_call_as_it_was(link: Link, offer: bytes, slug: str) -> None:
    house = House(link)
    alice, bob = house.talking()
    told = len(house.media.told)
    alice.ask("INVITE", offer)
    assert alice.final().status == 488
    assert slug in (alice.final().headers.get("Warning") or "")
    assert len(house.media.told) == told
    assert house.node.switchboard.calls()
    assert not bob.got("BYE")
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_method_the_dialog_does_not_know(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    alice.ask("PUBLISH")
    assert alice.answers("PUBLISH")[-1].status in (405, 501)
    assert "INVITE" in (alice.answers("PUBLISH")[-1].headers.get("Allow") or "")
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_caller_without_an_offer_has_no_early_media(link: Link) -> None:
    house = House(link)
    # A page has no reliable answers, and only those may carry our offer.
    alice, bob = house.caller(transport=Transport.WSS), house.callee()
    alice.dial("bob", body=b"")
    bob.respond(183, SDP)
    assert informed(alice, 183) == []
    assert len(informed(alice, 180)) == 1
    alice.cancel()
    house.assert_nothing_left(alice, bob)
