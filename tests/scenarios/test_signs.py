"""API.md section 14: what is wrong beside silence, as far as signalling and samples tell, and when a silence ends a call."""

from typing import Any

import pytest

from offhook.calls import events as did
from offhook.calls.catalogue import CATALOGUE
from offhook.calls.commands import PressDigits
from offhook.calls.leg import Leg
from offhook.calls.ports import Quality
from offhook.server.views import call_view, diagnosis_of
from tests.support.house import House
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.page import Page

HOME = b"192.168.1.20"
EVENTS = SDP.replace(b"AVP 0", b"AVP 0 101") + b"a=rtpmap:101 telephone-event/8000\r\n"
PCMA = SDP.replace(b"AVP 0", b"AVP 8")


def open_findings(leg: Leg) -> dict[str, dict[str, str]]:
    return {one.code: one.evidence for one in leg.findings if one.until is None}


def told(house: House) -> list[tuple[str, str]]:
    """Findings as events, in order."""
    return [
        (one.type.removeprefix("call.finding_"), dict(one.details)["code"])
        for one in house.node.published
        if one.type.startswith("call.finding_")
    ]


def tell(house: House, event: Any) -> None:
    house.apply(lambda: house.node.tell(event))


def number(leg: Leg) -> int:
    assert leg.media is not None
    return leg.media.leg


def call_of(link: Link, alice: bytes, bob: bytes = SDP) -> tuple[House, Leg, Leg]:
    house = House(link, media_timeout=60)
    caller, callee = house.caller(), house.callee()
    caller.dial("bob", alice)
    callee.respond(200, bob)
    one, other = house.call().parties
    return house, one, other


@pytest.mark.parametrize(
    ("sdp", "code"),
    [
        (SDP.replace(b"IP4 127.0.0.1", b"IP4 " + HOME), "sdp_address_private"),
        (SDP.replace(b"1 1 IN IP4 127.0.0.1", b"1 1 IN IP4 " + HOME), "sip_alg_suspected"),
        (SDP, "no_media_from_device"),
    ],
)
def test_addresses_explain_why_nothing_came(link: Link, sdp: bytes, code: str) -> None:
    house, alice, bob = call_of(link, SDP, sdp)
    tell(house, did.SilenceFound(number(bob), "in", "no_packets", {"gate": "open"}))
    # 1. the addresses are the cause; the engine's verdict and facts stay in the evidence
    found = open_findings(bob)
    assert set(found) == {code}
    assert found[code]["gate"] == "open"
    if code != "no_media_from_device":
        assert found[code]["source"] == "127.0.0.1"
        assert HOME.decode() in (found[code]["c_line"], found[code].get("o_line"))
    view = call_view(house.call(), {}, link.now)
    assert view["legs"][1]["findings"][0]["evidence"]["verdict"] == "no_packets"
    # 2. it ends when the device is heard
    tell(house, did.Heard(number(bob), "in"))
    assert open_findings(bob) == {}
    assert told(house) == [("raised", code), ("cleared", code)]
    assert alice.findings == []


@pytest.mark.parametrize("verdict", ["no_packets", "dtls_no_hello"])
@pytest.mark.parametrize("phone", [True, False])
def test_a_device_that_wants_ice_as_we_do_not_have_it_is_told_so(link: Link, verdict: str, phone: bool) -> None:
    """It was answered without, and goes by that (RFC 8839 section 4.2.5) or is silent."""
    wants = SDP.replace(b"IP4 127.0.0.1", b"IP4 " + HOME) + b"a=ice-ufrag:abcd\r\na=ice-pwd:" + b"p" * 24 + b"\r\n"
    wants += b"".join(b"a=candidate:1 %d UDP 213070630%d 192.168.1.20 400%d typ host\r\n" % (n, n, n) for n in (1, 2))
    house, alice, _ = call_of(link, wants if phone else SDP)
    tell(house, did.SilenceFound(number(alice), "in", verdict, {}))
    found = open_findings(alice)
    if phone:
        assert found["ice_not_agreed"] == {"candidates": "2", "rtcp_mux": "no"}
        tell(house, did.Heard(number(alice), "in"))
        assert open_findings(alice) == {}
    else:
        assert "ice_not_agreed" not in found


@pytest.mark.parametrize(("setup", "code"), [("holdconn", "dtls_failed"), ("active", "no_media_from_device")])
def test_a_handshake_that_nobody_begins_by_the_descriptions_is_no_fault_of_the_way(
    link: Link, setup: str, code: str
) -> None:
    """MEDIA.md section 7: nothing ever came, because both sides wait."""
    shakes = SDP.replace(b"RTP/AVP", b"UDP/TLS/RTP/SAVP") + f"a=setup:{setup}\r\n".encode()
    house, alice, _ = call_of(link, shakes + b"a=fingerprint:sha-256 " + b":".join([b"AA"] * 32) + b"\r\n")
    tell(house, did.SilenceFound(number(alice), "in", "no_packets", {}))
    assert open_findings(alice) == {code: {"setup": setup} if code == "dtls_failed" else {}}


