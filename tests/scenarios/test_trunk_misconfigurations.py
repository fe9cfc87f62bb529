"""Twenty ways to set a trunk up wrong, and the word each is told by (TRK-10, section 11 pain 21): never 486, never silence
where the caller is one of ours."""

from collections.abc import Callable
from typing import Any

import pytest

from offhook.sip.commands import RespondInvite
from offhook.sip.events import InviteReceived
from offhook.sip.flow import Transport
from offhook.sip.message import Response
from tests.support.carriers import Carrier, TrunkHouse
from tests.support.challenger import Gate
from tests.support.house import WITH_SDP
from tests.support.link import Link
from tests.support.messages import SDP

CARRIER = "198.51.100.7"
TARGET = [{"uri": f"sip:{CARRIER}"}]
GOOD: dict[str, Any] = {"targets": TARGET, "allowed_prefixes": ["+1"]}
NUMBER = "+14155550123"


def outcome(house: TrunkHouse, number: str = NUMBER, **headers: str) -> tuple[int, str]:
    """Status and slug that an endpoint gets for dialling."""
    alice = house.caller()
    alice.dial(number, **headers)
    house.link.run(30)
    final = alice.final()
    assert final.status != 486
    return final.status, slug(final)


def slug(response: Response) -> str:
    return (response.headers.get("Warning") or '399 x ""').split('"')[1].split(" ")[0]


Setup = Callable[[TrunkHouse], Any]


def carrier(house: TrunkHouse, **gate: Any) -> Carrier:
    return house.carrier(CARRIER, gates=[Gate(**gate)] if gate else None)


def answering(house: TrunkHouse, status: int, body: bytes = b"") -> Carrier:
    """A carrier that gives every INVITE this answer."""
    one = carrier(house)

    def answer(event: Any) -> None:
        if isinstance(event, InviteReceived):
            one.station.perform(RespondInvite(event.usage, status, WITH_SDP, body))

    one.station.on_event = answer
    return one


def failing(code: str) -> Setup:
    def set_up(house: TrunkHouse) -> None:
        carrier(house).refuses = code
        house.trunk(**GOOD)

    return set_up


def with_trunk(**fields: Any) -> Setup:
    def set_up(house: TrunkHouse) -> None:
        carrier(house)
        house.trunk(**{**GOOD, **fields})

    return set_up


def silent(house: TrunkHouse) -> None:
    carrier(house)
    house.link.drop(CARRIER, "100 INVITE", 20)
    house.trunk(**GOOD)


def wrong_password(house: TrunkHouse) -> None:
    carrier(house, password="another")
    house.trunk(**GOOD, username="line1", password="zanzibar")


def wrong_realm(house: TrunkHouse) -> None:
    carrier(house)
    house.outside.carriers[CARRIER].gate.gates.append(Gate(realm="carrier.example"))
    house.trunk(**GOOD, username="line1", password="zanzibar", realm="carrier.exmaple")


def no_password(house: TrunkHouse) -> None:
    carrier(house, realm="carrier.example")
    house.trunk(**GOOD)


def full(house: TrunkHouse) -> None:
    carrier(house)
    house.trunk(**GOOD, max_channels=1)
    house.caller("bob").dial("+14155550199")


def too_fast(house: TrunkHouse) -> None:
    carrier(house)
    house.trunk(**GOOD, max_calls_per_second=1)
    house.caller("bob").dial("+14155550199")


def quota(house: TrunkHouse) -> None:
    carrier(house)
    house.trunk(**GOOD, max_daily_minutes=1)
    house.state().usage.talked(60)


def strange_codecs(house: TrunkHouse) -> None:
    answering(house, 200, SDP.replace(b"RTP/AVP 0", b"RTP/AVP 18"))
    house.trunk(**GOOD)


def plain_answer(house: TrunkHouse) -> None:
    one = house.carrier(CARRIER, Transport.TLS)
    house.trunk(targets=[{"uri": f"sip:{CARRIER}", "transport": "tls"}], allowed_prefixes=["+1"], encryption="required")

    def answer(event: Any) -> None:
        if isinstance(event, InviteReceived):
            one.station.perform(RespondInvite(event.usage, 200, WITH_SDP, SDP))

    one.station.on_event = answer


def refused(status: int) -> Setup:
    def set_up(house: TrunkHouse) -> None:
        answering(house, status)
        house.trunk(**GOOD)

    return set_up


OUT: list[tuple[str, Setup, str, int, str]] = [
    ("no trunk at all", lambda house: None, NUMBER, 404, "not-routable"),
    ("nothing allowed", with_trunk(allowed_prefixes=[]), NUMBER, 404, "not-routable"),
    ("another prefix allowed", with_trunk(allowed_prefixes=["+44"]), NUMBER, 404, "not-routable"),
    ("switched off", with_trunk(enabled=False), NUMBER, 404, "not-routable"),
    ("prefix blocked", with_trunk(blocked_prefixes=["+1415"]), NUMBER, 403, "prefix-not-allowed"),
    ("no number in this country", with_trunk(), "5550123", 484, "number-format-invalid"),
    ("name without address", with_trunk(targets=[{"uri": "sip:typo.example"}]), NUMBER, 502, "trunk-dns-failed"),
    ("port closed", failing("trunk_unreachable"), NUMBER, 502, "trunk-unreachable"),
    ("certificate refused", failing("trunk_tls_failed"), NUMBER, 502, "trunk-tls-failed"),
    ("firewall swallows", silent, NUMBER, 502, "trunk-timeout"),
    ("wrong password", wrong_password, NUMBER, 502, "trunk-auth-failed"),
    ("wrong realm", wrong_realm, NUMBER, 502, "trunk-auth-failed"),
    ("no password", no_password, NUMBER, 502, "trunk-auth-failed"),
    ("account barred", refused(403), NUMBER, 403, "trunk-rejected"),
    ("number format the carrier does not know", refused(404), NUMBER, 404, "number-unallocated"),
    ("channels used up", full, NUMBER, 502, "trunk-full"),
    ("too many calls a second", too_fast, NUMBER, 502, "trunk-rate-exceeded"),
    ("minutes used up", quota, NUMBER, 502, "trunk-quota-used"),
    ("codec nobody offered", strange_codecs, NUMBER, 502, "bad-answer"),
    ("codecs refused", refused(488), NUMBER, 488, "codec-mismatch"),
    ("emergency on no trunk", with_trunk(), "911", 503, "emergency-not-configured"),
]


