"""API.md 8.4: documents of the routing subset at work, SWML and cXML, for callers and for legs that commands placed."""

import pytest

from offhook.calls import effects as do
from offhook.calls.commands import EndLeg, Place
from offhook.calls.cxml import read as read_cxml
from offhook.calls.document import Broken, Document, StatusWish
from offhook.calls.document import Link as AtUrl
from offhook.calls.entry import Entry, Fetch, NotRun, RunsDocument
from offhook.calls.ports import SourceKind
from offhook.calls.swml import read as read_swml
from offhook.server.document_text import read_plain, read_xml
from offhook.sip.commands import CancelInvite
from tests.support.carriers import TrunkHouse
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.transferring import bridged

REF, NUMBER = "018f0000-0000-7000-8000-00000000000b", "+15125550100"
CARRIER = "198.51.100.7"


def cxml(text: str) -> Document:
    """A cXML document at http://d/."""
    return read_cxml(read_xml(f"<Response>{text}</Response>".encode()), "http://d/")


def swml(text: str) -> Document:
    """A SWML document in YAML; the lines are the steps of main."""
    steps = "\n".join(f"    - {line}" for line in text.splitlines())
    return read_swml(read_plain(f"sections:\n  main:\n{steps}\n"))


def calls(house: House, document: Document | Broken, wish: StatusWish | None = None) -> None:
    """A command dials Bob, who gets the document of a URL."""
    house.node.documents["http://d/"] = document
    house.apply(lambda: house.node.command(Place(REF, "bob", NUMBER, link=AtUrl("http://d/"), wish=wish)))


@pytest.fixture
def office(link: Link) -> TrunkHouse:
    """A carrier delivers calls to a number whose handler is cXML at http://d/, with a callback."""
    house = TrunkHouse(link)
    house.carrier(CARRIER)
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], allowed_prefixes=["+1"], did_ranges=[NUMBER])
    handler = RunsDocument("cxml", Fetch("http://d/"), Fetch("http://f/"), Fetch("http://s/"))
    events = ("initiated", "ringing", "answered", "completed")
    house.node.entries[NUMBER] = Entry("n1", NUMBER, handler, project_id="p1", status_events=events)
    return house


def arrives(house: TrunkHouse, document: Document | Broken | None) -> None:
    """The carrier's call comes in."""
    if document is not None:
        house.node.documents["http://d/"] = document
    house.outside.carriers[CARRIER].dial(f"sip:{NUMBER}@127.0.0.2")


# ---- callers


@pytest.mark.ladder
def test_dial_with_answer_on_bridge_answers_when_the_callee_does(office: TrunkHouse) -> None:
    carrier, bob = office.outside.carriers[CARRIER], office.callee()
    arrives(office, cxml('<Dial answerOnBridge="true"><Client>bob</Client></Dial>'))
    # 1. the request names the leg and the number
    asked = office.node.fetched[0]
    assert (asked.link.cxml, asked.leg.to, asked.leg.from_, asked.leg.project) == (True, NUMBER, "+14155550123", "p1")
    bob.respond(180)
    # 2. the caller hears ringing as it comes, no answer before the callee's
    assert carrier.answers("INVITE") == []
    bob.respond(200, SDP)
    assert carrier.final().status == 200
    carrier.hang_up(carrier.call)
    office.assert_nothing_left(bob)
    # 3. the callback of the number's handler hears of the caller's leg, by its words
    assert [(one.wish.url, one.leg.state, one.leg.way) for one in office.node.told] == [
        ("http://s/", "initiated", "inbound"),
        ("http://s/", "ringing", "inbound"),
        ("http://s/", "answered", "inbound"),
        ("http://s/", "ended", "inbound"),
    ]


def test_dial_answers_at_once_and_plays_ringback(office: TrunkHouse) -> None:
    carrier, bob = office.outside.carriers[CARRIER], office.callee()
    arrives(office, cxml("<Dial><Client>bob</Client></Dial>"))
    assert carrier.final().status == 200, "the document answers"
    assert not bob.got("200 INVITE")
    assert office.media.of(do.PlayMedia)[-1].source is SourceKind.RINGBACK  # type: ignore[union-attr]
    bob.respond(200, SDP)
    assert office.media.of(do.BridgeMedia)
    carrier.hang_up(carrier.call)
    assert bob.got("BYE")
    office.assert_nothing_left(bob)


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        (cxml("<Reject/>"), 603, "callee_declined"),
        (cxml('<Reject reason="busy"/>'), 486, "callee_busy"),
        (swml("hangup: {reason: busy}"), 486, "callee_busy"),
        (cxml("<Hangup/>"), 603, "callee_declined"),
        (Broken("document_invalid", "line 2: no XML"), 503, "document_invalid"),
        (Broken("document_verb_unsupported", "line 3: Say"), 503, "document_verb_unsupported"),
        (None, 503, "document_fetch_failed"),
    ],
)
def test_a_document_that_does_not_answer_refuses(
    office: TrunkHouse, document: Document | Broken | None, status: int, code: str
) -> None:
    arrives(office, document)
    final = office.outside.carriers[CARRIER].final()
    assert final.status == status
    assert code.replace("_", "-") in office.warning(final)
    assert office.call().end_code == code
    office.assert_nothing_left()


