"""The two views of an endpoint over the real store (API.md 2): policies, handlers and the resources behind them."""

from typing import Any

import httpx
import pytest

from offhook.sip.digest import both_ha1
from tests.support.platform import House

LEGACY, RESOURCES = "/api/relay/rest/endpoints/sip", "/api/fabric/resources"
FABRIC = f"{RESOURCES}/sip_endpoints"
GOOD = "a long enough secret"
SWML, CXML = "https://app.example/swml", "https://app.example/cxml"


async def made(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post(FABRIC, json={"username": "carol", **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def legacy(client: httpx.AsyncClient, id_: str, **fields: Any) -> dict[str, Any]:
    answer = await client.put(f"{LEGACY}/{id_}", json=fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def faults(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(one["attribute"], one["code"]) for one in answer.json()["errors"]]


async def test_a_password_is_made_where_none_is_given_and_shown_once(client: httpx.AsyncClient, house: House) -> None:
    answer = await client.post(FABRIC, json={"username": "carol"})
    assert answer.status_code == 200, "1. not 201"
    password = answer.json()["password"]
    assert len(password) == 24
    assert answer.headers["cache-control"] == "no-store"
    row = house.endpoints.named("carol")
    assert row is not None
    assert row.ha1_md5 == both_ha1("carol", "offhook.test", password)[0], "2. it is the one that registers"
    assert "password" not in (await client.get(f"{FABRIC}/{row.id}")).json()
    given = await client.post(FABRIC, json={"username": "dave", "password": GOOD})
    assert "password" not in given.json()
    assert "cache-control" not in given.headers


async def test_the_wrapper_repeats_the_inner_fields(client: httpx.AsyncClient) -> None:
    row = await made(client, caller_id="Carol", encryption="required", codecs=["opus", "g729"])
    inner = row["sip_endpoint"]
    assert {name: row[name] for name in inner} == inner
    assert (row["display_name"], row["type"], inner["id"]) == ("carol", "sip_endpoint", row["id"])
    assert inner["codecs"] == ["OPUS", "G729"]
    assert inner["ciphers"][0] == "AEAD_AES_128_GCM", "1. an empty list is shown resolved"
    assert row["offhook"]["aor"] == "sip:carol@offhook.test"


async def test_an_endpoint_may_bring_its_id_in_the_fabric_family_only(client: httpx.AsyncClient) -> None:
    id_ = "0199aaaa-0000-7000-8000-000000000001"
    assert (await made(client, id=id_.upper()))["id"] == id_
    assert faults(await client.post(FABRIC, json={"username": "dave", "id": id_})) == [("id", "value_not_unique")]
    assert faults(await client.post(FABRIC, json={"username": "dave", "id": "7"})) == [("id", "invalid_parameter")]
    answer = await client.post(LEGACY, json={"username": "erin", "password": GOOD, "id": id_})
    assert (answer.status_code, answer.headers["x-offhook-ignored"]) == (201, "id")


async def test_a_program_makes_its_resource_or_finds_it_and_null_returns_to_the_policy(
    client: httpx.AsyncClient, house: House
) -> None:
    carol = await made(client, call_handler="block-pstn")
    one = await legacy(client, carol["id"], call_handler="relay_script", call_relay_script_url=SWML)
    assert (one["call_handler"], one["call_relay_script_url"]) == ("relay_script", SWML)
    (resource,) = house.resources
    assert one["calling_handler_resource_id"] == resource.id
    shown = (await client.get(f"{FABRIC}/{carol['id']}")).json()
    assert shown["call_handler"] == shown["sip_endpoint"]["call_handler"] == "resource", "1. the fabric view's word"
    assert shown["calling_handler_resource_id"] == resource.id
    dave = await made(client, username="dave")
    await legacy(client, dave["id"], call_handler="relay_script", call_relay_script_url=SWML)
    assert len(list(house.resources)) == 1, "2. found, not made again"
    after = await legacy(client, carol["id"], call_handler=None)
    assert (after["call_handler"], after["calling_handler_resource_id"], after["call_relay_script_url"]) == (None,) * 3
    assert (await client.get(f"{FABRIC}/{carol['id']}")).json()["call_handler"] == "block-pstn", (
        "3. the last policy word"
    )


async def test_a_new_handler_clears_the_companions_of_the_old(client: httpx.AsyncClient) -> None:
    carol = await made(client)
    await legacy(client, carol["id"], call_handler="relay_script", call_relay_script_url=SWML)
    one = await legacy(
        client, carol["id"], call_handler="laml_webhooks", call_request_url=CXML, call_fallback_url="http://b.example/"
    )
    assert one["call_relay_script_url"] is None
    assert (one["call_request_url"], one["call_fallback_url"]) == (CXML, "http://b.example/")
    two = await legacy(client, carol["id"], call_request_url=CXML + "?2")
    assert two["call_fallback_url"] == "http://b.example/", "1. a companion alone keeps the others"
    assert two["calling_handler_resource_id"] != one["calling_handler_resource_id"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"call_handler": "relay_script"}, [("call_relay_script_url", "must_specify_related_parameter")]),
        ({"call_handler": "magic"}, [("call_handler", "invalid_parameter_value")]),
        ({"call_handler": "relay_sip_endpoint"}, [("call_handler", "invalid_parameter_value")]),
        (
            {"call_handler": "laml_webhooks", "call_request_url": "ftp://x", "call_request_method": "PUT"},
            [("call_request_url", "not_an_http_url"), ("call_request_method", "invalid_parameter_value")],
        ),
        (
            {"call_handler": "relay_script", "call_relay_script_url": "http://10.0.0.1/"},
            [("call_relay_script_url", "url_is_unsafe")],
        ),
        ({"send_as": "+15125550100"}, [("send_as", "not_purchased_or_verified")]),
        ({"send_as": "5550100"}, [("send_as", "invalid_number_format")]),
        ({"offhook": {"status_events": ["moved"]}}, [("offhook.status_events", "list_contains_invalid_entries")]),
        ({"offhook": {"direct_media": 1}}, [("offhook.direct_media", "invalid_parameter")]),
    ],
)
async def test_faults_of_the_legacy_view(client: httpx.AsyncClient, body: dict[str, Any], expected: Any) -> None:
    carol = await made(client)
    answer = await client.put(f"{LEGACY}/{carol['id']}", json=body)
    assert answer.status_code == 422
    assert [(one["attribute"], one["code"]) for one in answer.json()["errors"]] == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"call_handler": "relay_script"}, [("call_handler", "invalid_parameter_value")]),
        ({"call_handler": "resource"}, [("calling_handler_resource_id", "must_specify_related_parameter")]),
        (
            {"call_handler": "resource", "calling_handler_resource_id": "x"},
            [("calling_handler_resource_id", "does_not_exist")],
        ),
    ],
)
async def test_faults_of_the_fabric_view(client: httpx.AsyncClient, body: dict[str, Any], expected: Any) -> None:
    carol = await made(client)
    assert faults(await client.put(f"{FABRIC}/{carol['id']}", json=body)) == expected