def test_a_description_that_the_engine_refuses_is_told(link: Link) -> None:
    """An address that nothing may be sent to: the call goes on, and says why it is silent."""
    house, alice, _ = call_of(link, SDP)
    text = "media must not go to 169.254.1.1"
    tell(house, did.DescriptionRefused(number(alice), "bad_address", text))
    # 1. once, however often it is said
    tell(house, did.DescriptionRefused(number(alice), "bad_address", text))
    assert open_findings(alice) == {"media_refused": {"reason": text}}
    view = call_view(house.call(), {}, link.now)
    assert (view["findings"], view["verdict"]) == (["media_refused"], "degraded")
    # 2. media that is heard was described anew
    tell(house, did.FirstMedia(number(alice), 40))
    assert open_findings(alice) == {}


def test_who_was_never_heard_has_the_same_time_as_who_fell_silent(link: Link) -> None:
    house, alice, _ = call_of(link, SDP)
    tell(house, did.SilenceFound(number(alice), "in", "no_packets", {}))
    link.run(59)
    assert house.call().end_code is None
    link.run(2)
    assert (house.call().end_code, CATALOGUE["media_timeout"].end) == ("media_timeout", "error")


def test_rtcp_and_checks_of_ice_are_signs_of_life(link: Link) -> None:
    house, alice, _ = call_of(link, SDP)
    tell(house, did.MediaStopped(number(alice), 5000))
    # 1. a muted phone goes on with RTCP, and the call with it
    for signs in range(1, 10):
        link.run(20)
        tell(house, did.QualityReported(number(alice), Quality(packets_out=signs, signs_in=signs)))
    assert house.call().end_code is None
    # 2. what we send is no sign of it
    for sent in range(10, 13):
        link.run(20)
        tell(house, did.QualityReported(number(alice), Quality(packets_out=sent, signs_in=9)))
    assert house.call().end_code == "media_timeout"


def test_a_path_that_never_was_is_the_end_of_the_call(link: Link) -> None:
    house = House(link, media_timeout=60)
    alice, bob = Page(house, "alice"), house.callee()
    alice.dial_page("bob")
    bob.respond(200, SDP)
    page = house.call().caller
    tell(house, did.SilenceFound(number(page), "in", "dtls_failed", {}))
    # 1. while it lasts the call has failed, and says why
    view = call_view(house.call(), {}, link.now)
    diagnosis = diagnosis_of(view)
    assert (view["verdict"], diagnosis["findings"][0]["severity"]) == ("failed", "error")
    assert "DTLS handshake was never finished" in diagnosis["summary"]
    # 2. after the media time-out it ends with that code
    link.run(61)
    assert house.call().end_code == "dtls_failed"
    assert bob.got("BYE")[0].headers.get("Reason") == 'SIP;cause=408;text="dtls-failed"'


def test_a_device_that_moves_is_told_of_until_its_sound_is_measured_again(link: Link) -> None:
    house, alice, _ = call_of(link, SDP)
    leg = number(alice)
    tell(house, did.PathChanged(leg, "127.0.0.2:4", "127.0.0.1:4000", "latch"))
    tell(house, did.PathChanged(leg, "127.0.0.2:4", "127.0.0.1:4002", "latch"))
    # 1. before the first sound the path is only being found
    assert open_findings(alice) == {}
    tell(house, did.FirstMedia(leg, 20))
    tell(house, did.PathChanged(leg, "127.0.0.2:4", "127.0.0.1:5000", "latch"))
    assert open_findings(alice) == {"path_changed": {"remote": "127.0.0.1:5000"}}
    # 2. no fault
    assert call_view(house.call(), {}, link.now)["verdict"] == "ok"
    tell(house, did.QualityReported(leg, Quality()))
    assert told(house) == [("raised", "path_changed"), ("cleared", "path_changed")]


def test_media_over_tcp_is_a_finding_of_the_device(link: Link) -> None:
    house, alice, _ = call_of(link, SDP)
    leg = number(alice)
    tell(house, did.PathChanged(leg, "127.0.0.2:443", "127.0.0.1:9", "ice-tcp"))
    assert open_findings(alice) == {"udp_blocked": {"remote": "127.0.0.1:9"}}
    assert alice.findings[0].direction == "from_device"
    tell(house, did.PathChanged(leg, "127.0.0.2:4", "127.0.0.1:9", "ice"))
    assert told(house) == [("raised", "udp_blocked"), ("cleared", "udp_blocked")]


