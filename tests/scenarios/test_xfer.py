"""Transfers through the house (SIGNALLING.md section 6): every one ends bridged or restored."""

from dataclasses import replace

import pytest

from offhook.calls import effects as do
from offhook.calls.commands import HangUpEndpoint, HoldLeg
from offhook.calls.ports import SourceKind
from offhook.sip.commands import RespondInvite, SendRequest
from offhook.sip.location import Forward
from offhook.sip.message import Headers
from offhook.sip.uri import parse_uri
from tests.scenarios.test_hold import hears
from tests.support.house import WITH_SDP, House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.transferring import answer_notify, bridged, dialog, refer, rings, second_call, told

CAROL = f"<sip:carol@{DOMAIN}>"
ACTIVE = "SIP/2.0 100 Trying active"


def three(link: Link, **settings: float) -> tuple[House, Phone, Phone, Phone]:
    """Alice and Bob talk, Carol is registered; Alice knows NOTIFY."""
    house = House(link, **settings)
    alice, bob = house.talking()
    carol = house.callee("carol")
    answer_notify(alice)
    return house, alice, bob, carol


@pytest.mark.ladder
def test_rfc5359_2_4_transfer_blind(link: Link) -> None:
    house, alice, bob, carol = three(link)
    refer(alice, CAROL)
    # 1. 202, then NOTIFY 100 at once (XFER-1)
    assert alice.answers("REFER")[-1].status == 202
    assert told(alice) == [ACTIVE]
    event = alice.got("NOTIFY")[0].headers.get("Event") or ""
    assert event.startswith("refer;id=")
    # 2. the target rings by an INVITE of ours, which says who waits and who sent him (XFER-3, XFER-9)
    assert carol.invite.headers.get(
        "From",
    ).startswith(f"<sip:bob@{DOMAIN}>")  # type: ignore[union-attr]
    assert carol.invite.headers.get("Referred-By") == f"<sip:alice@{DOMAIN}>"
    # 3. the transferee hears music, then ringback
    plays = list(house.media.of(do.PlayMedia))
    assert [one.source for one in plays] == [SourceKind.MUSIC]  # type: ignore[union-attr]
    carol.respond(180)
    assert house.media.of(do.PlayMedia)[-1].source is SourceKind.RINGBACK  # type: ignore[union-attr]
    assert told(alice)[-1] == "SIP/2.0 180 Ringing active"
    carol.respond(200, SDP)
    # 4. bob and carol talk, bob got no message at all
    assert bridged(house) == {frozenset(("bob", "carol"))}
    assert [one.method for one in bob.station.received if hasattr(one, "method")] == ["INVITE", "ACK"]
    assert told(alice)[-1] == "SIP/2.0 200 OK terminated"
    # 5. the transferor's leg waits two seconds for its BYE, then gets ours
    assert not alice.got("BYE")
    link.run(2)
    assert alice.got("BYE")
    assert [one.type for one in house.node.published if one.type == "call.transferred"] == ["call.transferred"]
    bob.hang_up(bob.ringing)
    assert carol.got("BYE")
    house.assert_nothing_left(alice, bob, carol)


def test_the_callee_may_transfer_too(link: Link) -> None:
    house, alice, bob, carol = three(link)
    answer_notify(bob)
    refer(bob, CAROL, bob.ringing)
    carol.respond(200, SDP)
    assert bridged(house) == {frozenset(("alice", "carol"))}
    assert carol.invite.headers.get(
        "From",
    ).startswith(f"<sip:alice@{DOMAIN}>")  # type: ignore[union-attr]
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.ladder
@pytest.mark.parametrize(
    ("status", "line"),
    [(486, "486 Busy Here"), (603, "603 Decline"), (404, "404 Not Found")],
    ids=["486", "603", "404"],
)
def test_xfer_blind_target_busy(link: Link, status: int, line: str) -> None:
    house, alice, bob, carol = three(link)
    refer(alice, CAROL)
    carol.respond(180)
    carol.respond(status)
    # XFER-6: the real status, and the old call again
    assert told(alice)[-1] == f"SIP/2.0 {line} terminated"
    assert bridged(house) == {frozenset(("alice", "bob"))}
    assert not alice.got("BYE")
    alice.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob, carol)