async def test_a_number_of_the_project_may_be_shown(client: httpx.AsyncClient, house: House) -> None:
    await house.numbers.create(project_id=house.space.project_id, number="+15125550100", settings={}, endpoint_id=None)
    assert (await made(client, send_as="+15125550100"))["send_as"] == "+15125550100"


async def test_an_extension_is_unique_in_the_project_and_free_again(client: httpx.AsyncClient) -> None:
    carol = await made(client, offhook={"extension": "101"})
    taken = await client.post(FABRIC, json={"username": "dave", "offhook": {"extension": "101"}})
    assert faults(taken) == [("offhook.extension", "not_unique_within_project")]
    await legacy(client, carol["id"], offhook={"extension": "101"})
    await legacy(client, carol["id"], offhook={"extension": "102"})
    dave = await made(client, username="dave", offhook={"extension": "101"})
    await client.delete(f"{FABRIC}/{dave['id']}")
    assert (await made(client, username="erin", offhook={"extension": "101"}))["offhook"]["extension"] == "101"


async def test_a_resource_takes_the_calls_of_an_endpoint(client: httpx.AsyncClient, house: House) -> None:
    carol = await made(client, call_handler="passthrough")
    hook = (await client.post(f"{RESOURCES}/cxml_webhooks", json={"primary_request_url": CXML})).json()
    where = f"{RESOURCES}/{hook['id']}/sip_endpoints"
    answer = await client.post(where, json={"sip_endpoint_id": carol["id"]})
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["type"]) == ("carol", "call")
    assert set(answer.json()) == {"id", "name", "type", "cover_url", "preview_url", "channels"}
    one = (await client.get(f"{LEGACY}/{carol['id']}")).json()
    assert (one["call_handler"], one["call_request_url"]) == ("laml_webhooks", CXML)
    # 1. what changes in the resource changes for the endpoint
    await client.patch(f"{RESOURCES}/cxml_webhooks/{hook['id']}", json={"primary_request_url": CXML + "?new"})
    row = house.endpoints.named("carol")
    assert row is not None
    assert (row.handler["call_request_url"], row.handler["policy"]) == (CXML + "?new", "passthrough")
    # 2. it cannot be deleted meanwhile
    assert faults(await client.delete(f"{RESOURCES}/cxml_webhooks/{hook['id']}")) == [
        ("id", "resource_assigned_as_handler")
    ]
    # 3. an endpoint is no program
    wrong = await client.post(f"{RESOURCES}/{carol['id']}/sip_endpoints", json={"sip_endpoint_id": carol["id"]})
    assert faults(wrong) == [("calling_handler_resource_id", "invalid_resource_for_handler")]
    assert (await client.post(where, json={"sip_endpoint_id": "none"})).status_code == 404
    assert faults(await client.post(where, json={})) == [("sip_endpoint_id", "missing_required_parameter")]


