"""What trunks do beside plain calls: health, hold, late offers, emergency, privacy, forwarding, limits, foreign URIs."""

from dataclasses import replace
from typing import Any

import pytest

from offhook.calls.commands import Dial, HangUpCall
from offhook.calls.entry import Permits
from offhook.sip.commands import Respond, SendInDialog, SendInvite, SendRequest
from offhook.sip.events import RequestInDialog, RequestSettled, SipEvent
from offhook.sip.flow import Transport
from offhook.sip.hop import Hop
from offhook.sip.location import ClientCredentials, Forward
from offhook.sip.message import Headers, Request
from offhook.sip.secret import Secret
from offhook.sip.uri import parse_uri
from tests.support.carriers import TrunkHouse
from tests.support.challenger import Gate
from tests.support.house import WITH_SDP, Phone
from tests.support.link import Link, Station
from tests.support.messages import SDP

CARRIER, SECOND = "198.51.100.7", "198.51.100.8"
GOOD: dict[str, Any] = {"targets": [{"uri": f"sip:{CARRIER}"}], "allowed_prefixes": ["+1"]}
NUMBER, OURS = "+14155550123", "+15125550100"


@pytest.mark.ladder
def test_hold_is_never_passed_to_a_trunk(link: Link) -> None:
    """CALL-7, section 11 pain 4: the carrier hears music, and no re-INVITE."""
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.trunk(**GOOD)
    alice = house.caller()
    alice.dial(NUMBER)
    carrier.respond(200, SDP)
    for direction in (b"sendonly", b"inactive", b"sendrecv"):
        alice.ask("INVITE", SDP + b"a=" + direction + b"\r\n")
        link.run(2)
    assert [one.status for one in alice.answers("INVITE")] == [200, 200, 200, 200]
    assert len(carrier.got("INVITE")) == 1
    assert not carrier.got("UPDATE")
    alice.hang_up()
    house.assert_nothing_left(alice)


@pytest.mark.ladder
def test_late_offer_from_trunk(link: Link) -> None:
    """4.1 row 2: an INVITE without offer gets ours in the 200, and the ACK brings the answer."""
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.numbers[OURS] = "bob"
    house.trunk(**GOOD)
    bob = house.callee()
    carrier.dial(f"sip:{OURS}@127.0.0.2", body=b"")
    assert bob.invite.body, "1. the device gets an offer at once"
    bob.respond(200, SDP)
    final = carrier.final()
    assert final.status == 200
    assert b"m=audio" in final.body, "2. the 200 offers"
    bob.hang_up(bob.ringing)
    link.run(0.2)
    assert carrier.got("BYE")


def test_options_every_thirty_seconds_decide_who_is_tried_last(link: Link) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(CARRIER), house.carrier(SECOND)
    first.gate.verdict = lambda _: (503, Headers())
    second.gate.verdict = lambda _: (404, Headers())
    health = {"options_interval": 30}
    house.trunk("t1", targets=[{"uri": "sip:carrier.example"}], allowed_prefixes=["+1"], health=health)
    house.outside.names["carrier.example"] = (Hop(Transport.UDP, CARRIER, 5060), Hop(Transport.UDP, SECOND, 5060))
    link.run(120)
    asked = first.got("OPTIONS")
    assert 3 <= len(asked) <= 5, "30 s ± 10 %"
    assert house.state().state == "degraded"
    alice = house.caller()
    alice.dial(NUMBER)
    assert not first.got("INVITE"), "503 is down and comes last"
    second.respond(200, SDP)
    assert alice.final().status == 200, "404 to OPTIONS is alive"
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_a_target_that_is_down_is_used_when_all_are(link: Link) -> None:
    house = TrunkHouse(link)
    only = house.carrier(CARRIER)
    only.gate.verdict = lambda _: (503, Headers())
    house.trunk(**GOOD, health={"options_interval": 10})
    link.run(15)
    assert house.state().state == "down"
    alice = house.caller()
    alice.dial(NUMBER)
    only.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    house.assert_nothing_left(alice)


