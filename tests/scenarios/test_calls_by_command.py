"""API.md 8.1 and 8.2: calls that the API places, and what commands do to a leg. Promises are numbered inside."""

from dataclasses import replace
from typing import Any

import pytest

from offhook.calls import effects as do
from offhook.calls.commands import (
    CallCommand,
    ConnectLeg,
    EndLeg,
    HoldLeg,
    PartLegs,
    Place,
    PressDigits,
    ReferLeg,
    TellUserEvent,
)
from offhook.calls.document import Connect, DialTarget, Document, StatusWish
from offhook.calls.document import Link as AtUrl
from offhook.calls.ports import SourceKind
from offhook.sip.commands import Respond, SendInDialog
from offhook.sip.events import RequestInDialog
from offhook.sip.location import Forward
from offhook.sip.message import Headers
from offhook.sip.secret import Secret
from offhook.sip.uri import parse_uri
from tests.scenarios.test_replaces import group
from tests.support.carriers import TrunkHouse
from tests.support.challenger import Challenger, Gate
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.transferring import bridged, dialog

REF, NUMBER, OURS = "018f0000-0000-7000-8000-00000000000a", "+14155550123", "+15125550100"
EVERY = ("queued", "initiated", "created", "ringing", "answered", "ending", "ended")
TO_CAROL = Document((Connect(((DialTarget("carol"),),), 60.0),))
IDLE = Document((Connect(((DialTarget("music"),),), 60.0),))
"""A document that lets the leg hear music until it leaves."""


def do_(house: House, command: CallCommand) -> None:
    house.apply(lambda: house.node.command(command))


def place(house: House, to: str = "bob", **fields: Any) -> None:
    """A command that dials; all its states are wanted."""
    given = {"document": TO_CAROL, "wish": StatusWish("http://w/", EVERY), **fields}
    do_(house, Place(given.pop("ref", REF), to, given.pop("from_", OURS), **given))


def told(house: House, ref: str = REF) -> list[str]:
    """States of a leg that were told, in order."""
    return [one.leg.state for one in house.node.told if one.leg.leg_ref == ref and one.kind == "state"]


def ended(house: House, ref: str = REF) -> tuple[str, str]:
    """Code and reason with which the leg of the command was told to end."""
    last = [one.leg for one in house.node.told if one.leg.leg_ref == ref][-1]
    return last.end_code, last.end_reason


@pytest.mark.ladder
def test_a_command_dials_and_its_document_connects(link: Link) -> None:
    house = House(link)
    bob, carol = house.callee(), house.callee("carol")
    place(house, name="Acme")
    # 1. the destination rings with our offer and the number and name of the command
    assert (bob.invite.headers.get("From") or "").startswith(f'"Acme" <sip:{OURS}@{DOMAIN}>')
    assert bob.invite.body
    assert not carol.got("INVITE")
    bob.respond(180)
    bob.respond(200, SDP)
    # 2. whoever answers is the leg that the command named, and hears ringback while the document calls on
    assert house.node.switchboard.leg(REF) is not None
    assert house.call().caller.ref == REF
    assert house.media.of(do.PlayMedia)[-1].source is SourceKind.RINGBACK  # type: ignore[union-attr]
    carol.respond(200, SDP)
    # 3. the two talk; either leg, the other's former id too, leads to the call
    assert bridged(house) == {frozenset(("bob", "carol"))}
    assert {leg.dialled for leg in house.call().parties} == {"outbound-api", "outbound-dial"}
    # 4. the second leaves, the document is at its end: the first gets BYE
    carol.hang_up(carol.ringing)
    assert bob.got("BYE")
    house.assert_nothing_left(bob, carol)
    # 5. every state was told once and in order, the last with its reason
    assert told(house) == list(EVERY)
    assert [one.sequence for one in house.node.told] == list(range(7))
    assert ended(house) == ("hangup", "hangup")
    # 6. the log has one row for each leg, under the ref of the command
    rows = dict(house.node.log[0].legs)
    assert set(rows) == {REF, *(set(rows) - {REF})}
    assert [(row["direction"], row["from"], row["to"]) for row in rows.values()] == [
        ("outbound-api", OURS, f"sip:bob@{DOMAIN}"),
        ("outbound-dial", f"sip:bob@{DOMAIN}", f"sip:carol@{DOMAIN}"),
    ]
    assert all(row["answered_at"] is not None for row in rows.values())


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [(486, "callee_busy", "busy"), (603, "callee_declined", "decline"), (404, "callee_refused", "error")],
)
def test_a_destination_that_refuses_ends_the_call_with_why(link: Link, status: int, code: str, reason: str) -> None:
    house = House(link)
    bob = house.callee()
    place(house)
    bob.respond(status)
    assert ended(house) == (code, reason)
    assert "answered" not in told(house)
    row = dict(house.node.log[0].legs)[REF]
    assert (row["sip_code"], row["end_code"], row["answered_at"]) == (status, code, None)
    house.assert_nothing_left(bob)


