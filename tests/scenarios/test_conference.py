"""Conferences: several calls to one name share a room (RFC 4579); RFC 5359 2.10 and 2.11 as rooms."""

import pytest

from offhook.calls import commands as please
from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.call import Call
from offhook.server.views import call_view
from offhook.sip.commands import SendInvite
from offhook.sip.events import UsageId
from offhook.sip.uri import parse_uri
from tests.support.house import WITH_SDP, House
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.transferring import answer_notify, refer, told


def joined(house: House) -> list[int]:
    """The rooms of the members, in the order in which they came."""
    return list({one.leg: one.room for one in house.media.told if isinstance(one, do.JoinRoom)}.values())


def opened_near(house: House) -> list[int]:
    return [one.near for one in house.media.told if isinstance(one, do.OpenMedia)]


def test_members_share_the_room_of_the_first(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.caller("bob")
    alice.dial("conference-Sales")
    bob.dial("conference-sales")
    # 1. both are answered, and our Contact says that we are the focus
    for phone in (alice, bob):
        assert phone.final().status == 200
        assert (phone.final().headers.get("Contact") or "").endswith(";isfocus")
    # 2. names are compared without regard to case: one room, beside the first member's media
    rooms = joined(house)
    assert len(rooms) == 2
    assert rooms[0] == rooms[1]
    assert opened_near(house) == [0, rooms[0]]
    # 3. one leaves, the other stays; whoever comes next finds the same room
    alice.hang_up()
    carol = house.caller("carol")
    carol.dial("conference-sales")
    assert joined(house)[-1] == rooms[0]
    bob.hang_up()
    carol.hang_up()
    # 4. the last one ends it
    assert house.node.switchboard._index.rooms == {}
    dave = house.caller("alice", "dave")
    dave.dial("conference-sales")
    assert joined(house)[-1] != rooms[0]
    dave.hang_up()
    house.assert_nothing_left(alice, bob, carol, dave)


def played(house: House) -> list[do.PlayFiles]:
    return [one for one in house.media.told if isinstance(one, do.PlayFiles)]


def chimes(house: House) -> list[str]:
    return [one.file for one in house.media.told if isinstance(one, do.ChimeRoom)]


def over(house: House, reason: str = "finished") -> None:
    """What was played last is over."""
    last = played(house)[-1]
    event = did.PlayFinished(last.leg, last.play, reason, "", 1_000)
    house.apply(lambda: house.node.tell(event))


def test_who_is_alone_hears_music_and_tones_tell_of_others(link: Link) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.caller("bob"), house.caller("carol")
    alice.dial("conference-a")
    (first,) = played(house)
    music = do.PlayFiles(first.leg, "conference-music", ("music/hold",), 0)
    # 1. the announcement, then music for as long as nobody comes
    over(house)
    assert played(house)[1:] == [music]
    assert chimes(house) == []
    # 2. somebody comes: a tone, and who waited is in the room again
    bob.dial("conference-a")
    back = do.JoinRoom(first.leg, joined(house)[0])
    assert [one for one in house.media.told if one == back] == [back, back]
    over(house, "replaced")
    assert chimes(house) == ["tones/joined"]
    # 3. others come and go; nobody is played anything
    carol.dial("conference-a")
    carol.hang_up()
    assert chimes(house) == ["tones/joined", "tones/joined", "tones/left"]
    assert len(played(house)) == 2
    # 4. the last but one goes: that is told to the last alone, who hears music then
    bob.hang_up()
    assert played(house)[2:] == [do.PlayFiles(first.leg, "conference-announcement", ("tones/left",))]
    over(house)
    assert played(house)[3:] == [music]
    assert len(chimes(house)) == 3
    # 5. a sound by command takes the place of the music, which comes back
    leg = house.call().caller
    house.apply(lambda: house.node.command(please.PlaySounds(leg.ref, "mine", ("own/hello",))))
    over(house)
    assert [one.play for one in played(house)[4:]] == ["mine", "conference-music"]
    # 6. who is held hears the music of his hold; afterwards that of the conference
    house.apply(lambda: house.node.command(please.HoldLeg(leg.ref, held=True)))
    house.apply(lambda: house.node.command(please.HoldLeg(leg.ref, held=False)))
    assert played(house)[6:] == [music]
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


def test_tones_of_conferences_are_a_setting(link: Link) -> None:
    house = House(link, conference_tones=False)
    alice, bob = house.caller(), house.caller("bob")
    alice.dial("conference-a")
    bob.dial("conference-a")
    bob.hang_up()
    assert chimes(house) == []
    assert [one.play for one in played(house)] == ["conference-announcement", "conference-music"]
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_full_band_is_a_setting(link: Link) -> None:
    for wanted in (False, True):
        house = House(link, conference_full_band=wanted)
        alice, bob = house.caller(), house.caller("bob")
        alice.dial("conference-a")
        bob.dial("conference-a")
        leg = house.call().caller
        for held in (True, False):
            house.apply(lambda leg=leg, house=house, held=held: house.node.command(please.HoldLeg(leg.ref, held)))
        # Whoever comes, or comes back from the music, hears as it is set.
        asked = [one.full_band for one in house.media.told if isinstance(one, do.JoinRoom)]
        assert asked == [wanted] * 4
        alice.hang_up()
        bob.hang_up()
        house.assert_nothing_left(alice, bob)


def test_a_member_is_muted_without_leaving_and_without_losing_what_he_hears(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.caller("bob")
    alice.dial("conference-a")
    bob.dial("conference-a")
    leg = house.call().caller
    assert leg.media is not None
    told = house.media.told

    def asks(held: bool | None = None, muted: bool | None = None) -> list[object]:
        before = len(told)
        house.apply(lambda: house.node.command(please.HoldLeg(leg.ref, held, muted)))
        return list(told[before:])

    # 1. he is muted and unmuted where he is; the same again says nothing
    assert asks(muted=True) == [do.MuteInRoom(leg.media.leg, True)]
    assert asks(muted=True) == []
    assert asks(muted=False) == [do.MuteInRoom(leg.media.leg, False)]
    # 2. a sound that he is played is not ended by it
    house.apply(lambda: house.node.command(please.PlaySounds(leg.ref, "mine", ("own/hello",))))
    assert asks(muted=True) == [do.MuteInRoom(leg.media.leg, True)]
    over(house)
    # 3. on hold he hears music, muted or not; back from it he is what he was last
    assert not any(isinstance(one, do.MuteInRoom) for one in asks(held=True))
    assert not any(isinstance(one, do.MuteInRoom) for one in asks(muted=False))
    assert not any(isinstance(one, do.MuteInRoom) for one in asks(muted=True))
    (back,) = [one for one in asks(held=False) if isinstance(one, do.JoinRoom)]
    assert back.muted
    alice.hang_up()
    bob.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_call_shows_who_is_the_loudest_of_its_conference(link: Link) -> None:
    house = House(link)
    phones = {name: house.caller(name) for name in ("alice", "bob", "carol")}
    for phone in phones.values():
        phone.dial("conference-a")
    room = joined(house)[0]

    def call_of(name: str) -> Call:
        (call,) = [one for one in house.node.switchboard.calls() if one.from_name == name]
        return call

    def media(name: str) -> int:
        leg = call_of(name).caller
        assert leg.media is not None
        return leg.media.leg

    def tells(leg: int, of: int = room) -> list[str]:
        house.apply(lambda: house.node.tell(did.RoomSpeaker(of, leg)))
        views = {name: call_view(call_of(name), {}, house.link.now)["legs"][0] for name in phones}
        return [name for name, view in views.items() if view["speaking"]]

    # 1. one at a time, 2. or nobody
    assert tells(media("alice")) == ["alice"]
    assert tells(media("bob")) == ["bob"]
    assert tells(0) == []
    # 3. what comes too late of a leg that is gone, or of another room, is nobody
    gone = media("carol")
    assert tells(gone) == ["carol"]
    phones.pop("carol").hang_up()
    assert tells(gone) == []
    assert tells(media("bob"), room + 1) == []
    # 4. and nothing of it stays
    tells(media("alice"))
    for phone in phones.values():
        phone.hang_up()
    assert house.node.switchboard._index.speakers == {}
    house.assert_nothing_left(*phones.values())


def test_names_that_are_no_conference(link: Link) -> None:
    house = House(link)
    for name in ("conference-", "conference-%20", "conference--x"):
        alice = house.caller(name=f"phone-{name.encode().hex()}")
        alice.dial(name)
        # A name that cannot be one is nobody's.
        assert alice.final().status == 404
    assert joined(house) == []


@pytest.mark.ladder
def test_rfc5359_2_10_three_way_added(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    answer_notify(alice)
    # 1. alice sends bob into a room and dials it herself: the transfer is told as done
    refer(alice, f"<sip:conference-three@{DOMAIN}>")
    assert told(alice)[-1] == "SIP/2.0 200 OK terminated"
    link.run(3)
    again = house.caller("alice", "alice-again")
    again.dial("conference-three")
    # 2. the third party is added by dialling too (RFC 5359 2.11 without Join: the third party dials the room)
    carol = house.caller("carol")
    carol.dial("conference-three")
    rooms = joined(house)
    assert len(rooms) == 3
    assert len(set(rooms)) == 1
    # 3. whoever leaves, the others talk on
    again.hang_up()
    assert not bob.got("BYE")
    carol.hang_up()
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, again, carol)


def test_a_member_on_hold_stays(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.caller("bob")
    alice.dial("conference-a")
    bob.dial("conference-a")
    alice.ask("INVITE", SDP + b"a=sendonly\r\n")
    alice.ask("INVITE", SDP)
    assert alice.final().status == 200
    # The room is joined again or was never left: no other source feeds the leg.
    others = (do.BridgeMedia, do.PlayMedia)
    assert not [one for one in house.media.told if isinstance(one, others)]
    alice.hang_up()
    bob.hang_up()
    house.assert_nothing_left(alice, bob)


@pytest.mark.ladder
def test_rfc5359_2_11_three_way_joins(link: Link) -> None:
    """Join (RFC 3911) is refused: the third party dials the room in which the two others talk."""
    house = House(link)
    alice, bob, carol = house.caller(), house.caller("bob"), house.caller("carol")
    alice.dial("conference-team")
    bob.dial("conference-team")
    carol.dial("conference-team", Require="join")
    # 1. the extension that nobody serves here is named
    assert carol.final().status == 420
    assert carol.final().headers.get("Unsupported") == "join"
    carol.station.perform(SendInvite(
        UsageId("again"), carol.there.id, parse_uri(f"sip:conference-team@{DOMAIN}"), f"<sip:carol@{DOMAIN}>",
        f"<sip:conference-team@{DOMAIN}>", 70, WITH_SDP, SDP,
    ))  # fmt: skip
    link.run(0.1)
    # 2. the room has three
    assert carol.final().status == 200
    rooms = joined(house)
    assert len(rooms) == 3
    assert len(set(rooms)) == 1
    for phone, usage in ((alice, alice.call), (carol, UsageId("again")), (bob, bob.call)):
        phone.hang_up(usage)
    house.assert_nothing_left(alice, bob, carol)
