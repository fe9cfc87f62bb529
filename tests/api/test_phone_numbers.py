"""`/api/relay/rest/phone_numbers` over the real store (API.md section 5)."""

from typing import Any

import httpx
import pytest

from offhook.sip.digest import both_ha1
from tests.support.platform import House

NUMBERS, IMPORTED = "/api/relay/rest/phone_numbers", "/api/relay/rest/imported_phone_numbers"
RESOURCES = "/api/fabric/resources"
NUMBER = "+15125550100"
TRUNK: dict[str, Any] = {
    "name": "acme",
    "targets": [{"uri": "sip:carrier.example"}],
    "did_ranges": ["+15125550100-+15125550149", "+18005550100"],
}


def codes(answer: httpx.Response) -> list[tuple[str, str]]:
    """(field, code) of every fault."""
    assert answer.status_code == 422, answer.text
    return [(one["attribute"], one["code"]) for one in answer.json()["errors"]]


async def endpoint(house: House, username: str = "bob", project: str = "") -> str:
    md5, sha256 = both_ha1(username, house.realm, "a good secret")
    row = await house.endpoints.create(
        project_id=project or house.space.project_id, username=username, ha1_md5=md5, ha1_sha256=sha256
    )
    assert row is not None
    return str(row.id)


@pytest.fixture
async def imported(client: httpx.AsyncClient) -> str:
    made = await client.post(IMPORTED, json={"number": NUMBER})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


@pytest.fixture
async def trunk(house: House) -> None:
    from offhook.api.trunk_fields import trunk_fields

    values, faults = trunk_fields(TRUNK)
    assert not faults
    await house.trunks.create(house.space.project_id, values, None, None)


# ---- made, found, claimed


async def test_an_imported_number_shows_every_field(client: httpx.AsyncClient) -> None:
    body = {"number": NUMBER, "number_type": "tollfree", "capabilities": ["voice", "sms"], "name": "Main"}
    made = await client.post(IMPORTED, json=body)
    assert made.status_code == 201
    row = made.json()
    assert (row["number_type"], row["capabilities"], row["country_code"]) == ("toll-free", ["voice", "sms"], "US")
    assert row["call_receive_mode"] == "voice"
    unused = (
        "call_handler",
        "call_relay_script_url",
        "call_request_url",
        "message_handler",
        "next_billed_at",
        "e911_status",
    )
    assert [row[name] for name in unused] == [None] * len(unused), "1. null when unused"
    own = {"trunk_id": None, "caller_name": None, "ring_seconds": 60, "fallback": None, "status_events": ["completed"]}
    assert row["offhook"] == own
    again = await client.post(IMPORTED, json={"number": NUMBER})
    assert codes(again) == [("number", "not_available_for_assignment")], "2. one project's only"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({}, ("number", "missing_required_parameter")),
        ({"number": "5125550100"}, ("number", "invalid_number_format")),
        ({"number": 15125550100}, ("number", "invalid_number_format")),
        ({"number": NUMBER, "number_type": "mobile"}, ("number_type", "invalid_parameter_value")),
        ({"number": NUMBER, "number_type": ["x"]}, ("number_type", "invalid_parameter_value")),
        ({"number": NUMBER, "capabilities": ["telepathy"]}, ("capabilities", "list_contains_invalid_entries")),
        ({"number": NUMBER, "capabilities": "voice"}, ("capabilities", "invalid_parameter")),
        ({"number": NUMBER, "name": "x" * 65}, ("name", "invalid_parameter")),
        ({"number": NUMBER, "offhook": {"ring_seconds": 4}}, ("offhook.ring_seconds", "invalid_parameter")),
        ({"number": NUMBER, "offhook": {"status_events": ["x"]}},
         ("offhook.status_events", "list_contains_invalid_entries")),
        ({"number": NUMBER, "offhook": []}, ("offhook", "invalid_parameter")),
    ],
)  # fmt: skip
async def test_a_body_that_cannot_be_taken(
    client: httpx.AsyncClient, body: dict[str, Any], fault: tuple[str, str]
) -> None:
    assert codes(await client.post(IMPORTED, json=body)) == [fault]
    assert (await client.get(NUMBERS)).json()["data"] == [], "nothing is kept"


