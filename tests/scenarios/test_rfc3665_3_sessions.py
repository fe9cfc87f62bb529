"""RFC 3665 section 3 through the B2BUA: 3.1 and 3.2 session, 3.7 new address, 3.8 to 3.11 the failures."""

import pytest

from offhook.calls import effects as do
from offhook.sip.commands import RespondInvite, SendInDialog
from offhook.sip.flow import Transport
from offhook.sip.message import Headers, Request
from tests.support.house import WITH_SDP, House
from tests.support.link import Link
from tests.support.messages import SDP, make_request
from tests.support.nodes import authorized
from tests.support.script import Script


@pytest.mark.ladder
def test_rfc3665_3_1_session(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(180)
    bob.respond(200, SDP)
    link.run(5)
    alice.hang_up()
    assert link.arrows() == [
        "alice: INVITE", "offhook: 100 INVITE", "offhook: INVITE", "bob: 100 INVITE", "bob: 180 INVITE",
        "offhook: 180 INVITE", "bob: 200 INVITE", "offhook: ACK", "offhook: 200 INVITE", "alice: ACK", "alice: BYE",
        "offhook: 200 BYE", "offhook: BYE", "bob: 200 BYE",
    ]  # fmt: skip
    # 1. both legs are completed and bridged before the caller hears of the answer
    kinds = [type(one) for one in house.media.told]
    assert kinds == [do.OpenMedia, do.CompleteMedia, do.CompleteMedia, do.BridgeMedia, do.CloseMedia]
    # 2. nothing of one leg appears on the other (CALL-19)
    assert bob.invite.headers.get("Call-ID") != alice.final().headers.get("Call-ID")
    assert b"127.0.0.1" not in bob.invite.body
    # 3. the reason goes to the far side
    assert bob.got("BYE")[0].headers.get("Reason") == 'Q.850;cause=16;text="Normal call clearing"'
    # 4. it is written down once, and nothing is left
    house.assert_nothing_left(alice, bob)
    assert [record.call_ref for record in house.node.log] == [house.call().ref]


@pytest.mark.ladder
def test_rfc3665_3_2_two_proxies(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    assert alice.final().headers.get("Contact") != bob.invite.headers.get("Contact")
    assert (bob.invite.headers.get("Max-Forwards")) == "69"
    assert len(bob.invite.headers.all("Via")) == 1
    bob.hang_up(bob.ringing)
    assert alice.got("BYE")
    house.assert_nothing_left(alice, bob)


@pytest.mark.ladder
def test_rfc3665_3_7_reinvite_new_address(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    moved = SDP.replace(b"m=audio 4000", b"m=audio 4100")
    alice.station.perform(SendInDialog(alice.call, "INVITE", WITH_SDP, moved))
    link.run(1)
    # 1. Alice has a 200 with a description of ours, whose version has grown
    answer = alice.final()
    assert answer.status == 200
    assert answer.body.split(b"\r\n")[1].split()[2] == b"2"
    # 2. the media of her leg moves, Bob hears nothing of it
    last = house.media.of(do.CompleteMedia)[-1]
    assert isinstance(last, do.CompleteMedia)
    assert last.remote.port == 4100
    assert len(bob.got("INVITE")) == 1
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


@pytest.mark.ladder
def test_rfc3665_3_8_no_answer(link: Link) -> None:
    house = House(link, ring_seconds=20)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(180)
    link.run(25)
    assert alice.final().status == 480
    assert alice.final().headers.get("Reason") == 'Q.850;cause=19;text="bob did not answer"'
    assert "callee-no-answer bob did not answer" in (alice.final().headers.get("Warning") or "")
    assert bob.got("CANCEL")
    house.assert_nothing_left(alice, bob)


@pytest.mark.ladder
def test_rfc3665_3_9_busy(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(486)
    assert alice.final().status == 486
    assert "bob is busy" in (alice.final().headers.get("Warning") or "")
    assert (alice.final().headers.get("Reason") or "").startswith("Q.850;cause=17")
    house.assert_nothing_left(alice, bob)


@pytest.mark.ladder
def test_rfc3665_3_10_no_response(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    link.drop("offhook", "INVITE", 99)
    alice.dial("bob")
    link.run(40)
    assert alice.final().status == 480
    assert "device-silent" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice, bob)


@pytest.mark.ladder
def test_rfc3665_3_11_unavailable(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(480)
    assert alice.final().status == 480
    assert "bob is not available" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice, bob)


def test_hold_and_resume_are_answered_here(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    for offered, answered in ((b"sendonly", b"a=recvonly"), (b"inactive", b"a=inactive"), (b"sendrecv", b"")):
        alice.station.perform(SendInDialog(alice.call, "INVITE", WITH_SDP, SDP + b"a=" + offered + b"\r\n"))
        link.run(1)
        assert alice.final().status == 200
        assert answered in alice.final().body
        assert (b"a=recvonly" in alice.final().body) == (answered == b"a=recvonly")
    assert len(bob.got("INVITE")) == 1
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_digits_by_info_count_once(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    relay = Headers([("Content-Type", "application/dtmf-relay")])
    alice.station.perform(SendInDialog(alice.call, "INFO", relay, b"Signal= 5\r\nDuration=160\r\n"))
    link.run(1)
    assert {one.body for one in bob.got("INFO")} == {b"Signal=5\r\nDuration=160\r\n"}, "it has no telephone-event"
    alice.station.perform(SendInDialog(alice.call, "INFO", relay, b"Signal=x\r\n"))
    alice.station.perform(SendInDialog(alice.call, "INFO", Headers([("Content-Type", "text/plain")]), b"5"))
    link.run(1)
    statuses = [one.status for one in alice.station.received if not hasattr(one, "method")
                and "INFO" in (one.headers.get("CSeq") or "")]  # fmt: skip
    assert statuses == [200, 400, 415]
    assert len({one.headers.get("CSeq") for one in bob.got("INFO")}) == 1
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_late_offer_gets_ours_in_the_200_and_the_answer_in_the_ack(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", body=b"")
    # 1. Bob never sees a late offer
    assert bob.invite.body
    bob.respond(200, SDP)
    assert b"m=audio" in alice.final().body
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


@pytest.mark.ladder
def test_rfc3665_3_3_multiple_authentication(link: Link) -> None:
    """The caller proves itself to us; the far side's own challenge would be answered by us (TRK-3), never passed back."""
    house = House(link)
    script, bob = Script(house, Transport.UDP), house.callee()
    script.invite(from_="<sip:alice@example.com>")
    # 1. over UDP nothing is trusted: 407, and nobody rings
    first = script.responses("INVITE")[-1]
    assert first.status == 407
    assert not bob.got("INVITE")
    script.send("ACK", 1, script.tag, branch="z9hG4bKINVITE1")
    # 2. with the digest it is served
    plain = make_request("INVITE", branch="z9hG4bKINVITE1", body=SDP)
    script.carry(authorized(plain, first, "alice"))
    assert bob.got("INVITE")
    # 3. a device that asks us for a password we do not have: the caller hears no challenge of it
    bob.respond(407)
    assert script.responses("INVITE")[-1].status not in (401, 407)
    script.send("ACK", 2, script.tag, branch="z9hG4bKINVITE12")
    house.assert_nothing_left(bob)


@pytest.mark.ladder
def test_rfc3665_3_4_proxy_failure(link: Link) -> None:
    """One of two ways to the callee is dead: the call goes through by the other, and the dead one is no answer."""
    house = House(link)
    alice, desk, cell = house.caller(), house.callee(name="desk"), house.callee(name="cell")
    link.drop("desk", "100 INVITE", 99)
    house.station.apply(house.node.flow_lost(desk.back.id, link.now))
    alice.dial("bob")
    cell.respond(180)
    cell.respond(200, SDP)
    assert alice.final().status == 200
    link.run(40)
    alice.hang_up()
    house.assert_nothing_left(alice, cell)


@pytest.mark.ladder
def test_rfc3665_3_6_redirect_sdp_in_ack(link: Link) -> None:
    """A late offer whose callee redirects inside the space: 181, our offer in the 200, the answer in the ACK."""
    house = House(link)
    alice, bob, carol = house.caller(transport=Transport.WSS), house.callee(), house.callee("carol")
    alice.device.late_answer = SDP.replace(b"4000", b"5000")
    alice.dial("bob", body=b"")
    moved = Headers([("Contact", "<sip:carol@example.com>")])
    bob.station.perform(RespondInvite(bob.ringing, 302, moved, b""))
    link.run(0.1)
    assert "offhook: 181 INVITE" in link.arrows()
    carol.respond(180)
    carol.respond(200, SDP)
    assert b"m=audio" in alice.final().body
    completed = house.media.of(do.CompleteMedia)[-1]
    assert isinstance(completed, do.CompleteMedia)
    assert completed.remote.port == 5000
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.ladder
def test_loop_max_forwards_across_legs(link: Link) -> None:
    """CALL-17: hops are counted across legs; the last one says 483, the caller hears of a loop."""
    house = House(link)
    script, bob = Script(house), house.callee()
    one_hop = make_request("INVITE", branch="z9hG4bKINVITE1", transport="TLS", body=SDP)
    script.carry(Request("INVITE", one_hop.uri, one_hop.headers.replaced("Max-Forwards", "1"), one_hop.body))
    link.run(0.1)
    assert "bob: 483 INVITE" in link.arrows()
    final = script.responses("INVITE")[-1]
    assert (final.status, "loop-detected" in (final.headers.get("Warning") or "")) == (482, True)
    script.send("ACK", 1, script.tag, branch="z9hG4bKINVITE1")
    house.assert_nothing_left(bob)
