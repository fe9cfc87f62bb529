"""Connections that break in mid-call and come back, or do not (SIGNALLING.md section 5)."""

import pytest

from offhook.calls import effects as do
from offhook.sip.commands import Respond, SendInDialog
from offhook.sip.events import DialogLost, RequestInDialog
from offhook.sip.flow import Transport
from offhook.sip.message import Headers
from tests.support.house import WITH_SDP, House
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.page import ANSWER, RESTARTED, Page, talking

GONE = 'SIP;cause=480;text="peer-connection-lost"'


def media_of(house: House) -> int:
    media = house.call().caller.media
    assert media is not None
    return media.leg


def test_live_socket_lost_and_back(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    alice.lose()
    leg = house.call().caller
    # 1. LIVE-1: nothing is said to anybody, the API knows
    link.run(10)
    assert leg.detached
    assert link.steps == []
    assert [one.type for one in house.node.published][-1] == "call.detached"
    # 2. LIVE-5: the same instance on another connection has its leg back
    alice.reconnect()
    assert not leg.detached
    assert (leg.flow.id, leg.flow_moves) == (alice.back.id, 1)
    # 3. LIVE-9: after 1.5 s it is asked whether it still knows the call; its sound never stopped
    link.run(2)
    assert "bob" not in {step.sender for step in link.steps}
    assert not [step for step in link.steps if step.receiver == "bob"]
    assert [request.method for request in alice.got("INVITE")] == []
    alice.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob)


