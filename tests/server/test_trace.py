"""The trace of a call: what is kept, for how long, and how it reads."""

import json
from typing import Any

import pytest

from offhook.server.keeping import TraceKeeper
from offhook.server.ladder import ladder
from offhook.server.recorder import Entry, Recorder, Strand, TraceLimits
from offhook.server.trace import document, pcap, summary_of
from offhook.sip.commands import SendInvite
from offhook.sip.events import UsageId
from offhook.sip.message import Headers
from offhook.sip.uri import parse_uri
from tests.support.carriers import TrunkHouse
from tests.support.house import WITH_SDP, House
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.page import talking
from tests.support.restart import restart
from tests.support.transferring import answer_notify, dialog, refer, second_call

OFFLINE = (
    "carol is not registered; open the phone or the page and sign in; "
    "of several servers, at the one that the caller uses."
)

EPOCH = 1_700_000_000.0


def trace(house: House) -> dict[str, Any]:
    """The only call's document."""
    call = house.call()
    trail = house.node.recorder.trail(call, call.ref)
    assert trail is not None
    return document(trail, call, EPOCH)


def said(rows: dict[str, Any], *kinds: str) -> list[str]:
    return [row["summary"] for row in rows["data"] if row["kind"] in (kinds or ("sip",))]


def arrows(rows: dict[str, Any]) -> list[str]:
    """`in INVITE`, `out 180`: direction and first word of each message."""
    return [f"{row['direction']} {row['summary'].split()[0]}" for row in rows["data"] if row["kind"] == "sip"]


def test_every_message_of_every_leg_in_order(link: Link) -> None:
    house = House(link)
    _alice, bob = house.talking()
    bob.hang_up(bob.ringing)
    kept = trace(house)
    assert arrows(kept) == [
        "in INVITE", "out 100", "out INVITE", "in 100", "in 200", "out ACK", "out 200", "in ACK",
        "in BYE", "out 200", "out BYE", "in 200",
    ]  # fmt: skip
    caller, callee = (leg["leg_ref"] for leg in kept["legs"])
    of_leg = [row["leg_ref"] for row in kept["data"] if row["kind"] == "sip"]
    assert of_leg == [caller] * 2 + [callee] * 4 + [caller] * 2 + [callee] * 2 + [caller] * 2
    assert [row["seq"] for row in kept["data"]] == list(range(1, len(kept["data"]) + 1))


def test_decisions_and_media_stand_between_the_messages(link: Link) -> None:
    house = House(link)
    _alice, _bob = house.talking()
    words = said(trace(house), "route", "media", "sdp")
    assert "bob is called: its device rings" in words
    assert "alice and bob hear each other" in words
    assert any(one.startswith("bob: takes PCMU") for one in words)


def test_a_failed_call_says_what_happened_and_what_to_do_in_one_sentence(link: Link) -> None:
    house = House(link)
    house.caller().dial("carol")
    kept = trace(house)
    assert kept["explanation"] == OFFLINE
    assert kept["end_code"] == "not_registered"
    assert "refused with 480: carol is not registered" in said(kept, "route")
    assert ladder(kept).splitlines()[:2] == [
        f"alice -> carol: ended, not_registered  ({kept['call_ref']})",
        OFFLINE,
    ]


