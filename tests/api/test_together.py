"""Clients that write the same objects at once: no answer is a failure of ours, and memory is what was committed."""

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from offhook.store.addresses import Addresses
from offhook.store.api_tokens import ApiTokens
from offhook.store.applications import ApplicationRows
from offhook.store.caller_ids import CallerIdRows
from offhook.store.endpoints import Endpoints
from offhook.store.numbers import NumberRows
from offhook.store.resources import Resources
from tests.api.test_sip_endpoints import GOOD, PATH
from tests.support.platform import House
from tests.support.storm import Storm

pytestmark = pytest.mark.both_databases
FAMILIES = ("/api/relay/rest/", "/api/fabric/", "/api/project")
"""What the platform without SIP serves."""


def _facts(rows: Iterable[Any], projects: set[str]) -> list[str]:
    """Rows of projects that are there (taking the others out of service is the server's, interop/test_together.py), without
    times: databases differ in their precision."""
    return sorted(
        str([(name, str(getattr(one, name))) for name in one.__dataclass_fields__ if not name.endswith("_at")])
        for one in rows
        if one.project_id in projects
    )


async def test_nothing_fails_and_memory_is_what_was_committed(house: House, client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    document["paths"] = {path: one for path, one in document["paths"].items() if path.startswith(FAMILIES)}
    storm = Storm(document, seed=20)
    await storm.blow([client], requests=400, at_once=30)
    assert storm.failed == [], "1. whoever comes too late is told so"
    assert len(storm.done()) > 30, "2. most of what was asked for was done by somebody"
    engine = house.engine
    addresses = Addresses(engine)
    await addresses.load()
    fresh: list[tuple[Any, Any]] = [
        (house.addresses, addresses),
        (house.api_tokens, ApiTokens(engine)),
        (house.endpoints, Endpoints(engine, addresses)),
        (house.resources, Resources(engine, addresses)),
        (house.numbers, NumberRows(engine)),
        (house.reception.caller_ids, CallerIdRows(engine)),
        (house.applications, ApplicationRows(engine)),
    ]
    projects = {one.id for one in house.projects}
    for known, again in fresh:
        await again.load()
        assert _facts(known, projects) == _facts(again, projects), (
            f"3. {type(known).__name__} has what the database has"
        )
    for row in house.endpoints:
        assert house.endpoints.named(row.name) is row, "4. who is there is found by name"


async def test_changes_of_one_object_at_once_are_all_kept(client: httpx.AsyncClient) -> None:
    made = (await client.post(PATH, json={"username": "ann", "password": GOOD})).json()
    one = f"{PATH}/{made['id']}"
    changes: list[dict[str, Any]] = [
        {"caller_id": "Ann"},
        {"encryption": "required"},
        {"codecs": ["OPUS"]},
        {"offhook": {"max_calls": 3}},
        {"offhook": {"ring_seconds": 30}},
        {"offhook": {"extension": "101"}},
    ]
    answers = await asyncio.gather(*[client.patch(one, json=change) for change in changes])
    assert {answer.status_code for answer in answers} == {200}
    row = (await client.get(one)).json()
    kept = [
        row["caller_id"],
        row["encryption"],
        row["codecs"],
        *(row["offhook"][name] for name in ("max_calls", "ring_seconds", "extension")),
    ]
    assert kept == ["Ann", "required", ["OPUS"], 3, 30, "101"]


async def test_a_name_that_goes_from_one_to_the_other_is_the_others(house: House, client: httpx.AsyncClient) -> None:
    """Deleted and made at once, again and again: whoever has the name in the end is found by it."""
    for _ in range(10):
        names = house.endpoints
        before = names.in_project(house.space.project_id, "ann")
        deleted = client.delete(f"{PATH}/{before.id}") if before is not None else client.get(PATH)
        await asyncio.gather(deleted, *[client.post(PATH, json={"username": "ann", "password": GOOD}) for _ in "12"])
        there = [row for row in names if row.username == "ann"]
        assert [names.in_project(house.space.project_id, "ann")] == (there or [None])


async def test_guesses_at_once_are_as_many_as_one_by_one(house: House, client: httpx.AsyncClient) -> None:
    path = "/api/relay/rest/verified_caller_ids"
    id_ = (await client.post(path, json={"number": "+15125550199"})).json()["id"]
    assert (await client.post(f"{path}/{id_}/verification")).status_code == 200
    right = house.reception.codes[-1]
    codes = itertools.islice((code for at in itertools.count() if (code := f"{at:06d}") != right), 40)
    guesses = [client.put(f"{path}/{id_}/verification", json={"verification_code": code}) for code in codes]
    answers = [answer.json()["errors"][0]["code"] for answer in await asyncio.gather(*guesses)]
    assert answers.count("invalid_parameter") == 5
    assert answers.count("too_many_verification_attempts") == 35
    late = await client.put(f"{path}/{id_}/verification", json={"verification_code": right})
    assert late.status_code == 422


async def test_a_database_that_is_too_busy_is_no_failure_of_ours(
    house: House, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLAlchemy's pool says so by an error of its own."""

    async def full(**_: Any) -> None:
        raise PoolTimeout("QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00")

    monkeypatch.setattr(house.endpoints, "create", full)
    answer = await client.post(PATH, json={"username": "ann", "password": GOOD})
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert answer.headers["retry-after"] == "5"


async def test_what_is_made_in_a_project_that_goes_is_told_so(client: httpx.AsyncClient) -> None:
    project = (await client.post("/api/projects", json={"name": "Other"})).json()["id"]
    body = {"name": "one", "permissions": ["calling"], "subproject_id": project}
    answers = await asyncio.gather(
        *[client.post("/api/project/tokens", json=body) for _ in range(5)],
        client.delete(f"/api/projects/{project}"),
        *[client.post("/api/project/tokens", json=body) for _ in range(5)],
    )
    assert {answer.status_code for answer in answers} <= {200, 204, 404, 409, 422}