def test_a_held_call_stays_held_when_the_transfer_fails(link: Link) -> None:
    house, alice, bob, carol = three(link)
    alice.ask("INVITE", SDP + b"a=sendonly\r\n")
    held = house.call().caller
    refer(alice, CAROL)
    carol.respond(486)
    assert held.state.value == "held"
    assert held.direction == "recvonly"
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.parametrize("who", ["transferor", "transferee"])
@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("status", [200, 486])
def test_hold_and_resume_while_the_target_rings(link: Link, who: str, early: bool, status: int) -> None:
    """XFER-3: the transferee hears ringback, or the target's early media, until it is answered or the old call stands."""
    house, alice, bob, carol = three(link)
    refer(alice, CAROL)
    carol.respond(183 if early else 180, SDP if early else b"")
    heard = hears(house, bob)
    phone, usage = (alice, alice.call) if who == "transferor" else (bob, bob.ringing)
    for body in (SDP + b"a=sendonly\r\n", SDP):
        phone.ask("INVITE", body, usage=usage)
        assert phone.answers("INVITE")[-1].status == 200
        assert hears(house, bob) == heard
    # 1. nor does what a command holds and lets go change it
    leg = house.call().caller
    for held in (True, False):
        house.apply(lambda held=held: house.node.command(HoldLeg(leg.ref, held)))
        assert hears(house, bob) == heard
    # 2. afterwards everybody hears what he should
    carol.respond(status, SDP if status == 200 else b"")
    assert bridged(house) == {frozenset(("bob", "carol" if status == 200 else "alice"))}
    assert isinstance(hears(house, bob), int)
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol)


def test_who_holds_while_the_target_rings_holds_whoever_answers(link: Link) -> None:
    house, alice, bob, carol = three(link)
    refer(alice, CAROL)
    carol.respond(180)
    bob.ask("INVITE", SDP + b"a=sendonly\r\n", usage=bob.ringing)
    carol.respond(200, SDP)
    assert hears(house, carol) is SourceKind.MUSIC
    bob.ask("INVITE", SDP, usage=bob.ringing)
    assert bridged(house) == {frozenset(("bob", "carol"))}
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol)


def test_nobody_answers_the_transfer(link: Link) -> None:
    house, alice, bob, carol = three(link)
    refer(alice, CAROL)
    carol.respond(180)
    link.run(61)
    assert carol.got("CANCEL")
    assert told(alice)[-1] == "SIP/2.0 480 Temporarily Unavailable terminated"
    assert bridged(house) == {frozenset(("alice", "bob"))}
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.ladder
def test_xfer_blind_transferor_leaves_at_once(link: Link) -> None:
    house, alice, bob, carol = three(link)
    refer(alice, CAROL, seconds=0.05)
    alice.hang_up()
    # The transfer goes on without it (XFER-3).
    assert not bob.got("BYE")
    carol.respond(180)
    carol.respond(200, SDP)
    assert bridged(house) == {frozenset(("bob", "carol"))}
    carol.hang_up(carol.ringing)
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob, carol)


def test_a_transferor_who_has_left_is_called_back(link: Link) -> None:
    house, alice, bob, carol = three(link)
    alice.register()
    refer(alice, CAROL, seconds=0.05)
    alice.hang_up()
    carol.respond(486)
    # XFER-6: recalled for twenty seconds
    assert rings(alice) == 1
    alice.respond(180)
    alice.respond(200, SDP)
    assert bridged(house) == {frozenset(("alice", "bob"))}
    alice.hang_up(alice.ringing)
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob, carol)


def test_a_recall_that_nobody_answers_ends_the_call_with_the_reason(link: Link) -> None:
    house, alice, bob, carol = three(link)
    alice.register()
    change = house.node.accounts
    # A recall follows no forwarding: it is meant for the one who sent the caller away.
    change["alice"] = replace(change["alice"], forward=Forward(no_answer="carol", always="carol"))
    refer(alice, CAROL, seconds=0.05)
    alice.hang_up()
    carol.respond(486)
    assert rings(alice) == 1
    alice.respond(180)
    link.run(19)
    assert not bob.got("BYE")
    link.run(2)
    assert alice.got("CANCEL")
    assert (bob.got("BYE")[0].headers.get("Reason") or "").startswith("SIP;cause=480")
    assert rings(carol) == 1
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.ladder
def test_xfer_transferor_flow_lost(link: Link) -> None:
    house, alice, bob, carol = three(link)
    refer(alice, CAROL)
    link.disconnect(alice.there.id)
    carol.respond(180)
    link.run(30)
    carol.respond(200, SDP)
    assert bridged(house) == {frozenset(("bob", "carol"))}
    bob.hang_up(bob.ringing)
    link.run(200)
    assert house.node.switchboard.calls() == []
    assert house.media.open == {}


