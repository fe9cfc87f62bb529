"""Strangers call an application of ours (API.md 6.2, 6.3): who is let in, and what is believed of him."""

import pytest

from offhook.calls.applications import Application, networks_of
from offhook.calls.commands import DropApplication, UseApplication
from offhook.calls.entry import Entry, ForwardsTo, RingsMembers
from offhook.sip.commands import SendInvite
from offhook.sip.digest import both_ha1
from offhook.sip.events import UsageId
from offhook.sip.flow import Transport
from offhook.sip.location import Account, ClientCredentials
from offhook.sip.secret import Secret
from offhook.sip.uri import parse_uri
from tests.support.carriers import Carrier, TrunkHouse
from tests.support.house import WITH_SDP
from tests.support.link import Link
from tests.support.messages import SDP
from tests.support.nodes import DOMAIN
from tests.support.restart import restart

STRANGER, PBX = "203.0.113.77", "203.0.113.40"
URI = f"sip:sales@{DOMAIN}"
FROM = '"Carol" <sip:carol@elsewhere.example>'


@pytest.fixture
def house(link: Link) -> TrunkHouse:
    return TrunkHouse(link)


def serve(house: TrunkHouse, application: Application, *members: str) -> None:
    """The application rings these endpoints."""
    house.apply(lambda: house.node.command(UseApplication(application)))
    ring = RingsMembers(tuple(house.node.member(name) for name in members))
    house.node.applications[application.id] = Entry(application.id, "sales", ring, "domain_application")


def warned(house: TrunkHouse, stranger: Carrier) -> tuple[int, str]:
    return stranger.final().status, house.warning(stranger.final())


def test_anybody_may_call_an_application_without_a_list(house: TrunkHouse) -> None:
    stranger, bob = house.carrier(STRANGER), house.callee("bob")
    serve(house, Application("a1", "sales"), "bob")
    stranger.dial(URI, FROM, P_Asserted_Identity="<sip:+15125550100@bank.example>")
    assert (bob.invite.headers.get("From") or "").startswith('"Carol" <sip:carol@elsewhere.example>'), "1. his own From"
    assert "bank.example" not in str(bob.invite.headers), "2. what he asserts is not believed"
    bob.respond(200, SDP)
    assert stranger.final().status == 200
    call = house.call()
    assert (call.from_name, call.caller.trunk is not None) == ("carol", True)
    bob.hang_up(bob.ringing)
    assert stranger.got("BYE")
    house.assert_nothing_left(bob)


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_an_address_that_is_not_listed_is_told_which_one_was_seen(house: TrunkHouse, transport: Transport) -> None:
    stranger, bob = house.carrier(STRANGER, transport), house.callee("bob")
    serve(house, Application("a1", "sales", networks=networks_of(["198.51.100.0/24"])), "bob")
    stranger.dial(URI, FROM)
    status, words = warned(house, stranger)
    assert (status, "source-not-allowed" in words, STRANGER in words) == (403, True, True), words
    assert not bob.got("INVITE")
    [told] = [one for one in house.node.published if one.type == "security.source_refused"]
    assert dict(told.details)["source"] == STRANGER
    house.assert_nothing_left(bob)


def test_an_address_of_the_list_is_let_in(house: TrunkHouse) -> None:
    stranger, bob = house.carrier(STRANGER), house.callee("bob")
    serve(house, Application("a1", "sales", networks=networks_of(["198.51.100.9", "203.0.113.0/24"])), "bob")
    stranger.dial(URI, FROM)
    bob.respond(486)
    assert warned(house, stranger)[0] == 486
    house.assert_nothing_left(bob)


def test_encryption_that_is_required(house: TrunkHouse) -> None:
    stranger = house.carrier(STRANGER)
    serve(house, Application("a1", "sales", encryption="required"), "bob")
    stranger.dial(URI, FROM)
    status, words = warned(house, stranger)
    assert (status, "tls-required" in words) == (403, True)
    house.assert_nothing_left()


