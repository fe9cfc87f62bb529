"""Video in calls (4.1 row 9, RFC 3264): both sides take one format or neither has a picture; sound is never touched."""

from dataclasses import replace

import pytest

from offhook.calls import effects as do
from offhook.calls import events as did
from offhook.calls.entry import Entry, RingsMembers
from offhook.calls.ports import LegRemote, VideoRemote
from offhook.sdp.description import Session
from offhook.sdp.parse import parse
from offhook.sip.commands import Respond, SendInDialog
from offhook.sip.events import RequestInDialog
from offhook.sip.message import Headers
from tests.support.house import WITH_SDP, House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.page import OFFER as SOUND_OF_PAGE
from tests.support.page import Page
from tests.support.transferring import dialog, refer

VP8 = b"m=video 4002 RTP/AVPF 96\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:* ccm fir\r\n"
H264 = (
    b"m=video 4002 RTP/AVP 99 98\r\na=rtpmap:99 H264/90000\r\n"
    b"a=fmtp:99 profile-level-id=42801F;packetization-mode=1\r\na=rtpmap:98 VP8/90000\r\n"
)
SEEN = SDP + VP8
DECLINED = SDP + b"m=video 0 RTP/AVP 96\r\n"


def lines(body: bytes) -> list[tuple[str, int]]:
    return [(one.kind, one.port) for one in parse(body).media]


def described(body: bytes) -> Session:
    return parse(body)


def shown(house: House, phone: Phone) -> VideoRemote | None:
    """The peer's half of video as the engine knows it, for the leg of a phone."""
    leg = next(one for one in house.call().legs if one.flow.id == phone.back.id)
    assert leg.media is not None
    told = [one for one in house.media.told if isinstance(one, do.CompleteMedia) and one.leg == leg.media.leg]
    remote: LegRemote = told[-1].remote
    return remote.video


def answer(phone: Phone, status: int, body: bytes = b"", seconds: float = 0.1) -> None:
    """Answers the re-INVITE that came last."""
    asked = phone.station.of(RequestInDialog)[-1]
    assert isinstance(asked, RequestInDialog)
    phone.station.perform(Respond(asked.transaction, status, WITH_SDP if body else Headers(), body))
    phone.house.link.run(seconds)


def talking(link: Link, offer: bytes = SEEN, taken: bytes = SEEN) -> tuple[House, Phone, Phone]:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", offer)
    bob.respond(200, taken)
    return house, alice, bob


@pytest.mark.ladder
def test_video_is_offered_to_the_callee_and_answered_as_he_takes_it(link: Link) -> None:
    house, alice, bob = talking(link)
    # 1. the callee is offered the caller's format, at ports of ours
    offer = described(bob.invite.body)
    assert offer.video is not None
    assert [one.name for one in offer.video.formats] == ["VP8"]
    assert offer.video.address == "192.0.2.1"
    # 2. the caller's answer has both lines in his order, by his numbers
    taken = described(alice.final().body)
    assert [kind for kind, port in lines(alice.final().body) if port] == ["audio", "video"]
    assert taken.video is not None
    assert [one.payload_type for one in taken.video.formats] == [96]
    # 3. what he understands of feedback, and only that, is said to him
    assert set(taken.video.feedback) == {("*", "nack pli"), ("*", "ccm fir")}
    # 4. the engine knows both halves before the bridge
    video = shown(house, alice)
    assert video is not None
    assert (video.port, video.feedback) == (4002, ("ccm fir", "nack pli"))
    kinds = [type(one) for one in house.media.told]
    assert kinds.count(do.CompleteMedia) == 2
    assert kinds[-1] is do.BridgeMedia
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_feedback_without_reports_is_agreed_on_by_those_who_say_so(link: Link) -> None:
    """RFC 5506: the caller says it on a feedback profile, the callee on a profile without; to him it was not offered."""
    said = b"a=rtcp-rsize\r\n"
    house, alice, bob = talking(link, SEEN + said, SDP + VP8.replace(b"AVPF", b"AVP") + said)
    assert b"rtcp-rsize" not in bob.invite.body
    assert alice.final().body.count(said) == 1
    halves = [shown(house, phone) for phone in (alice, bob)]
    assert [half is not None and half.reduced_size for half in halves] == [True, False]


def test_lines_keep_the_order_of_the_offer(link: Link) -> None:
    head, audio = SDP.split(b"m=audio")
    house, alice, _ = talking(link, head + VP8 + b"m=audio" + audio)
    assert [kind for kind, port in lines(alice.final().body) if port] == ["video", "audio"]
    assert shown(house, alice) is not None


