"""The fields of a trunk: defaults of API.md 12.1, every limit, and words that say what would be right."""

from typing import Any

import pytest

from offhook.api.trunk_fields import FIELDS, overlaps, trunk_fields
from offhook.calls.trunk import read_trunk

LEAST: dict[str, Any] = {"name": "acme", "targets": [{"uri": "sip:carrier.example"}]}


def faults(**fields: Any) -> list[tuple[str, str]]:
    return [(one.attribute, one.message) for one in trunk_fields({**LEAST, **fields})[1]]


def test_the_defaults_are_those_of_the_contract() -> None:
    values, found = trunk_fields(LEAST)
    assert not found
    assert values["targets"] == [
        {"uri": "sip:carrier.example", "transport": "auto", "priority": 10, "weight": 10, "enabled": True}
    ]
    assert (values["expires"], values["max_channels"], values["max_call_seconds"], values["ptime"]) == (
        3600,
        30,
        14_400,
        20,
    )
    assert values["failover"] == {"statuses": [408, 500, 502, 503, 504], "timeout_ms": 4000, "max_attempts": 4}
    assert values["health"] == {"options_interval": 30, "options_timeout_ms": 4000, "down_after": 2, "up_after": 1}
    assert values["caller_id"] == {"policy": "endpoint", "number": None, "name": True, "identity": "pai"}
    assert values["allowed_prefixes"] == [], "nothing listed, nothing allowed"
    assert values["codecs"] == ["PCMU", "PCMA"]
    assert (values["encryption"], values["dtmf"], values["session_timer"]) == ("optional", "auto", "allowed")
    trunk = read_trunk("t1", values, None, None)
    assert (trunk.failover.timeout, trunk.health.timeout, trunk.caps.per_second) == (4.0, 4.0, 10)


def test_every_field_can_be_given_again_as_it_is_shown() -> None:
    values, _ = trunk_fields(LEAST)
    assert trunk_fields(values)[0] == values
    assert values.keys() == FIELDS.keys()


@pytest.mark.parametrize(
    ("fields", "attribute", "words"),
    [
        ({"name": ""}, "name", "1 to 64"),
        ({"name": "x" * 65}, "name", "1 to 64"),
        ({"targets": []}, "targets", "1 to 16"),
        ({"targets": [{"uri": "sip:a"}] * 17}, "targets", "1 to 16"),
        ({"targets": [{"uri": "http://carrier.example"}]}, "targets[0].uri", "SIP URI"),
        ({"targets": [{"uri": "sip:a;transport=ws"}]}, "targets[0].uri", "udp, tcp or tls"),
        ({"targets": [{"uri": "sip:a", "transport": "sctp"}]}, "targets[0].transport", "auto, udp, tcp, tls"),
        ({"targets": [{"uri": "sip:a", "priority": 70_000}]}, "targets[0].priority", "65535"),
        ({"targets": [{"uri": "sip:a", "colour": 1}]}, "targets[0].colour", "not known"),
        ({"targets": [{}]}, "targets[0].uri", "required"),
        ({"expires": 59}, "expires", "60 to 86400"),
        ({"register": True}, "username", "required to register"),
        ({"inbound": {"allow": ["nonsense"]}}, "inbound.allow[0]", "network"),
        ({"inbound": {"allow": ["10.0.0.0/8"] * 257}}, "inbound.allow", "256"),
        ({"numbers": {"called_from": "from"}}, "numbers.called_from", "diversion"),
        ({"numbers": {"outbound_format": "roman"}}, "numbers.outbound_format", "e164_plus"),
        ({"numbers": {"country_code": "usa"}}, "numbers.country_code", "ISO"),
        (
            {"numbers": {"outbound_rules": [{"prefix": "+1", "strip": 16}]}},
            "numbers.outbound_rules[0].strip",
            "0 to 15",
        ),
        ({"did_ranges": ["15125550100"]}, "did_ranges[0]", "+15125550100"),
        ({"did_ranges": ["+15125550199-+15125550100"]}, "did_ranges[0]", "lower"),
        ({"caller_id": {"policy": "fixed"}}, "caller_id.number", "required"),
        ({"caller_id": {"number": "5125550100"}}, "caller_id.number", "E.164"),
        ({"allowed_prefixes": ["1"]}, "allowed_prefixes[0]", "+1512"),
        ({"max_channels": 0}, "max_channels", "1 to 10000"),
        ({"max_channels": 5, "max_channels_in": 6}, "max_channels_in", "above"),
        ({"pass_headers": ["Via"]}, "pass_headers[0]", "cannot be passed"),
        ({"pass_headers": ["P-Asserted-Identity"]}, "pass_headers[0]", "cannot be passed"),
        ({"codecs": []}, "codecs", "1 to 10"),
        ({"codecs": ["MP3"]}, "codecs[0]", "no codec"),
        ({"codecs": ["G729"]}, "codecs", "PCMU"),
        ({"encryption": "maybe"}, "encryption", "forbidden"),
        ({"encryption": "required", "targets": [{"uri": "sip:a", "transport": "udp"}]}, "targets[0].transport", "tls"),
        ({"ptime": 5}, "ptime", "10 to 60"),
        ({"failover": {"statuses": [486]}}, "failover.statuses[0]", "never"),
        ({"failover": {"timeout_ms": 100}}, "failover.timeout_ms", "500"),
        ({"health": {"options_interval": 5}}, "health.options_interval", "10 to 3600 or 0"),
        ({"enabled": "yes"}, "enabled", "true or false"),
        ({"nonsense": 1}, "nonsense", "not a field"),
    ],
)
def test_each_wrong_value_is_named_with_what_would_be_right(fields: dict[str, Any], attribute: str, words: str) -> None:
    assert any(name == attribute and words in message for name, message in faults(**fields)), faults(**fields)


def test_every_fault_is_named_at_once() -> None:
    assert [name for name, _ in faults(expires=1, ptime=1, codecs=["x"])] == ["expires", "codecs[0]", "ptime"]


def test_a_patch_keeps_what_is_not_given() -> None:
    values, _ = trunk_fields({**LEAST, "numbers": {"country_code": "49", "national_prefix": "0"}, "priority": 3})
    after, found = trunk_fields({"numbers": {"outbound_format": "national"}}, values)
    assert not found
    assert after["numbers"] == {**values["numbers"], "outbound_format": "national"}
    assert (after["priority"], after["name"]) == (3, "acme")


def test_did_ranges_of_two_trunks_may_not_overlap() -> None:
    assert overlaps(["+15125550100-+15125550199"], ["+15125550150"]) == "+15125550100-+15125550199"
    assert overlaps(["+15125550100"], ["+15125550101-+15125550199", "+155"]) is None
