"""`/api/offhook/devices`: the store and the desk are real, the bindings are stood in for."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from offhook.server.device_desk import ServerDevices
from offhook.sip.digest import both_ha1
from offhook.sip.location import Binding, device_name
from offhook.sip.uri import parse_uri
from offhook.store.call_log import CallLog
from offhook.store.devices import Devices
from offhook.store.writer import Writer
from tests.support.messages import make_flow
from tests.support.platform import House

PATH = "/api/offhook/devices"
STRANGE = "0199aa11-0000-7000-8000-00000000ffff"


class Devicing(House):
    """Bob has a desk phone that is registered and a cell phone that was."""

    async def furnish(self) -> None:
        writer = Writer(self.engine)
        writer.start()
        self.writer, self.bound, self.unbound_ids, self.kept_away = writer, [], [], []
        self.store.devices = Devices(self.engine, writer, 100)
        self.store.aor = lambda name: f"sip:{name}@{self.realm}"
        self.store.find = lambda aor: tuple(one for one in self.bound if one.aor == aor)
        self.store.instances = lambda aor: {device_name(one.instance) for one in self.store.find(aor)}
        self.store.bindings = self.bound
        self.driver = SimpleNamespace(unbind=self.take_away)
        self.sockets = SimpleNamespace(close=lambda *_: None)
        self.authenticator = SimpleNamespace(
            forget_flow=lambda flow: None, keep_away=lambda flow, instance: self.kept_away.append(instance)
        )
        self.calling = SimpleNamespace(log=CallLog(self.engine, writer, self.space.project_id))
        self.devices = ServerDevices(self)  # type: ignore[arg-type]
        self.bob = await self.endpoint("bob")
        for name in ("desk", "cell"):
            self.bound.append(self.binding(name))
            self.store.devices.seen(self.bob, self.bound[-1], set())
        self.bound.pop()

    async def endpoint(self, name: str) -> str:
        md5, sha256 = both_ha1(name, self.realm, "secret")
        made = await self.endpoints.create(
            project_id=self.space.project_id, username=name, ha1_md5=md5, ha1_sha256=sha256
        )
        assert made is not None
        return made.id

    def binding(self, name: str) -> Binding:
        uri, aor = parse_uri(f"sip:{name}@x.invalid"), f"sip:bob@{self.realm}"
        return Binding(aor, uri, make_flow(name), name, 1, 1e12, name, user_agent="JsSIP", id=f"r-{name}")

    def take_away(self, aor: str, id_: str) -> None:
        self.unbound_ids.append(id_)
        self.bound[:] = [one for one in self.bound if one.id != id_]

    def registrations(self) -> list[dict[str, Any]]:
        named = {row.instance_id: row.id for row in self.store.devices}
        return [
            {"id": one.id, "endpoint_id": self.bob, "device_id": named.get(device_name(one.instance))}
            for one in self.bound
        ]

    async def kick(self, id_: str, hang_up: bool) -> bool:
        self.take_away("", id_)
        return True

    def provision(self, username: str, seconds: int, origin: str, asked: str) -> dict[str, Any]:
        return {"jssip": {}}

    def id_of(self, name: str) -> str:
        found = self.store.devices.of(self.bob, name)
        assert found is not None
        return str(found.id)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Devicing]:
    house = await Devicing.opened(tmp_path)
    await house.furnish()
    yield house
    await house.writer.stop()
    await house.engine.dispose()


@pytest.fixture
async def client(house: Devicing) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as client:
        yield client


async def test_lists_and_one(client: httpx.AsyncClient, house: Devicing) -> None:
    rows = (await client.get(PATH)).json()["data"]
    assert {row["instance_id"]: row["registered"] for row in rows} == {"desk": True, "cell": False}
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)
    assert (await client.get(f"{PATH}/{rows[1]['id']}")).json() == rows[1]
    assert set(rows[0]) >= {
        "id", "endpoint_id", "instance_id", "name", "user_agent", "first_seen_at", "last_seen_at", "last_source",
        "registered", "ring", "blocked", "calls_30d", "mos_30d", "warnings",
    }  # fmt: skip
    # By endpoint, of which a stranger's project has none.
    carol = await house.endpoint("carol")
    assert (await client.get(f"{PATH}?endpoint_id={carol}")).json()["data"] == []
    assert len((await client.get(f"{PATH}?endpoint_id={house.bob}")).json()["data"]) == 2


async def test_a_change_and_its_rules(client: httpx.AsyncClient, house: Devicing) -> None:
    path = f"{PATH}/{house.id_of('desk')}"
    changed = (await client.patch(path, json={"name": "Hall", "ring": False})).json()
    assert (changed["name"], changed["ring"], changed["blocked"], house.unbound_ids) == ("Hall", False, False, [])
    # 1. a blocked device's registrations go with the answer; the others stay
    blocked = (await client.patch(path, json={"blocked": True})).json()
    assert (blocked["blocked"], blocked["registered"]) == (True, False)
    assert (house.unbound_ids, house.kept_away) == (["r-desk"], ["desk"])
    assert (await client.patch(path, json={"blocked": False})).json()["blocked"] is False
    # 2. nothing given changes nothing
    assert (await client.patch(path, json={})).json()["name"] == "Hall"
    # 3. every wrong field has words
    for body in ({"name": "x" * 65}, {"name": None}, {"ring": "no"}, {"blocked": 1}, {"instance_id": "x"}):
        assert (await client.patch(path, json=body)).status_code == 422, body


async def test_what_is_not_there_or_not_ours(client: httpx.AsyncClient, house: Devicing) -> None:
    made = await client.post("/api/projects", json={"name": "branch"})
    token = (await client.post("/api/project/tokens", json={
        "name": "t", "permissions": ["calling"], "subproject_id": made.json()["id"],
    })).json()  # fmt: skip
    assert made.status_code == 201, made.text
    there = (made.json()["id"], token.get("token") or "")
    desk = house.id_of("desk")
    for id_, auth in ((STRANGE, None), (desk, there)):
        more: dict[str, Any] = {"auth": auth} if auth else {}
        for verb in ("GET", "PATCH", "DELETE"):
            body = {"json": {}} if verb == "PATCH" else {}
            answer = await client.request(verb, f"{PATH}/{id_}", **body, **more)
            assert (answer.status_code, answer.json()["code"]) == (404, "device_not_found"), (verb, answer.text)
    assert (await client.get(PATH, auth=there)).json()["data"] == []


async def test_forgotten(client: httpx.AsyncClient, house: Devicing) -> None:
    path = f"{PATH}/{house.id_of('desk')}"
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert house.unbound_ids == ["r-desk"]


async def test_a_registration_taken_away_for_a_while(client: httpx.AsyncClient, house: Devicing) -> None:
    where = "/api/offhook/registrations/r-desk"
    for wrong in ("86401", "-1", "soon"):
        assert (await client.delete(where, params={"block_seconds": wrong})).status_code == 422
    assert (await client.delete(where, params={"block_seconds": "60"})).status_code == 204
    row = (await client.get(f"{PATH}/{house.id_of('desk')}")).json()
    assert (row["blocked"], row["registered"], row["blocked_until"] is not None) == (True, False, True)
    # An operator's word ends it.
    row = (await client.patch(f"{PATH}/{row['id']}", json={"blocked": False})).json()
    assert (row["blocked"], row["blocked_until"]) == (False, None)


async def test_the_name_that_a_page_gives_its_device(client: httpx.AsyncClient, house: Devicing) -> None:
    for name in ("Laptop", "Notebook"):
        device = {"instance_id": STRANGE.upper(), "name": name}
        asked = await client.post("/api/offhook/provision", json={"endpoint": "bob", "device": device})
        assert asked.status_code == 200
        row = (await client.get(f"{PATH}/{house.id_of(STRANGE)}")).json()
        assert (row["name"], row["registered"], row["last_seen_at"]) == (name, False, None)