@pytest.mark.parametrize("taken", [SDP, DECLINED])
def test_a_callee_without_video_leaves_port_zero(link: Link, taken: bytes) -> None:
    """RFC 3264 section 6: refused, in its place; the sound stays."""
    house, alice, bob = talking(link, taken=taken)
    assert dict(lines(alice.final().body))["video"] == 0
    assert dict(lines(alice.final().body))["audio"] > 0
    assert shown(house, alice) is None
    assert shown(house, bob) is None


@pytest.mark.parametrize(("caller", "callee", "names"), [
    # The callee's order counts, because nothing is transcoded.
    (SDP + H264, SDP + H264, ["H264", "VP8"]),
    (SDP + H264, SDP + VP8.replace(b"96", b"98"), ["VP8"]),
    # RFC 6184: another packetization mode is another format.
    (SDP + H264, SDP + H264.replace(b"99 98", b"99").replace(b";packetization-mode=1", b""), []),
    # The profile counts, the level does not.
    (SDP + H264, SDP + H264.replace(b"99 98", b"99").replace(b"42801F", b"42e00D"), ["H264"]),
    (SDP + H264, SDP + H264.replace(b"99 98", b"99").replace(b"42801F", b"640028"), []),
])  # fmt: skip
def test_both_sides_have_the_same_format(link: Link, caller: bytes, callee: bytes, names: list[str]) -> None:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", caller)
    offered = described(bob.invite.body)
    assert offered.video is not None
    assert [one.name for one in offered.video.formats] == ["H264", "VP8"]
    numbers = {one.name: one.payload_type for one in offered.video.formats}
    # He answers by the numbers that he was offered.
    for name, his in (("H264", b"99"), ("VP8", b"98")):
        callee = callee.replace(b":" + his + b" ", f":{numbers[name]} ".encode())
        callee = callee.replace(b" " + his + b"\r", f" {numbers[name]}\r".encode())
        callee = callee.replace(b"AVP 99 ", f"AVP {numbers['H264']} ".encode())
    bob.respond(200, callee)
    taken = described(alice.final().body)
    assert ([one.name for one in taken.video.formats] if taken.video is not None else []) == names
    assert {one.payload_type for one in taken.video.formats} <= {98, 99} if taken.video is not None else True
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_an_endpoint_without_video_in_its_codecs_is_not_offered_any(link: Link) -> None:
    house = House(link)
    house.node.accounts["bob"] = replace(house.node.accounts["bob"], codecs=("OPUS", "PCMU"))
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", SEEN)
    assert [kind for kind, _ in lines(bob.invite.body)] == ["audio"]
    bob.respond(200, SDP)
    assert dict(lines(alice.final().body))["video"] == 0


@pytest.mark.parametrize(("name", "seen"), [("echo", True), ("tone", False), ("conference-x", False)])
def test_of_the_built_in_names_only_echo_has_a_picture(link: Link, name: str, seen: bool) -> None:
    house = House(link)
    alice = house.caller()
    alice.dial(name, SEEN)
    assert (dict(lines(alice.final().body))["video"] > 0) is seen


@pytest.mark.ladder
def test_video_is_added_in_mid_call(link: Link) -> None:
    house, alice, bob = talking(link, SDP, SDP)
    told = len(bob.got("INVITE"))
    alice.ask("INVITE", SEEN)
    # 1. her answer waits for his
    assert len(alice.answers("INVITE")) == 1
    assert len(bob.got("INVITE")) == told + 1
    assert dict(lines(bob.got("INVITE")[-1].body))["video"] > 0
    answer(bob, 200, SEEN)
    # 2. both have it
    assert dict(lines(alice.final().body))["video"] > 0
    assert shown(house, alice) is not None
    assert shown(house, bob) is not None
    # 3. a repeated offer costs him nothing
    alice.ask("INVITE", SEEN)
    assert len(bob.got("INVITE")) == told + 1
    # 4. she ends it, and his line ends too
    alice.ask("INVITE", DECLINED)
    assert dict(lines(alice.final().body))["video"] == 0
    assert dict(lines(bob.got("INVITE")[-1].body))["video"] == 0
    answer(bob, 200, DECLINED)
    assert shown(house, bob) is None
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


