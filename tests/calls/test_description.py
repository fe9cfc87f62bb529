"""What we offer to whom, and what the engine is told of it."""

from dataclasses import replace

import pytest

from offhook.calls.description import (
    SPEECH,
    offer_for_offer,
    offer_for_peer,
    our_formats,
    remote_of,
    seen_by,
    speech_of,
    wanted,
)
from offhook.calls.encryption import KeyChoice, Security, for_answer
from offhook.calls.ports import Direction, KeyKind, LegLocal, PathKind, VideoLocal
from offhook.sdp.description import Format, Media
from offhook.sdp.offer_answer import select
from offhook.sdp.parse import parse
from offhook.sip.flow import Transport
from tests.sdp.samples import offer_of
from tests.support.messages import make_flow


def audio(name: str) -> Media:
    found = parse(offer_of(name)).audio
    assert found is not None
    return found


def choice_of(media: Media) -> KeyChoice:
    found = for_answer(media, Security())
    assert isinstance(found, KeyChoice)
    return found


PORT_LEG = LegLocal(7, (("10.0.0.5", 41_000),), 41_001, "", "", "", 7, "cname")


@pytest.mark.parametrize(
    ("advertised", "local", "told"),
    [
        ("203.0.113.9:5060", PORT_LEG, "203.0.113.9"),
        ("[2001:db8::9]:5060", PORT_LEG, "2001:db8::9"),
        # Inside of the NAT, and where a name is advertised: nothing but the socket's own address is known to be right.
        ("10.0.0.5:5060", PORT_LEG, "10.0.0.5"),
        ("pbx.example.com:5061", PORT_LEG, "10.0.0.5"),
        # A browser is told all addresses anyway.
        ("203.0.113.9:443", replace(PORT_LEG, ufrag="u"), "10.0.0.5"),
    ],
)
def test_a_phone_outside_of_a_nat_is_told_the_outer_address(advertised: str, local: LegLocal, told: str) -> None:
    flow = replace(make_flow("outside"), local=("10.0.0.5", 5060), advertised=advertised)
    with_video = replace(local, video=VideoLocal(8, 9, (("10.0.0.5", 41_002),), 41_003))
    seen = seen_by(flow, with_video)
    assert seen.candidates == ((told, 41_000),)
    assert seen.video is not None
    assert seen.video.candidates == ((told, 41_002),)


@pytest.mark.parametrize(
    ("names", "first", "offered"),
    [
        (SPEECH, (), SPEECH),
        (SPEECH, ("PCMA",), ("PCMA", "OPUS", "G722", "PCMU")),
        (("PCMU", "PCMA"), ("OPUS", "PCMA"), ("PCMA", "PCMU")),
        (("G729",), (), SPEECH),
        ((), ("PCMU",), ("PCMU", "OPUS", "G722", "PCMA")),
    ],
)
def test_the_callers_codecs_first_within_the_profile(
    names: tuple[str, ...], first: tuple[str, ...], offered: tuple[str, ...]
) -> None:
    assert wanted(names, first) == offered


@pytest.mark.parametrize("webrtc", [True, False])
def test_our_formats_fit_into_six_payload_types_that_differ(webrtc: bool) -> None:
    formats = our_formats(webrtc, SPEECH)
    assert len({one.payload_type for one in formats}) == len(formats) <= 6
    assert speech_of(formats) == SPEECH
    # One kind of digits for each clock of speech.
    assert {one.clock for one in formats if one.name not in SPEECH} == {one.clock for one in formats}
    assert {one.clock for one in our_formats(webrtc, ("OPUS",))} == {48_000}
    assert {one.clock for one in our_formats(webrtc, ("PCMU",))} == {8_000}


def test_comfort_noise_is_offered_to_phones_where_the_list_stays_short_and_is_no_speech() -> None:
    """RFC 3389: payload type 13 beside G.711 and G.722."""
    names = [one.name for one in our_formats(False, ("PCMU", "PCMA"))]
    assert names == ["PCMU", "PCMA", "CN", "TELEPHONE-EVENT"]
    assert speech_of(our_formats(False, ("PCMU", "PCMA"))) == ("PCMU", "PCMA")
    for webrtc, codecs in ((True, ("PCMU", "PCMA")), (False, ("OPUS",)), (False, SPEECH)):
        assert "CN" not in [one.name for one in our_formats(webrtc, codecs)]


