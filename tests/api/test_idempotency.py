"""Idempotency-Key and the rates of a project (API.md 1.6, 1.7), over the real store."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.platform import House

ENDPOINTS, TOKENS, PROJECTS = "/api/relay/rest/endpoints/sip", "/api/project/tokens", "/api/projects"
GOOD = "a long enough secret"
CAROL = {"username": "carol", "password": GOOD}


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def test_the_same_request_is_done_once_and_answered_again(client: httpx.AsyncClient, house: House) -> None:
    first = await client.post(ENDPOINTS, json=CAROL, headers=keyed("one"))
    assert (first.status_code, "idempotency-replayed" in first.headers) == (201, False)
    again = await client.post(ENDPOINTS, json=CAROL, headers=keyed("one"))
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json() == first.json()
    assert len(list(house.endpoints)) == 1
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


async def test_secrets_are_not_told_twice_nor_kept(client: httpx.AsyncClient, house: House, tmp_path: Any) -> None:
    body = {"name": "one", "permissions": ["calling"]}
    first = (await client.post(TOKENS, json=body, headers=keyed("one"))).json()
    again = await client.post(TOKENS, json=body, headers=keyed("one"))
    assert (again.status_code, again.json()) == (200, {**first, "token": None})
    project = (await client.post(PROJECTS, json={"name": "Sub"}, headers=keyed("two"))).json()
    again = await client.post(PROJECTS, json={"name": "Sub"}, headers=keyed("two"))
    assert again.json() == {**project, "signing_key": None}
    for file in tmp_path.glob("offhook.sqlite*"):
        assert first["token"].encode() not in file.read_bytes()
        assert project["signing_key"].encode() not in file.read_bytes()


async def test_another_body_under_the_same_key_is_refused(client: httpx.AsyncClient, house: House) -> None:
    await client.post(ENDPOINTS, json=CAROL, headers=keyed("one"))
    answer = await client.post(ENDPOINTS, json={**CAROL, "username": "dave"}, headers=keyed("one"))
    assert [one["code"] for one in answer.json()["errors"]] == ["idempotency_key_reused"]
    assert house.endpoints.named("dave") is None


async def test_keys_are_by_project_and_path(client: httpx.AsyncClient, house: House) -> None:
    made = (await client.post(PROJECTS, json={"name": "Sub"}, headers=keyed("one"))).json()
    body = {"name": "t", "permissions": ["calling", "management"], "subproject_id": made["id"]}
    token = (await client.post(TOKENS, json=body, headers=keyed("one"))).json()["token"]
    assert (await client.post(ENDPOINTS, json=CAROL, headers=keyed("one"))).status_code == 201
    other = await client.post(ENDPOINTS, json=CAROL, headers=keyed("one"), auth=(made["id"], token))
    # Done for that project, and refused there because the name is taken; never the other one's answer.
    assert (other.status_code, "idempotency-replayed" in other.headers) == (422, False)


async def test_a_refusal_is_kept_too_and_a_missing_scope_is_judged_anew(
    client: httpx.AsyncClient, house: House
) -> None:
    for _ in range(2):
        refused = await client.post(ENDPOINTS, json={"username": "carol"}, headers=keyed("one"))
        assert refused.status_code == 422
    assert refused.headers["idempotency-replayed"] == "true"
    made = (await client.post(TOKENS, json={"name": "t", "permissions": ["numbers"]})).json()
    poor = (house.space.project_id, made["token"])
    await client.post(ENDPOINTS, json=CAROL, headers=keyed("two"))
    answer = await client.post(ENDPOINTS, json=CAROL, headers=keyed("two"), auth=poor)
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


async def test_while_the_first_runs_the_second_waits(
    client: httpx.AsyncClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, create = asyncio.Event(), house.endpoints.create

    async def slow(**fields: Any) -> Any:
        await go_on.wait()
        return await create(**fields)

    monkeypatch.setattr(house.endpoints, "create", slow)
    first = asyncio.create_task(client.post(ENDPOINTS, json=CAROL, headers=keyed("one")))
    while not client._transport.app.state.idempotency.keys:  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    second = await client.post(ENDPOINTS, json=CAROL, headers=keyed("one"))
    assert (second.status_code, second.json()["code"]) == (409, "request_in_progress")
    assert second.headers["retry-after"] == "1"
    go_on.set()
    assert (await first).status_code == 201
    assert (await client.post(ENDPOINTS, json=CAROL, headers=keyed("one"))).headers["idempotency-replayed"] == "true"


async def test_our_own_failure_is_not_kept(
    client: httpx.AsyncClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(**fields: Any) -> None:
        raise RuntimeError("no disk")

    with monkeypatch.context() as patched:
        patched.setattr(house.endpoints, "create", fails)
        assert (await client.post(ENDPOINTS, json=CAROL, headers=keyed("one"))).status_code == 500
    again = await client.post(ENDPOINTS, json=CAROL, headers=keyed("one"))
    assert (again.status_code, "idempotency-replayed" in again.headers) == (201, False)


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "with space", "ä", "a\tb"])
async def test_keys_that_are_none(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post(ENDPOINTS, json=CAROL, headers=[(b"Idempotency-Key", key.encode("latin-1"))])
    assert [one["attribute"] for one in answer.json()["errors"]] == ["Idempotency-Key"]


async def test_other_verbs_take_no_key(client: httpx.AsyncClient) -> None:
    row = (await client.post(ENDPOINTS, json=CAROL)).json()
    for name in ("One", "Two"):
        answer = await client.put(f"{ENDPOINTS}/{row['id']}", json={"caller_id": name}, headers=keyed("one"))
        assert (answer.status_code, answer.json()["caller_id"]) == (200, name)


async def test_answers_are_bounded(house: House, client: httpx.AsyncClient) -> None:
    house.answers._most, house.answers._until_sweep = 3, 0
    for number in range(6):
        house.answers._until_sweep = 0
        await client.post(ENDPOINTS, json={"username": f"u{number}", "password": GOOD}, headers=keyed(f"k{number}"))
    # The oldest are gone, so that this one is done anew, and refused.
    late = await client.post(ENDPOINTS, json={"username": "u0", "password": GOOD}, headers=keyed("k0"))
    assert (late.status_code, "idempotency-replayed" in late.headers) == (422, False)


async def test_a_project_has_a_rate(house: House) -> None:
    async with house.client(writes_per_second=2, reads_per_second=5) as client:
        made = [(await client.post(ENDPOINTS, json={})).status_code for _ in range(5)]
        assert made == [422, 422, 422, 422, 429]
        refused = await client.post(ENDPOINTS, json=CAROL)
        assert refused.json()["code"] == "rate_limit_exceeded"
        assert "limits.api_writes_per_second" in refused.json()["message"]
        assert refused.headers["retry-after"].isdigit()
        assert house.endpoints.named("carol") is None
        # Reads have a rate of their own.
        assert (await client.get(ENDPOINTS)).status_code == 200
        house.now += 1.0
        assert (await client.post(ENDPOINTS, json=CAROL)).status_code == 201