def test_a_password_is_asked_for_and_proved(house: TrunkHouse) -> None:
    md5, sha256 = both_ha1("sales", DOMAIN, "open sesame")
    account = Account("application-a1", "sales", DOMAIN, md5, sha256)
    serve(house, Application("a1", "sales", account=account), "bob")
    stranger, bob = house.carrier(STRANGER), house.callee("bob")
    stranger.dial(URI, FROM)
    assert stranger.final().status == 407, "1."
    assert not bob.got("INVITE")
    proof = ClientCredentials("sales", Secret("open sesame"))
    to = parse_uri(URI)
    again = SendInvite(UsageId("again"), stranger.there.id, to, FROM, f"<{URI}>", 70, WITH_SDP, SDP, credentials=proof)
    stranger.station.perform(again)
    house.link.run(0.3)
    assert bob.got("INVITE"), "2."
    bob.respond(486)
    assert stranger.final().status == 486
    house.assert_nothing_left(bob)


def test_a_host_of_its_own_and_the_user_part_it_wants(house: TrunkHouse) -> None:
    stranger, bob = house.carrier(STRANGER), house.callee("bob")
    # A host of the space, as Profiles makes it one.
    serve(house, Application("a1", "sales", user="desk", host="127.0.0.2"), "bob")
    stranger.dial("sip:desk@127.0.0.2", FROM)
    assert bob.got("INVITE"), "1. the user part fits"
    bob.respond(486)
    stranger.dial("sip:other@127.0.0.2", FROM)
    assert stranger.final().status == 407, "2. another is nobody's: the caller may be an endpoint"
    house.assert_nothing_left(bob)


def test_an_application_that_is_gone_is_called_in_vain(house: TrunkHouse) -> None:
    stranger = house.carrier(STRANGER)
    serve(house, Application("a1", "sales"), "bob")
    house.apply(lambda: house.node.command(DropApplication("a1")))
    stranger.dial(URI, FROM)
    assert stranger.final().status == 407
    house.assert_nothing_left()


def test_who_claims_to_be_an_endpoint_of_ours_has_to_prove_it(house: TrunkHouse) -> None:
    stranger, bob = house.carrier(STRANGER), house.callee("bob")
    serve(house, Application("a1", "sales"), "bob")
    stranger.dial(URI, f"<sip:alice@{DOMAIN}>")
    assert stranger.final().status == 407
    assert not bob.got("INVITE")
    house.assert_nothing_left(bob)


def test_a_stranger_s_number_is_not_shown_to_a_carrier_as_if_it_were_true(house: TrunkHouse) -> None:
    """The application forwards to a gateway by a trunk that passes callers' numbers through."""
    stranger, pbx = house.carrier(STRANGER), house.carrier(PBX)
    house.trunk("t1", targets=[{"uri": f"sip:{PBX}"}], caller_id={"policy": "passthrough"})
    house.apply(lambda: house.node.command(UseApplication(Application("a1", "sales"))))
    way = ForwardsTo("pbx", parse_uri("sip:reception@pbx.example.net"), "t1")
    house.node.applications["a1"] = Entry("a1", "sales", way, "domain_application")
    stranger.dial(URI, "<sip:+15125550100@elsewhere.example>")
    assert "+15125550100" not in (pbx.invite.headers.get("From") or "")
    assert "+15125550100" not in (pbx.invite.headers.get("P-Asserted-Identity") or "")
    pbx.respond(486)
    house.assert_nothing_left()


def test_a_visitor_s_call_outlives_a_restart(house: TrunkHouse) -> None:
    stranger, bob = house.carrier(STRANGER), house.callee("bob")
    serve(house, Application("a1", "sales"), "bob")
    stranger.dial(URI, FROM)
    bob.respond(200, SDP)
    restart(house)
    assert [leg.state.value for leg in house.call().parties] == ["answered", "answered"]
    bob.hang_up(bob.ringing)
    assert stranger.got("BYE")
    house.assert_nothing_left(bob)
