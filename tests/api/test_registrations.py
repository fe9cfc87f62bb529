"""`/api/offhook/registrations` and `/provision`: filters, rules and words; the bindings themselves are stood in for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from offhook.sip.digest import both_ha1
from tests.support.platform import House

PATH = "/api/offhook/registrations"


class Registered(House):
    """The platform with devices of bob's and alice's, and one whose endpoint is gone."""

    rows: list[dict[str, Any]]

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.rows, self.kicked, self.minted = [], [], []  # type: ignore[var-annotated]

    def registrations(self) -> list[dict[str, Any]]:
        return self.rows

    async def kick(self, id_: str, hang_up: bool) -> bool:
        self.kicked.append((id_, hang_up))
        return True

    def provision(self, username: str, seconds: int, origin: str, asked: str) -> dict[str, Any]:
        self.minted.append((username, seconds, origin))
        return {"jssip": {"uri": f"sip:{username}@offhook.test"}, "token": {"value": "eyJ"}}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Registered]:
    house = await Registered.opened(tmp_path)
    space, endpoints = house.space, house.endpoints
    for number, (name, transport, state) in enumerate(
        [("alice", "wss", "reachable"), ("bob", "udp", "unknown"), ("bob", "wss", "suspect")]
    ):
        row = endpoints.named(name)
        if row is None:
            md5, sha256 = both_ha1(name, "offhook.test", "secret")
            row = await endpoints.create(project_id=space.project_id, username=name, ha1_md5=md5, ha1_sha256=sha256)
        assert row is not None
        house.rows.append({
            "id": f"r{number}", "endpoint_id": row.id, "username": name, "state": state, "transport": transport,
            "node": "n1", "device_id": None,
            "source": f"192.0.2.{number}:5060", "user_agent": "JsSIP 3.13", "contact": "sip:x@y.invalid",
        })  # fmt: skip
    house.rows.append({**house.rows[0], "id": "r9", "endpoint_id": None, "username": "gone"})
    yield house
    await house.engine.dispose()


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", ["r2", "r1", "r0"]),
        ("?username=BOB", ["r2", "r1"]),
        ("?transport=wss&state=reachable", ["r0"]),
        ("?source=192.0.2.1", ["r1"]),
        ("?user_agent=jssip", ["r2", "r1", "r0"]),
        ("?username=nobody", []),
    ],
)
async def test_filters(client: httpx.AsyncClient, query: str, ids: list[str]) -> None:
    answer = await client.get(PATH + query)
    assert [row["id"] for row in answer.json()["data"]] == ids


async def test_one_and_the_summary(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{PATH}/r1")).json()["username"] == "bob"
    summary = (await client.get(f"{PATH}/summary")).json()
    assert summary == {"total": 3, "reachable": 2, "by_transport": {"wss": 2, "udp": 1}, "by_node": {"n1": 3}}
    for id_ in ("r7", "r9"):
        missing = await client.get(f"{PATH}/{id_}")
        assert (missing.status_code, missing.json()["code"]) == (404, "registration_not_found")


async def test_removal(client: httpx.AsyncClient, house: Registered) -> None:
    assert (await client.delete(f"{PATH}/r1?hangup=true")).status_code == 204
    assert (await client.delete(f"{PATH}/r9")).status_code == 404
    assert (await client.delete(f"{PATH}/r0?hangup=perhaps")).status_code == 422
    # A device that cannot be told from others cannot be kept away.
    blocked = await client.delete(f"{PATH}/r0?block_seconds=60")
    assert (blocked.status_code, "gives no instance id" in blocked.text) == (422, True)
    assert (await client.delete(PATH)).status_code == 422
    bob = house.rows[1]["endpoint_id"]
    assert (await client.delete(f"{PATH}?endpoint_id={bob}")).json() == {"removed": 2}
    assert house.kicked == [("r1", True), ("r1", False), ("r2", False)]


async def test_provision(client: httpx.AsyncClient, house: Registered) -> None:
    device = {"instance_id": "0199AAAA-0000-7000-8000-000000000041"}
    body = {"endpoint": "Bob", "ttl": 600, "origin": "https://app.example", "device": device}
    answer = await client.post("/api/offhook/provision", json=body)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["jssip"]["instance_id"] == device["instance_id"].lower()
    assert (
        await client.post("/api/offhook/provision", json={"endpoint": house.rows[0]["endpoint_id"]})
    ).status_code == 200
    assert house.minted == [("bob", 600, "https://app.example"), ("alice", 3600, "")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "endpoint is required"),
        ({"endpoint": "bob", "ttl": 59}, "ttl must be between 60 and 86400"),
        ({"endpoint": "bob", "ttl": True}, "ttl must be between"),
        ({"endpoint": "bob", "origin": "app.example"}, "origin must be like"),
        ({"endpoint": "bob", "device": {"instance_id": "1"}}, "device.instance_id must be a UUID"),
        ({"endpoint": "bob", "reference": "x"}, "endpoint and reference are not given together"),
        ({"endpoint": "bob", "account": "x"}, "account is not known"),
        ({"endpoint": "bob", "device": {"name": "x" * 65}}, "device.name must be text"),
    ],
)
async def test_provision_rules(client: httpx.AsyncClient, house: Registered, body: dict[str, Any], words: str) -> None:
    answer = await client.post("/api/offhook/provision", json=body)
    assert answer.status_code == 422
    assert words in answer.text
    assert house.minted == []


async def test_provision_of_nobody(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/offhook/provision", json={"endpoint": "nobody"})
    assert (answer.status_code, answer.json()["code"]) == (404, "endpoint_not_found")