@pytest.mark.parametrize(("status", "body"), [(488, b""), (200, DECLINED), (603, b"")])
def test_a_refusal_leaves_the_sound(link: Link, status: int, body: bytes) -> None:
    """CALL-9, and the one who offered gets port 0."""
    house, alice, bob = talking(link, SDP, SDP)
    alice.ask("INVITE", SEEN)
    answer(bob, status, body)
    assert alice.final().status == 200
    assert dict(lines(alice.final().body)) == {"audio": parse(alice.final().body).media[0].port, "video": 0}
    assert shown(house, alice) is None
    # He is not asked again with every later offer of hers.
    told = len(bob.got("INVITE"))
    alice.ask("INVITE", SEEN.replace(b"RTP/AVP 0", b"RTP/AVP 0 8"))
    assert len(bob.got("INVITE")) == told
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_the_callee_adds_video_too(link: Link) -> None:
    house, alice, bob = talking(link, SDP, SDP)
    bob.ask("INVITE", SEEN, usage=bob.ringing)
    answer(alice, 200, SEEN)
    assert dict(lines(bob.answers("INVITE")[-1].body))["video"] > 0
    assert shown(house, alice) is not None
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_who_does_not_answer_is_waited_for_ten_seconds(link: Link) -> None:
    house, alice, bob = talking(link, SDP, SDP)
    alice.ask("INVITE", SEEN)
    link.run(9)
    assert len(alice.answers("INVITE")) == 1
    link.run(2)
    assert dict(lines(alice.final().body))["video"] == 0
    # His late yes is taken back: nobody sends him a picture.
    answer(bob, 200, SEEN)
    assert dict(lines(bob.got("INVITE")[-1].body))["video"] == 0
    answer(bob, 200, DECLINED)
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_an_offer_of_video_that_meets_another_is_made_again(link: Link) -> None:
    """CALL-8."""
    house, alice, bob = talking(link, SDP, SDP)
    alice.ask("INVITE", SEEN)
    told = len(bob.got("INVITE"))
    answer(bob, 491, seconds=5)
    assert len(bob.got("INVITE")) == told + 1
    answer(bob, 200, SEEN)
    assert dict(lines(alice.final().body))["video"] > 0
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_hold_keeps_the_lines_and_their_directions_apart(link: Link) -> None:
    house, alice, bob = talking(link)
    held = SDP + b"a=sendonly\r\n" + VP8 + b"a=inactive\r\n"
    alice.ask("INVITE", held)
    taken = described(alice.final().body)
    assert [one.direction for one in taken.media] == ["recvonly", "inactive"]
    alice.ask("INVITE", SEEN)
    taken = described(alice.final().body)
    assert [one.direction for one in taken.media] == ["sendrecv", "sendrecv"]
    video = shown(house, alice)
    assert video is not None
    assert len(bob.got("INVITE")) == 1
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_keys_of_the_picture_are_its_own(link: Link) -> None:
    """RFC 4568: each line has keys; one whose keys are of another kind is refused."""
    key = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n"
    head = SDP.replace(b"RTP/AVP", b"RTP/SAVP") + key
    house, alice, _ = talking(link, head + VP8.replace(b"AVPF", b"SAVPF") + key)
    taken = described(alice.final().body)
    assert taken.video is not None
    assert taken.video.crypto
    video = shown(house, alice)
    assert video is not None
    assert [one.suite for one in video.crypto] == ["AES_CM_128_HMAC_SHA1_80"]
    alice.hang_up()
    link.run(200)
    alice.dial("echo", head + VP8)
    assert dict(lines(alice.final().body))["video"] == 0


def test_a_lost_engine_opens_the_picture_again(link: Link) -> None:
    """LIVE-15."""
    house, _, bob = talking(link)
    house.media.open.clear()
    house.media.calls.clear()
    house.media.told.clear()
    house.apply(lambda: house.node.tell(did.EngineLost()))
    house.apply(lambda: house.node.tell(did.EngineReady()))
    (offer,) = bob.got("INVITE")[1:]
    assert dict(lines(offer.body))["video"] > 0
    answer(bob, 200, SEEN)
    assert shown(house, bob) is not None
    opened = house.media.of(do.OpenMedia)[-1]
    assert isinstance(opened, do.OpenMedia)
    assert all(offer.video is not None for _, offer in opened.offers)


