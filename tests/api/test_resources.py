"""Resources and their addresses over the real store (API.md 4.4, 4.5): slugs, what may be deleted, what a restart finds."""

from datetime import UTC, datetime

import httpx
import pytest

from offhook.store.addresses import Addresses, slug
from offhook.store.resources import Resources
from offhook.store.tables import projects
from tests.support.platform import House

pytestmark = pytest.mark.both_databases

RESOURCES = "/api/fabric/resources"
ENDPOINTS = "/api/relay/rest/endpoints/sip"


async def gateway(house: House, name: str, **settings: object) -> str:
    row = await house.resources.create(
        house.space.project_id, "sip_gateway", name, {"uri": "sip:pbx.example", **settings}
    )
    assert row is not None
    return row.id


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Büro Süd", "buro-sud"),
        ("  -- ", "address"),
        ("ALICE_SIP", "alice-sip"),
        ("x" * 90, "x" * 64),
        ("電話", "address"),
    ],
)
def test_a_slug_can_be_dialled(text: str, name: str) -> None:
    assert slug(text) == name


async def test_a_resource_is_shown_in_its_wrapper_with_its_address(client: httpx.AsyncClient, house: House) -> None:
    id_ = await gateway(house, "Office PBX", encryption="required")
    shown = (await client.get(f"{RESOURCES}/{id_}")).json()
    assert (shown["id"], shown["type"], shown["display_name"]) == (id_, "sip_gateway", "Office PBX")
    assert shown["sip_gateway"] == {
        "id": id_, "name": "Office PBX", "uri": "sip:pbx.example", "encryption": "required"
    }  # fmt: skip
    assert shown["created_at"].endswith("Z"), "1. UTC, whole seconds"
    (address,) = (await client.get(f"{RESOURCES}/{id_}/addresses")).json()["data"]
    assert (address["name"], address["type"], address["locked"]) == ("office-pbx", "call", False)
    assert address["channels"]["audio"] == "/private/office-pbx?channel=audio"


async def test_names_that_collide_are_numbered_and_outlive_a_restart(house: House) -> None:
    for _ in range(3):
        await gateway(house, "Office")
    assert [one.name for one in house.addresses] == ["office", "office-2", "office-3"]
    first = house.addresses.named(house.space.project_id, "OFFICE")
    assert first is not None
    await house.addresses.lock(first.id, True)
    again = Addresses(house.engine)
    await again.load()
    rows = Resources(house.engine, again)
    await rows.load()
    assert [(one.name, one.locked) for one in again] == [("office", True), ("office-2", False), ("office-3", False)]
    assert {one.id for one in rows} == {one.owner_id for one in again}


async def test_rows_without_an_address_are_given_one_at_the_start(house: House) -> None:
    id_ = await gateway(house, "Office")
    await house.addresses.remove_of(id_)
    again = Addresses(house.engine)
    await Resources(house.engine, again).load()
    assert again.of(id_) is not None


async def test_the_list_holds_endpoints_too_and_selects_by_type(client: httpx.AsyncClient, house: House) -> None:
    await client.post(ENDPOINTS, json={"username": "carol", "password": "a long enough secret"})
    await gateway(house, "Office")
    every = (await client.get(RESOURCES)).json()["data"]
    assert [one["type"] for one in every] == ["sip_gateway", "sip_endpoint"], "1. newest first"
    (carol,) = (await client.get(RESOURCES, params={"type": "sip_endpoint"})).json()["data"]
    assert carol["sip_endpoint"]["username"] == carol["username"] == "carol"


async def test_what_something_routes_to_stays(client: httpx.AsyncClient, house: House) -> None:
    project = house.space.project_id
    id_ = await gateway(house, "Office")
    await house.numbers.create(
        project_id=project, number="+15125550100", settings={"calling_handler_resource_id": id_}, endpoint_id=None
    )
    refused = await client.delete(f"{RESOURCES}/{id_}")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "resource_assigned_as_handler"
    (number,) = house.numbers
    await house.numbers.remove(number.id)
    assert (await client.delete(f"{RESOURCES}/{id_}")).status_code == 204
    assert (await client.delete(f"{RESOURCES}/{id_}")).status_code == 404
    assert house.addresses.of(id_) is None, "2. its address goes with it"


async def test_a_foreign_project_sees_nothing(client: httpx.AsyncClient, house: House) -> None:
    async with house.engine.begin() as connection:
        await connection.execute(
            projects.insert().values(id="0199-other", space_id=house.space.id, name="x", created_at=datetime.now(UTC))
        )
    row = await house.resources.create("0199-other", "sip_gateway", "Theirs", {})
    assert row is not None
    assert (await client.get(f"{RESOURCES}/{row.id}")).status_code == 404
    assert (await client.delete(f"{RESOURCES}/{row.id}")).status_code == 404
    assert (await client.get(RESOURCES)).json()["data"] == []
