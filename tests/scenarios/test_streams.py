"""Streams by command (API.md 13.1): begun, told of, ended, refused. Promises are numbered inside."""

from dataclasses import replace

import pytest

from offhook.calls import commands as please
from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls import streaming
from offhook.calls.document import StatusWish
from offhook.calls.ports import Feed, FeedEncoding, FeedTrack
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP

OPUS = SDP.replace(b"RTP/AVP 0\r\n", b"RTP/AVP 107\r\na=rtpmap:107 opus/48000/2\r\n")
SPEC = Feed("f1", "ws://192.0.2.80/", "192.0.2.80:80", FeedTrack.BOTH, bearer="the-token")


def command(house: House, one: please.CallCommand) -> None:
    house.apply(lambda: house.node.command(one))


def tell(house: House, event: did.CallEvent) -> None:
    house.apply(lambda: house.node.tell(event))


def start(house: House, leg: str, control: str = "c1", feed: str = "f1", two_way: bool = False) -> None:
    command(house, please.StartStream(leg, control, replace(SPEC, feed=feed, two_way=two_way), "mine"))


def begun(house: House) -> list[do.FeedMedia]:
    return [one for one in house.media.told if isinstance(one, do.FeedMedia)]


def happened(house: House, type_: str) -> list[dict[str, str]]:
    return [dict(one.details) for one in house.node.published if one.type == type_]


def said(house: House) -> list[tuple[str, str]]:
    """Control id and state of what listeners were told."""
    streams = [dict(one.details) for one in house.node.told if one.kind == "stream"]
    return [(one["control_id"], one["state"]) for one in streams]