def test_emergency_bypasses_limits_and_keeps_to_trunks_marked_for_it(link: Link) -> None:
    """TRK-9."""
    house = TrunkHouse(link, rate=0.001, burst=1.0)
    plain, marked = house.carrier(CARRIER), house.carrier(SECOND)
    house.trunk("t1", **GOOD)
    fields = {"targets": [{"uri": f"sip:{SECOND}"}], "emergency": True, "max_channels": 1, "priority": 99}
    house.trunk("t2", **fields)
    phones = [house.caller(name) for name in ("alice", "bob")]
    for phone in phones:
        phone.dial("911", Geolocation="<cid:here@example.com>", Geolocation_Routing="yes")
        marked.respond(200, SDP)
        # The first call stands while the second is made.
        assert phone.final().status == 200, "1. nothing listed, over the channels, over the rate: it goes through"
    for phone in phones:
        phone.hang_up()
        phone.dial("112")
        marked.respond(503)
        link.run(1)
        assert phone.final().status == 502, "2. and never fails over to a trunk that is not marked"
    assert str(marked.got("INVITE")[0].uri) == f"sip:911@{SECOND}", "3. untouched"
    assert marked.got("INVITE")[0].headers.get("Geolocation") == "<cid:here@example.com>", "4. with where he is"
    assert not plain.got("INVITE")


