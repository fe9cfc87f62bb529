"""API.md 1.5, row by row: every code of a 422 with its message, in shape S or F, every fault at once, in field order."""

from typing import Any

import httpx
import pytest

ENDPOINTS = "/api/relay/rest/endpoints/sip"
FABRIC = "/api/fabric/resources/sip_endpoints"
TRUNKS = "/api/offhook/trunks"
NUMBERS = "/api/relay/rest/imported_phone_numbers"
GOOD: dict[str, Any] = {"username": "carol", "password": "a-long-password"}
NOBODY = "01a21586-63a9-75a0-b840-6ebf18f31d59"
HTTP_HANDLER = {"call_handler": "laml_webhooks"}

ROWS: list[tuple[str, dict[str, Any], str, str, str]] = [
    (ENDPOINTS, {}, "username", "missing_required_parameter", "username is required"),
    (ENDPOINTS, {**GOOD, "username": " "}, "username", "invalid_parameter",
     "Username must be 1 to 64 letters, digits or . _ - + ~ !"),
    (ENDPOINTS, {**GOOD, "encryption": "x"}, "encryption", "invalid_parameter_value",
     "encryption must be one of: default, required, optional"),
    (ENDPOINTS, {**GOOD, "codecs": ["MP3"]}, "codecs", "list_contains_invalid_entries",
     "Codecs contains an invalid entry: MP3"),
    (ENDPOINTS, {**GOOD, "ciphers": ["X"]}, "ciphers", "list_contains_invalid_entries",
     "Ciphers contains an invalid entry: X"),
    (ENDPOINTS, {**GOOD, "username": "ALICE"}, "username", "not_unique_within_project", "Username has already been taken"),
    (FABRIC, {**GOOD, "id": "alice's"}, "id", "value_not_unique", "Id has already been taken"),
    (ENDPOINTS, {**GOOD, "call_handler": "relay_script"}, "call_relay_script_url", "must_specify_related_parameter",
     "call_relay_script_url is required when call_handler is relay_script"),
    (ENDPOINTS, {**GOOD, **HTTP_HANDLER, "call_request_url": "ftp://x/"}, "call_request_url", "not_an_http_url",
     "Call_request_url must be an http or https URL"),
    (ENDPOINTS, {**GOOD, **HTTP_HANDLER, "call_request_url": "http://10.0.0.1/"}, "call_request_url", "url_is_unsafe",
     "Call_request_url must not point to 10.0.0.1"),
    (NUMBERS, {"number": "+15125550100", "call_handler": "relay_sip_endpoint", "call_sip_endpoint_id": NOBODY},
     "call_sip_endpoint_id", "does_not_exist", "Call_sip_endpoint_id does not exist"),
    ("/api/fabric/guests/tokens", {"allowed_addresses": [NOBODY]}, "allowed_addresses", "must_belong_to_project",
     "The allowed_addresses must belong to the project"),
    (ENDPOINTS, {**GOOD, "send_as": "123"}, "send_as", "invalid_number_format",
     "Send_as must be in E.164 format, like +15558675309"),
    (ENDPOINTS, {**GOOD, "send_as": "+15551234567"}, "send_as", "not_purchased_or_verified",
     "Send_as must be a number of this project or a verified caller id"),
    (ENDPOINTS, {**GOOD, "password": "short"}, "password", "password_too_weak",
     "Password must be at least 8 characters and not a common password"),
    (ENDPOINTS, {**GOOD, "offhook": {"sip": {"dtmf": "x"}}}, "offhook.sip.dtmf", "invalid_parameter_value",
     "offhook.sip.dtmf must be one of: auto, rfc4733, info, inband"),
    (NUMBERS, {"number": "+15125550100", "offhook": {"fallback": "x y"}}, "offhook.fallback", "invalid_parameter",
     "Offhook.fallback must be a name, a number or a SIP URI, or null"),
    (TRUNKS, {"name": "t", "targets": [{"uri": "sip:a.example", "transport": "x"}]}, "targets[0].transport",
     "invalid_parameter_value", "targets[0].transport must be one of: auto, udp, tcp, tls"),
    (TRUNKS, {"name": "t", "targets": [{"uri": "sip:a.example"}], "dtmf": "x"}, "dtmf", "invalid_parameter_value",
     "dtmf must be one of: auto, rfc4733, info, inband"),
]  # fmt: skip