async def test_webhook_resources_from_first_to_last(client: httpx.AsyncClient) -> None:
    path = f"{RESOURCES}/swml_webhooks"
    answer = await client.post(path, json={"name": "Menu", "used_for": "calling", "primary_request_url": SWML})
    assert answer.status_code == 201
    row = answer.json()
    assert row["swml_webhook"] == {
        "id": row["id"], "name": "Menu", "used_for": "calling", "primary_request_url": SWML,
        "primary_request_method": "POST", "fallback_request_url": None, "fallback_request_method": "POST",
        "status_callback_url": None, "status_callback_method": "POST",
    }  # fmt: skip
    (address,) = (await client.get(f"{path}/{row['id']}/addresses")).json()["data"]
    assert (address["name"], address["type"]) == ("menu", "app")
    changed = (await client.put(f"{path}/{row['id']}", json={"primary_request_method": "GET"})).json()
    assert changed["swml_webhook"]["primary_request_method"] == "GET"
    assert changed["swml_webhook"]["name"] == "Menu"
    assert (await client.get(f"{RESOURCES}/cxml_webhooks/{row['id']}")).status_code == 404, "1. another type"
    assert faults(await client.post(path, json={"used_for": "messaging", "fallback_request_url": "x"})) == [
        ("used_for", "invalid_parameter_value"),
        ("fallback_request_url", "not_an_http_url"),
        ("primary_request_url", "missing_required_parameter"),
    ]
    unsafe = {"primary_request_url": SWML, "status_callback_url": "http://10.0.0.1/"}
    assert faults(await client.post(path, json=unsafe)) == [("status_callback_url", "url_is_unsafe")]
    assert (await client.delete(f"{path}/{row['id']}")).status_code == 204
    assert (await client.get(f"{path}/{row['id']}")).status_code == 404