def test_a_stream_begins_is_told_of_and_ends(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    leg = house.call().caller
    assert leg.media is not None
    command(house, please.Listen(leg.ref, StatusWish("http://w/", ("ended",))))
    start(house, leg.ref)
    # 1. the engine is asked for exactly what the command says
    assert begun(house) == [do.FeedMedia(leg.media.leg, replace(SPEC))]
    tell(house, did.FeedChanged(leg.media.leg, "f1", "streaming"))
    # 2. a socket that is lost and found again is for the log, not for listeners
    tell(house, did.FeedChanged(leg.media.leg, "f1", "lost", text="reset"))
    assert happened(house, "stream.lost") == [{"control_id": "c1", "text": "reset"}]
    command(house, please.StopStream(leg.ref, "c1"))
    assert house.media.of(do.StopFeed) == [do.StopFeed(leg.media.leg, "f1")]
    tell(house, did.FeedChanged(leg.media.leg, "f1", "finished", "stopped", "", 50, 2))
    assert said(house) == [("c1", "streaming"), ("c1", "finished")]
    assert happened(house, "stream.finished") == [
        {"control_id": "c1", "reason": "stopped", "sent": "50", "dropped": "2"}
    ]
    # 3. its name is free again, and nothing of the token is in what was noted
    assert streaming.impossible(house.call(), leg, please.StartStream(leg.ref, "c1", SPEC)) is None
    assert "the-token" not in repr(house.media.told)
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_stream_that_is_wanted_early_begins_with_the_answer(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    leg = house.call().caller
    start(house, leg.ref)
    start(house, leg.ref, "c2", "f2")
    command(house, please.StopStream(leg.ref, "c2"))
    bob.respond(180)
    assert begun(house) == []
    bob.respond(200, SDP)
    assert [one.spec.feed for one in begun(house)] == ["f1"]
    alice.hang_up()
    tell(house, did.FeedChanged(begun(house)[0].leg, "f1", "finished", "ended"))
    # It is told after the call, of the leg that it was of.
    assert happened(house, "stream.finished") == [{"control_id": "c1", "reason": "ended", "sent": "0", "dropped": "0"}]
    assert house.node.switchboard.index.streams == {}
    house.assert_nothing_left(alice, bob)


def test_a_receiver_that_is_gone_is_a_finding(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    leg = house.call().caller
    start(house, leg.ref)
    tell(house, did.FeedChanged(begun(house)[0].leg, "f1", "finished", "failed", "three tries failed"))
    assert [(one.code, one.verdict) for one in leg.findings] == [("stream_failed", "three tries failed")]
    assert happened(house, "call.finding_raised")[0]["code"] == "stream_failed"
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_lost_engine_ends_streams(link: Link) -> None:
    house = House(link)
    house.talking()
    start(house, house.call().caller.ref)
    tell(house, did.EngineLost())
    (told,) = happened(house, "stream.finished")
    assert (told["control_id"], told["reason"]) == ("c1", "engine_lost")
    assert house.node.switchboard.index.streams == {}
    assert house.call().caller.streams == {}


@pytest.mark.parametrize(
    ("control", "feed", "two_way", "code"),
    [
        ("c1", "f9", False, "not_unique_within_project"),
        ("c9", "f9", True, "invalid_state"),
        ("c9", "f9", False, None),
    ],
)
def test_what_cannot_be_is_refused(link: Link, control: str, feed: str, two_way: bool, code: str | None) -> None:
    house = House(link)
    alice, bob = house.talking()
    call, leg = house.call(), house.call().caller
    for number in (1, 2, 3):
        start(house, leg.ref, f"c{number}", f"f{number}")
    wanted = please.StartStream(leg.ref, control, replace(SPEC, feed=feed, two_way=two_way))
    refused = streaming.impossible(call, leg, wanted)
    assert (refused[0] if refused is not None else None) == code
    command(house, wanted)
    assert len(begun(house)) == (4 if code is None else 3)
    if code is None:
        fifth = streaming.impossible(call, leg, please.StartStream(leg.ref, "c5", SPEC))
        assert fifth == ("invalid_state", "The leg has 4 streams, as many as it may")
    unknown = streaming.impossible(call, leg, please.StopStream(leg.ref, "nothing"))
    assert unknown is not None
    assert unknown[0] == "not_found"
    alice.hang_up()
    ended = streaming.impossible(call, leg, wanted)
    assert ended is not None
    assert ended[0] == "call_not_found"
    house.assert_nothing_left(alice, bob)


def test_a_stream_that_is_heard_is_the_only_one(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    leg = house.call().caller
    start(house, leg.ref, two_way=True)
    start(house, leg.ref, "c2", "f2")
    assert [one.spec.feed for one in begun(house)] == ["f1"]
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_untouched_opus_is_for_legs_that_speak_it(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    leg = house.call().caller
    wanted = please.StartStream(leg.ref, "c1", replace(SPEC, encoding=FeedEncoding.OPUS, rate=48_000))
    # 1. nobody knows yet what the leg will speak: it waits for the answer
    command(house, wanted)
    bob.respond(200, SDP)
    (asked,) = begun(house)
    # 2. the engine refuses, and that is found in words of its own
    text = "the leg speaks PCMU, and a feed of Opus carries packets as they come"
    tell(house, did.FeedChanged(asked.leg, "f1", "finished", "codec", text))
    assert happened(house, "stream.finished")[0]["reason"] == "codec"
    assert [(one.code, one.verdict) for one in leg.findings] == [("stream_codec", text)]
    # 3. from then on the command itself is refused, and samples are not
    refused = streaming.impossible(house.call(), leg, wanted)
    assert refused == ("invalid_state", "The leg speaks PCMU; a stream of OPUS carries its packets as they come")
    assert streaming.impossible(house.call(), leg, please.StartStream(leg.ref, "c1", SPEC)) is None
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_leg_that_speaks_opus_is_streamed_untouched(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", OPUS)
    bob.respond(200, OPUS)
    leg = house.call().caller
    wanted = please.StartStream(leg.ref, "c1", replace(SPEC, encoding=FeedEncoding.OPUS, rate=48_000))
    assert streaming.impossible(house.call(), leg, wanted) is None
    command(house, wanted)
    assert begun(house)[0].spec.encoding is FeedEncoding.OPUS
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
