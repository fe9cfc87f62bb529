"""`/api/offhook/trunks` over the real store; running trunks are stood in for."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from offhook.api.app import ApiSettings, create
from offhook.server.trunk_views import NOT_RUNNING
from offhook.sip.digest import both_ha1
from offhook.store.database import migrate
from offhook.store.endpoints import Endpoints
from offhook.store.numbers import NumberRows
from offhook.store.space import Spaces
from offhook.store.trunks import TrunkRows
from offhook.store.vault import Vault
from tests.support.databases import Database

pytestmark = pytest.mark.both_databases

PATH = "/api/offhook/trunks"
ACME: dict[str, Any] = {"name": "acme", "targets": [{"uri": "sip:carrier.example"}]}


class House:
    """The platform without SIP: it notes which trunks were taken into service and out of it."""

    version = "0"
    realm = domain = "offhook.test"

    def __init__(self, spaces: Spaces, space: Any, token: str, **stores: Any) -> None:
        self._spaces, self.space, self.text = spaces, space, token
        self.endpoints, self.trunks, self.numbers = stores["endpoints"], stores["trunks"], stores["numbers"]
        self.answers: Any = None
        self.session_key = b""
        self.told: list[str] = []
        self.busy = 0

    def token(self, project: str, text: str) -> Any:
        return self._spaces.token(project, text)

    def trunk_status(self, id_: str) -> dict[str, Any]:
        return {**NOT_RUNNING, "channels": {"in": self.busy, "out": 0}}

    async def trunk_changed(self, id_: str) -> None:
        self.told.append(f"use {self.trunks.get(id_).name}")

    async def remove_trunk(self, id_: str) -> None:
        self.told.append(f"drop {self.trunks.get(id_).name}")
        await self.trunks.remove(id_)

    async def test_trunk(self, id_: str, to: str | None = None) -> dict[str, Any]:
        self.told.append(f"test {to}")
        return {"ok": True, "steps": []}

    async def register_trunk(self, id_: str) -> None:
        self.told.append("register")


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    engine = database.open()
    await migrate(engine)
    spaces = Spaces(engine)
    space, token = await spaces.create("offhook.test")
    endpoints = Endpoints(engine)
    trunks, numbers = TrunkRows(engine, Vault(space.secret)), NumberRows(engine)
    md5, sha256 = both_ha1("alice", space.realm, "a good secret")
    await endpoints.create(project_id=space.project_id, username="alice", ha1_md5=md5, ha1_sha256=sha256)
    return House(spaces, space, token, endpoints=endpoints, trunks=trunks, numbers=numbers)


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    app = create(house, both_ha1, ApiSettings(65_536, 20, 8), lambda: 0.0, None)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    auth = (house.space.project_id, house.text)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", auth=auth) as one:
        yield one


async def test_a_trunk_from_first_to_last(client: httpx.AsyncClient, house: House) -> None:
    made = await client.post(PATH, json={**ACME, "password": "s3cret-of-the-carrier", "username": "line1"})
    assert made.status_code == 201
    row = made.json()
    assert (row["password_set"], "password" in row, "s3cret" in made.text) == (True, False, False), "1. never shown"
    assert row["status"]["state"] == "unknown"
    assert row["created_at"].endswith("Z"), "API.md 1.3"
    assert (await client.get(PATH)).json()["data"][0]["id"] == row["id"]
    changed = await client.patch(f"{PATH}/{row['id']}", json={"priority": 3, "inbound": {"digest_password": "another"}})
    assert changed.status_code == 200
    assert (changed.json()["priority"], changed.json()["password_set"]) == (3, True), "2. the rest stays"
    assert changed.json()["inbound"]["digest_password_set"] is True
    assert "another" not in changed.text
    assert (await client.post(f"{PATH}/{row['id']}/register")).status_code == 422, "3. it does not register"
    house.busy = 2
    refused = await client.delete(f"{PATH}/{row['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "trunk_in_use")
    assert (await client.delete(f"{PATH}/{row['id']}?drain=true")).status_code == 204
    drains = (await client.get(f"{PATH}/{row['id']}")).json()
    assert (drains["enabled"], drains["draining"]) == (False, True), "4. it takes no calls, and goes after the last"
    kept = (await client.patch(f"{PATH}/{row['id']}", json={"description": "old"})).json()
    assert kept["draining"] is True
    back = (await client.patch(f"{PATH}/{row['id']}", json={"enabled": True})).json()
    assert "draining" not in back, "5. switching it on takes the deletion back"
    house.busy = 0
    assert (await client.delete(f"{PATH}/{row['id']}")).status_code == 204
    assert (await client.get(f"{PATH}/{row['id']}")).status_code == 404
    assert house.told == [*["use acme"] * 5, "drop acme"], "6. each change is in service at once"


async def test_a_test_calls_a_number_if_one_is_given(client: httpx.AsyncClient, house: House) -> None:
    id_ = (await client.post(PATH, json=ACME)).json()["id"]
    await client.post(f"{PATH}/{id_}/test")
    await client.post(f"{PATH}/{id_}/test", json={"to": "+14155550123"})
    assert house.told[1:] == ["test None", "test +14155550123"]
    for wrong in ({"to": "bob"}, {"to": 1}, {"number": "+14155550123"}):
        assert (await client.post(f"{PATH}/{id_}/test", json=wrong)).status_code == 422, wrong


async def test_faults_are_named_by_field(client: httpx.AsyncClient, house: House) -> None:
    answer = await client.post(PATH, json={"name": "", "targets": [], "password": "", "ptime": 1})
    assert answer.status_code == 422
    named = [one.get("attribute") or one.get("field") or one.get("path") for one in answer.json()["errors"]]
    assert len(named) == 4, answer.text
    assert not house.told


async def test_a_name_and_a_did_range_belong_to_one_trunk(client: httpx.AsyncClient) -> None:
    await client.post(PATH, json={**ACME, "did_ranges": ["+15125550100-+15125550199"]})
    assert "value_not_unique" in (await client.post(PATH, json={**ACME, "name": "ACME"})).text
    overlap = await client.post(PATH, json={**ACME, "name": "other", "did_ranges": ["+15125550150"]})
    assert "value_not_unique" in overlap.text
    assert "acme" in overlap.text


async def test_a_trunk_of_another_project_does_not_exist(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{PATH}/019900aa-0000-7000-8000-000000000000")).status_code == 404


async def test_a_trunk_shows_its_ciphers_and_refuses_to_register_in_shape_f(client: httpx.AsyncClient) -> None:
    made = await client.post(PATH, json=ACME)
    assert made.status_code == 201, made.text
    assert len(made.json()["ciphers"]) == 6
    answer = await client.post(f"{PATH}/{made.json()['id']}/register")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "trunk_does_not_register")
