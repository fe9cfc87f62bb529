"""Numbers as people dial them, as we keep them, as carriers want them (TRK-7)."""

from typing import Any

import pytest

from offhook.api.trunk_fields import trunk_fields
from offhook.calls import numbers
from offhook.calls.inbound import called_number
from offhook.calls.trunk import Trunk, read_trunk
from offhook.server.number_plan import WorldPlan
from offhook.sip.uri import parse_uri
from tests.support.messages import make_request

PLAN = WorldPlan()


def trunk(**fields: Any) -> Trunk:
    values, faults = trunk_fields({"name": "t", "targets": [{"uri": "sip:carrier.example"}], **fields})
    assert not faults, faults
    return read_trunk("t", values, None, None)


@pytest.mark.parametrize(
    ("dialled", "country", "kept"),
    [
        ("+1 (512) 555-0100", "US", "+15125550100"),
        ("512.555.0100", "US", "+15125550100"),
        ("1-512-555-0100", "US", "+15125550100"),
        ("011 49 30 1234567", "US", "+49301234567"),
        ("030/1234567", "DE", "+49301234567"),
        ("0049301234567", "DE", "+49301234567"),
        ("+49301234567;ext=5", "DE", "+49301234567"),
        ("030 1234567", "49", "+49301234567"),
        ("411", "US", "411"),
        ("5550100", "US", None),
        ("12", "US", None),
        ("+999123", "US", None),
    ],
)
def test_what_is_dialled_becomes_e164_and_short_codes_stay(dialled: str, country: str, kept: str | None) -> None:
    assert numbers.normal(dialled, country, PLAN) == kept


@pytest.mark.parametrize("text", ["+15125550100", "512-555-0100", "(512)5550100", "911", "*98", "101"])
def test_what_can_be_meant_as_a_number(text: str) -> None:
    assert numbers.looks_dialled(text)


@pytest.mark.parametrize(
    "text", ["bob", "echo", "conference-1", "b0b", "+", "", "1", "12345678901234567890123456789012"]
)
def test_what_cannot(text: str) -> None:
    assert not numbers.looks_dialled(text)


def test_a_local_number_is_completed_by_its_context() -> None:
    assert numbers.dialled_in(parse_uri("tel:5550100;phone-context=+1512")) == "+15125550100"
    assert numbers.dialled_in(parse_uri("tel:+1-512-555-0100")) == "+15125550100"
    assert numbers.dialled_in(parse_uri("sip:+1(512)5550100;npdi@example.com;user=phone")) == "+15125550100"


@pytest.mark.parametrize(
    ("rules", "out"),
    [
        ({}, "+4930123456"),
        ({"outbound_format": "e164"}, "4930123456"),
        ({"outbound_format": "international"}, "004930123456"),
        ({"outbound_format": "international", "international_prefix": "011"}, "0114930123456"),
        ({"outbound_format": "national", "country_code": "DE", "national_prefix": "0"}, "030123456"),
        ({"outbound_format": "national", "country_code": "49", "national_prefix": "0"}, "030123456"),
        ({"outbound_format": "national", "country_code": "US"}, "004930123456"),
        ({"outbound_rules": [{"prefix": "+49", "strip": 3, "prepend": "9990"}]}, "999030123456"),
        ({"outbound_rules": [{"prefix": "+4", "prepend": "A"[:0]}, {"prefix": "+4930", "strip": 1}]}, "4930123456"),
    ],
)
def test_each_trunk_gets_its_form_and_the_longest_rule_wins(rules: dict[str, Any], out: str) -> None:
    assert numbers.for_trunk("+4930123456", trunk(numbers=rules), "US", PLAN) == out


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({}, "+4930123456"),
        ({"outbound_format": "e164"}, "4930123456"),
        ({"outbound_format": "international"}, "004930123456"),
        ({"outbound_format": "national", "country_code": "DE", "national_prefix": "0"}, "030123456"),
        ({"country_code": "DE", "inbound_rules": [{"prefix": "88", "strip": 2, "prepend": "+49"}]}, "8830123456"),
    ],
)
def test_the_same_rules_backwards(rules: dict[str, Any], text: str) -> None:
    assert numbers.from_trunk(text, trunk(numbers=rules), "US", PLAN) == "+4930123456"


@pytest.mark.parametrize("form", ["e164_plus", "e164", "international", "national"])
def test_out_and_back_is_the_same_number(form: str) -> None:
    one = trunk(numbers={"outbound_format": form, "country_code": "DE", "national_prefix": "0"})
    for number in ("+4930123456", "+15125550100", "+447911123456"):
        text = numbers.for_trunk(number, one, "US", PLAN)
        assert numbers.from_trunk(text, one, "US", PLAN) == number, text


def test_short_and_emergency_codes_are_left_alone() -> None:
    one = trunk(numbers={"outbound_format": "national"})
    assert numbers.for_trunk("911", one, "US", PLAN) == "911"
    assert numbers.is_emergency("112", "US", PLAN)
    assert numbers.is_emergency("110", "DE", PLAN)
    assert numbers.is_emergency("933", "DE", PLAN)
    assert numbers.is_emergency("5555", "DE", PLAN, ("5555",))
    assert not numbers.is_emergency("411", "US", PLAN)


@pytest.mark.parametrize(
    ("allowed", "blocked", "verdict"),
    [
        ([], [], (0, False)),
        (["+1"], [], (2, False)),
        (["+1", "+1512"], [], (5, False)),
        (["+1"], ["+1512"], (0, True)),
        (["+1512"], ["+1"], (5, False)),
        (["+1512"], ["+1512"], (0, True)),
        (["+"], ["+1900"], (1, False)),
        (["+44"], [], (0, False)),
    ],
)
def test_nothing_listed_nothing_allowed_and_block_wins_a_tie(
    allowed: list[str], blocked: list[str], verdict: tuple[int, bool]
) -> None:
    one = trunk(allowed_prefixes=allowed, blocked_prefixes=blocked)
    assert numbers.allowance("+15125550100", one) == verdict


@pytest.mark.parametrize("place", ["request_uri", "to", "p_called_party_id", "diversion"])
def test_the_called_number_is_read_where_the_trunk_puts_it(place: str) -> None:
    values = {
        "request_uri": "sip:line@x",
        "to": "<sip:line@x>",
        "P_Called_Party_ID": "<sip:a@x>",
        "Diversion": "<sip:a@x>",
    }
    number = "+15125550100"
    uri, to = f"sip:{number}@x" if place == "request_uri" else values["request_uri"], values["to"]
    extra = {name: values[name] for name in ("P_Called_Party_ID", "Diversion")}
    if place == "to":
        to = f"<sip:{number}@x>"
    for name in extra:
        if name.lower() == place:
            extra[name] = f"<sip:{number}@x>;reason=unconditional"
    request = make_request("INVITE", uri, to=to, **extra)
    assert called_number(request, trunk(numbers={"called_from": place}), "US", PLAN)[0] == number
