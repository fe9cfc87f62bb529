"""Whose call comes in (TRK-10): the order of the marks, and what each of them is worth."""

from typing import Any

from offhook.calls.inbound import Matched, Matcher
from offhook.sip.flow import Flow, FlowId, Transport
from tests.calls.test_numbers import trunk
from tests.support.messages import make_request


def flow(address: str, *identities: str) -> Flow:
    return Flow(
        FlowId("f"), Transport.TLS, (address, 40_001), ("10.0.0.5", 5061), "10.0.0.5:5061", True, False, "", identities
    )


def matcher(token: str = "random-token", **fields: Any) -> Matcher:
    one = Matcher()
    one.use(trunk(**fields), token)
    one.resolved("t", ["198.51.100.7"])
    return one


def matched(one: Matcher, uri: str, way: Flow) -> Matched | None:
    return one.match(make_request("INVITE", uri), way, frozenset(way.identities))


def test_the_line_token_counts_from_anywhere_when_it_was_drawn() -> None:
    found = matched(matcher(), "sip:random-token@us", flow("203.0.113.9"))
    assert found is not None
    assert found.by == "line"


def test_a_contact_user_that_was_chosen_counts_only_from_the_carriers_address() -> None:
    one = matcher("line1", contact_user="line1")
    assert matched(one, "sip:line1@us", flow("203.0.113.9")) is None
    found = matched(one, "sip:line1@us", flow("198.51.100.7"))
    assert found is not None
    assert found.by == "line"


def test_a_client_certificate_for_the_targets_domain() -> None:
    found = matched(matcher(), "sip:+1@us", flow("203.0.113.9", "carrier.example"))
    assert found is not None
    assert found.by == "certificate"
    assert matched(matcher(), "sip:+1@us", flow("203.0.113.9", "other.example")) is None
    untrusting = matcher(inbound={"trust_targets": False})
    assert matched(untrusting, "sip:+1@us", flow("203.0.113.9", "carrier.example")) is None


def test_addresses_and_networks_in_both_ip_versions() -> None:
    one = matcher(inbound={"allow": ["203.0.113.0/24", "2001:db8::/32", "192.0.2.1"]})
    for address in ("203.0.113.9", "2001:db8::7", "192.0.2.1", "198.51.100.7", "::ffff:203.0.113.9"):
        found = matched(one, "sip:+1@us", flow(address))
        assert found is not None, address
        assert found.by == "address"
    assert matched(one, "sip:+1@us", flow("192.0.2.2")) is None


def test_a_demanded_digest_is_demanded_from_known_addresses_too() -> None:
    found = matched(matcher(inbound={"digest_username": "acme"}), "sip:+1@us", flow("198.51.100.7"))
    assert found is not None
    assert found.challenge


def test_a_trunk_that_takes_no_calls_matches_none_and_says_so() -> None:
    for fields, word in (({"enabled": False}, "switched off"), ({"inbound": {"enabled": False}}, "inbound.enabled")):
        one = matcher(**fields)
        assert matched(one, "sip:random-token@us", flow("198.51.100.7")) is None
        assert word in one.why_not(flow("198.51.100.7")).text


def test_from_is_never_looked_at() -> None:
    one = matcher()
    request = make_request("INVITE", "sip:+1@us", from_="<sip:+15125550100@carrier.example>")
    assert one.match(request, flow("203.0.113.9")) is None


def test_a_dropped_trunk_is_forgotten_with_its_marks() -> None:
    one = matcher(inbound={"digest_username": "acme"})
    assert one.by_digest("acme") is not None
    one.drop("t")
    assert one.by_digest("acme") is None
    assert matched(one, "sip:random-token@us", flow("198.51.100.7")) is None
    assert "none is set up" in one.why_not(flow("198.51.100.7")).text
