"""The signalling process dies and comes back: calls go on from the journal (LIVE-15)."""

from dataclasses import replace

import msgspec

from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.sip.commands import MoveUsage, SendInDialog
from offhook.sip.flow import Transport
from offhook.sip.message import Headers
from tests.support.carriers import TrunkHouse
from tests.support.challenger import Gate
from tests.support.house import House
from tests.support.lamp import Lamp
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.page import Page, talking
from tests.support.restart import restart
from tests.support.transferring import answer_notify, bridged, dialog, refer

CARRIER = "198.51.100.7"


def test_live_node_restart(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    before = house.call()
    link.steps.clear()
    house.media.told.clear()
    old = restart(house)
    call = house.call()
    # 1. the same call, with the same legs, and not a word to anybody nor to the engine
    assert call is not before
    assert (call.ref, [leg.ref for leg in call.parties]) == (before.ref, [leg.ref for leg in before.parties])
    assert [leg.media for leg in call.parties] == [leg.media for leg in before.parties]
    assert link.steps == []
    assert house.media.told == []
    # 2. the phone over UDP is where it was, the page has to come back
    assert [leg.detached for leg in call.parties] == [True, False]
    alice.reconnect()
    assert not call.caller.detached
    # 3. our numbers go on far above those that the dead process may have used
    house.station.perform(SendInDialog(call.parties[1].usage, "INFO", Headers()))
    link.run(0.1)
    number = int((bob.got("INFO")[-1].headers.get("CSeq") or "0").split()[0])
    assert number > 100
    # 4. BYE works from either side, and the call is logged once by the process that saw its end
    bob.hang_up(bob.ringing)
    assert alice.got("BYE")
    house.assert_nothing_left(alice, bob)
    assert [record.call_ref for record in house.node.log] == [call.ref]
    assert {ref for ref, _ in house.node.log[0].legs} == {leg.ref for leg in before.legs}
    assert old.log is house.node.log


def test_live_15_a_page_that_never_comes_back_ends_after_the_grace(link: Link) -> None:
    house = House(link)
    _, bob = talking(house)
    restart(house, last_in_ms=20_000)
    link.run(104)
    assert not bob.got("BYE")
    link.run(2)
    assert bob.got("BYE")[0].headers.get("Reason") == 'SIP;cause=480;text="peer-connection-lost"'
    house.assert_nothing_left(bob)


def test_live_15_while_sound_comes_the_page_may_take_its_time(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    restart(house)
    link.run(300)
    assert not bob.got("BYE")
    alice.reconnect()
    alice.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob)


def test_live_15_signalling_and_engine_are_both_gone(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    restart(house, engine_lives=False)
    call = house.call()
    # 1. new media, and the phone is told at once where it is
    assert house.media.of(do.OpenMedia)
    assert len(bob.got("INVITE")) == 2
    # 2. the page when it is back
    alice.reconnect()
    link.run(2)
    (offer,) = alice.got("INVITE")
    assert call.caller.media is not None
    assert call.caller.media.ufrag.encode() in offer.body
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_live_15_session_timers_go_on(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    restart(house)
    alice.reconnect()
    link.steps.clear()
    link.run(3000)
    # Whoever had the duty before the restart has it still, and nobody's session has run out.
    refreshed = {frozenset((step.sender, step.receiver)) for step in link.steps if step.text in ("UPDATE", "INVITE")}
    assert refreshed == {frozenset(("offhook", "alice")), frozenset(("offhook", "bob"))}
    assert house.node.switchboard.calls()
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_15_what_the_peer_asks_in_an_old_dialog_is_served(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    restart(house)
    bob.ask("INVITE", SDP + b"a=sendonly\r\n", bob.ringing)
    assert bob.answers("INVITE")[-1].status == 200
    assert b"a=recvonly" in bob.answers("INVITE")[-1].body
    alice.reconnect()
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_live_15_it_may_die_twice(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    restart(house)
    alice.reconnect()
    restart(house)
    alice.reconnect()
    link.run(3)
    alice.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob)
    assert len(house.node.log) == 1


def test_live_15_a_call_costs_few_records(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
    # While it rings, and once it is answered; its end is the log's.
    assert house.node.kept <= 3
    assert house.node.journal == {}


def test_live_15_a_built_in_goes_on(link: Link) -> None:
    house = House(link)
    alice = Page(house, "alice")
    alice.dial_page("music")
    restart(house, engine_lives=False)
    assert house.media.of(do.PlayMedia)
    alice.reconnect()
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_live_15_strangers_and_ringing_calls_are_not_taken_back(link: Link) -> None:
    house = House(link)
    alice, bob = Page(house, "alice"), house.callee()
    alice.dial_page("bob")
    bob.respond(180)
    (kept,) = house.node.journal.values()
    # Only what the log must say of it is kept.
    assert kept.parties == ()
    assert [facts["from"] for _, facts in kept.history][:1] == ["alice"]
    alice.cancel()
    house.assert_nothing_left(alice, bob)
    assert house.node.journal == {}


def test_live_15_a_conference_is_one_room_still(link: Link) -> None:
    house = House(link)
    alice = Page(house, "alice")
    alice.dial_page("conference-daily")
    (first,) = house.media.of(do.JoinRoom)
    assert isinstance(first, do.JoinRoom)
    restart(house)
    house.media.told.clear()
    carol = Page(house, "carol", instance="<urn:uuid:3>")
    carol.dial_page("conference-daily")
    # The second one's coming ends what is played to the first, if anything is: this process does not know.
    second, again = house.media.of(do.JoinRoom)
    assert isinstance(second, do.JoinRoom)
    assert second.room == first.room
    assert again == first
    # The engine's death ends the room, and its members meet in another.
    house.media.open.clear()
    house.media.calls.clear()
    house.media.told.clear()
    house.apply(lambda: house.node.tell(did.EngineLost()))
    house.apply(lambda: house.node.tell(did.EngineReady()))
    joined = list({one.leg: one for one in house.media.of(do.JoinRoom) if isinstance(one, do.JoinRoom)}.values())
    assert len(joined) == 2
    assert len({one.room for one in joined}) == 1
    alice.reconnect()
    for page in (alice, carol):
        page.hang_up()
    house.assert_nothing_left(alice, carol)


def test_live_15_a_call_at_a_carrier(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER, gates=[Gate()])
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], allowed_prefixes=["+1"], username="line1", password="zanzibar")
    alice = Page(house, "alice")
    alice.dial_page("+14155550123")
    carrier.respond(200, SDP)
    ref = house.call().ref
    # Who is behind a leg is kept by name: no password stands in the journal.
    assert b"zanzibar" not in msgspec.msgpack.encode(house.node.journal[ref])
    restart(house)
    assert [leg.trunk is not None for leg in house.call().parties] == [False, True]
    # The carrier asks who we are inside the dialog too, and is told.
    alice.reconnect()
    alice.hang_up()
    link.run(0.5)
    assert "BYE" in [method for method, _ in carrier.gate.proofs]
    house.assert_nothing_left(alice)
    assert [record.call_ref for record in house.node.log] == [ref]


def test_live_15_a_call_at_a_carrier_over_tcp_finds_its_way_back(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER, Transport.TCP)
    house.trunk(targets=[{"uri": f"sip:{CARRIER};transport=tcp"}], allowed_prefixes=["+1"])
    alice = Page(house, "alice")
    alice.dial_page("+14155550123")
    carrier.respond(200, SDP)
    usage = carrier._last().usage
    # The connection is gone with the process; the carrier lets itself be reached again, by another one.
    carrier.there, carrier.back = link.connect(carrier.station, house.station, Transport.TCP, 5060, CARRIER)
    restart(house, keep=(carrier.back.id, carrier.there.id))
    assert not house.call().parties[1].detached
    carrier.station.perform(MoveUsage(usage, carrier.there.id))
    alice.reconnect()
    alice.hang_up()
    link.run(0.5)
    assert carrier.got("BYE")


def test_live_15_a_trunks_time_limit_outlives_a_restart(link: Link) -> None:
    """TRK-11: who restarts the server, or waits for it, talks no longer than the trunk lets him."""
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], allowed_prefixes=["+1"], max_call_seconds=60)
    alice = Page(house, "alice")
    alice.dial_page("+14155550123")
    carrier.respond(200, SDP)
    link.run(40)
    restart(house)
    alice.reconnect()
    link.run(15)
    assert not carrier.got("BYE")
    link.run(10)
    assert carrier.got("BYE")
    assert house.call().end_code == "max_duration"
    house.assert_nothing_left(alice)


def test_live_15_lamps_show_a_carriers_caller_after_a_restart(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.numbers["+15125550100"] = "bob"
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], max_call_seconds=60)
    for name in ("bob", "carol"):
        house.node.accounts[name] = replace(house.node.accounts[name], pickup_group="shop")
    bob = house.callee()
    carrier.dial("sip:+15125550100@127.0.0.2")
    bob.respond(200, SDP)
    restart(house)
    assert len(house.state().usage.legs_in) == 1, "it is still a call that came in"
    lamp = Lamp(house, "carol")
    assert lamp.subscribe("bob").status == 200
    link.run(1)
    assert lamp.states[-1] == ["confirmed"]
    assert "+14155550123@example.com" in lamp.texts[-1]
    assert "carrier.example" not in lamp.texts[-1]
    link.run(90)
    assert not bob.got("BYE"), "the limit is for calls to the trunk"
    bob.hang_up(bob.ringing)
    assert carrier.got("BYE")


