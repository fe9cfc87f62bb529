"""Transfers in which a carrier takes part (XFER-3, XFER-8), and recall of a carrier that transferred and left."""

import pytest

from offhook.calls import effects as do
from offhook.calls.entry import Permits
from offhook.sip.commands import SendInDialog
from offhook.sip.events import InviteReceived
from offhook.sip.message import Headers
from offhook.sip.reliable import option_listed
from tests.support.carriers import TrunkHouse
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.transferring import answer_notify, bridged, dialog, refer, second_call, told

CARRIER = "198.51.100.7"
TO_CARRIER = [{"uri": f"sip:{CARRIER}"}]
NUMBER = "sip:+15125550100@127.0.0.2"


def house_with_trunk(link: Link, **fields: object) -> TrunkHouse:
    """Bob has a number of the trunk."""
    house = TrunkHouse(link)
    house.carrier(CARRIER)
    house.node.numbers["+15125550100"] = "bob"
    house.trunk(targets=TO_CARRIER, allowed_prefixes=["+1"], **fields)
    return house


def test_an_endpoint_transfers_a_carriers_caller_to_another(link: Link) -> None:
    house = house_with_trunk(link)
    carrier, bob, carol = house.outside.carriers[CARRIER], house.callee(), house.callee("carol")
    answer_notify(bob)
    carrier.dial(NUMBER)
    bob.respond(200, SDP)
    refer(bob, f"<sip:carol@{DOMAIN}>", bob.ringing)
    # 1. the target sees the carrier's caller, and the carrier gets no message (XFER-8)
    assert "+14155550123" in (carol.invite.headers.get("From") or "")
    assert carrier.got("REFER") == []
    carol.respond(200, SDP)
    assert told(bob)[-1] == "SIP/2.0 200 OK terminated"
    # 2. the channel of the trunk is still the one call's
    assert len(house.state().usage.legs_in) == 1
    carol.hang_up(carol.ringing)
    assert carrier.got("BYE")
    house.assert_nothing_left(bob, carol)


def test_a_blind_transfer_to_a_number_has_the_rights_of_the_transferor(link: Link) -> None:
    house = house_with_trunk(link)
    carrier = house.outside.carriers[CARRIER]
    alice, bob = house.talking()
    answer_notify(alice)
    refer(alice, f"<sip:+14155550199@{DOMAIN}>")
    assert str(carrier.invite.uri).startswith("sip:+14155550199@")
    assert carrier.invite.headers.get("Referred-By") is None
    carrier.respond(180)
    assert told(alice)[-1] == "SIP/2.0 180 Ringing active"
    carrier.respond(200, SDP)
    assert told(alice)[-1] == "SIP/2.0 200 OK terminated"
    bob.hang_up(bob.ringing)
    assert carrier.got("BYE")
    house.assert_nothing_left(alice, bob)


def test_a_transfer_to_a_number_that_the_transferor_may_not_call(link: Link) -> None:
    house = house_with_trunk(link)
    alice, bob = house.talking()
    answer_notify(alice)
    refer(alice, f"<sip:+442071234567@{DOMAIN}>")
    assert told(alice)[-1].startswith("SIP/2.0 4")
    assert told(alice)[-1].endswith(" terminated")
    assert isinstance(house.media.told[-1], do.BridgeMedia)
    alice.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize("supported", ["replaces, timer", ""])
def test_a_consultation_by_a_trunk_is_joined(link: Link, supported: str) -> None:
    """Both dialogs are ours: the carrier hears nothing of it, whether it knows Replaces or not (XFER-4)."""
    house = house_with_trunk(link)
    carrier = house.outside.carriers[CARRIER]
    alice, bob = house.talking()
    answer_notify(alice)
    second = second_call(alice, "+14155550199")
    carrier.respond(200, SDP, **({"Supported": supported} if supported else {}))
    named = dialog(alice, second).replace(";", "%3B").replace("=", "%3D")
    refer(alice, f"<sip:+14155550199@{DOMAIN}?Replaces={named}>")
    assert told(alice)[-1] == "SIP/2.0 200 OK terminated"
    assert not carrier.got("BYE")
    assert len(carrier.got("INVITE")) == 1
    assert len(house.state().usage.legs_out) == 1
    link.run(3)
    carrier.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob)


THERE = "x1@carrier.example;to-tag=their-tag;from-tag=alices-tag"
"""A call that alice has at the carrier by herself, as she writes it down."""
ESCAPED = THERE.replace(";", "%3B").replace("=", "%3D").replace("@", "%40")