async def test_a_number_of_a_trunk_is_found_claimed_and_free_again(client: httpx.AsyncClient, trunk: None) -> None:
    found = (await client.get(f"{NUMBERS}/search", params={"areacode": "512", "max_results": 3})).json()["data"]
    assert [one["e164"] for one in found] == ["+15125550100", "+15125550101", "+15125550102"], "1. the lowest first"
    assert (found[0]["region"], found[0]["capabilities"]["voice"], found[0]["lata"]) == ("Texas", True, None), found[0]
    claimed = await client.post(NUMBERS, json={"number": "+15125550101", "name": "Main"})
    assert (claimed.status_code, claimed.json()["name"]) == (200, "Main")
    left = (await client.get(f"{NUMBERS}/search", params={"areacode": "512", "max_results": 2})).json()["data"]
    assert [one["e164"] for one in left] == ["+15125550100", "+15125550102"], "2. what is taken is not offered"
    assert (await client.delete(f"{NUMBERS}/{claimed.json()['id']}")).status_code == 204
    again = await client.post(NUMBERS, json={"number": "+15125550101"})
    assert again.status_code == 200, "3. free again"


async def test_searches(client: httpx.AsyncClient, trunk: None) -> None:
    async def found(**query: str) -> list[str]:
        answer = await client.get(f"{NUMBERS}/search", params=query)
        assert answer.status_code == 200, answer.text
        return [one["e164"] for one in answer.json()["data"]]

    assert await found(number_type="tollfree") == ["+18005550100"]
    assert await found(ends_with="9", starts_with="512") == [f"+151255501{tens}9" for tens in range(5)]
    assert await found(contains="5501234") == []
    assert await found(starts_with="+1800") == ["+18005550100"]
    assert await found(areacode="213") == []
    assert len(await found()) == 50, "50 unless more are wished for"
    assert len(await found(max_results="100")) == 51
    assert await found(city="Nowhere") == []
    for wrong in ({"max_results": "101"}, {"max_results": "x"}, {"number_type": "mobile"}):
        assert (await client.get(f"{NUMBERS}/search", params=wrong)).status_code == 422, wrong


async def test_only_what_a_trunk_delivers_can_be_claimed(client: httpx.AsyncClient, trunk: None) -> None:
    answer = await client.post(NUMBERS, json={"number": "+15125550999"})
    assert codes(answer) == [("number", "not_available_for_assignment")]
    assert "import it" in answer.text


async def test_lists_and_filters(client: httpx.AsyncClient) -> None:
    for last in range(5):
        await client.post(IMPORTED, json={"number": f"+1512555010{last}", "name": f"Line {last}"})
    listed = (await client.get(NUMBERS)).json()
    assert [one["number"][-1] for one in listed["data"]] == ["4", "3", "2", "1", "0"], "newest first"
    one = (await client.get(NUMBERS, params={"filter_number": "50103"})).json()["data"]
    two = (await client.get(NUMBERS, params={"filter_name": "LINE 2"})).json()["data"]
    assert ([row["number"] for row in one], [row["name"] for row in two]) == (["+15125550103"], ["Line 2"])
    assert "next" in (await client.get(NUMBERS, params={"page_size": 2})).json()["links"]


async def test_emergency_addresses_are_named_as_what_we_lack(client: httpx.AsyncClient, imported: str) -> None:
    for verb in ("POST", "DELETE"):
        answer = await client.request(verb, f"{NUMBERS}/{imported}/e911_address")
        assert [code for _, code in codes(answer)] == ["feature_not_available"]
        assert "trunk" in answer.text
    assert (await client.post(f"{NUMBERS}/unknown/e911_address")).status_code == 404