def test_the_fallback_is_tried_when_the_document_does_not_come(office: TrunkHouse) -> None:
    office.node.documents["http://f/"] = cxml('<Reject reason="busy"/>')
    arrives(office, None)
    assert office.outside.carriers[CARRIER].final().status == 486
    office.assert_nothing_left()


def test_the_caller_who_gives_up_ends_everything(office: TrunkHouse) -> None:
    bob = office.callee()
    arrives(office, cxml('<Dial answerOnBridge="true"><Client>bob</Client></Dial>'))
    bob.respond(180)
    carrier = office.outside.carriers[CARRIER]
    carrier.station.perform(CancelInvite(carrier.call))
    office.link.run(0.1)
    assert bob.got("CANCEL")
    office.assert_nothing_left(bob)


def test_a_failed_dial_goes_on_with_the_next_verb(office: TrunkHouse) -> None:
    bob, carol = office.callee(), office.callee("carol")
    arrives(
        office,
        cxml('<Dial answerOnBridge="true"><Client>bob</Client></Dial><Dial answerOnBridge="true">carol</Dial>'),
    )
    bob.respond(486)
    carol.respond(200, SDP)
    assert office.outside.carriers[CARRIER].final().status == 200
    carol.hang_up(carol.ringing)
    office.assert_nothing_left(bob, carol)


def test_the_last_failure_is_what_an_unanswered_caller_hears(office: TrunkHouse) -> None:
    bob = office.callee()
    arrives(office, cxml('<Dial answerOnBridge="true"><Client>bob</Client></Dial>'))
    bob.respond(486)
    assert office.outside.carriers[CARRIER].final().status == 486
    office.assert_nothing_left(bob)


def test_action_is_told_how_the_dial_ended_and_goes_on(office: TrunkHouse) -> None:
    carrier, bob = office.outside.carriers[CARRIER], office.callee()
    office.node.documents["http://d/after"] = cxml("<Hangup/>")
    arrives(office, cxml('<Dial action="/after"><Client>bob</Client></Dial><Dial>carol</Dial>'))
    bob.respond(200, SDP)
    office.link.run(20)
    bob.hang_up(bob.ringing)
    asked = office.node.fetched[-1]
    extra = dict(asked.extra)
    assert asked.link.url == "http://d/after"
    assert (extra["DialCallStatus"], extra["DialCallDuration"], extra["DialSipResponseCode"]) == (
        "completed",
        "20",
        "200",
    )
    assert office.node.switchboard.leg(extra["DialCallSid"]) is not None, "its id still leads to the leg"
    office.link.run(1)
    assert carrier.got("BYE")
    office.assert_nothing_left(bob)


def test_action_hears_of_a_dial_that_nobody_answered(office: TrunkHouse) -> None:
    bob = office.callee()
    office.node.documents["http://d/after"] = cxml('<Reject reason="busy"/>')
    arrives(office, cxml('<Dial action="/after" answerOnBridge="true" timeout="7"><Client>bob</Client></Dial>'))
    bob.respond(180, seconds=8)
    assert bob.got("CANCEL"), "the time of the document"
    extra = dict(office.node.fetched[-1].extra)
    assert extra["DialCallStatus"] == "no-answer"
    assert office.outside.carriers[CARRIER].final().status == 486
    office.assert_nothing_left(bob)


def test_redirects_without_end_are_a_loop(office: TrunkHouse) -> None:
    arrives(office, cxml("<Redirect>http://d/</Redirect>"))
    office.link.run(2)
    assert office.call().end_code == "document_loop"
    assert len(office.node.fetched) == 10
    office.assert_nothing_left()


def test_pause_answers_nothing_and_waits(office: TrunkHouse) -> None:
    arrives(office, cxml('<Pause length="3"/><Reject reason="busy"/>'))
    carrier = office.outside.carriers[CARRIER]
    assert carrier.answers("INVITE") == []
    office.link.run(3.1)
    assert carrier.final().status == 486
    office.assert_nothing_left()