def test_two_codecs_are_transcoding_and_no_fault(link: Link) -> None:
    house, alice, bob = call_of(link, SDP, PCMA)
    tell(house, did.QualityReported(number(alice), Quality()))
    tell(house, did.QualityReported(number(alice), Quality()))
    assert open_findings(alice) == {"transcoding": {"codec": "PCMU", "other": "PCMA"}}
    assert call_view(house.call(), {}, link.now)["verdict"] == "ok"
    assert told(house) == [("raised", "transcoding")]
    same, one, _ = call_of(Link(), SDP)
    tell(same, did.QualityReported(number(one), Quality()))
    assert open_findings(one) == {}
    assert bob.findings == []


def test_late_packets_are_counted_from_sample_to_sample(link: Link) -> None:
    house, alice, _ = call_of(link, SDP)
    for came, late in ((250, 10), (500, 12), (750, 30), (1000, 45)):
        tell(house, did.QualityReported(number(alice), Quality(packets_in=came, late_in=late)))
    # 1. one bad sample, a good one, two bad ones
    assert open_findings(alice) == {"late_packets": {"late_percent": "6.0", "threshold": "3"}}
    # 2. no more of them, however many there were
    tell(house, did.QualityReported(number(alice), Quality(packets_in=1250, late_in=45)))
    assert told(house) == [("raised", "late_packets"), ("cleared", "late_packets")]


def test_a_clock_that_runs_wrong_either_way(link: Link) -> None:
    for drift in (250.0, -250.0):
        house, alice, _ = call_of(Link(), SDP)
        for _ in range(2):
            tell(house, did.QualityReported(number(alice), Quality(drift_ppm=drift)))
        assert open_findings(alice) == {"clock_drift": {"drift_ppm": f"{drift:.0f}", "threshold": "200"}}


@pytest.mark.parametrize(("sdp", "codes"), [(SDP, ["dtmf_not_negotiated"]), (EVENTS, [])])
def test_digits_to_a_device_without_telephone_event(link: Link, sdp: bytes, codes: list[str]) -> None:
    house, _, bob = call_of(link, SDP, sdp)
    bob.takes_info = False
    for digit in "56":
        house.apply(lambda digit=digit: house.node.command(PressDigits(bob.ref, digit, 100)))
    # told once, about the direction in which it matters
    assert list(open_findings(bob)) == codes
    assert [one.direction for one in bob.findings] == ["to_device"] * len(codes)


def test_a_tone_from_a_device_without_telephone_event(link: Link) -> None:
    house, alice, _ = call_of(link, SDP, EVENTS)
    tell(house, did.DigitPressed(number(alice), "5", 100, "inband"))
    assert [(one.code, one.direction) for one in alice.findings] == [("dtmf_not_negotiated", "from_device")]


def test_reports_that_cannot_come_are_said_of_a_call_that_is_heard(link: Link) -> None:
    """RFC 5764 section 4.2: the RTCP port shakes hands for itself; that it fails ends no call and is no silence."""
    house, alice, bob = call_of(link, SDP)
    for leg in (alice, bob):
        tell(house, did.FirstMedia(number(leg), 20))
    tell(house, did.SilenceFound(number(alice), "reports", "rtcp_dtls_failed", {"error": "timeout"}))
    assert open_findings(alice) == {"reports_missing": {"error": "timeout"}}
    # 1. neither is silent for it, and the call goes on
    link.run(120)
    view = call_view(house.call(), {}, link.now)
    assert (view["verdict"], view["findings"]) == ("ok", ["reports_missing"])
    diagnosis = diagnosis_of(view)
    assert diagnosis["summary"] == "Sound flows in both directions."
    assert [one["evidence"]["verdict"] for one in diagnosis["findings"]] == ["rtcp_dtls_failed"]
    # 2. another cause takes its place; silence has a place of its own, and ends by itself
    tell(house, did.SilenceFound(number(alice), "reports", "rtcp_dtls_fingerprint", {"seen": "AA"}))
    tell(house, did.SilenceFound(number(alice), "in", "stopped", {}))
    assert open_findings(alice)["reports_missing"] == {"seen": "AA"}
    tell(house, did.Heard(number(alice), "in"))
    assert set(open_findings(alice)) == {"reports_missing"}
    # 3. keys end it
    tell(house, did.Heard(number(alice), "reports"))
    assert open_findings(alice) == {}
    assert told(house)[-1] == ("cleared", "reports_missing")