# ---- handlers


async def test_a_new_handler_clears_the_companions_of_the_old(
    house: House, client: httpx.AsyncClient, imported: str
) -> None:
    path, bob = f"{NUMBERS}/{imported}", await endpoint(house)
    rings = {"call_handler": "relay_sip_endpoint", "call_sip_endpoint_id": bob}
    row = (await client.put(path, json=rings)).json()
    assert (row["call_sip_endpoint_id"], row["calling_handler_resource_id"]) == (bob, bob)
    assert house.numbers.of_endpoint(bob) == (NUMBER,), "1. the call path knows"
    script = {"call_handler": "relay_script", "call_relay_script_url": "https://example.com/swml"}
    row = (await client.patch(path, json=script)).json()
    assert (row["call_handler"], row["call_sip_endpoint_id"]) == ("relay_script", None), "2."
    assert house.numbers.of_endpoint(bob) == ()
    resource = house.resources.get(row["calling_handler_resource_id"])
    assert resource is not None, "3. the webhook is a resource"
    assert (resource.type, resource.settings["primary_request_url"]) == ("swml_webhook", "https://example.com/swml")
    laml = {"call_handler": "laml_webhooks", "call_request_url": "https://example.com/a", "call_request_method": "GET"}
    row = (await client.put(path, json=laml)).json()
    assert (row["call_relay_script_url"], row["call_request_method"]) == (None, "GET")
    made = house.resources.get(row["calling_handler_resource_id"])
    assert made is not None
    assert made.type == "cxml_webhook"
    row = (await client.put(path, json={"name": "kept"})).json()
    assert (row["call_handler"], row["name"]) == ("laml_webhooks", "kept"), "4. what is not given stays"
    row = (await client.put(path, json={"call_handler": None})).json()
    assert [row[name] for name in ("call_handler", "call_request_url", "calling_handler_resource_id")] == [None] * 3


@pytest.mark.parametrize(
    ("handler", "field", "value"),
    [
        ("laml_application", "call_laml_application_id", "0199"),
        ("video_room", "call_video_room_id", "0199"),
        ("relay_application", "call_relay_application", "office"),
        ("relay_topic", "call_relay_topic", "office"),
        ("relay_context", "call_relay_context", "office"),
        ("relay_connector", "call_relay_connector_id", "0199"),
        ("relay_verto_endpoint", "call_verto_resource", "bob"),
        ("dialogflow", "call_dialogflow_agent_id", "0199"),
        ("ai_agent", "call_ai_agent_id", "0199"),
    ],
)
async def test_handlers_that_are_stored_and_returned(
    client: httpx.AsyncClient, imported: str, handler: str, field: str, value: str
) -> None:
    path = f"{NUMBERS}/{imported}"
    assert codes(await client.put(path, json={"call_handler": handler})) == [(field, "must_specify_related_parameter")]
    row = (await client.put(path, json={"call_handler": handler, field: value})).json()
    assert (row["call_handler"], row[field]) == (handler, value)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"call_handler": "carrier_pigeon"}, ("call_handler", "invalid_parameter_value")),
        ({"call_handler": "relay_sip_endpoint"}, ("call_sip_endpoint_id", "must_specify_related_parameter")),
        ({"call_handler": "relay_sip_endpoint", "call_sip_endpoint_id": "gone"}, ("call_sip_endpoint_id", "does_not_exist")),
        ({"call_handler": "sip_gateway", "calling_handler_resource_id": "gone"},
         ("calling_handler_resource_id", "does_not_exist")),
        ({"call_handler": "relay_script", "call_relay_script_url": "ftp://x"}, ("call_relay_script_url", "not_an_http_url")),
        ({"call_receive_mode": "fax"}, ("call_receive_mode", "invalid_parameter_value")),
        ({"message_request_url": "nowhere"}, ("message_request_url", "not_an_http_url")),
    ],
)  # fmt: skip
async def test_a_handler_that_cannot_be_taken(
    client: httpx.AsyncClient, imported: str, body: dict[str, Any], fault: tuple[str, str]
) -> None:
    assert codes(await client.put(f"{NUMBERS}/{imported}", json=body)) == [fault]