@pytest.mark.parametrize(("what", "set_up", "number", "status", "word"), OUT, ids=[row[0] for row in OUT])
def test_a_call_out(link: Link, what: str, set_up: Setup, number: str, status: int, word: str) -> None:
    house = TrunkHouse(link)
    set_up(house)
    assert outcome(house, number) == (status, word), what


def test_the_policy_of_the_space(link: Link) -> None:
    house = TrunkHouse(link, enabled=False)
    with_trunk()(house)
    assert outcome(house) == (403, "pstn-blocked")


def test_a_number_to_show_that_is_not_ours(link: Link) -> None:
    house = TrunkHouse(link, strict_caller_id=True)
    with_trunk()(house)
    asked = {"P_Preferred_Identity": "<sip:+12025550100@example.com>"}
    assert outcome(house, **asked) == (403, "caller-id-not-allowed")


def test_a_foreign_uri_against_the_policy(link: Link) -> None:
    house = TrunkHouse(link, external_sip="none")
    alice = house.caller()
    alice.dial_uri("sip:carol@elsewhere.example")
    assert (alice.final().status, slug(alice.final())) == (403, "external-sip-not-allowed")


# calls in


def dialled_in(
    house: TrunkHouse, one: Carrier, uri: str = "sip:+15125550100@127.0.0.2", **headers: str
) -> tuple[int, str]:
    one.dial(uri, **headers)
    house.link.run(1)
    return one.final().status, slug(one.final())


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"inbound": {"trust_targets": False}}, "inbound.allow"),
        ({"inbound": {"allow": ["203.0.113.0/24"], "trust_targets": False}}, "inbound.allow"),
        ({"inbound": {"enabled": False}}, "inbound.enabled"),
        ({"enabled": False}, "inbound.allow"),
    ],
)
def test_a_call_from_an_address_that_no_trunk_has(link: Link, fields: dict[str, Any], word: str) -> None:
    house = TrunkHouse(link)
    udp, tls = house.carrier(CARRIER), house.carrier("198.51.100.8", Transport.TLS)
    house.trunk(**{**GOOD, "targets": [{"uri": f"sip:{CARRIER}"}, {"uri": "sip:198.51.100.8"}], **fields})
    udp.dial("sip:+15125550100@127.0.0.2")
    link.run(40)
    assert not [one for one in udp.station.received if isinstance(one, Response)], "1. over UDP a stranger gets no word"
    refused_notes = [one for one in house.station.notes if one.slug == "source-not-allowed"]
    assert refused_notes, "2. the log says what happened"
    assert CARRIER in refused_notes[0].details["text"]
    assert word in refused_notes[0].details["text"], "3. and what to change"
    assert dialled_in(house, tls) == (403, "source-not-allowed"), "4. over a stream it is told"


def test_a_call_to_a_number_that_nobody_added(link: Link) -> None:
    house = TrunkHouse(link)
    one = carrier(house)
    house.trunk(**GOOD)
    assert dialled_in(house, one) == (404, "number-not-assigned")


def test_a_call_to_a_number_without_endpoint_names_it(link: Link) -> None:
    house = TrunkHouse(link)
    one = carrier(house)
    house.node.numbers["+15125550100"] = "nobody"
    house.trunk(**GOOD)
    assert dialled_in(house, one) == (404, "number-not-assigned")
    assert "+15125550100" in (one.final().headers.get("Warning") or "")


def test_a_call_over_plain_transport_where_encryption_is_required(link: Link) -> None:
    house = TrunkHouse(link)
    one = carrier(house)
    house.node.numbers["+15125550100"] = "bob"
    house.trunk(targets=[{"uri": f"sip:{CARRIER}"}], encryption="required")
    assert dialled_in(house, one) == (403, "tls-required")


def test_an_answer_without_keys_where_encryption_is_required(link: Link) -> None:
    house = TrunkHouse(link)
    plain_answer(house)
    alice = house.caller()
    alice.dial(NUMBER)
    assert (alice.final().status, slug(alice.final())) == (502, "bad-answer")


def test_a_digest_that_is_demanded_and_wrong(link: Link) -> None:
    house = TrunkHouse(link)
    one = carrier(house)
    house.node.numbers["+15125550100"] = "bob"
    house.trunk(**GOOD, inbound={"digest_username": "acme", "digest_password": "secret"})
    assert dialled_in(house, one)[0] == 407


def test_a_page_is_never_taken_for_a_carrier(link: Link) -> None:
    """Carriers do not come by WebSocket: a page that has not proved itself is asked to, whatever its From says."""
    house = TrunkHouse(link)
    page = house.carrier(CARRIER, Transport.WSS)
    house.trunk(**GOOD)
    assert dialled_in(house, page)[0] == 407
