"""A call that reads a code to whoever answers, and to nobody else (API.md 5.4)."""

from offhook.calls import effects as do
from offhook.calls.commands import Place
from offhook.calls.document import Document, Pause
from tests.support.carriers import TrunkHouse
from tests.support.link import Link
from tests.support.messages import SDP

CARRIER, NUMBER, OURS = "198.51.100.7", "+14155550123", "+15125550100"
CODE = ("en/4", "en/7", "en/1", "en/1", "en/9", "en/0")


def test_the_code_is_said_to_who_answers_and_stands_in_no_trace(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.numbers[OURS] = "alice"
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], allowed_prefixes=["+1"])
    silence = Document((Pause(25.0),))
    house.apply(lambda: house.node.command(Place("check", NUMBER, OURS, silence, project="p1", secret=CODE)))
    house.link.run(0.2)
    assert not house.media.of(do.PlayFiles), "1. nothing is said before the answer"
    carrier.respond(180)
    carrier.respond(200, SDP)
    [played] = house.media.of(do.PlayFiles)
    assert isinstance(played, do.PlayFiles)
    assert (played.files, played.rounds) == (CODE, 4), "2. the digits, several times"
    call = house.call()
    assert call.sealed, "3. no command reaches it"
    trail = house.node.recorder.trail(call, call.ref)
    assert trail is not None
    noted = [one.a for one in trail.own if isinstance(one.a, do.PlayFiles)]
    assert [one.files for one in noted] == [()], "4. the trace says that something was played, not what"
    assert "en/7" not in repr(house.node.published)
    house.link.run(26.0)
    assert carrier.got("BYE"), "5. it ends by itself"
    house.assert_nothing_left()


def test_a_call_without_secrets_is_anybody_s(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], allowed_prefixes=["+1"])
    house.apply(lambda: house.node.command(Place("plain", NUMBER, OURS, Document((Pause(1.0),)), project="p1")))
    house.link.run(0.2)
    carrier.respond(200, SDP)
    assert not house.call().sealed
    assert not house.media.of(do.PlayFiles)
    house.link.run(2.0)
    house.assert_nothing_left()