def test_live_15_who_withholds_his_name_does_so_after_a_restart(link: Link) -> None:
    house = House(link)
    for name in ("bob", "carol"):
        house.node.accounts[name] = replace(house.node.accounts[name], pickup_group="shop")
    alice, bob, carol = Page(house, "alice"), house.callee(), house.callee("carol")
    alice.dial_page("bob", Privacy="id")
    bob.respond(200, SDP)
    restart(house)
    alice.reconnect()
    lamp = Lamp(house, "carol")
    assert lamp.subscribe("bob").status == 200
    link.run(1)
    assert "alice" not in lamp.texts[-1]
    # Nor does the target of a transfer see him.
    carol.register()
    answer_notify(bob)
    refer(bob, f"<sip:carol@{DOMAIN}>", bob.ringing)
    assert "alice" not in (carol.invite.headers.get("From") or "")
    carol.respond(200, SDP)
    alice.hang_up()
    assert carol.got("BYE")


def test_live_15_a_parked_call_is_taken_back_after_a_restart(link: Link) -> None:
    """XFER-7: by the pickup group of who parked it."""
    house = House(link)
    for name in ("bob", "carol"):
        house.node.accounts[name] = replace(house.node.accounts[name], pickup_group="shop")
    alice, bob = house.caller(), house.callee()
    answer_notify(bob)
    alice.dial("bob")
    bob.respond(200, SDP)
    refer(bob, f"<sip:music@{DOMAIN}>", bob.ringing)
    link.run(3)
    restart(house, keep=(alice.back.id, alice.there.id))
    carol = house.caller("carol")
    carol.dial("bob", Replaces=dialog(alice))
    assert carol.final().status == 200
    assert bridged(house) == {frozenset(("alice", "carol"))}