async def faults(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(attribute, code, message) of each, from the shape of the path's family."""
    answer = await client.post(path, json=body)
    assert answer.status_code == 422, answer.text
    found = []
    for one in answer.json()["errors"]:
        if path.startswith("/api/relay/rest"):
            assert (one["status"], one["title"]) == ("422", "Invalid Attribute")
            assert {*one} == {"detail", "status", "title", "code", "attribute"}
        else:
            assert one["type"] == "validation_error"
            assert one["url"] == f"{client.base_url}/docs/errors#{one['code']}".replace("//docs", "/docs")
            assert ("remedy" in one) == path.startswith("/api/offhook")
        found.append((one["attribute"], one["code"], one.get("detail") or one["message"]))
    return found


@pytest.mark.parametrize(("path", "body", "attribute", "code", "message"), ROWS)
async def test_code_and_message(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], attribute: str, code: str, message: str
) -> None:
    made = await client.post(ENDPOINTS, json={"username": "alice", "password": "a-long-password"})
    if body.get("id") == "alice's":
        body = {**body, "id": made.json()["id"]}
    assert (attribute, code, message) in await faults(client, path, body)


async def test_every_fault_at_once_in_field_order(client: httpx.AsyncClient) -> None:
    body = {
        "offhook": {"max_calls": 0}, "call_handler": "x", "encryption": "x", "ciphers": ["x"], "codecs": ["x"],
        "send_as": "x", "caller_id": "x" * 65, "password": "x", "username": "bad name",
    }  # fmt: skip
    assert [one[0] for one in await faults(client, ENDPOINTS, body)] == [
        "username", "password", "caller_id", "send_as", "codecs", "ciphers", "encryption", "call_handler",
        "offhook.max_calls",
    ]  # fmt: skip
    trunk = {"zip": 1, "health": {"down_after": 0}, "password": 1, "realm": 1, "targets": [{"uri": "x"}], "name": ""}
    assert [one[0] for one in await faults(client, TRUNKS, trunk)] == [
        "name", "targets[0].uri", "password", "realm", "health.down_after", "zip",
    ]  # fmt: skip


async def test_a_query_word_that_is_none_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/offhook/calls/x/trace?format=xml")
    [one] = answer.json()["errors"]
    assert (one["code"], one["message"]) == ("invalid_parameter_value", "format must be one of: json, ladder, pcap")


async def test_links_carry_every_filter_and_nothing_empty(client: httpx.AsyncClient) -> None:
    links = (await client.get(f"{ENDPOINTS}?page_size=1&filter_username=&filter_caller_id=b")).json()["links"]
    assert links["self"] == f"{ENDPOINTS}?page_size=1&filter_caller_id=b"
    assert links["first"] == f"{ENDPOINTS}?filter_caller_id=b&page_size=1"
    assert (await client.get(f"{ENDPOINTS}?filter_username=")).json()["links"]["self"] == ENDPOINTS


async def test_times_of_the_own_family_have_milliseconds_and_z(client: httpx.AsyncClient) -> None:
    await client.post(ENDPOINTS, json=GOOD)
    addresses = (await client.get("/api/fabric/addresses")).json()["data"]
    body = {"name": "w", "address_id": addresses[0]["id"]}
    made = await client.post("/api/offhook/widgets", json=body)
    assert made.json()["created_at"][19] == "."
    assert made.json()["created_at"].endswith("Z")
    assert len(made.json()["created_at"]) == 24