def test_timers_that_mattered_are_named(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    bob.station.node.receive = lambda *_: []  # type: ignore[method-assign]
    alice.dial("bob")
    link.run(40)
    assert "no answer from bob: no response" in said(trace(house), "timer")


def test_the_ladder_has_a_column_for_each_device(link: Link) -> None:
    house = House(link)
    alice, bob, two = house.caller(), house.callee(), house.callee("bob", "bobtwo")
    alice.dial("bob")
    bob.respond(486)
    two.respond(486)
    lines = ladder(trace(house)).splitlines()
    names = next(line for line in lines if "Offhook" in line)
    bodies = [line for line in lines if "486 Busy Here (INVITE)" in line]
    assert [line.count("<") + line.count(">") for line in bodies] == [1, 1, 1]
    at = names.index("Offhook")
    assert [line.index("<") for line in bodies] == [at + 1, at + 1, lines[0].index("alice") + 13], (
        "both, then the caller"
    )


def test_the_last_answers_are_waited_for_then_nothing_live_is_left(link: Link) -> None:
    house = House(link)
    _alice, bob = house.talking()
    bob.hang_up(bob.ringing)
    recorder, call = house.node.recorder, house.call()
    assert recorder.finished(link.now) == [], "the answer to our BYE may still come"
    link.run(6)
    done = recorder.finished(link.now)
    assert [one.call_ref for one in done] == [call.ref]
    assert recorder._strands == {}
    assert recorder._media == {}
    assert recorder.finished(link.now + 100) == []
    assert arrows(trace(house))[-1] == "in 200", "and it can still be asked for"


FORGED = Headers([(
    "Proxy-Authorization",
    'Digest username="alice", realm="example.com", nonce="bm90aGluZw", uri="sip:x@example.com", response="0"',
)])  # fmt: skip


@pytest.mark.parametrize("fields", [Headers(), FORGED], ids=["silent", "forged"])
def test_invites_of_strangers_are_kept_for_a_while_only(link: Link, fields: Headers) -> None:
    house = House(link)
    phone = house.callee("bob", "stranger")
    phone.dial("alice", from_user="bob")
    recorder = house.node.recorder
    assert len(recorder._strands) == 1
    for number in range(TraceLimits().unclaimed):
        command = SendInvite(
            UsageId(f"call-{number}"), phone.there.id, parse_uri("sip:x@example.com"), "<sip:bob@example.com>",
            "<sip:x@example.com>", 70, Headers([*WITH_SDP, *fields]), SDP,
        )  # fmt: skip
        phone.station.perform(command)
        link.run(0.1)
    assert len(recorder._strands) == TraceLimits().unclaimed
    assert recorder.size < 2_000_000
    assert (recorder._unproven, recorder._live) == ({}, {})
    recorder.forget_strangers(house.node.switchboard.is_call)
    assert recorder._live == {}


def test_a_long_dialog_keeps_its_beginning_and_its_end() -> None:
    strand = Strand(TraceLimits(per_strand=3, last=2, bytes_per_strand=1000))
    for number in range(10):
        strand.add(Entry(0.0, number, "in", None, b"x" * 10))
    assert [entry.number for entry in strand] == [0, 1, 2, 8, 9]
    assert (strand.dropped, strand.size) == (5, 50)
    big = Strand(TraceLimits(per_strand=100, last=100, bytes_per_strand=1000))
    for number in range(10):
        big.add(Entry(0.0, number, "in", None, b"x" * 400))
    assert [entry.number for entry in big] == [0, 1, 8, 9]
    assert big.size == 1600


def test_the_longest_ended_calls_make_room(link: Link) -> None:
    house = House(link)
    recorder = house.node.recorder
    recorder._limits = TraceLimits(calls=1)
    alice, bob = house.caller(), house.callee()
    for number in range(3):
        alice.call = UsageId(f"call-{number}")
        alice.dial("bob")
        bob.respond(486)
    link.run(6)
    assert len(recorder.finished(link.now)) == 3
    assert len(recorder._ended) == 1
    assert recorder.size == sum(trail.size for trail in recorder._ended.values())


def test_nothing_secret_is_in_a_document(link: Link) -> None:
    house = House(link)
    alice = house.caller()
    secret = 'Digest username="alice", nonce="open", response="5ccc069c403ebaf9f0171e9517f40e41"'
    command = SendInvite(
        alice.call, alice.there.id, parse_uri("sip:bob@example.com"), "<sip:alice@example.com>", "<sip:bob@example.com>",
        70, Headers([*WITH_SDP, ("Proxy-Authorization", secret)]), SDP + b"a=ice-pwd:asd88fgpdd777uzjYhagZg\r\n",
    )  # fmt: skip
    alice.station.perform(command)
    link.run(0.1)
    text = json.dumps(trace(house))
    assert "5ccc069c" not in text
    assert "asd88fgpdd" not in text
    assert "ice-pwd:**********************" in text
    assert 'nonce=\\"open\\"' in text


def test_the_capture_file_has_a_datagram_for_each_message(link: Link) -> None:
    house = House(link)
    house.talking()
    kept = trace(house)
    file = pcap(kept)
    assert file[:4] == bytes.fromhex("d4c3b2a1")
    assert file.count(b" SIP/2.0\r\n") + file.count(b"SIP/2.0 ") >= len(arrows(kept))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INVITE sip:bob@example.com SIP/2.0\r\nCSeq: 1 INVITE\r\n", "INVITE sip:bob@example.com"),
        ("SIP/2.0 486 Busy Here\r\nCSeq: 1 INVITE\r\n", "486 Busy Here (INVITE)"),
        ("nonsense\r\n", "nonsense"),
    ],
)
def test_summaries(text: str, expected: str) -> None:
    assert summary_of(text) == expected


class Shelf:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []

    def put(self, document: dict[str, Any]) -> None:
        self.kept.append(document)


async def test_failed_calls_are_stored_first(link: Link) -> None:
    house, shelf = House(link), Shelf()
    alice, bob = house.talking()
    bob.hang_up(bob.ringing)
    alice.call = UsageId("second")
    alice.dial("carol")
    link.run(6)
    node = house.node
    keeper = TraceKeeper(node.recorder, node.switchboard.call, node.switchboard.is_call, shelf, 1, EPOCH)
    await keeper.keep(link.now)
    assert [one["end_code"] for one in shelf.kept] == ["not_registered"], "one a turn, and it is the failed one"


