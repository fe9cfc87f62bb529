"""The media engine dies with calls up: they get new media and their peers new addresses (LIVE-15)."""

import pytest

from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.sdp.parse import parse
from offhook.sip.commands import Respond
from offhook.sip.events import RequestInDialog
from tests.support.house import WITH_SDP, House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.page import Page, talking
from tests.support.transferring import dialog, refer

GONE = 'SIP;cause=503;text="The media engine is gone"'


def lose_engine(house: House) -> None:
    house.media.open.clear()
    house.media.calls.clear()
    house.media.told.clear()
    house.apply(lambda: house.node.tell(did.EngineLost()))


def engine_comes(house: House) -> None:
    house.apply(lambda: house.node.tell(did.EngineReady()))


def answer_next(phone: Phone, status: int = 200) -> None:
    asked = phone.station.of(RequestInDialog)[-1]
    assert isinstance(asked, RequestInDialog)
    body = SDP if status == 200 else b""
    phone.station.perform(
        Respond(asked.transaction, status, WITH_SDP if body else WITH_SDP.without("Content-Type"), body)
    )
    phone.house.link.run(0.1)


def test_live_15_a_page_and_a_phone_are_heard_again(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    before = [leg.media for leg in house.call().parties]
    lose_engine(house)
    # 1. nobody is told of anything yet
    assert not bob.got("BYE")
    assert len(bob.got("INVITE")) == 1
    engine_comes(house)
    after = [leg.media for leg in house.call().parties]
    assert all(leg is not None for leg in after)
    assert before != after
    # 2. the phone is told the new address, and served at once where it was
    (offer,) = bob.got("INVITE")[1:]
    assert f"m=audio {house.call().parties[1].media.candidates[0][1]} ".encode() in offer.body  # type: ignore[union-attr]
    # 3. the page gets new credentials and may choose its role for the new handshake
    (page_offer,) = alice.got("INVITE")
    assert b"a=setup:actpass" in page_offer.body
    kinds = [type(one) for one in house.media.told]
    assert kinds.index(do.OpenMedia) < kinds.index(do.BridgeMedia)
    answer_next(bob)
    for leg in house.call().parties:
        assert leg.media is not None
        alice.heard(leg.media.leg)
    completed = {one.leg for one in house.media.of(do.CompleteMedia) if isinstance(one, do.CompleteMedia)}
    assert completed == {leg.media.leg for leg in house.call().parties if leg.media is not None}
    # 4. the call goes on and is logged once, at its end
    link.run(60)
    assert house.node.log == []
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
    assert [record.call_ref for record in house.node.log] == [house.call().ref]


def test_live_15_a_built_in_plays_again(link: Link) -> None:
    house = House(link)
    alice = Page(house, "alice")
    alice.dial_page("echo")
    lose_engine(house)
    engine_comes(house)
    assert house.media.of(do.BridgeMedia)
    assert alice.got("INVITE")
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_live_15_who_is_detached_hears_of_it_when_it_returns(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    alice.lose()
    lose_engine(house)
    engine_comes(house)
    answer_next(bob)
    link.run(10)
    alice.reconnect()
    link.run(2)
    (offer,) = alice.got("INVITE")
    assert house.call().caller.media is not None
    assert house.call().caller.media.ufrag.encode() in offer.body
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize("status", [488, 500])
def test_live_15_a_peer_that_refuses_ends_the_call_with_its_cause(link: Link, status: int) -> None:
    house = House(link)
    alice, bob = talking(house)
    lose_engine(house)
    engine_comes(house)
    answer_next(bob, status)
    assert house.call().end_code == "media_engine_lost"
    assert alice.got("BYE")[0].headers.get("Reason") == GONE
    house.assert_nothing_left(alice, bob)


def test_live_15_a_peer_that_says_nothing_for_32_seconds(link: Link) -> None:
    house = House(link)
    alice, _ = talking(house)
    lose_engine(house)
    link.drop("offhook", "INVITE", 99)
    engine_comes(house)
    alice.answers_requests = False
    link.run(33)
    assert house.call().end_code == "dialog_lost"
    assert alice.got("BYE")
    house.assert_nothing_left(alice)


def test_live_15_no_engine_comes(link: Link) -> None:
    house = House(link, reopen_limit=20)
    alice, bob = talking(house)
    lose_engine(house)
    link.run(19)
    assert not bob.got("BYE")
    link.run(2)
    assert bob.got("BYE")[0].headers.get("Reason") == GONE
    assert house.call().end_code == "media_engine_lost"
    house.assert_nothing_left(alice, bob)


def test_live_15_a_page_that_takes_the_offer_but_never_rekeys(link: Link) -> None:
    house = House(link, reopen_silence=10)
    alice, bob = talking(house)
    lose_engine(house)
    engine_comes(house)
    answer_next(bob)
    link.run(9)
    assert not bob.got("BYE")
    link.run(2)
    assert bob.got("BYE")[0].headers.get("Reason") == GONE
    # Nobody said that there is a path: it is not moved.
    assert len(alice.got("INVITE")) == 1
    house.assert_nothing_left(alice, bob)


def begins_no_handshake(house: House, bob: Phone) -> None:
    """A new engine comes; the phone takes it, and the page's path there stays without a handshake."""
    engine_comes(house)
    answer_next(bob)
    no_hello(house)


def no_hello(house: House) -> None:
    """The engine says of the page's leg that a path is there and nothing of a handshake comes."""
    leg = house.call().caller
    assert leg.media is not None
    found = did.SilenceFound(leg.media.leg, "in", "dtls_no_hello", {"role": "passive"})
    house.apply(lambda: house.node.tell(found))


@pytest.mark.parametrize("when", [2, 5], ids=["at once", "late"])
def test_live_15_a_page_that_begins_no_handshake_is_given_a_new_transport(link: Link, when: float) -> None:
    """Firefox keeps the handshake of a transport for its life."""
    house = House(link, reopen_handshake=3, reopen_silence=10)
    alice, bob = talking(house)
    lose_engine(house)
    engine_comes(house)
    answer_next(bob)
    link.run(when)
    no_hello(house)
    assert len(alice.got("INVITE")) == 1
    link.run(10.5 - when)
    # 1. it is moved aside and back, each once, by two offers one after the other
    first, aside, back = (parse(one.body) for one in alice.got("INVITE"))
    (mid,) = first.bundle
    assert aside.bundle[1:] == (mid,)
    assert aside.bundle[0] == aside.media[-1].mid
    assert (aside.media[-1].direction, aside.media[-1].port) == ("inactive", 9)
    assert not any(one.candidates for one in aside.media)
    # 2. where it ends up is what was offered first, but for a line that is over
    assert back.bundle == (mid,)
    assert [one.port for one in back.media] == [first.media[0].port, 0]
    for one in ("ufrag", "password", "fingerprints", "setup", "candidates", "direction"):
        assert getattr(back.media[0], one) == getattr(first.media[0], one), one
    # 3. the page is heard, and the call goes on
    leg = house.call().caller
    assert leg.media is not None
    alice.heard(leg.media.leg)
    link.run(30)
    assert not bob.got("BYE")
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_15_a_new_transport_is_given_once(link: Link) -> None:
    house = House(link, reopen_handshake=3, reopen_silence=10)
    alice, bob = talking(house)
    lose_engine(house)
    begins_no_handshake(house, bob)
    link.run(12)
    assert not bob.got("BYE")
    link.run(2)
    assert bob.got("BYE")[0].headers.get("Reason") == GONE
    assert len(alice.got("INVITE")) == 3
    house.assert_nothing_left(alice, bob)


def test_live_15_each_engine_that_is_lost_gives_a_new_transport(link: Link) -> None:
    house = House(link, reopen_handshake=3, reopen_silence=10)
    alice, bob = talking(house)
    for round_ in (1, 2):
        lose_engine(house)
        begins_no_handshake(house, bob)
        link.run(4)
        assert len(alice.got("INVITE")) == 3 * round_
        leg = house.call().caller
        assert leg.media is not None
        alice.heard(leg.media.leg)
    asides = [parse(one.body) for one in alice.got("INVITE")[1::3]]
    assert asides[0].bundle[0] != asides[1].bundle[0]
    # The line that is over is used again: the description does not grow.
    assert [len(one.media) for one in asides] == [2, 2]
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_15_a_connection_that_breaks_between_aside_and_back(link: Link) -> None:
    """A page must not be left without a transport: what was begun is done when it is back."""
    house = House(link, reopen_handshake=3, reopen_silence=10)
    alice, bob = talking(house)
    lose_engine(house)
    begins_no_handshake(house, bob)
    link.drop("offhook", "INVITE", 1)
    link.run(4)
    assert len(alice.got("INVITE")) == 1
    alice.lose()
    alice.reconnect()
    link.run(4)
    before, *rest = (parse(one.body) for one in alice.got("INVITE"))
    assert len(rest[-2].bundle) == 2
    assert rest[-1].bundle == before.bundle
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_15_the_engine_dies_twice(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    lose_engine(house)
    house.media.slow = 1.0
    engine_comes(house)
    house.media.refuse = "engine_lost"
    house.apply(lambda: house.node.tell(did.EngineLost()))
    link.run(2)
    house.media.refuse, house.media.slow = "", 0.0
    engine_comes(house)
    answer_next(bob)
    link.run(5)
    assert house.node.switchboard.calls()
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_15_the_new_engine_has_no_room(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    lose_engine(house)
    house.media.refuse = "ports_exhausted"
    engine_comes(house)
    assert house.call().end_code == "media_engine_lost"
    house.assert_nothing_left(alice, bob)


def test_live_15_an_offer_while_there_is_no_engine_waits_for_ours(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    lose_engine(house)
    bob.ask("INVITE", SDP + b"a=sendonly\r\n", bob.ringing)
    assert bob.answers("INVITE")[-1].status == 491
    engine_comes(house)
    answer_next(bob)
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_15_nobody_comes_or_goes_while_there_is_no_engine(link: Link) -> None:
    """A leg that is opened now would stand for the whole call when the next engine answers."""
    house = House(link)
    alice, bob = house.talking()
    carol = house.callee("carol")
    page = house.caller("alice", "alice-page")
    lose_engine(house)
    refer(bob, f"<sip:carol@{DOMAIN}>", bob.ringing)
    assert bob.answers("REFER")[-1].status == 491
    page.dial("bob", Replaces=dialog(alice))
    assert page.final().status == 491
    engine_comes(house)
    assert all(leg.media is not None for leg in house.call().parties)
    answer_next(alice)
    answer_next(bob)
    alice.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob, carol, page)


def test_live_15_who_was_about_to_take_the_call_over_is_told(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    page = house.caller("alice", "alice-page")
    house.media.slow = 1.0
    page.dial("bob", Replaces=dialog(alice))
    assert not page.answers("INVITE")
    lose_engine(house)
    assert page.final().status == 503
    house.media.slow = 0.0
    engine_comes(house)
    link.run(2)
    answer_next(alice)
    answer_next(bob)
    alice.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob, page)


def test_a_fault_of_the_engine_in_one_leg_ends_its_call_alone(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    media = house.call().parties[0].media
    assert media is not None
    house.apply(lambda: house.node.tell(did.LegMediaFailed(media.leg, "panic")))
    reason = 'SIP;cause=500;text="The media engine failed in this call"'
    assert [phone.got("BYE")[0].headers.get("Reason") for phone in (alice, bob)] == [reason, reason]
    assert house.call().end_code == "media_failed"
    house.assert_nothing_left(alice, bob)


def test_an_engine_that_takes_no_new_calls_is_not_called_out_of_ports(link: Link) -> None:
    house = House(link)
    house.media.refuse = "engine_busy"
    alice = house.caller()
    alice.dial("echo")
    link.run(1)
    answer = alice.answers("INVITE")[-1]
    assert answer.status == 503
    assert "media-busy" in (answer.headers.get("Warning") or "")