def test_the_transferee_leaves_while_the_target_rings(link: Link) -> None:
    house, alice, bob, carol = three(link)
    refer(alice, CAROL)
    carol.respond(180)
    bob.hang_up(bob.ringing)
    assert carol.got("CANCEL")
    assert told(alice)[-1] == "SIP/2.0 487 Request Terminated terminated"
    assert alice.got("BYE")
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.ladder
def test_xfer_norefersub(link: Link) -> None:
    house, alice, bob, carol = three(link)
    refer(alice, CAROL, Refer_Sub="false", Supported="norefersub")
    answer = alice.answers("REFER")[-1]
    assert (answer.status, answer.headers.get("Refer-Sub")) == (202, "false")
    carol.respond(200, SDP)
    assert alice.got("NOTIFY") == []
    assert bridged(house) == {frozenset(("bob", "carol"))}
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol)


def test_a_built_in_destination_takes_the_transferee(link: Link) -> None:
    house, alice, bob, carol = three(link)
    refer(alice, f"<sip:music@{DOMAIN}>")
    assert told(alice)[-1] == "SIP/2.0 200 OK terminated"
    link.run(3)
    assert alice.got("BYE")
    assert house.media.of(do.PlayMedia)[-1].source is SourceKind.MUSIC  # type: ignore[union-attr]
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.parametrize(
    ("target", "more", "status", "words"),
    [
        ("<sip:carol@elsewhere.example>", "", 404, "404 Not Found"),
        (f"<sip:nobody@{DOMAIN}>", "", 404, "404 Not Found"),
        (f"{CAROL}, {CAROL}", "", 400, ""),
        ("nonsense", "", 400, ""),
        (f"<sip:carol@{DOMAIN};method=BYE>", "", 403, ""),
        (f"<sip:carol@{DOMAIN}?Replaces=nothing>", "", 400, ""),
        (
            f"<sip:carol@{DOMAIN}?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2>",
            "",
            481,
            "481 Call/Transaction Does Not Exist",
        ),
    ],
)
def test_a_transfer_to_nowhere_restores_the_call(link: Link, target: str, more: str, status: int, words: str) -> None:
    house, alice, bob, carol = three(link)
    refer(alice, target)
    if words:
        assert told(alice)[-1] == f"SIP/2.0 {words} terminated"
    else:
        assert alice.answers("REFER")[-1].status == status
        assert alice.got("NOTIFY") == []
    assert not carol.got("INVITE")
    assert bridged(house) == {frozenset(("alice", "bob"))}
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.ladder
def test_xfer_without_right(link: Link) -> None:
    """XFER-3: the rate of calls is the transferor's own; XFER-8: a trunk may not at all."""
    house, alice, bob, carol = three(link, call_rate=0.5)
    refer(alice, CAROL)
    assert told(alice)[-1] == "SIP/2.0 503 Service Unavailable terminated"
    assert not carol.got("INVITE")
    house.call().caller.account = None
    refer(alice, CAROL)
    refused = alice.answers("REFER")[-1]
    assert refused.status == 403
    assert "transfer-not-allowed A trunk may not transfer" in (refused.headers.get("Warning") or "")
    bob.hang_up(bob.ringing)
    house.link.run(100)


def test_two_transfers_at_once(link: Link) -> None:
    house, alice, bob, carol = three(link)
    answer_notify(bob)
    refer(alice, CAROL)
    refer(bob, CAROL, bob.ringing)
    assert bob.answers("REFER")[-1].status == 491
    carol.respond(200, SDP)
    assert bridged(house) == {frozenset(("bob", "carol"))}
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol)


def test_a_foreign_host_of_the_settings_means_us(link: Link) -> None:
    house, alice, bob, carol = three(link)
    house.node.switchboard._config = replace(house.node.switchboard._config, refer_hosts=frozenset({"vendor.example"}))
    house.call().config = house.node.switchboard._config
    refer(alice, "<sip:carol@vendor.example>")
    assert carol.got("INVITE")
    carol.respond(200, SDP)
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol)


# ---- attended


def consulting(link: Link, answered: bool = True) -> tuple[House, Phone, Phone, Phone]:
    """Alice talks with Bob and has a second call with Carol, answered or ringing."""
    house, alice, bob, carol = three(link)
    second_call(alice, "carol")
    carol.respond(180)
    if answered:
        carol.respond(200, SDP)
    return house, alice, bob, carol


SECOND = "second-of-alice"


