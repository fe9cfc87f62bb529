"""Hold (4.1 row 8, 4.2, CALL-7): answered here at once; who is held hears music, and a page's keys and role stay."""

from dataclasses import replace

import pytest

from offhook.calls import effects as do
from offhook.calls.call import CallState
from offhook.calls.leg import LegState
from offhook.calls.ports import SourceKind
from offhook.calls.trunk import Trunk, TrunkTarget
from offhook.sip.commands import Respond
from offhook.sip.events import RequestInDialog
from offhook.sip.flow import Transport
from offhook.sip.message import Headers
from offhook.sip.uri import parse_uri
from tests.sdp.samples import offer_of
from tests.support.house import WITH_SDP, House, Phone
from tests.support.link import Link
from tests.support.messages import SDP

HELD = SDP + b"a=sendonly\r\n"
DEAF = SDP + b"a=inactive\r\n"
PAGE = offer_of("chromium")


def direction(body: bytes) -> bytes:
    """The direction of a description with one audio line."""
    lines = body.split(b"\r\n")
    found = [line[2:] for line in lines if line[2:] in (b"sendrecv", b"sendonly", b"recvonly", b"inactive")]
    return found[0] if found else b"sendrecv"


def version_of(body: bytes) -> int:
    """The version of a description (its o= line)."""
    return int(body.split(b"\r\n")[1].split()[2])


def hears(house: House, phone: Phone) -> object:
    """What the leg of a phone hears: another leg, or what a player plays."""
    leg = next(one for one in house.call().legs if one.flow.id == phone.back.id)
    assert leg.media is not None
    return house.media.source_of(leg.media.leg)


def happened(house: House) -> list[str]:
    return [one.type for one in house.node.published if one.type in ("call.held", "call.resumed")]


