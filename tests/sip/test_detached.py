"""An INVITE usage without a flow: what it keeps, and what it says on the next one (LIVE-1, LIVE-7, LIVE-8, LIVE-14)."""

from offhook.sip.commands import HangUp, MoveUsage, SendInDialog, SettleUsage
from offhook.sip.events import AckMissing, HungUp, RequestAnswered, RequestInDialog, UsageMoved
from offhook.sip.flow import Transport
from offhook.sip.message import Headers, Request, Response
from tests.support.link import Link, summary
from tests.support.pair import Pair


def lost(link: Link) -> Pair:
    """Both talk; then the connection breaks."""
    pair = Pair(link, Transport.WS)
    pair.talk()
    link.disconnect(pair.there.id)
    link.steps.clear()
    return pair


def back(pair: Pair) -> None:
    """Both are on a new connection."""
    there, here = pair.link.connect(pair.alice, pair.bob, Transport.WS)
    pair.bob.perform(MoveUsage(pair.ringing, here.id))
    pair.alice.perform(MoveUsage(pair.call, there.id))
    pair.link.run(0.1)


def digits(pair: Pair) -> list[str]:
    asked = [event.request for event in pair.bob.events if isinstance(event, RequestInDialog)]
    return [request.headers.get("X-Digit") or "" for request in asked]


def press(pair: Pair, digit: str) -> None:
    pair.alice.perform(SendInDialog(pair.call, "INFO", Headers([("X-Digit", digit)])))


def test_live_7_nothing_is_sent_meanwhile_and_everything_afterwards_with_new_branches(link: Link) -> None:
    pair = lost(link)
    for digit in "12":
        press(pair, digit)
    link.run(20)
    # 1. no message, and nobody is told of a failure
    assert link.steps == []
    assert not pair.alice.of(RequestAnswered)
    # 2. in order, each a request of its own
    back(pair)
    assert digits(pair) == ["1", "2"]
    infos = [m for m in pair.bob.received if isinstance(m, Request) and m.method == "INFO"]
    assert [one.headers.get("CSeq") for one in infos] == ["2 INFO", "3 INFO"]
    assert len({one.headers.get("Via") for one in infos}) == 2
    assert pair.alice.of(UsageMoved)


def test_live_7_a_request_in_flight_turns_back_into_its_wish(link: Link) -> None:
    pair = Pair(link, Transport.WS)
    pair.talk()
    link.drop("alice", "INFO")
    press(pair, "1")
    link.disconnect(pair.there.id)
    press(pair, "2")
    assert not pair.alice.of(RequestAnswered)
    back(pair)
    assert digits(pair) == ["1", "2"]


def test_live_7_a_request_on_the_old_flow_goes_to_the_new_one_when_the_old_one_breaks_late(link: Link) -> None:
    pair = Pair(link, Transport.WS)
    pair.talk()
    link.drop("alice", "INFO")
    press(pair, "1")
    back(pair)
    assert digits(pair) == []
    link.disconnect(pair.there.id)
    link.run(0.1)
    assert digits(pair) == ["1"]


def test_live_7_one_bye_and_nothing_else(link: Link) -> None:
    pair = lost(link)
    press(pair, "1")
    pair.alice.perform(HangUp(pair.call, "SIP;cause=480"))
    back(pair)
    assert digits(pair) == []
    (bye,) = [m for m in pair.bob.received if isinstance(m, Request) and m.method == "BYE"]
    assert bye.headers.get("Reason") == "SIP;cause=480"
    assert pair.bob.of(HungUp)
    pair.assert_nothing_left()


def test_live_7_a_bye_in_flight_is_said_again(link: Link) -> None:
    pair = Pair(link, Transport.WS)
    pair.talk()
    link.drop("alice", "BYE")
    pair.alice.perform(HangUp(pair.call))
    link.disconnect(pair.there.id)
    back(pair)
    assert pair.bob.of(HungUp)
    pair.assert_nothing_left()


def test_live_9_the_media_wish_waits_until_the_peer_has_had_its_time(link: Link) -> None:
    pair = lost(link)
    pair.alice.perform(SendInDialog(pair.call, "INVITE"))
    back(pair)
    assert "alice: INVITE" not in link.arrows()
    pair.alice.perform(SettleUsage(pair.call, probe=True))
    assert link.arrows()[-1] == "alice: INVITE"
    # Without a wish the probe is an UPDATE that says nothing.
    pair.alice.perform(SettleUsage(pair.call, probe=False))
    assert "alice: UPDATE" not in link.arrows()
    pair.alice.perform(SettleUsage(pair.call, probe=True))
    assert link.arrows()[-1] == "alice: UPDATE"


def test_live_8_the_wait_for_an_ack_pauses_and_the_same_2xx_comes_again(link: Link) -> None:
    pair = Pair(link, Transport.WS)
    pair.ring()
    link.drop("alice", "ACK", 99)
    pair.respond(200, b"v=0\r\n")
    link.run(0.1)
    link.disconnect(pair.there.id)
    # 1. much longer than 64*T1: no BYE, no AckMissing
    link.run(120)
    assert not pair.bob.of(AckMissing)
    finals = [m for m in pair.bob.sent if isinstance(m, Response) and summary(m) == "200 INVITE"]
    # 2. the same 2xx again, on the new flow, until its ACK or 64*T1
    _, here = link.connect(pair.alice, pair.bob, Transport.WS)
    pair.bob.perform(MoveUsage(pair.ringing, here.id))
    link.run(1)
    later = [m for m in pair.bob.sent if isinstance(m, Response) and summary(m) == "200 INVITE"][len(finals) :]
    assert later
    assert {m.body for m in later} == {finals[0].body}
    assert {m.headers.get("To") for m in later} == {finals[0].headers.get("To")}
    link.run(40)
    assert pair.bob.of(AckMissing)


def test_live_8_an_ack_that_may_be_lost_is_repeated_once(link: Link) -> None:
    pair = Pair(link, Transport.WS)
    pair.ring()
    link.drop("alice", "ACK")
    pair.respond(200, b"v=0\r\n")
    link.run(0.05)
    link.disconnect(pair.there.id)
    link.steps.clear()
    back(pair)
    assert [step.text for step in link.steps if step.sender == "alice"].count("ACK") >= 1
    link.run(40)
    assert not pair.bob.of(AckMissing)


def test_live_14_a_dialog_that_ended_meanwhile_is_forgotten_after_its_time(link: Link) -> None:
    pair = lost(link)
    pair.alice.perform(HangUp(pair.call))
    link.run(599)
    assert pair.alice.node.dialogs == 1
    link.run(2)
    assert pair.alice.node.dialogs == 0
    assert pair.alice.node.timers == 0
    assert not pair.alice.timers


def test_over_udp_nothing_is_ever_detached(link: Link) -> None:
    pair = Pair(link)
    pair.talk()
    pair.alice.apply(pair.alice.node.flow_lost(pair.there.id, link.now))
    press(pair, "1")
    link.run(0.1)
    assert digits(pair) == ["1"]
