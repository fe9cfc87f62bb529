"""Each refusal through the B2BUA: status, slug, words, Q.850 cause (the table of outcomes), written down once."""

from dataclasses import replace

import pytest

from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP

ROWS = [
    # the device's status, what the caller hears: status, slug, text, Q.850
    (404, 404, "callee-refused", "bob's device refused: 404 Not Found", 1),
    (410, 410, "callee-refused", "bob's device refused: 410 Gone", 22),
    (484, 484, "callee-refused", "bob's device refused: 484 Address Incomplete", 28),
    (486, 486, "callee-busy", "bob is busy", 17),
    (600, 486, "callee-busy", "bob is busy", 17),
    (480, 480, "callee-no-answer", "bob is not available", 19),
    (408, 480, "callee-no-answer", "bob did not answer", 19),
    (487, 480, "callee-no-answer", "bob did not answer", 19),
    (500, 480, "device-silent", "bob's device failed (500 Server Internal Error)", 18),
    (503, 480, "device-silent", "bob's device failed (503 Service Unavailable)", 18),
    (430, 480, "flow-lost", "The connection to bob's device broke", 20),
    (415, 488, "codec-mismatch", "bob's device takes none of the codecs offered", 88),
    (488, 488, "codec-mismatch", "bob's device takes none of the codecs offered", 88),
    (606, 488, "codec-mismatch", "bob's device takes none of the codecs offered", 88),
    (482, 482, "loop-detected", "The call came round in a circle", 25),
    (302, 480, "forward-refused", "bob's device sends the call elsewhere, and does not say where to", 21),
    (603, 603, "callee-declined", "bob declined the call", 21),
]


@pytest.mark.parametrize(("status", "heard", "slug", "text", "cause"), ROWS, ids=[str(row[0]) for row in ROWS])
def test_the_devices_status_becomes_words(
    link: Link, status: int, heard: int, slug: str, text: str, cause: int
) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(status)
    # 1. status, Warning with slug and words, Reason with cause and the same words
    final = alice.final()
    assert final.status == heard
    beside = ('305 example.com "Incompatible media format"',) if heard == 488 else ()
    assert final.headers.all("Warning") == (f'399 example.com "{slug} {text}"', *beside)
    assert final.headers.all("Reason") == (f'Q.850;cause={cause};text="{text}"',)
    # 2. the device's own refusal is acknowledged and goes no further
    assert bob.got("ACK")
    # 3. one record, which says how it ended
    house.assert_nothing_left(alice, bob)
    assert [dict(record.legs[0][1])["end_code"] for record in house.node.log] == [slug.replace("-", "_")]


@pytest.mark.parametrize(
    ("dialled", "from_user", "status", "warning", "cause"),
    [
        ("nobody", "", 404, "destination-unknown Nobody here is called nobody", 1),
        ("carol", "", 480, "not-registered carol is not registered", 20),
        ("bob", "bob", 403, "from-not-yours From must be sip:alice or anonymous", 21),
    ],
)
def test_ours_too(link: Link, dialled: str, from_user: str, status: int, warning: str, cause: int) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial(dialled, from_user=from_user)
    assert alice.final().status == status
    assert alice.final().headers.all("Warning") == (f'399 example.com "{warning}"',)
    assert (alice.final().headers.get("Reason") or "").startswith(f"Q.850;cause={cause};")
    assert (bob.got("INVITE"), house.media.told) == ([], [])
    house.assert_nothing_left(alice, bob)


def test_a_callee_with_as_many_calls_as_it_may(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    carol = house.caller("carol")
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], max_calls=1)
    alice.dial("bob")
    carol.dial("bob")
    assert carol.final().status == 486
    assert "endpoint-at-call-limit" in (carol.final().headers.get("Warning") or "")
    assert len(bob.got("INVITE")) == 1
    bob.respond(200, SDP)
    alice.hang_up()
    # Once the first call is over there is room again.
    carol.dial("bob")
    assert len(bob.got("INVITE")) == 2
    carol.cancel()
    house.assert_nothing_left(alice, bob, carol)


def test_too_many_calls_a_second(link: Link) -> None:
    house = House(link, call_rate=1)
    alice = house.caller()
    statuses = []
    for _ in range(4):
        alice.dial("nobody")
        statuses.append(alice.final().status)
    assert statuses == [404, 404, 503, 503]
    assert "calls-per-second-exceeded" in (alice.final().headers.get("Warning") or "")
    link.run(2)
    alice.dial("nobody")
    assert alice.final().status == 404
    house.assert_nothing_left(alice)