def test_a_transfer_shows_who_asked_and_everybody_who_spoke(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    carol = house.callee("carol")
    answer_notify(alice)
    refer(alice, f"<sip:carol@{DOMAIN}>")
    carol.respond(200, SDP)
    link.run(3)
    bob.hang_up(bob.ringing)
    kept = trace(house)
    assert {leg["name"] for leg in kept["legs"]} == {"alice", "bob", "carol"}
    words = said(kept)
    assert any(one.startswith("REFER ") for one in words)
    assert "202 Accepted (REFER)" in words
    assert sum(one.startswith("NOTIFY ") for one in words) >= 2
    of_leg = {row["leg_ref"] for row in kept["data"] if row["kind"] == "sip"}
    assert of_leg == {leg["leg_ref"] for leg in kept["legs"]}
    assert "transferred: to carol" in said(kept, "route")


def test_a_leg_that_a_transfer_took_away_goes_with_the_call_it_went_to(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    carol = house.callee("carol")
    answer_notify(alice)
    first = house.call()
    usage = second_call(alice, "carol")
    carol.respond(200, SDP)
    second = next(one for one in house.node.switchboard.calls() if one is not first)
    named = dialog(alice, usage).replace(";", "%3B").replace("=", "%3D").replace("@", "%40")
    refer(alice, f"<sip:carol@{DOMAIN}?Replaces={named}>", seconds=20)
    recorder = house.node.recorder
    # 1. The call that the leg came from is over, and its trace ends with what was said until then.
    (ended,) = recorder.finished(link.now)
    assert ended.call_ref == second.ref
    told = document(ended, second, EPOCH)
    leg = carol.invite.headers.get("Call-ID") or ""
    assert arrows(told).count("out INVITE") == 1
    carol.hang_up(carol.ringing)
    link.run(20)
    assert document(ended, second, EPOCH) == told
    # 2. The call it went to tells all of it, the end too.
    (other,) = recorder.finished(link.now)
    assert other.call_ref == first.ref
    assert arrows(document(other, first, EPOCH)).count("out INVITE") == 2
    assert any(b"BYE" in entry.b and entry.what == "in" for entry in other.strands[leg])
    # 3. Nothing leads to either any more, and what they take is counted.
    assert (recorder._strands, recorder._live, recorder._media) == ({}, {}, {})
    assert recorder.size == ended.size + other.size
    house.assert_nothing_left(alice, bob, carol)


def test_after_a_restart_a_call_goes_on_being_traced(link: Link) -> None:
    house = House(link)
    alice, bob = talking(house)
    restart(house)
    node = house.node
    node.recorder.taken_back(house.call())
    alice.reconnect()
    bob.hang_up(bob.ringing)
    words = said(trace(house))
    assert any(one.startswith("BYE ") for one in words)
    link.run(6)
    assert [one.call_ref for one in node.recorder.finished(link.now)] == [house.call().ref]
    assert node.recorder._strands == {}


def test_what_is_switched_off_costs_and_keeps_nothing(link: Link) -> None:
    house = House(link)
    house.node.recorder = Recorder(TraceLimits(), house.node.switchboard.of_usage, enabled=False)
    alice, bob = house.talking()
    bob.hang_up(bob.ringing)
    recorder = house.node.recorder
    assert (recorder.size, recorder._live, recorder._strands) == (0, {}, {})
    assert recorder.trail(house.call(), house.call().ref) is None
    assert alice.got("BYE")


def test_every_way_that_failed_is_named(link: Link) -> None:
    """TRK-5, trunks_exhausted: the trace has each try with its address and its cause."""
    house = TrunkHouse(link)
    first, second = house.carrier("198.51.100.1"), house.carrier("198.51.100.2")
    house.trunk("t1", name="North", targets=[{"uri": "sip:198.51.100.1"}], allowed_prefixes=["+1"])
    house.trunk("t2", name="South", targets=[{"uri": "sip:198.51.100.2"}], allowed_prefixes=["+1"], priority=20)
    alice = house.caller()
    alice.dial("+14155550123")
    first.respond(503)
    link.run(1)
    second.respond(500)
    link.run(1)
    kept = trace(house)
    words = said(kept, "route")
    assert any(one.startswith("trunk North is tried at 198.51.100.1") for one in words)
    assert any(one.startswith("trunk South is tried at 198.51.100.2") and "after: North" in one for one in words)
    assert len([one for one in words if one.startswith("no way out: ")]) == 2
    assert "+14155550123 (North)" in {leg["name"] for leg in kept["legs"]}
    assert kept["explanation"].endswith(".")


def test_calls_that_ended_are_listed_newest_first(link: Link) -> None:
    house = House(link)
    alice = house.caller()
    for number, name in enumerate(("carol", "nobody")):
        alice.call = UsageId(f"call-{number}")
        alice.dial(name)
    board = house.node.switchboard
    assert [call.end_code for call in board.ended(10)] == ["destination_unknown", "not_registered"]
    assert len(board.ended(1)) == 1