def test_a_withheld_caller_is_anonymous_to_the_carrier(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.numbers[OURS] = "alice"
    house.trunk(**GOOD)
    alice = house.caller()
    alice.dial(NUMBER, Privacy="id", P_Preferred_Identity=f"<sip:{OURS}@example.com>", X_Mine="secret")
    headers = carrier.invite.headers
    assert (headers.get("From") or "").startswith('"Anonymous" <sip:anonymous@anonymous.invalid>')
    assert headers.get("Privacy") == "id"
    assert headers.get("P-Asserted-Identity") == f"<sip:{OURS}@{CARRIER}>", "the billing identity"
    assert headers.get("P-Preferred-Identity") is None, "hints are read, never passed"
    assert headers.get("X-Mine") is None, "to trunks only what the trunk lists (CALL-20)"
    assert "alice" not in str([value for _, value in headers])
    carrier.respond(486)
    house.assert_nothing_left(alice)


def forwarded(link: Link, **fields: Any) -> tuple[TrunkHouse, Request]:
    """A carrier's call to Bob, who forwards to a number outside."""
    house = TrunkHouse(link)
    carrier, out = house.carrier(CARRIER), house.carrier(SECOND)
    bob = house.node.accounts["bob"]
    house.node.accounts["bob"] = type(bob)(
        bob.id, bob.username, bob.realm, bob.ha1_md5, bob.ha1_sha256, forward=Forward(always="+12025550199")
    )
    house.node.numbers[OURS] = "bob"
    house.trunk("in", targets=[{"uri": f"sip:{CARRIER}"}])
    house.trunk("out", targets=[{"uri": f"sip:{SECOND}"}], allowed_prefixes=["+1"], **fields)
    carrier.dial(f"sip:{OURS}@127.0.0.2")
    return house, out.invite


def test_forwarding_outside_shows_the_forwarders_number_unless_the_trunk_allows_the_callers(link: Link) -> None:
    _, invite = forwarded(link)
    assert str(invite.uri) == f"sip:+12025550199@{SECOND}"
    assert OURS in (invite.headers.get("From") or "")
    assert invite.headers.get("Diversion") is None


def test_forwarding_passes_the_caller_diversion_and_history_where_listed(link: Link) -> None:
    fields = {"caller_id": {"policy": "passthrough"}, "pass_headers": ["Diversion", "History-Info"]}
    _, invite = forwarded(link, **fields)
    assert NUMBER in (invite.headers.get("From") or "")
    assert "reason=unconditional" in (invite.headers.get("Diversion") or "")
    assert "index=1.1" in (invite.headers.get("History-Info") or "")


def test_a_call_ends_when_its_trunks_time_is_up(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.trunk(**GOOD, max_call_seconds=30)
    alice = house.caller()
    alice.dial(NUMBER)
    carrier.respond(200, SDP)
    link.run(31)
    assert house.call().end_code == "max_duration"
    assert carrier.got("BYE")
    assert alice.got("BYE")
    house.assert_nothing_left(alice)


def test_over_a_cap_the_next_trunk_carries_it(link: Link) -> None:
    house = TrunkHouse(link)
    first, second = house.carrier(CARRIER), house.carrier(SECOND)
    house.trunk("t1", **GOOD, max_channels=1)
    house.trunk("t2", targets=[{"uri": f"sip:{SECOND}"}], allowed_prefixes=["+1"], priority=20)
    alice, bob = house.caller(), house.caller("bob")
    alice.dial(NUMBER)
    bob.dial(NUMBER)
    assert (len(first.got("INVITE")), len(second.got("INVITE"))) == (1, 1)
    first.respond(200, SDP)
    second.respond(200, SDP)
    house.apply(lambda: house.node.command(HangUpCall(house.node.switchboard.calls()[0].ref, "api_hangup")))
    assert not house.state("t1").usage.legs_out
    bob.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_foreign_uri_goes_out_without_credentials_and_identity(link: Link) -> None:
    """TRK-13."""
    house = TrunkHouse(link)
    elsewhere = house.carrier("203.0.113.9", Transport.TLS, gates=[])
    house.outside.names["elsewhere.example"] = (Hop(Transport.TLS, "203.0.113.9", 5061, "elsewhere.example", True),)
    house.node.numbers[OURS] = "alice"
    alice = house.caller()
    alice.dial_uri("sip:carol@elsewhere.example")
    target = house.outside.located[-1].target
    assert (target.host, target.foreign) == ("elsewhere.example", True), "1. held to the outbound-address policy"
    invite = elsewhere.invite
    assert str(invite.uri) == "sip:carol@elsewhere.example"
    assert (invite.headers.get("From") or "").startswith("<sip:alice@example.com>"), "2. From is our AOR"
    assert invite.headers.get("P-Asserted-Identity") is None, "3. no asserted identity"
    assert b"a=crypto" in invite.body, "4. SRTP is offered over TLS"
    elsewhere.respond(200, SDP)
    assert alice.final().status == 200
    alice.hang_up()
    alice.dial_uri("sip:dave@elsewhere.example")
    assert alice.final().status == 503, "5. FOREIGN_RATE: one a second"
    house.assert_nothing_left(alice)


def test_a_foreign_uri_is_taken_as_it_stands(link: Link) -> None:
    """A GRUU of elsewhere is opaque (RFC 5627 section 6.1), and a name of ours means nothing there."""
    house = TrunkHouse(link)
    elsewhere = house.carrier("203.0.113.9", gates=[])
    house.outside.names["elsewhere.example"] = (Hop(Transport.UDP, "203.0.113.9", 5060),)
    alice = house.caller()
    alice.dial_uri("sip:music@elsewhere.example;transport=udp;gr=urn:uuid:1;lr")
    assert str(elsewhere.invite.uri) == "sip:music@elsewhere.example;gr=urn:uuid:1", "1."
    elsewhere.respond(486)
    assert alice.final().status == 486
    link.run(2)
    house.node.accounts["bob"] = replace(
        house.node.accounts["bob"], forward=Forward(always="sip:echo@elsewhere.example")
    )
    alice.dial("bob")
    assert str(elsewhere.invite.uri) == "sip:echo@elsewhere.example", "2. nor where it is forwarded to"
    elsewhere.respond(486)
    assert alice.final().status == 486
    house.assert_nothing_left(alice)


def test_a_foreign_peer_that_asks_for_credentials_gets_none(link: Link) -> None:
    house = TrunkHouse(link)
    elsewhere = house.carrier("203.0.113.9", gates=[Gate()])
    house.outside.names["elsewhere.example"] = (Hop(Transport.UDP, "203.0.113.9", 5060),)
    alice = house.caller()
    alice.dial_uri("sip:carol@elsewhere.example")
    assert len(elsewhere.got("INVITE")) == 1
    assert alice.final().status == 502
    house.assert_nothing_left(alice)


def test_a_number_of_our_own_stays_inside(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.numbers[OURS] = "bob"
    house.trunk(**GOOD)
    alice, bob = house.caller(), house.callee()
    alice.dial("512-555-0100")
    assert bob.invite
    assert not carrier.got("INVITE")
    bob.respond(200, SDP)
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_two_trunks_of_one_address_are_told_apart_by_their_numbers(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.numbers |= {OURS: "bob", "+15125550200": "bob"}
    target = [{"uri": f"sip:{CARRIER}"}]
    house.trunk("t1", targets=target, did_ranges=["+15125550100-+15125550199"])
    house.trunk("t2", targets=target, did_ranges=["+15125550200-+15125550299"])
    bob = house.callee()
    carrier.dial("sip:+15125550200@127.0.0.2")
    assert len(house.state("t2").usage.legs_in) == 1
    bob.respond(486)
    house.assert_nothing_left(bob)


def test_a_trunk_that_proves_its_calls_by_digest(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.numbers[OURS] = "bob"
    house.trunk(
        targets=[{"uri": "sip:203.0.113.1"}], inbound={"digest_username": "acme", "digest_password": "sesame open"}
    )
    bob = house.callee()
    proof = ClientCredentials("acme", Secret("sesame open"))
    uri = parse_uri(f"sip:{OURS}@example.com")
    from_ = "<sip:+14155550123@carrier.example>"
    carrier.station.perform(
        SendInvite(carrier.call, carrier.there.id, uri, from_, f"<{uri}>", 70, WITH_SDP, SDP, credentials=proof)
    )
    link.run(0.3)
    assert bob.invite, "from an address that no list has, proved by digest"
    bob.respond(486)
    assert carrier.final().status == 486
    house.assert_nothing_left(bob)


def test_an_endpoint_behind_the_carriers_address_is_still_an_endpoint(link: Link) -> None:
    house = TrunkHouse(link)
    house.trunk(targets=[{"uri": "sip:127.0.0.1"}])
    alice, bob = house.caller(), house.callee()
    alice.dial("bob")
    bob.respond(200, SDP)
    assert house.call().from_name == "alice"
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def test_a_phone_that_has_not_proved_itself_is_asked_even_from_the_carriers_address(link: Link) -> None:
    """A PBX with a trunk and phones of ours may share one address behind a NAT."""
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.trunk(**GOOD)
    carrier.dial("sip:+15125550100@example.com", from_="<sip:alice@example.com>")
    assert carrier.final().status == 407
    carrier.dial("sip:+15125550100@example.com", from_="<sip:101@example.com>")
    assert carrier.final().status == 407
    carrier.dial("sip:+15125550100@127.0.0.2", from_="<sip:+14155550123@127.0.0.2>")
    assert carrier.final().status == 404, "a telephone number is a carrier's caller"


def test_a_connection_that_breaks_in_a_call_is_made_anew(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER, Transport.TLS)
    house.trunk(targets=[{"uri": f"sip:{CARRIER}", "transport": "tls"}], allowed_prefixes=["+1"])
    alice = house.caller()
    alice.dial(NUMBER)
    carrier.respond(200, SDP)
    old = carrier.back.id
    carrier.there, carrier.back = link.connect(carrier.station, house.station, Transport.TLS, 5061, CARRIER)
    link.disconnect(old)
    link.run(1)
    assert house.call().winner is not None, "1. the call stands"
    alice.hang_up()
    assert carrier.got("BYE"), "2. and its BYE arrives by the new connection"
    house.assert_nothing_left(alice)


def test_a_number_that_may_not_be_shown_is_replaced_and_told(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.numbers[OURS] = "alice"
    house.trunk(**GOOD)
    alice = house.caller()
    alice.dial(NUMBER, P_Preferred_Identity="<sip:+12025550100@example.com>")
    assert OURS in (carrier.invite.headers.get("From") or "")
    told = next(one for one in house.node.published if one.type == "call.caller_id_replaced")
    assert dict(told.details) == {"asked": "+12025550100", "shown": OURS}
    carrier.respond(486)
    house.assert_nothing_left(alice)


def test_refer_from_a_trunk_is_refused_unless_enabled(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.trunk(**GOOD)
    alice = house.caller()
    alice.dial(NUMBER)
    carrier.respond(200, SDP)
    carrier.refer("<sip:bob@example.com>")
    assert [one.status for one in carrier.answers("REFER")] == [403]
    alice.hang_up()
    house.assert_nothing_left(alice)


def content(station: Station) -> None:
    """A peer that takes every refresh."""

    def answer(event: SipEvent) -> None:
        if isinstance(event, RequestInDialog):
            body = SDP if event.request.body else b""
            station.perform(Respond(event.transaction, 200, WITH_SDP if body else Headers(), body))

    station.on_event = answer


def test_session_timers_as_the_trunk_is_set(link: Link) -> None:
    for mode, offered, required in (("off", None, None), ("allowed", "1800", None), ("required", "1800", "timer")):
        own = Link()
        house = TrunkHouse(own)
        carrier = house.carrier(CARRIER)
        house.trunk(**GOOD, session_timer=mode)
        alice = house.caller()
        content(alice.station)
        content(carrier.station)
        alice.dial(NUMBER)
        headers = carrier.invite.headers
        assert (headers.get("Session-Expires"), headers.get("Require")) == (offered, required), mode
        carrier.respond(200, SDP)
        own.run(4000)
        answers = [one for one in carrier.answers("UPDATE") if one.status == 200]
        assert answers, "the carrier keeps a timer by itself and refreshes"
        assert all((one.headers.get("Session-Expires") is None) == (mode == "off") for one in answers)
        assert not carrier.got("UPDATE"), "off: we never refresh; else the carrier took the duty"
        assert house.call().winner is not None
        alice.hang_up()
        house.assert_nothing_left(alice)


def test_the_packet_length_that_the_trunk_is_set_to(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.trunk(**GOOD, ptime=40)
    alice = house.caller()
    alice.dial(NUMBER)
    assert b"a=ptime:40" in carrier.invite.body
    carrier.respond(486)
    house.assert_nothing_left(alice)


def test_a_transfer_to_a_number_goes_out_by_a_trunk(link: Link) -> None:
    """XFER-3: checked as if the transferor had dialled it."""
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.trunk(**GOOD)
    alice, bob = house.talking()
    alice.station.perform(SendInDialog(alice.call, "REFER", Headers([("Refer-To", f"<sip:{NUMBER}@example.com>")])))
    link.run(0.3)
    assert str(carrier.invite.uri) == f"sip:{NUMBER}@{CARRIER}"
    carrier.respond(200, SDP)
    link.run(3)
    assert house.call().from_name == "alice"
    assert alice.got("BYE"), "the transferor's leg is ended"
    assert not bob.got("BYE"), "the transferee talks to the number"
    carrier.hang_up()
    assert bob.got("BYE")
    house.assert_nothing_left(alice, bob)


def test_a_transfer_to_a_number_that_is_not_allowed_restores_the_call(link: Link) -> None:
    house = TrunkHouse(link)
    house.trunk(**{**GOOD, "allowed_prefixes": []})
    alice, bob = house.talking()
    content(alice.station)
    alice.station.perform(SendInDialog(alice.call, "REFER", Headers([("Refer-To", f"<sip:{NUMBER}@example.com>")])))
    link.run(1)
    assert any(b"404" in one.body for one in alice.got("NOTIFY"))
    assert not bob.got("BYE")
    alice.hang_up()
    house.assert_nothing_left(alice, bob)


def text_to(house: TrunkHouse, phone: Phone, number: str, body: bytes = b"hello", written: str = "") -> int:
    """The final status that a MESSAGE to a number gets."""
    uri = parse_uri(written or f"sip:{number}@example.com")
    from_ = f"<sip:{phone.username}@example.com>"
    kind = Headers([("Content-Type", "text/plain")])
    phone.station.perform(SendRequest("text", "MESSAGE", phone.there.id, uri, from_, f"<{uri}>", kind, body))
    house.link.run(12)
    (settled,) = phone.station.of(RequestSettled)
    assert isinstance(settled, RequestSettled)
    assert settled.response is not None
    phone.station.events.clear()
    return settled.response.status


def test_a_text_to_a_number_only_by_a_trunk_that_takes_texts(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER, gates=[Gate()])
    house.node.numbers[OURS] = "alice"
    house.trunk(**GOOD, username="line1", password="zanzibar")
    alice = house.caller()
    assert text_to(house, alice, NUMBER) == 404
    assert not carrier.got("MESSAGE")
    house.trunk(**GOOD, username="line1", password="zanzibar", accept_messages=True)
    assert text_to(house, alice, NUMBER) == 200
    message = carrier.gate.admitted[-1]
    assert (str(message.uri), message.body) == (f"sip:{NUMBER}@{CARRIER}", b"hello")
    assert OURS in (message.headers.get("From") or "")
    assert text_to(house, alice, NUMBER, written=f"tel:{NUMBER}") == 200, "RFC 3966"
    assert str(carrier.gate.admitted[-1].uri) == f"sip:{NUMBER}@{CARRIER}"
    taken = len(carrier.got("MESSAGE"))
    for permits in (Permits(numbers=False), Permits(pstn_enabled=False), Permits(trunks=frozenset({"other"}))):
        house.node.permits["alice"] = permits
        assert text_to(house, alice, NUMBER) == (404 if permits.trunks else 403), "texts cost money too"
    assert len(carrier.got("MESSAGE")) == taken
    house.node.permits.clear()
    carrier.gate.verdict = lambda _: (503, Headers())
    assert text_to(house, alice, NUMBER) == 502
    carrier.refuses = "trunk_unreachable"
    assert text_to(house, alice, NUMBER) == 502
    assert len(house.node.switchboard.gateway.texts) == 0  # type: ignore[union-attr]
    house.assert_nothing_left(alice)


def test_a_restart_registers_the_same_contact(link: Link) -> None:
    first, second = TrunkHouse(link), TrunkHouse(Link())
    for house in (first, second):
        house.carrier(CARRIER)
        house.trunk(**GOOD, register=True, username="line1")
        house.trunk("t2", **GOOD, register=True, username="line2")
    assert first.state().line.contact_user == second.state().line.contact_user
    assert first.state().line.contact_user != first.state("t2").line.contact_user


def test_no_limit_of_an_endpoint_stops_a_call_for_help(link: Link) -> None:
    """TRK-9: neither max_calls nor calls per second."""
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], emergency=True)
    house.node.accounts["alice"] = replace(house.node.accounts["alice"], max_calls=1)
    first, second = house.caller("alice", "desk"), house.caller("alice", "mobile")
    bob = house.callee()
    first.dial("bob")
    bob.respond(200, SDP)
    second.dial("bob")
    assert second.final().status == 486
    second.dial("112")
    carrier.respond(200, SDP)
    assert second.final().status == 200
    second.hang_up()
    first.hang_up()
    house.assert_nothing_left(first, second, bob)


def test_an_extension_like_an_emergency_number_is_not_in_the_way_of_help(link: Link) -> None:
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.accounts["112"] = replace(house.node.accounts["carol"], username="112")
    extension = house.callee("112")
    alice = house.caller()
    alice.dial("112")
    assert extension.got("INVITE"), "1. without a trunk that can call for help it is an extension"
    extension.respond(486)
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], emergency=True)
    alice.dial("112")
    assert carrier.got("INVITE"), "2. with one it is help"
    carrier.respond(200, SDP)
    alice.hang_up()
    house.assert_nothing_left(alice, extension)


def test_a_call_that_a_command_places_to_a_number(link: Link) -> None:
    """Third-party call control (RFC 3725): the endpoint's own device rings first, then the number."""
    house = TrunkHouse(link)
    carrier = house.carrier(CARRIER)
    house.node.numbers[OURS] = "alice"
    house.trunk(**GOOD)
    alice = house.callee("alice")
    house.apply(lambda: house.node.command(Dial("00000000-0000-7000-a000-000000000001", "alice", NUMBER)))
    alice.respond(200, SDP)
    link.run(0.5)
    assert OURS in (carrier.invite.headers.get("From") or "")
    carrier.respond(180)
    carrier.respond(200, SDP)
    call = house.call()
    assert {leg.trunk.id for leg in call.parties if leg.trunk is not None} == {"t1"}
    carrier.hang_up()
    assert alice.got("BYE")
    house.assert_nothing_left(alice)
