"""Offer and answer (RFC 3264): directions by offer and wish, codecs, rejected lines, and how short a phone's line is."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.calls.description import SPEECH, our_formats
from offhook.sdp.description import DIRECTIONS, Format, Session
from offhook.sdp.offer_answer import (
    EVENT,
    WISHES,
    LocalAudio,
    LocalVideo,
    Origin,
    answer_direction,
    select,
    write_answer,
    write_offer,
    write_reoffer,
)
from offhook.sdp.parse import parse
from tests.sdp.samples import HEAD, NAMES, offer_of

ORIGIN = Origin(4_611_686_018_427_387_903, 7, "192.0.2.1")
PHONE = LocalAudio(our_formats(False, SPEECH), (("192.0.2.1", 40_000),), rtcp_port=40_001)
BROWSER = LocalAudio(
    our_formats(True, SPEECH),
    (("192.0.2.1", 40_000), ("2001:db8::1", 40_000)),
    ufrag="abcd",
    password="p" * 24,
    fingerprint=":".join(["AB"] * 32),
    setup="passive",
    ssrc=7,
    cname="c",
)

SENDS = ("sendrecv", "sendonly")
RECEIVES = ("sendrecv", "recvonly")
MAY = {"both": (True, True), "hold": (True, False), "listen": (False, True), "nothing": (False, False)}
"""Wish -> do we want to send, do we want to receive."""


@given(st.sampled_from(DIRECTIONS), st.sampled_from(WISHES))
def test_direction_by_offer_and_wish(offered: str, wish: str) -> None:
    ours = answer_direction(offered, wish)
    want_send, want_receive = MAY[wish]
    assert (ours in SENDS) == (offered in RECEIVES and want_send)
    assert (ours in RECEIVES) == (offered in SENDS and want_receive)


@pytest.mark.parametrize(
    ("offered", "answers"),
    [
        ("sendrecv", ("sendrecv", "sendonly", "recvonly", "inactive")),
        ("sendonly", ("recvonly", "inactive", "recvonly", "inactive")),
        ("recvonly", ("sendonly", "sendonly", "inactive", "inactive")),
        ("inactive", ("inactive", "inactive", "inactive", "inactive")),
    ],
)
def test_the_table(offered: str, answers: tuple[str, ...]) -> None:
    assert tuple(answer_direction(offered, wish) for wish in WISHES) == answers


@pytest.mark.parametrize(("name", "wish"), list(product(NAMES, WISHES)))
def test_the_written_answer_has_the_direction(name: str, wish: str) -> None:
    offer = parse(offer_of(name))
    assert offer.audio is not None
    ours = answer_direction(offer.audio.direction, wish)
    answer = answered(offer, direction=ours)
    assert answer.audio is not None
    assert answer.audio.direction == ours


def answered(offer: Session, direction: str = "sendrecv") -> Session:
    assert offer.audio is not None
    local = replace(BROWSER if offer.audio.webrtc else PHONE, direction=direction, mid=offer.audio.mid or "0")
    chosen = select(offer.audio.formats, SPEECH)
    return parse(write_answer(offer, replace(local, formats=chosen), ORIGIN))


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_has_the_offers_lines_in_order_and_rejects_with_port_0(name: str) -> None:
    offer = parse(offer_of(name))
    answer = answered(offer)
    assert [one.kind for one in answer.media] == [one.kind for one in offer.media]
    assert [one.protocol for one in answer.media] == [one.protocol for one in offer.media]
    assert [bool(one.port) for one in answer.media] == [one is offer.audio for one in offer.media]
    assert [one.mid for one in answer.media if one.mid] == [one.mid for one in offer.media if one.mid]
    rejected = [(a.raw_formats, o.raw_formats) for a, o in zip(answer.media, offer.media, strict=True) if not a.port]
    assert all(ours == theirs for ours, theirs in rejected)
    # RFC 9143 section 7.3.3: only lines that are taken stay in the bundle.
    assert answer.bundle == (("0",) if offer.bundle else ())


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_uses_only_payload_types_of_the_offer(name: str) -> None:
    offer = parse(offer_of(name))
    answer = answered(offer)
    assert offer.audio is not None
    assert answer.audio is not None
    assert set(answer.audio.raw_formats) <= set(offer.audio.raw_formats)
    assert answer.audio.formats == select(offer.audio.formats, SPEECH)


kinds = st.sampled_from(["audio", "video", "application", "text", "image"])


@given(st.lists(st.tuples(kinds, st.sampled_from([0, 4000])), max_size=8))
def test_any_row_of_lines_keeps_its_order(rows: list[tuple[str, int]]) -> None:
    lines = b"".join(f"m={kind} {port} RTP/AVP 0 18\r\n".encode() for kind, port in rows)
    offer = parse(HEAD + lines + b"m=audio 4000 RTP/AVP 0\r\n")
    answer = answered(offer)
    assert [one.kind for one in answer.media] == [one.kind for one in offer.media]
    taken = [one for one in answer.media if one.port]
    assert len(taken) == 1
    assert answer.media.index(taken[0]) == next(at for at, one in enumerate(offer.media) if one is offer.audio)


def test_a_browser_gets_all_it_needs() -> None:
    text = write_answer(parse(offer_of("chromium")), replace(BROWSER, formats=BROWSER.formats[:1]), ORIGIN).decode()
    for line in ("a=ice-lite", "a=group:BUNDLE 0", "a=rtcp-mux", "a=setup:passive", "a=end-of-candidates", "a=mid:0"):
        assert f"{line}\r\n" in text
    candidates = [line for line in text.split("\r\n") if line.startswith("a=candidate:")]
    assert [line.split()[4] for line in candidates] == ["192.0.2.1", "2001:db8::1"]
    priorities = [int(line.split()[3]) for line in candidates]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == 2
    again = parse(text.encode()).audio
    assert again is not None
    assert again.webrtc
    assert again.fingerprints == (("sha-256", BROWSER.fingerprint),)


def test_a_phones_offer_is_short_and_plain() -> None:
    for local in (PHONE, replace(PHONE, direction="sendonly", rtcp_port=50_000, ptime=30)):
        # The longest addresses count too.
        origin = replace(ORIGIN, version=10_000, address="2001:db8:1111:2222:3333:4444:5555:6666")
        text = write_offer(False, local, origin)
        assert len(text) <= 500
    text = write_offer(False, PHONE, ORIGIN)
    assert text.splitlines()[:5] == [
        b"v=0", b"o=- 4611686018427387903 7 IN IP4 192.0.2.1", b"s=-", b"c=IN IP4 192.0.2.1", b"t=0 0",
    ]  # fmt: skip
    for needless in (b"sendrecv", b"a=ptime", b"a=rtcp:", b"candidate", b"ice-", b"ssrc", b"a=mid"):
        assert needless not in text
    audio = parse(text).audio
    assert audio is not None
    assert audio.protocol == "RTP/AVP"
    assert len(audio.raw_formats) <= 6


def test_an_ipv6_origin() -> None:
    text = write_offer(
        False, replace(PHONE, candidates=(("2001:db8::1", 40_000),)), replace(ORIGIN, address="2001:db8::1")
    )
    assert text.count(b"IN IP6 2001:db8::1\r\n") == 2


def test_telephone_events_follow_the_clocks_of_speech() -> None:
    offered = (
        Format("OPUS", 111, 48_000, 2), Format("PCMU", 0, 8_000), Format(EVENT, 110, 48_000), Format(EVENT, 126, 8_000),
        Format(EVENT, 127, 8_000), Format(EVENT, 105, 16_000),
    )  # fmt: skip
    assert [one.payload_type for one in select(offered, ("OPUS",))] == [111, 110]
    assert [one.payload_type for one in select(offered, ("PCMU",))] == [0, 126]
    assert [one.payload_type for one in select(offered, ("PCMU", "OPUS"))] == [0, 111, 110, 126]
    # A peer with events at another clock only: better than no digits.
    assert [one.payload_type for one in select((*offered[:1], offered[3]), ("OPUS",))] == [111, 126]


def test_g722_is_taken_at_the_clock_of_its_rtp_and_unknown_codecs_never() -> None:
    offered = (Format("G722", 9, 16_000), Format("G722", 96, 8_000), Format("G729", 18, 8_000))
    assert [one.payload_type for one in select(offered, SPEECH)] == [96]
    assert select(offered, ("G729",)) == ()


# ---- video

VIDEO = LocalVideo((Format("VP8", 96, 90_000),), candidates=(("192.0.2.1", 40_002),), rtcp_port=40_003)
PICTURE = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"


def test_a_phone_s_offer_of_video_stays_short() -> None:
    """CALL-21: at most 500 bytes in the clear, the second line with it."""
    few = LocalAudio(our_formats(False, ("OPUS", "PCMU", "PCMA")), (("192.0.2.1", 40_000),), rtcp_port=40_001)
    seen = LocalVideo(
        (Format("VP8", 96, 90_000),), candidates=(("192.0.2.1", 40_002),), rtcp_port=40_003, feedback=("nack pli",)
    )
    body = write_offer(False, few, ORIGIN, seen)
    assert len(body) <= 500, body
    assert [(one.kind, one.port) for one in parse(body).media] == [("audio", 40_000), ("video", 40_002)]


@given(st.permutations(["audio", "video", "image", "application"]))
def test_an_offer_of_ours_keeps_every_line_in_its_place(kinds: list[str]) -> None:
    """RFC 3264 section 8: a video line is used where one was, or comes last."""
    numbers = {"audio": "0", "video": "96"}
    protocols = {"image": "udptl", "application": "DTLS/SCTP"}
    for order in (kinds, [kind for kind in kinds if kind != "video"]):
        text = HEAD.decode() + "".join(
            f"m={kind} {4_000 + at} {protocols.get(kind, 'RTP/AVP')} {numbers.get(kind, 't38')}\r\n"
            + ("a=rtpmap:96 VP8/90000\r\n" if kind == "video" else "")
            for at, kind in enumerate(order)
        )
        before = parse(text.encode())
        after = parse(write_reoffer(before, PHONE, ORIGIN, VIDEO))
        assert [one.kind for one in after.media] == (order if "video" in order else [*order, "video"])
        assert {one.kind for one in after.media if one.port} == {"audio", "video"}
        without = parse(write_reoffer(before, PHONE, ORIGIN))
        assert [one.kind for one in without.media if one.port] == ["audio"]


def test_a_line_of_the_bundle_alone_is_offered() -> None:
    """RFC 9143 section 6: port 0 and a=bundle-only, where the page bundles all it can."""
    offer = offer_of("chromium").decode()
    audio = parse(offer.encode()).audio
    assert audio is not None
    shake = f"a=ice-ufrag:{audio.ufrag}\r\na=ice-pwd:{audio.password}\r\na=fingerprint:sha-256 {'AB:' * 31}AB\r\n"
    bundled = offer[: offer.index("m=video")]
    head = bundled.replace("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0")
    line = PICTURE.replace("video 9", "video 0") + shake
    for text, seen in ((bundled + line + "a=bundle-only\r\n", True), (bundled + line, False), (head + line, False)):
        assert (parse(text.encode()).video is not None) is seen, text


# ---- reduced sizes (RFC 5506)

SEEN = replace(VIDEO, feedback=("nack pli",))


def sized(body: bytes) -> list[tuple[str, bool]]:
    """The active lines, and which of them say it."""
    return [(one.kind, one.rtcp_rsize) for one in parse(body).media if one.port]


def test_reduced_sizes_are_offered_to_browsers_and_never_to_phones() -> None:
    assert sized(write_offer(True, BROWSER, ORIGIN, SEEN)) == [("audio", True), ("video", True)]
    assert sized(write_offer(False, PHONE, ORIGIN, SEEN)) == [("audio", False), ("video", False)]


@pytest.mark.parametrize("said", [True, False])
def test_a_browser_is_answered_as_it_says_of_each_line(said: bool) -> None:
    """RFC 8859: one and the same in all lines of a bundle, so every line of ours is as its own."""
    text = offer_of("chromium").decode()
    shake = text[text.index("a=ice-ufrag") : text.index("a=setup")]
    offer = text[: text.index("m=video")].replace("BUNDLE 0 1 2", "BUNDLE 0 1") + PICTURE + shake
    before = parse((offer + "a=rtcp-rsize\r\n" if said else offer.replace("a=rtcp-rsize\r\n", "")).encode())
    assert sized(write_answer(before, BROWSER, ORIGIN, SEEN)) == [("audio", said), ("video", said)]
    # An offer of ours inside the dialog says it again; so does a line that is added, and the place set aside.
    assert sized(write_reoffer(before, BROWSER, ORIGIN, SEEN)) == [("audio", said), ("video", said)]
    alone = replace(before, media=before.media[:1])
    assert sized(write_reoffer(alone, BROWSER, ORIGIN, SEEN)) == [("audio", said), ("video", said)]
    aside = sized(write_reoffer(before, BROWSER, ORIGIN, SEEN, aside=True))
    assert aside == [("audio", said), ("video", said), ("audio", said)]


@pytest.mark.parametrize(("protocol", "agreed"), [("RTP/AVPF", True), ("RTP/SAVPF", True), ("RTP/AVP", False)])
def test_a_phone_has_it_by_a_feedback_profile_only(protocol: str, agreed: bool) -> None:
    """RFC 5506 section 5; baresip says it on RTP/AVP, where feedback cannot be agreed to."""
    said = "a=rtcp-fb:* nack pli\r\na=rtcp-rsize\r\n"
    text = f"m=audio 4000 {protocol} 0\r\nm=video 4002 {protocol} 96\r\na=rtpmap:96 VP8/90000\r\n"
    offer = parse(HEAD + text.encode() + said.encode())
    assert offer.video is not None
    assert offer.video.reduced_size is agreed
    assert sized(write_answer(offer, PHONE, ORIGIN, SEEN)) == [("audio", False), ("video", agreed)]
    baresip = parse(offer_of("baresip")).audio
    assert baresip is not None
    assert (baresip.rtcp_rsize, baresip.reduced_size) == (True, False)