async def test_our_own_options_change_one_by_one(client: httpx.AsyncClient, imported: str) -> None:
    path = f"{NUMBERS}/{imported}"
    first = {"fallback": "bob", "ring_seconds": 20, "caller_name": "ACME", "status_events": ["ringing", "completed"]}
    await client.put(path, json={"offhook": first})
    row = (await client.put(path, json={"offhook": {"fallback": "", "trunk_id": "forged"}})).json()
    assert row["offhook"] == {**first, "fallback": None, "trunk_id": None}, "the trunk is not the client's to say"


async def test_texts_of_a_number_are_stored(client: httpx.AsyncClient, imported: str) -> None:
    body = {"message_handler": "laml_webhooks", "message_request_url": "https://example.com/sms"}
    row = (await client.put(f"{NUMBERS}/{imported}", json=body)).json()
    assert {name: row[name] for name in body} == body


async def test_what_routes_to_an_endpoint_keeps_it_from_being_deleted(
    house: House, client: httpx.AsyncClient, imported: str
) -> None:
    bob = await endpoint(house)
    rings = {"call_handler": "relay_sip_endpoint", "call_sip_endpoint_id": bob}
    await client.put(f"{NUMBERS}/{imported}", json=rings)
    assert [code for _, code in codes(await client.delete(f"{RESOURCES}/{bob}"))] == ["resource_assigned_as_handler"]


# ---- phone routes


async def test_a_phone_route_follows_the_type_of_its_resource(
    house: House, client: httpx.AsyncClient, imported: str
) -> None:
    bob = await endpoint(house)
    subscriber = await house.resources.create(house.space.project_id, "subscriber", "Carol", {})
    gateway = await client.post(f"{RESOURCES}/sip_gateways", json={"name": "pbx", "uri": "sip:sales@pbx.example.net"})
    assert subscriber is not None
    for id_, handler in (
        (bob, "relay_sip_endpoint"),
        (subscriber.id, "fabric_subscriber"),
        (gateway.json()["id"], "sip_gateway"),
    ):
        body = {"phone_route_id": imported, "handler": "calling"}
        answer = await client.post(f"{RESOURCES}/{id_}/phone_routes", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["channels"]["audio"].startswith("/private/"), "1. the address of the resource"
        row = (await client.get(f"{NUMBERS}/{imported}")).json()
        assert (row["call_handler"], row["calling_handler_resource_id"]) == (handler, id_), "2."
    assert row["call_sip_endpoint_id"] is None, "3. the companions of the one before are gone"


async def test_phone_routes_that_cannot_be(house: House, client: httpx.AsyncClient, imported: str) -> None:
    bob = await endpoint(house)
    room = await house.resources.create(house.space.project_id, "video_room", "Room", {})
    assert room is not None
    path = f"{RESOURCES}/{bob}/phone_routes"
    assert (await client.post(path, json={"phone_route_id": "unknown"})).status_code == 404
    assert (
        await client.post(f"{RESOURCES}/unknown/phone_routes", json={"phone_route_id": imported})
    ).status_code == 404
    assert codes(await client.post(path, json={})) == [("phone_route_id", "missing_required_parameter")]
    for handler, code in (("messaging", "feature_not_available"), ("fax", "invalid_parameter_value")):
        body = {"phone_route_id": imported, "handler": handler}
        assert codes(await client.post(path, json=body)) == [("handler", code)]
    answer = await client.post(f"{RESOURCES}/{room.id}/phone_routes", json={"phone_route_id": imported})
    assert [code for _, code in codes(answer)] == ["invalid_resource_for_handler"]