def test_xfer_5_a_dialog_at_a_carrier_is_replaced_there(link: Link) -> None:
    house = house_with_trunk(link)
    carrier = house.outside.carriers[CARRIER]
    alice, bob = house.talking()
    answer_notify(alice)
    refer(alice, f"<sip:line-7;x=y@{CARRIER}:5080;transport=udp?Replaces={ESCAPED}>")
    # 1. the carrier is asked at its own name of the call, and must know the field
    invite = carrier.invite
    assert str(invite.uri) == f"sip:line-7;x=y@{CARRIER}:5080;transport=udp"
    assert invite.headers.get("Replaces") == THERE
    assert option_listed(invite.headers, "Require", "replaces")
    assert len(house.state().usage.legs_out) == 1
    # 2. it takes the newcomer in; the transferor hears of it and leaves
    carrier.respond(200, SDP)
    assert told(alice)[-1] == "SIP/2.0 200 OK terminated"
    joined = [one for one in house.media.told if isinstance(one, do.BridgeMedia)][-1]
    link.run(3)
    assert alice.got("BYE")
    assert {joined.a, joined.b} == set(house.media.open)
    bob.hang_up(bob.ringing)
    assert carrier.got("BYE")
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize("status", [420, 481])
def test_xfer_5_a_carrier_without_replaces_or_without_the_dialog(link: Link, status: int) -> None:
    """XFER-6: the real status is told, and the old call stands again."""
    house = house_with_trunk(link)
    carrier = house.outside.carriers[CARRIER]
    alice, bob = house.talking()
    answer_notify(alice)
    refer(alice, f"<sip:line-7@{CARRIER}?Replaces={ESCAPED}>")
    carrier.respond(status, **({"Unsupported": "replaces"} if status == 420 else {}))
    assert told(alice)[-1].startswith(f"SIP/2.0 {status} ")
    assert told(alice)[-1].endswith(" terminated")
    assert len(carrier.got("INVITE")) == 1
    assert bridged(house) == {frozenset({"alice", "bob"})}
    alice.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize(
    ("target", "permits", "status"),
    [
        ("carol@elsewhere.example", Permits(), 481),
        (f"carol@{DOMAIN}", Permits(), 481),
        (f"line-7@{CARRIER}", Permits(trunks=frozenset({"another"})), 481),
        (f"line-7@{CARRIER}", Permits(numbers=False), 403),
        (f"+442071234567@{CARRIER}", Permits(), 404),
    ],
    ids=[
        "no trunk there",
        "our own host",
        "a trunk of others",
        "no calls to numbers",
        "a number that it may not carry",
    ],
)
def test_xfer_5_nobody_else_is_asked(link: Link, target: str, permits: Permits, status: int) -> None:
    """XFER-3 counts here too: rights are those that the transferor would have for a call."""
    house = house_with_trunk(link)
    house.node.permits["alice"] = permits
    carrier = house.outside.carriers[CARRIER]
    alice, bob = house.talking()
    answer_notify(alice)
    refer(alice, f"<sip:{target}?Replaces={ESCAPED}>")
    assert told(alice)[-1].startswith(f"SIP/2.0 {status} ")
    assert not carrier.got("INVITE")
    assert bridged(house) == {frozenset({"alice", "bob"})}
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_xfer_5_a_trunk_that_is_switched_off_is_none(link: Link) -> None:
    house = house_with_trunk(link, enabled=False)
    alice, bob = house.talking()
    answer_notify(alice)
    refer(alice, f"<sip:line-7@{CARRIER}?Replaces={ESCAPED}>")
    assert told(alice)[-1].startswith("SIP/2.0 481 ")
    assert not house.outside.carriers[CARRIER].got("INVITE")
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_carriers_refer_is_served_where_that_is_enabled(link: Link) -> None:
    for enabled in (False, True):
        network = Link()
        house = house_with_trunk(network, accept_refer=enabled)
        carrier, bob, carol = house.outside.carriers[CARRIER], house.callee(), house.callee("carol")
        carrier.dial(NUMBER)
        bob.respond(200, SDP)
        refer_by_carrier(house)
        status = carrier.answers("REFER")[-1].status
        assert status == (202 if enabled else 403)
        assert bool(carol.got("INVITE")) is enabled
        if enabled:
            carol.respond(200, SDP)
            carol.hang_up(carol.ringing)
        else:
            bob.hang_up(bob.ringing)
        house.assert_nothing_left(bob, carol)


def refer_by_carrier(house: TrunkHouse) -> None:
    """The carrier sends bob on to carol."""
    carrier = house.outside.carriers[CARRIER]
    fields = Headers([("Refer-To", f"<sip:carol@{DOMAIN}>")])
    carrier.station.perform(SendInDialog(carrier.call, "REFER", fields))
    house.link.run(0.2)


def test_a_consultation_that_rings_at_a_carrier_goes_over(link: Link) -> None:
    house = house_with_trunk(link)
    carrier = house.outside.carriers[CARRIER]
    alice, bob = house.talking()
    answer_notify(alice)
    second = second_call(alice, "+14155550199")
    carrier.respond(180)
    named = dialog(alice, second).replace(";", "%3B").replace("=", "%3D")
    refer(alice, f"<sip:+14155550199@{DOMAIN}?Replaces={named}>")
    assert told(alice)[-1] == "SIP/2.0 180 Ringing active"
    carrier.respond(200, SDP)
    assert told(alice)[-1] == "SIP/2.0 200 OK terminated"
    link.run(3)
    bob.hang_up(bob.ringing)
    assert carrier.got("BYE")
    house.assert_nothing_left(alice, bob)


def test_a_carriers_caller_gets_no_time_limit_by_a_transfer(link: Link) -> None:
    """The trunk's limit is for calls to it; one that came by it may last as long as people talk."""
    house = house_with_trunk(link, max_call_seconds=60)
    carrier = house.outside.carriers[CARRIER]
    alice, bob = house.talking()
    answer_notify(bob)
    carrier.dial(NUMBER)
    bob.respond(200, SDP)
    named = dialog(bob, bob.ringing).replace(";", "%3B").replace("=", "%3D")
    refer(bob, f"<sip:+14155550123@{DOMAIN}?Replaces={named}>", bob.station.of(InviteReceived)[0].usage)
    assert told(bob)[-1] == "SIP/2.0 200 OK terminated"
    link.run(90)
    assert not alice.got("BYE")
    alice.hang_up()
    assert carrier.got("BYE")
    house.assert_nothing_left(alice, bob)