def test_nobody_answers_in_the_time_of_the_command(link: Link) -> None:
    house = House(link)
    bob = house.callee()
    place(house, seconds=12.0)
    bob.respond(180, seconds=11)
    assert not bob.got("CANCEL")
    link.run(2)
    assert bob.got("CANCEL")
    assert ended(house) == ("callee_no_answer", "noAnswer")
    house.assert_nothing_left(bob)


def test_a_destination_that_is_away_or_unknown(link: Link) -> None:
    house = House(link)
    place(house, "bob")
    assert ended(house) == ("not_registered", "noAnswer")
    place(house, "nobody", ref="second")
    assert ended(house, "second")[0] == "destination_unknown"
    place(house, "echo", ref="third")
    assert ended(house, "third")[0] == "destination_unknown", "a built-in has no device"
    house.assert_nothing_left()


def test_several_devices_are_one_leg(link: Link) -> None:
    house = House(link)
    desk, cell = house.callee(name="desk"), house.callee(name="cell")
    place(house, document=IDLE)
    cell.respond(200, SDP)
    assert desk.got("CANCEL")
    cell.hang_up(cell.ringing)
    assert [ref for ref, _ in house.node.log[0].legs] == [REF]
    house.assert_nothing_left(desk, cell)


def test_forwardings_of_the_destination_count(link: Link) -> None:
    house = House(link)
    accounts = house.node.accounts
    accounts["bob"] = replace(accounts["bob"], forward=Forward(unreachable="carol"))
    carol = house.callee("carol")
    place(house, document=IDLE)
    carol.respond(200, SDP)
    assert told(house)[-1] == "answered"
    do_(house, EndLeg(REF))
    house.assert_nothing_left(carol)


def test_a_call_through_a_trunk_shows_the_number_of_the_command(link: Link) -> None:
    house = TrunkHouse(link)
    house.node.numbers[OURS] = "alice"
    carrier = house.carrier("198.51.100.7")
    house.trunk(targets=[{"uri": "sip:198.51.100.7"}], allowed_prefixes=["+1"], dtmf="rfc4733")
    place(house, NUMBER, document=IDLE, digits="12w3")
    assert carrier.invite.uri.user == NUMBER
    assert OURS in (carrier.invite.headers.get("From") or "")
    carrier.respond(200, SDP)
    assert house.media.of(do.SendDigits)[0].digits == "12"  # type: ignore[union-attr]
    link.run(1.5)
    assert house.media.of(do.SendDigits)[-1].digits == "3"  # type: ignore[union-attr]
    carrier.hang_up()
    row = dict(house.node.log[0].legs)[REF]
    assert (row["to"], row["trunk_id"], row["direction"]) == (NUMBER, "t1", "outbound-api")
    house.assert_nothing_left()