def test_comfort_noise_is_answered_beside_the_codecs_of_its_clock() -> None:
    formats = (
        Format("OPUS", 107, 48_000, 2),
        Format("PCMU", 0, 8_000),
        Format("CN", 13, 8_000),
        Format("CN", 98, 16_000),
        Format("TELEPHONE-EVENT", 101, 8_000),
    )
    assert [one.payload_type for one in select(formats, ("PCMU",))] == [0, 13, 101]
    assert [one.payload_type for one in select(formats, ("OPUS",))] == [107, 101]


def test_a_browsers_offer() -> None:
    found = offer_for_offer(make_flow(transport=Transport.WSS), audio("chromium"), SPEECH, choice_of(audio("chromium")))
    assert (found.path, found.keys, found.address) == (PathKind.WEBRTC, KeyKind.DTLS, "")
    # It offers actpass: we are passive, which is what browsers connect to fastest.
    assert (found.dtls_active, found.mid, found.audio_level_id, found.mid_id) == (False, "0", 1, 4)
    assert [(one.name, one.payload_type) for one in found.audio][:2] == [("OPUS", 111), ("G722", 9)]
    remote = remote_of(audio("chromium"), ())
    # ICE finds the address.
    assert (remote.address, remote.port, remote.rtcp_port) == ("", 0, 0)
    assert (remote.ufrag, remote.ssrc) == ("4ZcD", 3735928559)


def test_a_phones_offer() -> None:
    found = offer_for_offer(make_flow(), audio("baresip"), SPEECH, choice_of(audio("baresip")))
    assert (found.path, found.keys, found.address, found.rtcp_mux) == (PathKind.PORT, KeyKind.PLAIN, "127.0.0.1", False)
    remote = remote_of(audio("baresip"), ())
    assert (remote.address, remote.port, remote.rtcp_port) == ("192.0.2.55", 10024, 10025)
    held = remote_of(audio("desk_phone_hold_2543"), ())
    assert (held.address, held.direction, held.ptime) == ("", Direction.SENDONLY, 30)


@pytest.mark.parametrize(("setup", "active"), [("actpass", False), ("active", False), ("passive", True)])
def test_a_phone_that_shakes_hands(setup: str, active: bool) -> None:
    """Its certificate may be RSA, which is understood of a client of the handshake alone: we are one only if it insists."""
    media = replace(audio("baresip"), protocol="UDP/TLS/RTP/SAVP", setup=setup, fingerprints=(("sha-256", "AA:BB"),))
    assert offer_for_offer(make_flow(), media, SPEECH, choice_of(media)).dtls_active is active


def test_ice_for_two_components_is_answered_without_it() -> None:
    """RFC 8839 section 4.2.5: we have one component. Who wants a second for RTCP is a phone that shakes hands twice."""
    page = audio("chromium")
    assert offer_for_offer(make_flow(), page, SPEECH, choice_of(page)).path is PathKind.WEBRTC
    apart = replace(page, rtcp_mux=False, address="192.0.2.17", port=46_243, rtcp_port=46_244)
    ours = offer_for_offer(make_flow(), apart, SPEECH, choice_of(apart))
    assert (ours.path, ours.keys, ours.rtcp_mux) == (PathKind.PORT, KeyKind.DTLS, False)
    theirs = remote_of(apart, apart.formats)
    assert (theirs.address, theirs.port, theirs.rtcp_port) == ("192.0.2.17", 46_243, 46_244)


def test_our_own_offer() -> None:
    browser = offer_for_peer(make_flow(transport=Transport.WSS), our_formats(True, SPEECH), True, Security())
    phone = offer_for_peer(make_flow(), our_formats(False, SPEECH), False, Security())
    assert (browser.path, browser.rtcp_mux, browser.mid) == (PathKind.WEBRTC, True, "0")
    assert (phone.path, phone.rtcp_mux, phone.mid, phone.address) == (PathKind.PORT, False, "", "127.0.0.1")
