"""Projects, API tokens and signing keys (API.md section 7), over the real store."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from offhook.store.projects import Projects
from offhook.store.vault import Vault
from tests.support.platform import House

PROJECTS, TOKENS, ENDPOINTS = "/api/projects", "/api/project/tokens", "/api/relay/rest/endpoints/sip"
GOOD = "a long enough secret"
KEY = re.compile(r"PSK_[0-9a-f]{32}")


async def subproject(client: httpx.AsyncClient, name: str = "Sub") -> dict[str, Any]:
    answer = await client.post(PROJECTS, json={"name": name})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def token(client: httpx.AsyncClient, *permissions: str, project: str | None = None) -> dict[str, Any]:
    body = {"name": "one", "permissions": list(permissions), "subproject_id": project}
    answer = await client.post(TOKENS, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def codes(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [one["code"] for one in answer.json()["errors"]]


async def test_a_subproject_from_its_making_to_its_end(client: httpx.AsyncClient, house: House) -> None:
    answer = await client.post(PROJECTS, json={"name": "Sub", "force_https_requests": True, "colour": "red"})
    made = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.headers["x-offhook-ignored"] == "colour"
    assert KEY.fullmatch(made["signing_key"])
    assert (made["subproject"], made["parent_project_id"]) == (True, house.space.project_id)
    assert (made["protect_recordings"], made["force_https_requests"]) == (True, True)
    one = f"{PROJECTS}/{made['id']}"
    shown = (await client.get(one)).json()
    assert shown == {name: value for name, value in made.items() if name != "signing_key"}
    assert [row["id"] for row in (await client.get(PROJECTS)).json()["data"]] == [made["id"], house.space.project_id]
    assert len((await client.get(PROJECTS + "?name=SU")).json()["data"]) == 1
    for verb in ("PATCH", "PUT"):
        changed = (await client.request(verb, one, json={"name": verb})).json()
        assert (changed["name"], changed["force_https_requests"]) == (verb, True)
    assert (await client.delete(one)).status_code == 204
    for again in (await client.get(one), await client.delete(one), await client.patch(one, json={"name": "x"})):
        assert (again.status_code, again.json()["code"]) == (404, "project_not_found")


async def test_rotation_gives_a_new_key_once(client: httpx.AsyncClient, house: House, tmp_path: Path) -> None:
    root = house.space.project_id
    before = house.projects.signing_key(root).reveal()
    assert KEY.fullmatch(before)
    answer = await client.post(f"{PROJECTS}/{root}/signing-key/rotate")
    key = answer.json()["signing_key"]
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert key != before
    assert house.projects.signing_key(root).reveal() == key
    assert "signing_key" not in (await client.get(f"{PROJECTS}/{root}")).json()
    # Sealed at rest, and readable after a restart.
    for file in tmp_path.glob("offhook.sqlite*"):
        assert key.encode() not in file.read_bytes()
    again = Projects(house.engine, Vault(house.space.secret))
    await again.load()
    assert again.signing_key(root).reveal() == key
    assert key not in repr(again.get(root))


async def test_rules_of_projects(client: httpx.AsyncClient, house: House) -> None:
    assert codes(await client.post(PROJECTS, json={"protect_recordings": 1})) == [
        "missing_required_parameter",
        "invalid_parameter",
    ]
    assert codes(await client.post(PROJECTS, json={"name": "x" * 251})) == ["invalid_parameter"]
    assert codes(await client.delete(f"{PROJECTS}/{house.space.project_id}")) == ["only_subprojects_can_be_deleted"]
    made = await subproject(client)
    await house.numbers.create(project_id=made["id"], number="+15125550100", number_type="longcode", settings={})
    assert codes(await client.delete(f"{PROJECTS}/{made['id']}")) == ["phone_numbers_must_be_removed"]
    secret = (await token(client, "management", project=made["id"]))["token"]
    own = (made["id"], secret)
    assert codes(await client.post(PROJECTS, json={"name": "x"}, auth=own)) == ["nested_subprojects_not_allowed"]
    assert [row["id"] for row in (await client.get(PROJECTS, auth=own)).json()["data"]] == [made["id"]]


async def test_tokens_open_what_they_say(client: httpx.AsyncClient, house: House) -> None:
    root = house.space.project_id
    made = await token(client, "numbers", "chat")
    assert made["permissions"] == ["chat", "numbers"]
    assert re.fullmatch(r"PT[0-9a-f]{48}", made["token"])
    assert (await client.get("/api/relay/rest/phone_numbers", auth=(root, made["token"]))).status_code == 200
    refused = await client.get(ENDPOINTS, auth=(root, made["token"]))
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert "'calling'" in refused.json()["message"]
    listed = (await client.get(TOKENS)).json()["data"]
    assert [row["token"] for row in listed] == [None, None]
    one = f"{TOKENS}/{made['id']}"
    changed = await client.patch(one, json={"permissions": ["calling"]})
    assert (changed.status_code, changed.json()["token"]) == (200, None)
    assert (await client.get(ENDPOINTS, auth=(root, made["token"]))).status_code == 200
    assert (await client.delete(one)).status_code == 204
    assert (await client.get(ENDPOINTS, auth=(root, made["token"]))).status_code == 401
    assert (await client.delete(one)).status_code == 404


async def test_a_token_keeps_itself(client: httpx.AsyncClient, house: House) -> None:
    mine = next(iter(house.api_tokens)).id
    assert codes(await client.delete(f"{TOKENS}/{mine}")) == ["cannot_process"]
    assert codes(await client.patch(f"{TOKENS}/{mine}", json={"permissions": ["calling"]})) == ["cannot_process"]
    more = [*next(iter(house.api_tokens)).permissions, "chat"]
    assert (await client.patch(f"{TOKENS}/{mine}", json={"permissions": more})).status_code == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["missing_required_parameter", "missing_required_parameter"]),
        ({"name": "a", "permissions": []}, ["missing_required_parameter"]),
        ({"name": "a" * 65, "permissions": ["root"]}, ["invalid_parameter", "list_contains_invalid_entries"]),
        ({"name": "a", "permissions": "calling"}, ["invalid_parameter"]),
        ({"name": "a", "permissions": [["calling"]]}, ["list_contains_invalid_entries"]),
        ({"name": "a", "permissions": ["calling"], "subproject_id": "x"}, ["invalid_subproject_id"]),
        ({"name": "a", "permissions": ["calling"], "subproject_id": ["x"]}, ["invalid_subproject_id"]),
    ],
)
async def test_rules_of_tokens(client: httpx.AsyncClient, body: dict[str, Any], expected: list[str]) -> None:
    assert codes(await client.post(TOKENS, json=body)) == expected


async def test_projects_see_nothing_of_each_other(client: httpx.AsyncClient, house: House) -> None:
    made = await subproject(client)
    secret = (await token(client, "calling", "management", project=made["id"]))["token"]
    other = (made["id"], secret)
    root_row = (await client.post(ENDPOINTS, json={"username": "carol", "password": GOOD})).json()
    assert (await client.get(f"{ENDPOINTS}/{root_row['id']}", auth=other)).status_code == 404
    # The domain is shared: a name means one endpoint.
    taken = await client.post(ENDPOINTS, json={"username": "CAROL", "password": GOOD}, auth=other)
    assert codes(taken) == ["not_unique_within_project"]
    mine = next(iter(house.api_tokens)).id
    for path in (f"{TOKENS}/{mine}", f"{PROJECTS}/{house.space.project_id}"):
        assert (await client.delete(path, auth=other)).status_code == 404
    # The right token under another project's id is no token.
    assert (await client.get(ENDPOINTS, auth=(made["id"], house.text))).status_code == 401


async def test_a_deleted_project_has_no_credentials(client: httpx.AsyncClient) -> None:
    made = await subproject(client)
    secret = (await token(client, "calling", project=made["id"]))["token"]
    assert (await client.get(ENDPOINTS, auth=(made["id"], secret))).status_code == 200
    assert (await client.delete(f"{PROJECTS}/{made['id']}")).status_code == 204
    assert (await client.get(ENDPOINTS, auth=(made["id"], secret))).status_code == 401