def test_a_foreign_uri_with_credentials(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier("203.0.113.9", gates=[Gate(username="carol", password="secret")])
    place(
        house,
        "sip:carol@203.0.113.9",
        document=IDLE,
        username="carol",
        password=Secret("secret"),
        fields=(("X-Ticket", "17"),),
    )
    assert carrier.invite.headers.get("X-Ticket") == "17"
    carrier.respond(200, SDP)
    assert told(house)[-1] == "answered"
    do_(house, EndLeg(REF))
    house.assert_nothing_left()


# ---- the end


@pytest.mark.parametrize(("reason", "status"), [("hangup", 480), ("busy", 486), ("decline", 603), ("error", 500)])
def test_end_of_a_caller_who_was_not_answered_is_a_final_response(link: Link, reason: str, status: int) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(180)
    do_(house, EndLeg(house.call().caller.ref, reason))
    assert alice.final().status == status
    assert bob.got("CANCEL")
    row = dict(house.node.log[0].legs)[house.call().ref]
    assert (row["end_code"], row["end_reason"], row["ended_by"]) == ("api_hangup", reason, "api")
    house.assert_nothing_left(alice, bob)


def test_end_of_a_leg_that_rings_is_cancel_and_of_one_that_talks_bye(link: Link) -> None:
    house = House(link)
    bob = house.callee()
    place(house)
    bob.respond(180)
    do_(house, EndLeg(REF, "cancel"))
    assert bob.got("CANCEL")
    assert ended(house) == ("api_hangup", "cancel")
    place(house, document=IDLE, ref="second")
    bob.respond(200, SDP)
    do_(house, EndLeg("second", "busy"))
    assert "17" in (bob.got("BYE")[0].headers.get("Reason") or "")
    assert ended(house, "second") == ("api_hangup", "busy")
    house.assert_nothing_left(bob)


# ---- apart, and together anew


def talking(house: House) -> tuple[Phone, Phone]:
    """Bob was dialled by a command, whose document has called Carol."""
    bob, carol = house.callee(), house.callee("carol")
    place(house)
    bob.respond(200, SDP)
    carol.respond(200, SDP)
    return bob, carol


def test_disconnect_parts_two_legs_and_a_leg_without_document_waits(link: Link) -> None:
    house = House(link, parked_seconds=30.0)
    alice, bob = house.talking()
    do_(house, PartLegs(house.call().ref))
    # 1. nobody gets a message, neither hears the other
    assert not alice.got("BYE")
    assert not bob.got("BYE")
    assert len(house.media.of(do.StopMedia)) == 2
    # 2. one may leave, the other stays
    bob.hang_up(bob.ringing)
    assert not alice.got("BYE")
    # 3. after the time of the setting it ends
    link.run(31)
    assert alice.got("BYE")
    house.assert_nothing_left(alice, bob)


def test_disconnect_lets_the_document_go_on(link: Link) -> None:
    house = House(link)
    bob, carol = talking(house)
    do_(house, PartLegs(REF))
    assert bob.got("BYE"), "its document is at its end"
    assert not carol.got("BYE"), "she has none and waits"
    link.run(31)
    assert carol.got("BYE")
    house.assert_nothing_left(bob, carol)


def test_transfer_releases_the_partner_only_when_the_target_answers(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    carol = house.callee("carol")
    ref = house.call().caller.ref
    do_(house, ConnectLeg(ref, to="carol"))
    carol.respond(180)
    # 1. the two talk on while it rings
    assert not bob.got("BYE")
    assert bridged(house) == {frozenset(("alice", "bob"))}
    carol.respond(200, SDP)
    # 2. now the partner is released
    assert bob.got("BYE")
    assert bridged(house) == {frozenset(("alice", "carol"))}
    alice.hang_up()
    assert carol.got("BYE")
    house.assert_nothing_left(alice, bob, carol)


def test_a_transfer_that_fails_leaves_everything_as_it_was(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    carol = house.callee("carol")
    before = len(house.media.told)
    do_(house, ConnectLeg(house.call().caller.ref, to="carol"))
    carol.respond(486)
    failed = dict(next(one for one in house.node.published if one.type == "call.finding_raised").details)
    assert (failed["code"], failed["verdict"]) == ("transfer_failed", "callee_busy")
    assert not [one for one in house.media.told[before:] if isinstance(one, do.BridgeMedia | do.PlayMedia)]
    assert not bob.got("BYE")
    alice.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob, carol)


def test_transfer_to_a_document_by_url_keeps_the_partner_until_it_is_there(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    carol = house.callee("carol")
    ref = house.call().caller.ref
    do_(house, ConnectLeg(ref, link=AtUrl("http://gone/")))
    link.run(1)
    assert not bob.got("BYE"), "a document that does not come changes nothing"
    house.node.documents["http://there/"] = TO_CAROL
    do_(house, ConnectLeg(ref, link=AtUrl("http://there/")))
    link.run(1)
    assert bob.got("BYE")
    carol.respond(200, SDP)
    assert bridged(house) == {frozenset(("alice", "carol"))}
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


def test_a_leg_of_a_document_is_transferred_and_the_document_goes_on_alone(link: Link) -> None:
    house = House(link)
    bob, carol = talking(house)
    dave = house.callee("alice", "dave")
    ref = next(leg.ref for leg in house.call().parties if leg.ref != REF)
    do_(house, ConnectLeg(ref, to="alice"))
    dave.respond(200, SDP)
    assert bob.got("BYE"), "its document is at its end"
    assert not carol.got("BYE")
    assert bridged(house) == {frozenset(("carol", "alice"))}
    dave.hang_up(dave.ringing)
    assert carol.got("BYE")
    house.assert_nothing_left(bob, carol, dave)


# ---- what is heard


def test_hold_and_mute_by_command(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    leg = house.call().caller
    peer = house.call().peer_of(leg)
    assert leg.media is not None
    assert peer is not None
    assert peer.media is not None
    mine, theirs = leg.media.leg, peer.media.leg
    before = len(house.media.told)
    do_(house, HoldLeg(leg.ref, held=True))
    # 1. it hears music, and its partner hears nothing by command
    now = house.media.told[before:]
    assert do.PlayMedia(mine, SourceKind.MUSIC) in now
    assert now[-1] == do.HushMedia(theirs)
    # 2. unheld they hear each other
    do_(house, HoldLeg(leg.ref, held=False))
    assert house.media.told[-1] == do.BridgeMedia(mine, theirs)
    # 3. muted it hears, and is not heard
    do_(house, HoldLeg(leg.ref, muted=True))
    assert house.media.told[-1] == do.HushMedia(theirs)
    assert not any(one == do.HushMedia(mine) for one in house.media.told[before:])
    # 4. a hold by the device itself does not undo it
    bob.ask("INVITE", SDP + b"a=sendonly\r\n", bob.ringing)
    bob.ask("INVITE", SDP, bob.ringing)
    assert house.media.told[-1] == do.HushMedia(theirs)
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_digits_and_events_of_the_user(link: Link) -> None:
    house = House(link)
    bob, carol = talking(house)
    do_(house, PressDigits(REF, "5#", 200))
    # Bob's phone lists INFO and has agreed no event: one INFO at a time.
    assert b"5" in bob.got("INFO")[0].body
    assert b"Duration=200" in bob.got("INFO")[0].body
    do_(house, TellUserEvent(REF, '{"a":1}'))
    assert [one.kind for one in house.node.told][-1] == "user_event"
    assert dict(house.node.told[-1].details) == {"event": '{"a":1}'}
    assert house.node.published[-1].type == "call.user_event"
    do_(house, EndLeg(REF))
    house.assert_nothing_left(bob, carol)


# ---- sent elsewhere


@pytest.mark.parametrize(
    ("frag", "state", "notify"),
    [("200 OK", "success", "200"), ("486 Busy Here", "busy", "486"), ("503 x", "error", "503")],
)
def test_refer_to_the_device_tells_how_it_goes_on(link: Link, frag: str, state: str, notify: str) -> None:
    house = House(link)
    bob = house.callee()
    place(house, document=IDLE)
    bob.respond(200, SDP)
    do_(house, ReferLeg(REF, "sip:dave@elsewhere.example", StatusWish("http://r/", ())))
    refer = bob.got("REFER")[0]
    assert parse_uri((refer.headers.get("Refer-To") or "").strip("<>")).host == "elsewhere.example"
    event = next(one for one in bob.station.of(RequestInDialog) if one.request.method == "REFER")  # type: ignore[union-attr]
    bob.station.perform(Respond(event.transaction, 202))  # type: ignore[union-attr]
    link.run(0.1)
    fields = Headers([("Event", "refer"), ("Subscription-State", "terminated"), ("Content-Type", "message/sipfrag")])
    bob.station.perform(SendInDialog(bob.ringing, "NOTIFY", fields, f"SIP/2.0 {frag}\r\n".encode()))
    link.run(0.1)
    assert bob.answers("NOTIFY")[0].status == 200
    said = [dict(one.details) for one in house.node.told if one.kind == "refer" and one.wish.url == "http://r/"]
    assert [one["state"] for one in said] == ["inProgress", state]
    assert (said[-1]["response"], said[-1]["notify"]) == ("202", notify)
    do_(house, EndLeg(REF))
    house.assert_nothing_left(bob)


def test_credentials_of_refer_answer_a_challenge_to_it_and_to_nothing_else(link: Link) -> None:
    house = House(link)
    bob = house.callee()
    gate = Challenger(bob.device, [Gate(status=401, username="u", password="p")], frozenset({"REFER"}))  # type: ignore[arg-type]
    bob.station.node = gate
    place(house, document=IDLE)
    bob.respond(200, SDP)
    # 1. without credentials the challenge is the end of it
    do_(house, ReferLeg(REF, "sip:dave@elsewhere.example", StatusWish("http://r/", ())))
    link.run(0.1)
    said = [dict(one.details) for one in house.node.told if one.kind == "refer" and one.wish.url == "http://r/"]
    assert [(one["state"], one["response"]) for one in said] == [("inProgress", ""), ("error", "401")]
    # 2. with them the REFER is sent once more, proved, and says who sent it
    do_(house, ReferLeg(REF, "sip:dave@elsewhere.example", None, "alice", "u", Secret("p")))
    link.run(0.1)
    assert [method for method, _ in gate.proofs] == ["REFER"]
    assert gate.admitted[0].headers.get("Referred-By") == f"<sip:alice@{DOMAIN}>"
    # 3. the dialog's other requests carry none of it
    event = next(one for one in bob.station.of(RequestInDialog) if one.request.method == "REFER")  # type: ignore[union-attr]
    bob.station.perform(Respond(event.transaction, 202))  # type: ignore[union-attr]
    do_(house, EndLeg(REF))
    assert bob.got("BYE")[0].headers.get("Authorization") is None
    bob.station.node = bob.device
    house.assert_nothing_left(bob)


def test_whoever_picks_up_for_the_destination_is_the_leg_of_the_command(link: Link) -> None:
    """XFER-7 and API.md 8.1: one of the pickup group takes the call of a command, by an INVITE with Replaces."""
    house = House(link)
    group(house, "bob", "alice")
    bob, carol, alice = house.callee(), house.callee("carol"), house.caller()
    place(house)
    bob.respond(180)
    alice.dial("bob", Replaces=dialog(bob, bob.ringing))
    # 1. she is the leg that the command named, and its document goes on for her
    assert alice.final().status == 200
    assert bob.got("CANCEL")
    leg = house.node.switchboard.leg(REF)
    assert leg is not None
    assert house.call().caller.flow.id == alice.back.id
    assert house.call().caller.ref == REF
    carol.respond(200, SDP)
    assert bridged(house) == {frozenset(("alice", "carol"))}
    # 2. commands reach her by it
    do_(house, EndLeg(REF, "hangup"))
    assert alice.got("BYE")
    house.assert_nothing_left(alice, bob, carol)
    # 3. and its states were told as of any other
    assert told(house) == list(EVERY)
    assert REF in dict(house.node.log[0].legs)


def test_whoever_picks_up_for_a_place_of_a_document_is_its_partner(link: Link) -> None:
    house = House(link)
    group(house, "carol", "alice")
    bob, carol, alice = house.callee(), house.callee("carol"), house.caller()
    place(house)
    bob.respond(200, SDP)
    carol.respond(180)
    alice.dial("carol", Replaces=dialog(carol, carol.ringing))
    # 1. she talks to whom the document called for
    assert alice.final().status == 200
    assert carol.got("CANCEL")
    assert bridged(house) == {frozenset(("alice", "bob"))}
    # 2. nobody is waited for any more, and the document goes on when she leaves: here it ends the call
    assert house.call().places == []
    alice.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob, carol)
