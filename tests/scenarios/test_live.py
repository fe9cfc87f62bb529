"""What calls survive and what ends them: lost flows, a lost engine, an answer nobody confirms."""

from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.commands import HangUpCall, HangUpEndpoint
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP


def test_a_lost_flow_ends_nothing_by_itself_and_the_grace_does(link: Link) -> None:
    house = House(link, detached_silence=15, flow_grace=90)
    alice, bob = house.talking()
    call = house.call()
    assert call.caller.media is not None
    house.apply(lambda: house.node.tell(did.FirstMedia(call.caller.media.leg, 20)))  # type: ignore[union-attr]
    link.disconnect(alice.there.id)
    # 1. while sound comes the call goes on, however long
    link.run(200)
    assert house.node.switchboard.calls() == [call]
    assert not bob.got("BYE")
    # 2. silent for 15 s, then 90 s of grace
    house.apply(lambda: house.node.tell(did.MediaStopped(call.caller.media.leg, 5000)))  # type: ignore[union-attr]
    link.run(85)
    assert not bob.got("BYE")
    link.run(30)
    # 3. the peer is told why
    assert bob.got("BYE")[0].headers.get("Reason") == 'SIP;cause=480;text="peer-connection-lost"'
    assert call.end_code == "peer_connection_lost"
    house.assert_nothing_left(bob)


def test_the_callers_flow_is_lost_while_it_rings(link: Link) -> None:
    house = House(link, late_caller=4)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(180)
    link.disconnect(alice.there.id)
    link.run(3)
    assert not bob.got("CANCEL")
    link.run(2)
    assert bob.got("CANCEL")
    house.assert_nothing_left(bob)


def test_the_callees_flow_is_lost_while_it_rings(link: Link) -> None:
    from offhook.sip.flow import Transport

    house = House(link)
    alice, bob = house.caller(), house.callee(transport=Transport.TLS)
    alice.dial("bob")
    bob.respond(180)
    link.disconnect(bob.there.id)
    link.run(9)
    assert alice.final().status == 480
    assert "flow-lost" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice)


def test_an_answer_nobody_confirms_is_taken_back(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    link.drop("alice", "ACK", 99)
    alice.dial("bob")
    bob.respond(200, SDP)
    link.run(40)
    assert bob.got("BYE")
    assert house.call().end_code == "ack_missing"
    house.assert_nothing_left(alice, bob)


def test_echo_tone_and_music_answer_by_themselves(link: Link) -> None:
    house = House(link)
    alice = house.caller()
    for name, kind in (("echo", do.BridgeMedia), ("tone", do.PlayMedia), ("music", do.PlayMedia)):
        alice.dial(name)
        assert alice.final().status == 200
        assert house.media.of(kind)
        alice.hang_up()
    house.assert_nothing_left(alice)


def test_the_api_hangs_up(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    ref = house.call().ref
    house.apply(lambda: house.node._calls(house.node.switchboard.perform(HangUpCall(ref, "api_hangup"), link.now)))
    assert alice.got("BYE")
    assert bob.got("BYE")
    gone = HangUpEndpoint("alice", "endpoint_deleted")
    house.apply(lambda: house.node._calls(house.node.switchboard.perform(gone, link.now)))
    assert house.node.switchboard.call(ref) is not None
    house.assert_nothing_left(alice, bob)


def test_a_verdict_becomes_a_finding_with_words_and_ends(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    leg = house.call().caller
    assert leg.media is not None
    evidence = {"payload_type": "96"}
    found = did.SilenceFound(leg.media.leg, "in", "wrong_payload_type", evidence)
    house.apply(lambda: house.node.tell(found))
    assert [(one.code, one.direction, one.until) for one in leg.findings] == [
        ("payload_type_unexpected", "from_device", None)
    ]
    house.apply(lambda: house.node.tell(did.Heard(leg.media.leg, "in")))  # type: ignore[union-attr]
    assert leg.findings[0].until is not None
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
