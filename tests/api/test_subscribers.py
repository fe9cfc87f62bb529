"""Subscribers, their endpoints and addresses over the real store (API.md 4.1, 4.2, 4.4)."""

from typing import Any

import httpx
import pytest

from tests.support.platform import House

RESOURCES, ADDRESSES = "/api/fabric/resources", "/api/fabric/addresses"
PATH = f"{RESOURCES}/subscribers"
GOOD = "a long enough secret"


async def made(client: httpx.AsyncClient, email: str = "alice@example.com", **fields: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={"email": email, **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def faults(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(one["attribute"], one["code"]) for one in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"display_name": "Al", "first_name": "Alice"}, "Al"),
        ({"first_name": "Alice", "last_name": "Johnson"}, "Alice Johnson"),
        ({}, "alice"),
    ],
)
async def test_a_subscriber_is_called_by_what_is_known(
    client: httpx.AsyncClient, fields: dict[str, str], name: str
) -> None:
    row = await made(client, **fields)
    assert (row["display_name"], row["subscriber"]["display_name"]) == (name, name)
    assert row["subscriber"]["id"] == row["id"], "1. the inner id equals the outer"


async def test_a_subscriber_from_first_to_last(client: httpx.AsyncClient, house: House) -> None:
    row = await made(client, display_name="Alice", password="pass word 8")
    assert "password" not in str(row), "1. the password is never shown, nor its hash"
    assert faults(await client.post(PATH, json={"email": "ALICE@example.com"})) == [
        ("email", "not_unique_within_project")
    ]
    changed = (await client.put(f"{PATH}/{row['id']}", json={"job_title": "Chief", "display_name": "Al"})).json()
    assert (changed["subscriber"]["job_title"], changed["display_name"]) == ("Chief", "Al")
    assert changed["subscriber"]["email"] == "alice@example.com", "2. what is not named stays"
    (address,) = (await client.get(f"{PATH}/{row['id']}/addresses")).json()["data"]
    assert (address["name"], address["type"], address["display_name"]) == ("alice", "subscriber", "Al")
    assert (await client.put(f"{PATH}/{row['id']}", json={"email": "alice@example.com"})).status_code == 200
    assert (await client.delete(f"{PATH}/{row['id']}")).status_code == 204
    assert (await client.get(f"{PATH}/{row['id']}")).status_code == 404
    assert list(house.addresses) == []


async def test_every_fault_is_named(client: httpx.AsyncClient) -> None:
    wrong = {"email": "alice", "password": "short", "first_name": "x" * 129, "id": "7"}
    assert faults(await client.post(PATH, json=wrong)) == [
        ("email", "invalid_parameter"),
        ("password", "invalid_parameter"),
        ("first_name", "invalid_parameter"),
        ("id", "invalid_parameter"),
    ]
    assert faults(await client.post(PATH, json={})) == [("email", "missing_required_parameter")]


async def test_the_endpoints_of_a_subscriber_are_flat_and_go_with_it(client: httpx.AsyncClient, house: House) -> None:
    row, other = await made(client), await made(client, "bob@example.com")
    theirs = f"{PATH}/{row['id']}/sip_endpoints"
    answer = await client.post(theirs, json={"username": "alice_sip", "password": GOOD})
    assert answer.status_code == 201
    endpoint = answer.json()
    assert set(endpoint) == {
        "id", "username", "caller_id", "send_as", "ciphers", "codecs", "encryption", "offhook"
    }  # fmt: skip
    assert faults(await client.post(theirs, json={"username": "x"})) == [("password", "missing_required_parameter")]
    # 1. it is among the endpoints of section 2, too
    listed = (await client.get("/api/relay/rest/endpoints/sip")).json()["data"]
    assert [one["id"] for one in listed] == [endpoint["id"]]
    assert [one["id"] for one in (await client.get(theirs)).json()["data"]] == [endpoint["id"]]
    changed = await client.patch(f"{theirs}/{endpoint['id']}", json={"caller_id": "Alice"})
    assert changed.json()["caller_id"] == "Alice"
    # 2. another subscriber has it not
    assert (await client.get(f"{PATH}/{other['id']}/sip_endpoints/{endpoint['id']}")).status_code == 404
    assert (await client.delete(f"{PATH}/{other['id']}/sip_endpoints/{endpoint['id']}")).status_code == 404
    # 3. while a number rings one of its endpoints, the subscriber stays
    await house.numbers.create(
        project_id=house.space.project_id, number="+15125550100", settings={}, endpoint_id=endpoint["id"]
    )
    assert faults(await client.delete(f"{PATH}/{row['id']}")) == [("id", "resource_assigned_as_handler")]
    assert house.endpoints.named("alice_sip") is not None, "4. and nothing of it is gone"
    (number,) = house.numbers
    await house.numbers.remove(number.id)
    assert (await client.delete(f"{RESOURCES}/{row['id']}")).status_code == 204
    assert house.endpoints.named("alice_sip") is None
    assert house.unbound == ["alice_sip"]


async def test_addresses_are_listed_by_kind_and_name_and_locked(client: httpx.AsyncClient, house: House) -> None:
    await made(client, display_name="Sales East")
    await client.post("/api/relay/rest/endpoints/sip", json={"username": "bob", "password": GOOD})
    names = [one["name"] for one in (await client.get(ADDRESSES)).json()["data"]]
    assert names == ["bob", "sales-east"]
    (sales,) = (await client.get(ADDRESSES, params={"type": "subscriber"})).json()["data"]
    assert [one["name"] for one in (await client.get(ADDRESSES, params={"name": "EAST"})).json()["data"]] == [
        "sales-east"
    ]
    locked = await client.patch(f"{ADDRESSES}/{sales['id']}", json={"locked": True})
    assert locked.json()["locked"] is True
    assert (await client.get(f"{ADDRESSES}/{sales['id']}")).json()["locked"] is True
    assert faults(await client.patch(f"{ADDRESSES}/{sales['id']}", json={"locked": 1})) == [
        ("locked", "invalid_parameter")
    ]
    assert (await client.get(f"{ADDRESSES}/none")).status_code == 404


async def test_a_name_that_means_something_to_everybody_is_nobody_s_address(client: httpx.AsyncClient) -> None:
    await made(client, display_name="Echo")
    await made(client, "b@example.com", display_name="Conference 7")
    names = [one["name"] for one in (await client.get(ADDRESSES)).json()["data"]]
    assert names == ["address-conference-7", "address-echo"]