def test_a_page_has_one_transport_for_both(link: Link) -> None:
    """BUNDLE (RFC 9143): a line outside the bundle of the sound has no way to us."""
    house = House(link)
    alice = Page(house, "alice")
    bob = house.callee()
    picture = (
        b"m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtcp-mux\r\na=setup:actpass\r\n"
        b"a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 transport-cc\r\na=rtpmap:97 rtx/90000\r\n"
        b"a=fmtp:97 apt=96\r\na=extmap:13 urn:3gpp:video-orientation\r\n"
    )
    mine = parse(SOUND_OF_PAGE)
    audio = mine.audio
    assert audio is not None
    shake = [f"a=ice-ufrag:{audio.ufrag}", f"a=ice-pwd:{audio.password}"]
    shake += [f"a=fingerprint:{name} {digest}" for name, digest in audio.fingerprints]
    whole = SOUND_OF_PAGE.rstrip() + b"\r\n" + picture + "\r\n".join([*shake, ""]).encode()
    bundled = whole.replace(b"a=group:BUNDLE " + audio.mid.encode(), b"a=group:BUNDLE " + audio.mid.encode() + b" 1")
    assert bundled != whole
    alice.dial("echo", bundled)
    text = alice.final().body
    assert f"a=group:BUNDLE {audio.mid} 1".encode() in text
    assert b"a=fmtp:97 apt=96" in text
    assert b"a=ssrc-group:FID 8 9" in text
    assert b"transport-cc" not in text
    assert b"a=extmap:13 urn:3gpp:video-orientation" in text
    alice.hang_up()
    alice.dial("bob", whole)
    assert [kind for kind, _ in lines(bob.invite.body)] == ["audio"]


def test_a_whole_picture_is_asked_for_by_info_where_rtcp_cannot(link: Link) -> None:
    """RFC 5168, both ways."""
    house, alice, bob = talking(link)
    bob_leg = house.call().parties[1]
    assert bob_leg.media is not None
    body = (
        b"<media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder></vc_primitive></media_control>"
    )
    asks = Headers([("Content-Type", "application/media_control+xml")])
    alice.station.perform(SendInDialog(alice.call, "INFO", asks, body))
    link.run(0.1)
    assert [one.leg for one in house.media.of(do.RequestKeyFrame)] == [bob_leg.media.leg]  # type: ignore[union-attr]
    bob_leg.takes_info = True
    number = bob_leg.media.leg
    house.apply(lambda: house.node.tell(did.KeyFrameWanted(number)))
    (info,) = bob.got("INFO")
    assert b"picture_fast_update" in info.body
    assert info.headers.get("Content-Type") == "application/media_control+xml"


@pytest.mark.parametrize(("taken", "left"), [(SEEN, 1), (SDP, 0)])
def test_a_transfer_brings_what_both_that_are_left_have(link: Link, taken: bytes, left: int) -> None:
    """XFER-3: the target is offered what the transferee has; if it takes no picture, the transferee's ends too."""
    house, alice, bob = talking(link)
    carol = house.callee("carol")
    refer(alice, f"<sip:carol@{DOMAIN}>")
    assert dict(lines(carol.invite.body))["video"] > 0
    number = parse(carol.invite.body).media[1].formats[0].payload_type
    carol.respond(200, taken.replace(b":96 ", f":{number} ".encode()).replace(b" 96", f" {number}".encode()))
    video = shown(house, carol)
    assert (video is not None) is bool(left)
    asked = bob.got("INVITE")[1:]
    if left:
        assert asked == []
    else:
        assert dict(lines(asked[-1].body))["video"] == 0
        answer(bob, 200, DECLINED)
        assert shown(house, bob) is None
    link.run(3)
    bob.hang_up(bob.ringing)
    house.assert_nothing_left(alice, bob, carol)


def test_a_reloaded_page_takes_its_picture_along(link: Link) -> None:
    """LIVE-13: INVITE with Replaces; the peer is told nothing while the picture goes on."""
    house, alice, bob = talking(link)
    again = house.caller(name="reloaded")
    again.dial("bob", SEEN, Replaces=dialog(alice))
    assert dict(lines(again.final().body))["video"] > 0
    assert bob.got("INVITE")[1:] == []
    again.hang_up()


@pytest.mark.parametrize(("name", "kinds"), [
    ("/private/bob?channel=audio", ["audio"]),
    ("/private/bob?channel=video", ["audio", "video"]),
])  # fmt: skip
def test_an_address_may_ask_for_sound_alone(link: Link, name: str, kinds: list[str]) -> None:
    """API.md 1.8."""
    house = House(link)
    alice, bob = house.caller(), house.callee()
    handler = RingsMembers((house.node.member("bob"),))
    house.node.entries["/private/bob"] = Entry("id of bob", "/private/bob", handler, "address")
    alice.dial_uri(f"sip:{name}@{DOMAIN}", SEEN)
    assert [kind for kind, _ in lines(bob.invite.body)] == kinds
