"""Domain applications and SIP addresses over the real store (API.md 6.2, 6.3)."""

from typing import Any

import httpx
import pytest

from offhook.sip.digest import both_ha1
from tests.support.platform import House

APPLICATIONS, ADDRESSES = "/api/relay/rest/domain_applications", "/api/fabric/sip_addresses"
RESOURCES = "/api/fabric/resources"


def codes(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(one["attribute"], one["code"]) for one in answer.json()["errors"]]


@pytest.fixture
async def bob(house: House) -> str:
    md5, sha256 = both_ha1("bob", house.realm, "a good secret")
    row = await house.endpoints.create(
        project_id=house.space.project_id, username="bob", ha1_md5=md5, ha1_sha256=sha256
    )
    assert row is not None
    return str(row.id)


# ---- domain applications


async def test_an_application_from_first_to_last(house: House, client: httpx.AsyncClient, bob: str) -> None:
    body = {
        "name": "Sales", "identifier": "sales", "ip_auth_enabled": True, "ip_auth": ["192.0.2.0/24", "2001:db8::1"],
        "call_handler": "relay_sip_endpoint", "call_sip_endpoint_id": bob,
    }  # fmt: skip
    made = await client.post(APPLICATIONS, json=body)
    assert made.status_code == 201, made.text
    row = made.json()
    assert (row["type"], row["user"], row["encryption"], row["codecs"]) == (
        "domain_application", "*", "optional", ["PCMU", "PCMA"],
    )  # fmt: skip
    assert len(row["ciphers"]) == 6
    assert (row["domain"], row["offhook"]["uri"]) == ("offhook-sales", "sip:sales@offhook.test"), "1. the real URI"
    assert row["calling_handler_resource_id"] == bob
    one = f"{APPLICATIONS}/{row['id']}"
    script = {"call_handler": "relay_script", "call_relay_script_url": "https://example.com/a"}
    changed = (await client.put(one, json=script)).json()
    assert (changed["call_sip_endpoint_id"], changed["ip_auth"]) == (None, body["ip_auth"]), "2. the rest stays"
    webhook = changed["calling_handler_resource_id"]
    assert [code for _, code in codes(await client.delete(f"{RESOURCES}/{webhook}"))] == [
        "resource_assigned_as_handler"
    ], "3."
    listed = (await client.get(APPLICATIONS, params={"filter_domain": "SALES", "filter_name": "sal"})).json()["data"]
    assert [each["id"] for each in listed] == [row["id"]]
    assert (await client.get(APPLICATIONS, params={"filter_domain": "other"})).json()["data"] == []
    assert (await client.delete(one)).status_code == 204
    assert (await client.get(one)).status_code == 404
    assert house.reception.told == [row["id"]] * 3, "4. the running server hears of each change"


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, [("identifier", "missing_required_parameter")]),
        ({"identifier": "Sales Team"}, [("identifier", "invalid_parameter")]),
        ({"identifier": "a" * 51}, [("identifier", "invalid_parameter")]),
        ({"identifier": "bob"}, [("identifier", "value_not_unique")]),
        ({"identifier": "echo"}, [("identifier", "value_not_unique")]),
        ({"identifier": "x", "ip_auth_enabled": True}, [("ip_auth", "must_specify_related_parameter")]),
        ({"identifier": "x", "ip_auth_enabled": 1}, [("ip_auth_enabled", "invalid_parameter")]),
        ({"identifier": "x", "ip_auth": ["nowhere"]}, [("ip_auth", "list_contains_invalid_entries")]),
        ({"identifier": "x", "ip_auth": [1]}, [("ip_auth", "list_contains_invalid_entries")]),
        ({"identifier": "x", "ip_auth": ["192.0.2.1"] * 257}, [("ip_auth", "invalid_parameter")]),
        ({"identifier": "x", "encryption": "perhaps"}, [("encryption", "invalid_parameter_value")]),
        ({"identifier": "x", "codecs": ["MP3"]}, [("codecs", "list_contains_invalid_entries")]),
        ({"identifier": "x", "user": 7}, [("user", "invalid_parameter")]),
        ({"identifier": "x", "name": "y" * 65}, [("name", "invalid_parameter")]),
        ({"identifier": "x", "call_handler": "relay_script"}, [("call_relay_script_url", "must_specify_related_parameter")]),
        ({"identifier": "x", "call_handler": "relay_sip_endpoint", "call_sip_endpoint_id": "gone"},
         [("call_sip_endpoint_id", "does_not_exist")]),
    ],
)  # fmt: skip
async def test_faults(client: httpx.AsyncClient, bob: str, body: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    assert codes(await client.post(APPLICATIONS, json=body)) == faults
    assert (await client.get(APPLICATIONS)).json()["data"] == []


async def test_an_identifier_is_one_application_s(client: httpx.AsyncClient) -> None:
    first = (await client.post(APPLICATIONS, json={"identifier": "sales"})).json()["id"]
    assert codes(await client.post(APPLICATIONS, json={"identifier": "sales"})) == [("identifier", "value_not_unique")]
    second = (await client.post(APPLICATIONS, json={"identifier": "help"})).json()["id"]
    taken = await client.put(f"{APPLICATIONS}/{second}", json={"identifier": "sales"})
    assert codes(taken) == [("identifier", "value_not_unique")]
    assert (await client.put(f"{APPLICATIONS}/{first}", json={"identifier": "sales"})).status_code == 200


async def test_a_resource_takes_an_application_over(client: httpx.AsyncClient, bob: str) -> None:
    id_ = (await client.post(APPLICATIONS, json={"identifier": "sales"})).json()["id"]
    path = f"{RESOURCES}/{bob}/domain_applications"
    answer = await client.post(path, json={"domain_application_id": id_})
    assert (answer.status_code, answer.json()["name"]) == (200, "bob"), answer.text
    row = (await client.get(f"{APPLICATIONS}/{id_}")).json()
    assert (row["call_handler"], row["call_sip_endpoint_id"]) == ("relay_sip_endpoint", bob)
    assert codes(await client.post(path, json={})) == [("domain_application_id", "missing_required_parameter")]
    assert (await client.post(path, json={"domain_application_id": "unknown"})).status_code == 404
    gone = await client.post(f"{RESOURCES}/unknown/domain_applications", json={"domain_application_id": id_})
    assert gone.status_code == 404


# ---- SIP addresses


async def test_a_sip_address_from_first_to_last(house: House, client: httpx.AsyncClient, bob: str) -> None:
    body = {"name": "desk", "calling_handler_resource_id": bob, "password": "a long enough one", "codecs": ["OPUS"]}
    made = await client.post(ADDRESSES, json=body)
    assert made.status_code == 201, made.text
    row = made.json()
    assert (row["type"], row["resource_id"], row["context"], row["uri"]) == (
        "sip_address", bob, "public", "sip:desk@offhook.test",
    )  # fmt: skip
    assert (row["display_name"], row["codecs"], "password" in row) == ("bob", ["OPUS"], False)
    stored = house.reception.applications.get(row["id"])
    assert stored is not None
    assert stored.ha1_md5.reveal() == both_ha1("desk", house.realm, "a long enough one")[0].reveal()
    one = f"{ADDRESSES}/{row['id']}"
    assert codes(await client.patch(one, json={"name": "hall"})) == [("password", "password_required")], "1."
    renamed = {"name": "hall", "password": "another long one", "calling_handler_resource_id": "forged"}
    changed = await client.patch(one, json=renamed)
    assert (changed.json()["name"], changed.json()["resource_id"]) == ("hall", bob), "2. its resource is fixed"
    assert changed.headers["x-offhook-ignored"] == "calling_handler_resource_id"
    await client.patch(one, json={"password": None})
    stored = house.reception.applications.get(row["id"])
    assert stored is not None
    assert not stored.ha1_md5.reveal(), "3. null takes the password away"
    listed = (await client.get(ADDRESSES)).json()
    assert (listed["items_count"], listed["data"][0]["id"]) == (1, row["id"])
    assert (await client.get(APPLICATIONS)).json()["data"] == [], "4. it is no domain application"
    assert (await client.delete(one)).status_code == 204
    assert (await client.get(one)).status_code == 404


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, [("name", "missing_required_parameter"), ("calling_handler_resource_id", "missing_required_parameter")]),
        ({"name": "desk", "calling_handler_resource_id": "gone"}, [("calling_handler_resource_id", "does_not_exist")]),
        ({"name": "desk", "password": "short"},
         [("password", "password_too_weak"), ("calling_handler_resource_id", "missing_required_parameter")]),
        ({"name": "desk", "context_id": 3, "calling_handler_resource_id": "gone"},
         [("context_id", "invalid_parameter"), ("calling_handler_resource_id", "does_not_exist")]),
    ],
)  # fmt: skip
async def test_address_faults(client: httpx.AsyncClient, body: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    assert codes(await client.post(ADDRESSES, json=body)) == faults


async def test_a_resource_that_takes_no_calls_has_no_sip_address(house: House, client: httpx.AsyncClient) -> None:
    room = await house.resources.create(house.space.project_id, "video_room", "Room", {})
    assert room is not None
    answer = await client.post(ADDRESSES, json={"name": "room", "calling_handler_resource_id": room.id})
    assert codes(answer) == [("calling_handler_resource_id", "invalid_resource_for_handler")]