def test_nouns_of_a_dial_ring_at_once_and_the_first_wins(office: TrunkHouse) -> None:
    bob, carol = office.callee(), office.callee("carol")
    callback = 'statusCallback="http://n/" statusCallbackEvent="initiated answered completed"'
    arrives(
        office,
        cxml(f'<Dial answerOnBridge="true"><Client {callback}>bob</Client><Client {callback}>carol</Client></Dial>'),
    )
    assert bob.got("INVITE")
    carol.respond(200, SDP)
    assert bob.got("CANCEL")
    carol.hang_up(carol.ringing)
    office.link.run(1)
    told = [(one.leg.to.partition("@")[0], one.leg.state, one.leg.end_reason) for one in office.node.told
            if one.wish.url == "http://n/"]  # fmt: skip
    assert sorted(told) == [
        ("sip:bob", "ended", "cancel"),
        ("sip:bob", "initiated", ""),
        ("sip:carol", "answered", ""),
        ("sip:carol", "ended", "hangup"),
        ("sip:carol", "initiated", ""),
    ]
    office.assert_nothing_left(bob, carol)


def test_an_endpoints_handler_takes_every_call_that_it_makes(link: Link) -> None:
    house = House(link)
    house.node.handlers["alice"] = Entry("e1", "alice", RunsDocument("swml", Fetch("http://d/")), project_id="p2")
    house.node.documents["http://d/"] = swml("connect: {to: carol}")
    alice, bob, carol = house.caller(), house.callee(), house.callee("carol")
    alice.dial("bob")
    assert not bob.got("INVITE")
    carol.respond(200, SDP)
    assert alice.final().status == 200
    assert bridged(house) == {frozenset(("alice", "carol"))}
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


def test_a_handler_of_another_kind_says_so(link: Link) -> None:
    house = House(link)
    house.node.handlers["alice"] = Entry("e1", "alice", NotRun("dialogflow"))
    alice = house.caller()
    alice.dial("bob")
    assert "handler-unavailable" in (alice.final().headers.get("Warning") or "")
    house.assert_nothing_left(alice)


# ---- legs that a command placed


def test_swml_serial_goes_on_to_the_next_destination(link: Link) -> None:
    house = House(link)
    bob, carol = house.callee(), house.callee("carol")
    desk = house.callee("alice", "desk")
    calls(house, swml("answer\nconnect: {serial: [{to: carol, timeout: 5}, {to: alice}]}"))
    bob.respond(200, SDP)
    carol.respond(180, seconds=6)
    assert carol.got("CANCEL")
    desk.respond(200, SDP)
    assert bridged(house) == {frozenset(("alice", "bob"))}
    desk.hang_up(desk.ringing)
    assert bob.got("BYE")
    house.assert_nothing_left(bob, carol, desk)


def test_swml_transfer_goes_on_with_the_document_of_a_url(link: Link) -> None:
    house = House(link)
    bob, carol = house.callee(), house.callee("carol")
    house.node.documents["http://e/"] = swml("connect: {to: carol, from: '+15125550111'}")
    calls(house, swml("transfer: {dest: 'http://e/'}"))
    bob.respond(200, SDP)
    house.link.run(0.1)
    assert "+15125550111" in (carol.invite.headers.get("From") or "")
    carol.respond(200, SDP)
    house.apply(lambda: house.node.command(EndLeg(REF)))
    assert carol.got("BYE")
    house.assert_nothing_left(bob, carol)


def test_nobody_of_a_connect_answers_the_leg_hears_bye_with_why(link: Link) -> None:
    house = House(link)
    bob, carol = house.callee(), house.callee("carol")
    calls(house, swml("connect: {to: carol}"))
    bob.respond(200, SDP)
    link.run(0.1)
    carol.respond(486)
    assert "cause=17" in (bob.got("BYE")[0].headers.get("Reason") or "")
    assert house.call().end_code == "callee_busy"
    house.assert_nothing_left(bob, carol)


def test_a_document_that_does_not_come_ends_an_answered_leg(link: Link) -> None:
    house = House(link)
    bob = house.callee()
    calls(house, Broken("document_fetch_failed", "http://d/ answers 500"), StatusWish("http://w/", ("ended",)))
    bob.respond(200, SDP)
    link.run(0.1)
    assert bob.got("BYE")
    assert [(one.leg.end_code, one.leg.end_reason) for one in house.node.told] == [("document_fetch_failed", "error")]
    house.assert_nothing_left(bob)


def test_the_partner_of_a_document_whose_connection_breaks_does_not_end_it(link: Link) -> None:
    house = House(link)
    bob, carol, desk = house.callee(), house.callee("carol"), house.callee("alice", "desk")
    calls(house, swml("connect: {to: carol}\nconnect: {to: alice}"))
    bob.respond(200, SDP)
    link.run(0.1)
    carol.respond(200, SDP)
    carol.hang_up(carol.ringing)
    assert not bob.got("BYE")
    desk.respond(200, SDP)
    assert bridged(house) == {frozenset(("alice", "bob"))}
    bob.hang_up(bob.ringing)
    assert desk.got("BYE")
    house.assert_nothing_left(bob, carol, desk)
