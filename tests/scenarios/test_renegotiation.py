"""Descriptions inside a dialog (4.1 rows 10 to 12, CALL-9, CALL-23): answered here, as long as anything can be agreed."""

import pytest

from offhook.calls import effects as do
from offhook.sip.message import Request
from tests.support.house import House, Phone
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.script import Script

EVENTS = b"a=rtpmap:101 telephone-event/8000\r\n"
DIGITS = SDP.replace(b"AVP 0", b"AVP 0 101") + EVENTS


def version(body: bytes) -> bytes:
    return body.split(b"\r\n")[1].split()[2]


def up(link: Link, offer: bytes = SDP) -> tuple[House, Phone, Phone]:
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", offer)
    bob.respond(200, SDP)
    return house, alice, bob


def finish(house: House, alice: Phone, bob: Phone) -> None:
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_the_codec_may_change_to_any_that_we_can_transcode(link: Link) -> None:
    house, alice, bob = up(link)
    for codec, name in ((b"8", b"PCMA"), (b"9", b"G722"), (b"0", b"PCMU")):
        alice.ask("INVITE", SDP.replace(b"AVP 0", b"AVP " + codec))
        assert b" " + name + b"/8000" in alice.final().body
    # Nobody else is asked, and none of it is refused (CALL-23).
    assert len(bob.got("INVITE")) == 1
    finish(house, alice, bob)


def test_the_version_alone_changes_nothing_and_lines_alone_do(link: Link) -> None:
    house, alice, bob = up(link)
    first = alice.final().body
    told = len(house.media.told)
    # 1. a phone that counts its version up for nothing: our answer is the same, byte for byte (row 12)
    alice.ask("INVITE", SDP.replace(b"o=- 1 1", b"o=- 1 2"))
    assert alice.final().body == first
    assert len(house.media.told) == told
    # 2. one that never counts: the lines are what is compared
    alice.ask("INVITE", SDP.replace(b"4000", b"4100"))
    assert version(alice.final().body) == b"2"
    assert house.media.of(do.CompleteMedia)[-1].remote.port == 4100  # type: ignore[union-attr]
    finish(house, alice, bob)


def test_a_refusal_names_both_sets_of_codecs(link: Link) -> None:
    house, alice, bob = up(link)
    alice.ask("INVITE", SDP.replace(b"AVP 0", b"AVP 18"))
    refused = alice.final()
    assert refused.status == 488
    warnings = refused.headers.all("Warning")
    assert warnings[0].endswith('"codec-mismatch Offered: G729; understood here: PCMU, OPUS, G722, PCMA"')
    assert warnings[1] == '305 example.com "Incompatible media format"'
    finish(house, alice, bob)


def test_telephone_event_under_another_number_in_the_answer(link: Link) -> None:
    """DTMF-2: types per direction. We send by the peer's number and receive by ours, in offers that follow too."""
    house = House(link)
    alice, bob = house.caller(), house.callee()
    alice.dial("bob", DIGITS)
    offered = bob.invite.body
    assert b"a=rtpmap:101 telephone-event/8000" in offered
    bob.respond(200, SDP.replace(b"AVP 0", b"AVP 0 96") + EVENTS.replace(b"101", b"96"))
    completed = [one for one in house.media.of(do.CompleteMedia) if isinstance(one, do.CompleteMedia)]
    assert any(codec.payload_type == 96 for one in completed for codec in one.remote.audio)
    bob.device.late_answer = SDP
    bob.ask("INVITE", usage=bob.ringing)
    again = bob.answers("INVITE")[-1].body
    assert b"a=rtpmap:101 telephone-event/8000" in again
    assert b"telephone-event" not in again.replace(b"a=rtpmap:101 telephone-event/8000", b"")
    finish(house, alice, bob)


def test_a_phone_that_offers_rtcp_mux_is_told_its_port(link: Link) -> None:
    """Split RTCP towards phones (RFC 3605)."""
    house, alice, bob = up(link, SDP + b"a=rtcp-mux\r\n")
    assert b"rtcp-mux" not in alice.final().body
    opened = house.media.of(do.OpenMedia)[0]
    assert isinstance(opened, do.OpenMedia)
    assert all(not offer.rtcp_mux for _, offer in opened.offers)
    finish(house, alice, bob)


@pytest.mark.parametrize("extra", [
    b"a=tcap:1 RTP/SAVP\r\na=pcfg:1 t=1\r\n",
    b"a=rtcp-fb:* nack pli\r\na=rtcp-rsize\r\n",
    b"a=extmap:1 urn:ietf:params:rtp-hdrext:toffset\r\n",
    b"a=rtcp:4007 IN IP4 127.0.0.1\r\n",
    b"b=AS:64\r\nk=clear:x\r\n",
])  # fmt: skip
def test_what_phones_add_is_taken_or_passed_over(link: Link, extra: bytes) -> None:
    house, alice, bob = up(link, SDP + extra)
    assert alice.final().status == 200
    finish(house, alice, bob)


def test_avpf_on_a_plain_line_is_answered_with_its_own_name(link: Link) -> None:
    house, alice, bob = up(link, SDP.replace(b"RTP/AVP", b"RTP/AVPF"))
    assert b" RTP/AVPF 0" in alice.final().body
    finish(house, alice, bob)


def test_the_remote_target_moves_with_what_is_accepted_only(link: Link) -> None:
    """RFC 6141: a refused re-INVITE leaves the dialog as it was."""
    house = House(link)
    script, bob = Script(house), house.callee()
    script.invite()
    bob.respond(200, SDP)
    script.confirm()
    script.send("INVITE", 2, script.tag, body=SDP.replace(b"AVP 0", b"AVP 18"), Contact="<sip:elsewhere@127.0.0.9>")
    assert script.heard("INVITE")[-1] == 488
    script.send("ACK", 2, script.tag, branch="z9hG4bKINVITE2")
    script.send("INVITE", 3, script.tag, body=SDP, Contact="<sip:moved@127.0.0.8>")
    assert script.heard("INVITE")[-1] == 200
    script.send("ACK", 3, script.tag)
    bob.hang_up(bob.ringing)
    bye = script.asked("BYE")[-1]
    assert isinstance(bye, Request)
    assert str(bye.uri) == "sip:moved@127.0.0.8"
    script.answer(200)
    house.assert_nothing_left(bob)