def test_live_socket_lost_peer_hangs_up(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    alice.lose()
    bob.hang_up(bob.ringing)
    # 1. Bob's call is over at once, Alice cannot be told
    assert house.node.switchboard.calls() == []
    assert not alice.got("BYE")
    # 2. LIVE-7, LIVE-14: she is when she returns, with Bob's reason
    link.run(20)
    alice.reconnect()
    assert len(alice.got("BYE")) == 1
    house.assert_nothing_left(alice, bob)


def test_live_socket_lost_with_our_bye_in_flight(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    link.drop("offhook", "BYE")
    bob.hang_up(bob.ringing)
    alice.lose()
    assert not alice.got("BYE")
    alice.reconnect()
    assert len(alice.got("BYE")) == 1
    house.assert_nothing_left(alice, bob)


def test_live_socket_lost_for_good(link: Link) -> None:
    house = House(link, detached_silence=15, flow_grace=90)
    alice, bob = talking(house)
    alice.silent(media_of(house))
    alice.lose()
    # 1. LIVE-2: 15 s of silence, then the grace
    link.run(104)
    assert not bob.got("BYE")
    link.run(2)
    # 2. LIVE-14: the peer hears why, and so does the log
    assert bob.got("BYE")[0].headers.get("Reason") == GONE
    assert house.call().end_code == "peer_connection_lost"
    # 3. its own BYE waits for the time of the tombstone
    alice.reconnect()
    assert alice.got("BYE")[0].headers.get("Reason") == GONE
    house.assert_nothing_left(alice, bob)


def test_live_14_after_the_tombstone_its_requests_get_481(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    alice.lose()
    bob.hang_up(bob.ringing)
    link.run(200)
    alice.reconnect()
    assert not alice.got("BYE")
    alice.ask("INFO")
    assert alice.answers("INFO")[-1].status == 481
    house.assert_nothing_left(bob)


def test_live_page_left(link: Link) -> None:
    house = House(link, reload_grace=30)
    alice, bob = talking(house)
    alice.lose(left=True)
    alice.silent(media_of(house))
    link.run(28)
    assert not bob.got("BYE")
    link.run(3)
    assert bob.got("BYE")[0].headers.get("Reason") == GONE
    house.assert_nothing_left(bob)


def test_live_page_left_yet_its_media_goes_on(link: Link) -> None:
    house = House(link, reload_grace=30)
    alice, bob = talking(house)
    alice.lose(left=True)
    link.run(100)
    assert not bob.got("BYE")
    alice.reconnect()
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_media_alive_longer_than_grace(link: Link) -> None:
    house = House(link, flow_grace=90, detached_limit=1800)
    alice, bob = talking(house)
    alice.lose()
    # 1. its sound alone keeps the call
    link.run(1700)
    assert not bob.got("BYE")
    # 2. for one session interval at most
    link.run(101)
    assert bob.got("BYE")[0].headers.get("Reason") == GONE
    house.assert_nothing_left(bob)


def test_live_new_socket_old_half_open(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    old, leg = alice.back.id, house.call().caller
    house.node.half_open.add(old)
    alice.reconnect()
    # 1. LIVE-5: the old connection is asked and gets its two seconds
    assert leg.flow.id == old
    link.run(1.8)
    assert leg.flow.id == old
    # 2. then it is closed, and the leg has moved before that
    link.run(0.3)
    assert leg.flow.id == alice.back.id
    assert not leg.detached
    assert [(one.flow, one.slug) for one in house.station.closed] == [(old, "flow-half-open")]
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_two_tabs_one_instance(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    leg, first = house.call().caller, alice.back.id
    second = Page(house, "alice", "alice-2")
    link.run(5)
    # 1. the old connection answers: the binding moves, the call does not
    assert leg.flow.id == first
    assert house.station.closed == []
    # 2. when its tab goes, the call follows to the other one
    alice.lose()
    assert leg.flow.id == second.back.id
    house.apply(lambda: house.node.flow_lost(second.back.id, link.now))
    link.run(200)
    house.assert_nothing_left(bob, seconds=1800)


def test_live_reinvite_on_new_socket_unregistered(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    leg = house.call().caller
    alice.lose()
    alice.reconnect(register=False)
    # 1. AUTH-13: who it is has to be proven
    alice.ask("INVITE", RESTARTED)
    assert alice.answers("INVITE")[-1].status == 407
    assert leg.detached
    # 2. LIVE-6: then the request itself brings the leg here
    alice.trust()
    alice.ask("INVITE", RESTARTED)
    assert alice.answers("INVITE")[-1].status == 200
    assert leg.flow.id == alice.back.id
    assert not leg.detached
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_update_on_new_socket(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    alice.lose()
    alice.reconnect()
    alice.ask("UPDATE", RESTARTED)
    # 1. LIVE-10: the restart is answered with credentials of ours, at once
    assert alice.answers("UPDATE")[-1].status == 200
    (update,) = house.media.of(do.UpdateMedia)
    assert isinstance(update, do.UpdateMedia)
    assert update.restart_ice
    # 2. LIVE-9: it has spoken first, so nothing is asked of it
    link.run(3)
    assert not alice.got("INVITE")
    assert len(bob.got("INVITE")) == 1
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_server_restarts_ice(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    alice.lose()
    alice.silent(media_of(house))
    alice.reconnect()
    # 1. LIVE-9: the client may speak first
    link.run(1.3)
    assert not alice.got("INVITE")
    # 2. then we offer fresh credentials, every line where it was, and take its answer
    link.run(0.5)
    (offer,) = alice.got("INVITE")
    assert b"a=setup:actpass" in offer.body
    assert b"a=ice-ufrag:" in offer.body
    restarts = [one for one in house.media.of(do.UpdateMedia) if isinstance(one, do.UpdateMedia)]
    assert [one.restart_ice for one in restarts] == [True]
    assert isinstance(house.media.told[-1], do.CompleteMedia)
    assert len(bob.got("INVITE")) == 1
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_9_a_connection_that_breaks_again_while_the_engine_answers(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    alice.lose()
    alice.silent(media_of(house))
    house.media.slow = 3.0
    alice.reconnect()
    link.run(1.6)
    alice.lose()
    alice.reconnect()
    link.run(6)
    # ICE was restarted once, and what was offered is what the engine drew.
    restarts = [one for one in house.media.of(do.UpdateMedia) if isinstance(one, do.UpdateMedia) and one.restart_ice]
    assert len(restarts) == 1
    assert len(alice.got("INVITE")) == 1
    house.media.slow = 0.0
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_9_a_reinvite_that_meets_another_is_tried_again(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    alice.lose()
    alice.silent(media_of(house))
    alice.answers_requests = False
    alice.reconnect()
    link.run(1.7)
    asked = alice.station.of(RequestInDialog)[-1]
    assert isinstance(asked, RequestInDialog)
    alice.answers_requests = True
    alice.station.perform(Respond(asked.transaction, 491))
    link.run(4.5)
    assert len(alice.got("INVITE")) == 2
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_refresh_in_flight_when_socket_breaks(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    link.drop("offhook", "INVITE")
    usage = house.call().caller.usage
    alice.answers_requests = False
    house.station.perform(SendInDialog(usage, "INVITE", WITH_SDP, ANSWER))
    alice.lose()
    link.run(40)
    # 1. LIVE-7: no time-out ends the call, the refresh is a wish
    assert house.node.switchboard.calls()
    alice.answers_requests = True
    alice.reconnect()
    # 2. it goes out on the new connection, with a branch and number of its own
    link.run(2)
    (offer,) = alice.got("INVITE")
    assert offer.body == ANSWER
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_two_hundred_unacked_when_lost(link: Link) -> None:
    house = House(link)
    alice, bob = Page(house, "alice"), house.callee()
    link.drop("alice", "ACK")
    alice.dial_page("bob")
    bob.respond(200, SDP)
    alice.lose()
    # 1. LIVE-8: the wait for the ACK stops
    link.run(29)
    alice.reconnect()
    # 2. the same 200 comes on the new connection and is acknowledged
    link.run(1)
    acks = [step for step in link.steps if (step.sender, step.text, step.lost) == ("alice", "ACK", False)]
    assert acks
    link.run(40)
    assert house.node.switchboard.calls()
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_caller_lost_while_ringing(link: Link) -> None:
    house = House(link, late_caller=4)
    alice, bob = Page(house, "alice"), house.callee()
    alice.dial_page("bob")
    bob.respond(180)
    alice.lose(keeps=True)
    # LIVE-12: a library that kept the call may return in time
    link.run(2)
    alice.reconnect()
    link.run(5)
    assert not bob.got("CANCEL")
    bob.respond(200, SDP)
    assert alice.final().status == 200
    # and one that does not return has given up
    alice.hang_up()
    alice.dial_page("bob")
    bob.respond(180)
    alice.lose()
    link.run(5)
    assert bob.got("CANCEL")
    house.assert_nothing_left(bob)


def test_live_page_forgot_the_call(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    alice.lose()
    alice.silent(media_of(house))
    # A page that was loaded anew with the same instance knows nothing of the dialog.
    again = Page(house, "alice", "alice-again")
    link.run(2)
    assert again.got("INVITE")
    assert house.call().end_code == "dialog_lost"
    assert bob.got("BYE")
    house.assert_nothing_left(bob, again)


@pytest.mark.parametrize("instance", ["<urn:uuid:7>", ""])
def test_live_5_without_instance_the_contact_names_the_device(link: Link, instance: str) -> None:
    house = House(link)
    alice, bob = Page(house, "alice", instance=instance), house.callee()
    alice.dial_page("bob")
    bob.respond(200, SDP)
    alice.lose()
    stranger = Page(house, "alice", "other", instance="" if not instance else "<urn:uuid:8>")
    assert house.call().caller.detached, "another device of the same user takes nothing"
    alice.reconnect()
    assert not house.call().caller.detached
    alice.hang_up()
    house.assert_nothing_left(alice, bob, stranger)


def test_live_2_media_timeout_of_an_attached_leg(link: Link) -> None:
    house = House(link, media_timeout=60)
    alice, bob = talking(house)
    alice.silent(media_of(house))
    link.run(54)
    assert not bob.got("BYE")
    link.run(2)
    assert bob.got("BYE")[0].headers.get("Reason") == 'SIP;cause=408;text="media-timeout"'
    assert house.call().end_code == "media_timeout"
    house.assert_nothing_left(alice, bob)


def test_live_2_no_media_timeout_on_hold_or_without_a_flow(link: Link) -> None:
    house = House(link, media_timeout=60)
    alice, bob = talking(house)
    held = RESTARTED.replace(b"a=sendrecv", b"a=inactive")
    alice.ask("INVITE", held)
    alice.silent(media_of(house))
    link.run(300)
    assert not bob.got("BYE")
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_1_over_tls_too(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee(transport=Transport.TLS)
    alice.dial("bob")
    bob.respond(200, SDP)
    link.disconnect(bob.there.id)
    link.run(10)
    assert not alice.got("BYE")
    assert not alice.station.of(DialogLost)
    alice.hang_up()
    assert house.node.switchboard.calls() == []
    house.assert_nothing_left(alice)


def test_live_7_the_queue_of_a_leg_is_bounded_and_says_so(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    alice.lose()
    usage = house.call().caller.usage
    for _ in range(17):
        house.station.perform(SendInDialog(usage, "INFO", Headers()))
    assert [note.slug for note in house.station.notes] == ["leg-queue-full"]
    alice.reconnect()
    assert len(alice.got("INFO")) == 16
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
