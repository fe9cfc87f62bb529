"""The signalling process dies while a document is at work: it goes on, and who hears of its legs hears on (LIVE-15)."""

from dataclasses import replace

from offhook.calls.commands import Place
from offhook.calls.document import Connect, DialTarget, Document, StatusWish
from offhook.calls.kept_work import last_words
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.restart import restart, through_the_file
from tests.support.transferring import bridged

REF = "018f0000-0000-7000-8000-00000000000d"
EVERY = ("queued", "initiated", "created", "ringing", "answered", "ending", "ended")
WISH = StatusWish("http://w/", EVERY)
TWICE = Document(
    (Connect(((DialTarget("carol"),),), 20.0, where="one"), Connect(((DialTarget("alice"),),), 20.0, where="two"))
)


def placed(link: Link) -> tuple[House, Phone, Phone, Phone]:
    """The API dials Bob, whose document calls Carol and then Alice."""
    house = House(link)
    phones = house.callee(), house.callee("carol"), house.callee("alice")
    house.apply(lambda: house.node.command(Place(REF, "bob", "+15125550100", document=TWICE, wish=WISH)))
    return house, *phones


def dies(house: House) -> None:
    """kill -9 and start again; registrations are kept."""
    restart(house, registrations=True)


def test_a_document_goes_on_after_a_restart(link: Link) -> None:
    house, bob, carol, alice = placed(link)
    bob.respond(180)
    bob.respond(200, SDP)
    carol.respond(200, SDP)
    before = [one.leg.state for one in house.node.told]
    dies(house)
    # 1. the partner leaves: the leg stays, and the next step rings
    carol.hang_up(carol.ringing)
    assert not bob.got("BYE")
    alice.respond(200, SDP)
    assert bridged(house) == {frozenset(("alice", "bob"))}
    # 2. the call is still the one that the API placed
    call = house.call()
    assert (call.ref, call.from_name, call.caller.dialled) == (REF, "+15125550100", "outbound-api")
    bob.hang_up(bob.ringing)
    assert alice.got("BYE")
    # 3. the rest is told by the new process, counted on, nothing twice
    after = [(one.leg.state, one.sequence) for one in house.node.told]
    assert [*before, *(state for state, _ in after)] == list(EVERY)
    assert [number for _, number in after] == [5, 6]


def test_a_destination_that_rang_at_the_restart_counts_as_failed(link: Link) -> None:
    house, bob, carol, alice = placed(link)
    bob.respond(200, SDP)
    carol.respond(180)
    dies(house)
    link.run(4)
    # What rang died with the process; the document has gone on with the next destination.
    alice.respond(200, SDP)
    assert bridged(house) == {frozenset(("alice", "bob"))}
    bob.hang_up(bob.ringing)
    assert alice.got("BYE")


def test_listeners_of_a_call_that_died_in_its_set_up_hear_of_the_end(link: Link) -> None:
    house, bob, _, _ = placed(link)
    bob.respond(180)
    kept = through_the_file(house.node.journal[REF])
    assert kept.parties == ()
    words = last_words(kept.reports, link.now)
    assert [(one.leg.leg_ref, one.leg.state, one.leg.end_code, one.sequence) for one in words] == [
        (REF, "ended", "server_restarted", 4)
    ]
    others = tuple(
        type(one)(one.leg, replace(one.wish, events=("ringing",)), one.told, one.sequence, one.report)
        for one in kept.reports
    )
    assert last_words(others, link.now) == [], "who did not ask for the end hears nothing"