def replaces(value: str, escaped: bool = True) -> str:
    """A Refer-To with the dialog in it."""
    text = value.replace(";", "%3B").replace("=", "%3D").replace("@", "%40") if escaped else value
    return f"<sip:carol@{DOMAIN}?Replaces={text}>"


@pytest.mark.ladder
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "plain"])
@pytest.mark.parametrize("reverse", [False, True], ids=["ours", "theirs"])
def test_rfc5359_2_5_transfer_attended(link: Link, escaped: bool, reverse: bool) -> None:
    """xfer_attended_tags_reversed is the second row: JsSIP writes the tags in the order of its own role."""
    house, alice, bob, carol = consulting(link)
    before = len(carol.got("INVITE"))
    refer(alice, replaces(dialog(alice, SECOND, reverse), escaped))  # type: ignore[arg-type]
    # 1. no new INVITE, the far ends hear each other
    assert len(carol.got("INVITE")) == before
    assert bridged(house) == {frozenset(("bob", "carol"))}
    # 2. NOTIFY 200, and the replaced dialog gets its BYE
    assert told(alice) == [ACTIVE, "SIP/2.0 200 OK terminated"]
    assert len(alice.got("BYE")) == 1
    assert not bob.got("BYE")
    assert not carol.got("BYE")
    # 3. the first leg waits two seconds
    link.run(2.5)
    assert len(alice.got("BYE")) == 2
    carol.hang_up(carol.ringing)
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob, carol)
    assert len(house.node.log) == 2


@pytest.mark.ladder
def test_xfer_attended_tags_reversed(link: Link) -> None:
    house, alice, bob, carol = consulting(link)
    refer(alice, replaces(dialog(alice, SECOND, reverse=True)))  # type: ignore[arg-type]
    assert bridged(house) == {frozenset(("bob", "carol"))}
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.ladder
def test_xfer_attended_while_ringing(link: Link) -> None:
    house, alice, bob, carol = consulting(link, answered=False)
    refer(alice, replaces(dialog(alice, SECOND)))  # type: ignore[arg-type]
    # 1. it goes on ringing, for bob now, and alice's second INVITE is over
    assert not carol.got("CANCEL")
    assert house.media.of(do.PlayMedia)[-1].source is SourceKind.RINGBACK  # type: ignore[union-attr]
    assert told(alice)[-1] == "SIP/2.0 180 Ringing active"
    assert alice.final().status == 487
    carol.respond(200, SDP)
    assert bridged(house) == {frozenset(("bob", "carol"))}
    assert told(alice)[-1] == "SIP/2.0 200 OK terminated"
    bob.hang_up(bob.ringing)
    assert carol.got("BYE")
    house.assert_nothing_left(alice, bob, carol)


def test_an_attended_transfer_while_ringing_that_is_declined_restores_the_first_call(link: Link) -> None:
    house, alice, bob, carol = consulting(link, answered=False)
    refer(alice, replaces(dialog(alice, SECOND)))  # type: ignore[arg-type]
    carol.respond(603)
    assert told(alice)[-1] == "SIP/2.0 603 Decline terminated"
    assert bridged(house) == {frozenset(("alice", "bob"))}
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.ladder
def test_xfer_replaces_foreign_dialog(link: Link) -> None:
    """XFER-5, and a dialog of somebody else's: neither is told apart from one that never was."""
    house, alice, bob, carol = three(link)
    mallory = house.caller("carol", "mallory")
    mallory.dial("echo")
    refer(alice, replaces(dialog(mallory)))
    assert told(alice)[-1] == "SIP/2.0 481 Call/Transaction Does Not Exist terminated"
    assert bridged(house) == {frozenset(("alice", "bob"))}
    alice.hang_up()
    mallory.hang_up()
    house.assert_nothing_left(alice, bob, carol, mallory)


def test_a_callee_consults_and_transfers(link: Link) -> None:
    """The transferor was called both times: its legs are the callee's in both calls."""
    house = House(link)
    alice, carol, bob = house.caller(), house.caller("carol"), house.callee()
    answer_notify(bob)
    alice.dial("bob")
    bob.respond(200, SDP)
    first = bob.ringing
    carol.dial("bob")
    bob.respond(200, SDP)
    refer(bob, replaces(dialog(bob, bob.ringing)), first)
    assert bridged(house) == {frozenset(("alice", "carol"))}
    carol.hang_up()
    assert alice.got("BYE")
    house.assert_nothing_left(alice, bob, carol)