@pytest.mark.ladder
def test_rfc5359_2_1_call_hold(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    bob.ask("INVITE", HELD, usage=bob.ringing)
    # 1. Bob gets his answer from us; Alice is told nothing and hears music (CALL-7)
    assert direction(bob.answers("INVITE")[-1].body) == b"recvonly"
    assert alice.got("INVITE") == []
    assert hears(house, alice) is SourceKind.MUSIC
    assert house.call().winner is not None
    assert house.call().winner.state is LegState.HELD  # type: ignore[union-attr]
    # 2. both directions again
    bob.ask("INVITE", SDP, usage=bob.ringing)
    assert direction(bob.answers("INVITE")[-1].body) == b"sendrecv"
    assert hears(house, alice) == house.call().winner.media.leg  # type: ignore[union-attr]
    assert happened(house) == ["call.held", "call.resumed"]
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


@pytest.mark.ladder
def test_rfc5359_2_2_consultation_hold(link: Link) -> None:
    house = House(link)
    alice, bob, carol = house.caller(), house.callee(transport=Transport.TLS), house.callee("carol")
    alice.dial("bob")
    bob.respond(200, SDP)
    # 1. Bob holds Alice and calls Carol from the same device
    bob.ask("INVITE", HELD, usage=bob.ringing)
    bob.trust()
    bob.dial("carol")
    carol.respond(200, SDP)
    consulting = next(call for call in house.node.switchboard.calls() if call.caller.flow.id == bob.back.id)
    assert consulting.state is CallState.TALKING
    # 2. Carol hangs up, Bob takes Alice back
    carol.hang_up(carol.ringing)
    bob.ask("INVITE", SDP, usage=bob.ringing)
    assert happened(house)[-1] == "call.resumed"
    alice.hang_up()
    house.assert_nothing_left(alice, bob, carol)


@pytest.mark.ladder
def test_rfc5359_2_3_music_on_hold(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    # 1. whoever holds: the other hears music
    alice.ask("INVITE", HELD)
    assert hears(house, bob) is SourceKind.MUSIC
    # 2. both hold: both would hear it
    bob.ask("INVITE", DEAF, usage=bob.ringing)
    assert direction(bob.answers("INVITE")[-1].body) == b"inactive"
    assert hears(house, alice) is SourceKind.MUSIC
    # 3. one comes back and is held still; only when both are back do they hear each other
    alice.ask("INVITE", SDP)
    assert hears(house, alice) is SourceKind.MUSIC
    assert isinstance(hears(house, bob), int)
    bob.ask("UPDATE", SDP, usage=bob.ringing)
    assert isinstance(hears(house, alice), int)
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob)


def test_the_old_way_to_hold_is_music_too(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    alice.ask("INVITE", SDP.replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 0.0.0.0"))
    assert direction(alice.final().body) == b"recvonly"
    assert hears(house, bob) is SourceKind.MUSIC
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_resume_without_an_offer_ends_the_music(link: Link) -> None:
    house = House(link)
    alice, bob = house.talking()
    alice.ask("INVITE", HELD)
    alice.device.late_answer = SDP
    alice.ask("INVITE")
    assert isinstance(hears(house, bob), int)
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("callee", [False, True])
def test_a_re_invite_without_any_description_leaves_everything_as_it_was(link: Link, held: bool, callee: bool) -> None:
    """RFC 3261 section 14: a session whose change came to nothing goes on. 200 made the offer, the ACK is empty."""
    house = House(link)
    alice, bob = house.talking()
    phone, peer = (bob, alice) if callee else (alice, bob)
    usage = bob.ringing if callee else alice.call
    if held:
        phone.ask("INVITE", HELD, usage=usage)
    heard, leg = hears(house, peer), house.call().winner if callee else house.call().caller
    assert leg is not None
    before = (leg.state, leg.direction, leg.offer, dict(house.media.open))
    phone.ask("INVITE", usage=usage)
    offered = phone.answers("INVITE")[-1]
    assert (offered.status, direction(offered.body)) == (200, b"sendrecv")
    # 1. the call stands, to the engine as well, and the other side is told nothing
    assert (leg.state, leg.direction, leg.offer, dict(house.media.open)) == before
    assert hears(house, peer) == heard
    assert not phone.got("BYE")
    # 2. the next re-INVITE is served, and its description is a later one than that of the offer
    phone.ask("INVITE", SDP if held else HELD, usage=usage)
    answer = phone.answers("INVITE")[-1]
    assert answer.status == 200
    assert version_of(answer.body) > version_of(offered.body)
    assert (hears(house, peer) is SourceKind.MUSIC) is not held
    phone.hang_up(usage)
    house.assert_nothing_left(alice, bob)


def test_a_call_that_is_answered_on_hold(link: Link) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", HELD)
    bob.respond(200, SDP)
    assert hears(house, bob) is SourceKind.MUSIC
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_refused_re_invite_leaves_the_music(link: Link) -> None:
    """CALL-9."""
    house = House(link)
    alice, bob = house.talking()
    alice.ask("INVITE", HELD)
    told = len(house.media.told)
    alice.ask("INVITE", SDP.replace(b"AVP 0", b"AVP 18"))
    assert alice.final().status == 488
    assert len(house.media.told) == told
    assert house.call().caller.state is LegState.HELD
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_hold_twenty_minutes(link: Link) -> None:
    """Timers of both legs run, nobody is hung up, and the sound is there after it."""
    house = House(link)
    alice = house.caller(transport=Transport.WSS)
    bob = house.callee()
    alice.oblige()
    bob.oblige()
    alice.dial("bob", PAGE)
    bob.respond(200, SDP)
    alice.ask("INVITE", PAGE.replace(b"a=sendrecv", b"a=sendonly"))
    link.run(1200)
    assert house.call().state is CallState.TALKING
    assert hears(house, bob) is SourceKind.MUSIC
    alice.ask("INVITE", PAGE)
    assert isinstance(hears(house, bob), int)
    assert direction(alice.final().body) == b"sendrecv"
    assert [one for one in house.media.of(do.UpdateMedia) if one.restart_ice] == []  # type: ignore[union-attr]
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_hold_resume_sticky_dtls(link: Link) -> None:
    """Fifty times: the same role, the same fingerprint and ICE credentials, the o= version one higher each time."""
    house = House(link)
    alice = house.caller(transport=Transport.WSS)
    bob = house.callee()
    alice.dial("bob", PAGE)
    bob.respond(200, SDP)
    first = alice.final().body

    def keys(body: bytes) -> list[bytes]:
        wanted = (b"a=fingerprint", b"a=setup", b"a=ice-ufrag", b"a=ice-pwd", b"a=mid", b"m=")
        return [line for line in body.split(b"\r\n") if line.startswith(wanted)]

    for round_ in range(25):
        for way, ours in ((b"a=sendonly", b"recvonly"), (b"a=sendrecv", b"sendrecv")):
            alice.ask("INVITE", PAGE.replace(b"a=sendrecv", way))
            answer = alice.final()
            assert (answer.status, direction(answer.body)) == (200, ours), round_
            assert keys(answer.body) == keys(first)
    assert b"a=setup:passive" in first
    assert alice.final().body.split(b"\r\n")[1].split()[2] == b"51"
    assert [one for one in house.media.of(do.UpdateMedia) if one.restart_ice or one.offer.dtls_active] == []  # type: ignore[union-attr]
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_video_declined_port_zero(link: Link) -> None:
    """The other side may use no video: the order of lines is kept, audio stays, and nobody is asked (row 9)."""
    house = House(link)
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], codecs=("OPUS", "PCMU"))
    alice, bob = house.talking()
    video = SDP + b"m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"
    first = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    both_ways = (video, first + b"m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\nm=audio 4000 RTP/AVP 0\r\n")
    for offer in both_ways:
        alice.ask("INVITE", offer)
        answer = alice.final()
        lines = [line.split()[:2] for line in answer.body.split(b"\r\n") if line.startswith(b"m=")]
        expected = [line.split()[0] for line in offer.split(b"\r\n") if line.startswith(b"m=")]
        assert [kind for kind, _ in lines] == expected
        assert dict(lines)[b"m=video"] == b"0"
        assert dict(lines)[b"m=audio"] != b"0"
    assert bob.got("INVITE")[1:] == []
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize(("offer", "status"), [
    (SDP + b"m=image 4004 udptl t38\r\n", 200),
    (SDP.replace(b"m=audio 4000 RTP/AVP 0", b"m=image 4004 udptl t38"), 488),
])  # fmt: skip
def test_fax_beside_audio_is_port_zero_and_alone_488(link: Link, offer: bytes, status: int) -> None:
    house = House(link)
    alice, bob = house.talking()
    alice.ask("INVITE", offer)
    answer = alice.final()
    assert answer.status == status
    assert status != 200 or b"m=image 0 UDPTL t38" in answer.body or b"m=image 0 udptl t38" in answer.body
    assert house.call().state is CallState.TALKING
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


# hold = pass


def shown(phone: Phone) -> list[bytes]:
    """Directions that the house has offered a phone inside its dialog."""
    return [direction(one.body) for one in phone.got("INVITE")[1:]]


@pytest.mark.ladder
def test_hold_is_passed_where_it_is_set(link: Link) -> None:
    house = House(link, hold="pass")  # type: ignore[arg-type]
    alice, bob = house.talking()
    bob.oblige(SDP + b"a=recvonly\r\n")
    alice.ask("INVITE", HELD, seconds=0.5)
    # 1. Alice is answered at once; Bob's phone is shown the hold and hears the music through it
    assert direction(alice.final().body) == b"recvonly"
    assert shown(bob) == [b"sendonly"]
    assert hears(house, bob) is SourceKind.MUSIC
    # 2. the way back; that Bob's phone only receives meanwhile was our doing and is not held against Alice
    bob.oblige(SDP)
    alice.ask("INVITE", SDP, seconds=0.5)
    assert direction(alice.final().body) == b"sendrecv"
    assert shown(bob) == [b"sendonly", b"sendrecv"]
    assert isinstance(hears(house, bob), int)
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_shown_hold_counts_when_the_held_side_offers_anew(link: Link) -> None:
    house = House(link, hold="pass")  # type: ignore[arg-type]
    alice, bob = house.talking()
    bob.oblige(SDP + b"a=recvonly\r\n")
    alice.ask("INVITE", HELD, seconds=0.5)
    bob.ask("INVITE", SDP.replace(b"4000", b"4100"), usage=bob.ringing)
    assert direction(bob.answers("INVITE")[-1].body) == b"sendonly"
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_phone_that_refuses_to_be_shown_it_is_held_all_the_same(link: Link) -> None:
    """CALL-9: the refused offer leaves dialog and media as they were."""
    house = House(link, hold="pass")  # type: ignore[arg-type]
    alice, bob = house.talking()
    bob.station.on_event = lambda event: (
        bob.station.perform(Respond(event.transaction, 488)) if isinstance(event, RequestInDialog) else None
    )
    alice.ask("INVITE", HELD, seconds=0.5)
    assert house.call().winner.direction == "sendrecv"  # type: ignore[union-attr]
    assert hears(house, bob) is SourceKind.MUSIC
    assert house.call().state is CallState.TALKING
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_shown_hold_that_meets_an_offer_is_shown_later_and_the_newest_only(link: Link) -> None:
    """CALL-8: 491, a pause by who owns the Call-ID, and a newer wish in place of the waiting one."""
    house = House(link, hold="pass")  # type: ignore[arg-type]
    alice, bob = house.talking()
    refusing = [True]

    def told(event: object) -> None:
        if isinstance(event, RequestInDialog):
            status = 491 if refusing[0] else 200
            answer = b"" if refusing[0] else SDP + b"a=inactive\r\n"
            bob.station.perform(Respond(event.transaction, status, WITH_SDP if answer else Headers(), answer))

    bob.station.on_event = told
    alice.ask("INVITE", HELD, seconds=0.3)
    assert shown(bob) == [b"sendonly"]
    refused_at = link.now
    # Alice changes her mind while the house waits.
    alice.ask("INVITE", DEAF, seconds=0.3)
    assert shown(bob) == [b"sendonly"]
    refusing[0] = False
    link.run(4.1)
    assert shown(bob) == [b"sendonly", b"inactive"]
    # We sent the first INVITE of Bob's dialog, so we wait 2.1 to 4 s.
    again = link.times("offhook: INVITE")[-1]
    assert 1.8 <= again - refused_at <= 4.0
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_the_held_sides_own_offers_are_not_passed_back(link: Link) -> None:
    """Who is held may move its media; that does not ask the holder to come back."""
    house = House(link, hold="pass")  # type: ignore[arg-type]
    alice, bob = house.talking()
    bob.oblige(SDP + b"a=recvonly\r\n")
    alice.ask("INVITE", HELD, seconds=0.5)
    bob.ask("INVITE", SDP.replace(b"4000", b"4100"), usage=bob.ringing)
    assert alice.got("INVITE") == []
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_trunk_is_never_shown_a_hold(link: Link) -> None:
    house = House(link, hold="pass")  # type: ignore[arg-type]
    alice, bob = house.talking()
    leg = house.call().winner
    assert leg is not None
    leg.trunk = Trunk("carrier", "carrier", (TrunkTarget(parse_uri("sip:carrier.example")),))
    alice.ask("INVITE", HELD, seconds=0.5)
    assert shown(bob) == []
    leg.trunk = None
    alice.hang_up()
    house.assert_nothing_left(alice, bob)