def test_a_call_joined_by_a_transfer_can_be_transferred_again(link: Link) -> None:
    house, alice, bob, carol = consulting(link)
    refer(alice, replaces(dialog(alice, SECOND)))  # type: ignore[arg-type]
    link.run(3)
    answer_notify(carol)
    refer(carol, f"<sip:alice@{DOMAIN}>", carol.ringing)
    assert told(carol)[-1] == "SIP/2.0 480 Temporarily Unavailable terminated"
    alice.register()
    refer(carol, f"<sip:alice@{DOMAIN}>", carol.ringing)
    alice.station.perform(RespondInvite(alice.ringing, 200, WITH_SDP, SDP))
    link.run(0.1)
    assert bridged(house) == {frozenset(("alice", "bob"))}
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol)


# ---- outside a dialog


def outside(phone: Phone, *fields: tuple[str, str]) -> None:
    """A REFER of its own."""
    command = SendRequest(
        "refer", "REFER", phone.there.id, parse_uri(f"sip:{DOMAIN}"), f"<sip:{phone.username}@{DOMAIN}>",
        f"<sip:{phone.username}@{DOMAIN}>", Headers([("Refer-To", CAROL), *fields]), contact_user=phone.username,
    )  # fmt: skip
    phone.station.perform(command)
    phone.house.link.run(0.1)


def test_a_refer_outside_a_dialog_names_the_call_it_means(link: Link) -> None:
    house, alice, bob, carol = three(link)
    outside(alice, ("Target-Dialog", dialog(alice).replace("to-tag", "remote-tag").replace("from-tag", "local-tag")))
    assert alice.answers("REFER")[-1].status == 202
    carol.respond(200, SDP)
    assert bridged(house) == {frozenset(("bob", "carol"))}
    bob.hang_up(bob.ringing)
    house.link.run(100)
    assert house.media.open == {}


def test_a_refer_outside_a_dialog_is_refused_without_one_of_the_same_endpoint(link: Link) -> None:
    house, alice, bob, carol = three(link)
    mallory = house.caller("carol", "mallory")
    named = dialog(alice).replace("to-tag", "remote-tag").replace("from-tag", "local-tag")
    for phone, fields in ((alice, ()), (mallory, (("Target-Dialog", named),)), (alice, (("Target-Dialog", "x"),))):
        outside(phone, *fields)
    assert [alice.answers("REFER")[0].status, mallory.answers("REFER")[0].status] == [403, 403]
    assert alice.answers("REFER")[1].status == 400
    assert not carol.got("INVITE")
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol, mallory)


# ---- sound


def test_early_media_of_the_target_is_heard_by_the_transferee(link: Link) -> None:
    house, alice, bob, carol = three(link)
    cell = house.callee("carol", "cell")
    refer(alice, CAROL)
    carol.respond(183, SDP)
    assert bridged(house) == {frozenset(("bob", "carol"))}
    cell.respond(180)
    # The branch that was heard ends: ringback of ours, not silence.
    carol.respond(486)
    assert house.media.of(do.PlayMedia)[-1].source is SourceKind.RINGBACK  # type: ignore[union-attr]
    cell.respond(200, SDP)
    assert bridged(house) == {frozenset(("bob", "carol"))}
    assert [line.split()[1] for line in told(alice)] == ["100", "183", "180", "200"]
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol, cell)


def test_a_second_call_of_an_endpoint_is_opened_near_its_first(link: Link) -> None:
    """Legs of two calls meet at less cost on one shard of the engine."""
    house, alice, bob, carol = three(link)
    first = house.call().media_calls[0]
    second_call(alice, "carol")
    opened = house.media.of(do.OpenMedia)
    assert [one.near for one in opened] == [0, first]  # type: ignore[union-attr]
    carol.respond(486)
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


def test_who_has_transferred_and_left_has_a_call_less(link: Link) -> None:
    """Limits and ends of an endpoint's calls are about those in which it still is."""
    house, alice, bob, carol = three(link)
    house.node.accounts["alice"] = replace(house.node.accounts["alice"], max_calls=1)
    refer(alice, CAROL)
    carol.respond(200, SDP)
    alice.hang_up()
    # 1. one call is all she may have, and she has none now
    second_call(alice, "echo")
    assert alice.answers("INVITE")[-1].status == 200
    # 2. ending hers leaves the two others alone
    house.apply(lambda: house.node.command(HangUpEndpoint("alice", "endpoint_deleted")))
    assert not bob.got("BYE")
    bob.hang_up(bob.ringing)
    assert carol.got("BYE")
    house.assert_nothing_left(alice, bob, carol)
