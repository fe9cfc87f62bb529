"""What holds for every route (API.md 1.2 to 1.5): ids, shapes of errors, verbs, bodies, and the OpenAPI document."""

import json
import re
from typing import Any

import httpx
import pytest

from offhook.api.app import _both_changes, _routes
from offhook.api.describe import described, listing, record, text
from offhook.api.requests import NESTING
from tests.api.test_sip_endpoints import GOOD, PATH
from tests.support.platform import House


async def test_every_response_carries_a_request_id(client: httpx.AsyncClient) -> None:
    given = await client.get(PATH, headers={"X-Request-Id": "abc.DEF-123_"})
    assert given.headers["x-request-id"] == "abc.DEF-123_"
    for unfit in ("short", "x" * 129, "two words 12", "a\r\nSet-Cookie: b=c", "ümlautümlaut"):
        answer = await client.get("/api/nowhere", headers=[(b"X-Request-Id", unfit.encode("latin-1"))])
        assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("verb", "path", "allow"),
    [
        ("DELETE", PATH, "GET, POST"),
        ("POST", PATH + "/some-id", "DELETE, GET, PATCH, PUT"),
        ("GET", "/api/offhook/provision", "POST"),
        ("PUT", "/healthz", "GET"),
    ],
)
async def test_another_verb_is_405_with_allow(client: httpx.AsyncClient, verb: str, path: str, allow: str) -> None:
    answer = await client.request(verb, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.json()["error"] == "Method Not Allowed"


@pytest.mark.parametrize("verb", ["GET", "POST", "DELETE", "PATCH"])
async def test_an_unknown_path_is_404_for_every_verb(client: httpx.AsyncClient, verb: str) -> None:
    answer = await client.request(verb, "/api/relay/rest/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_trailing_slash_is_ignored(client: httpx.AsyncClient) -> None:
    assert (await client.get(PATH + "/")).json()["data"] == []


def test_put_and_patch_are_both_served() -> None:
    verbs: dict[str, set[str]] = {}
    for route in _routes():
        verbs.setdefault(route.path, set()).update(route.methods or ())
    assert any("PUT" in one for one in verbs.values())
    assert [path for path, one in verbs.items() if ("PUT" in one) != ("PATCH" in one)] == []


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "not_a_valid_json"),
        (b"[]", "application/json", 400, "not_a_valid_json"),
        (b"\xff\xfe", "application/json", 400, "not_a_valid_json"),
        (b'{"a": NaN}', "application/json", 400, "not_a_valid_json"),
        (b'{"caller_id": "\\ud800"}', "application/json", 400, "not_a_valid_json"),
        (b'{"caller_id": "a\\u0000"}', "application/json", 400, "not_a_valid_json"),
        (b'{"a": ' * (NESTING + 1) + b"1" + b"}" * (NESTING + 1), "application/json", 400, "not_a_valid_json"),
        (b"[" * 100_000, "application/json", 413, "body_too_large"),
        (b"{}" + b" " * 5000, "application/json", 413, "body_too_large"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"<a/>", "text/xml", 415, "unsupported_media_type"),
    ],
)
async def test_bodies_that_are_none(
    client: httpx.AsyncClient, content: bytes, kind: str, status: int, code: str
) -> None:
    answer = await client.post(PATH, content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_an_escaped_backslash_before_u0000_is_text(client: httpx.AsyncClient) -> None:
    body = b'{"username": "carol", "password": "' + GOOD.encode() + b'", "caller_id": "a\\\\u0000"}'
    answer = await client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["caller_id"]) == (201, "a\\u0000")


async def test_the_four_shapes(client: httpx.AsyncClient) -> None:
    plain = (await client.get(PATH + "/x")).json()
    assert plain == {"error": "Not Found", "code": "endpoint_not_found", "message": "No SIP endpoint has this id"}
    space = (await client.post(PATH, json={})).json()["errors"][0]
    assert set(space) == {"detail", "status", "title", "code", "attribute"}
    own = (await client.post("/api/offhook/provision", json={"colour": 1})).json()["errors"]
    assert [one["code"] for one in own] == ["unknown_parameter", "missing_required_parameter"]
    assert set(own[0]) == {"type", "code", "message", "attribute", "url", "remedy"}
    assert own[0]["url"] == "http://test/docs/errors#unknown_parameter"
    compat = await client.get("/2010-04-01/Nothing.json")
    assert compat.json() == {
        "code": 20404,
        "message": "GET /2010-04-01/Nothing.json: Not Found",
        "more_info": "http://test/docs/errors#20404",
        "status": 404,
    }


async def test_our_own_failure_is_a_500_in_words(
    client: httpx.AsyncClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(**fields: Any) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(house.endpoints, "create", fails)
    headers = {"X-Request-Id": "find-me-in-the-log"}
    answer = await client.post(PATH, json={"username": "carol", "password": GOOD}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"] == "find-me-in-the-log"
    assert "find-me-in-the-log" in answer.json()["message"]
    assert "fire" not in answer.text


async def test_challenges(client: httpx.AsyncClient, house: House) -> None:
    bare = httpx.AsyncClient(transport=client._transport, base_url="http://test")
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic !"}, {"Authorization": "Basic /w=="}):
        answer = await bare.get(PATH, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="offhook"')
    short = "AC" + house.space.project_id.replace("-", "")
    assert (await bare.get(PATH, auth=(short, house.text))).status_code == 200


# ---- OpenAPI


async def test_openapi_states_bodies_answers_and_errors(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    create = document["paths"][PATH]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/NewSipEndpoint"
    }
    assert set(create["responses"]) == {"201", "400", "401", "403", "409", "413", "415", "422", "429", "503"}
    assert create["responses"]["422"]["content"]["application/json"]["schema"]["$ref"].endswith("/SpaceFaults")
    assert create["security"] == [{"apiToken": []}]
    assert document["components"]["securitySchemes"]["apiToken"]["scheme"] == "basic"
    listed = document["paths"][PATH]["get"]
    assert {one["name"] for one in listed["parameters"]} >= {"filter_username", "page_token"}
    one = document["paths"][PATH + "/{id_}"]
    assert "404" in one["get"]["responses"]
    assert one["put"]["operationId"] != one["patch"]["operationId"]
    assert one["put"]["requestBody"] == one["patch"]["requestBody"]
    for name in set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document))):
        assert name in document["components"]["schemas"]


def test_a_list_takes_the_query_of_pages() -> None:
    extra = described(gives=listing(record("", name=text())), query={"name": text()})["openapi_extra"]
    assert [one["name"] for one in extra["parameters"]] == ["name", "page_size", "page_number", "page_token"]


def test_twins_are_added_once() -> None:
    routes = list(_routes())
    for router in {id(one): one for one in _routers()}.values():
        _both_changes(router)
    assert len(list(_routes())) == len(routes)


def _routers() -> tuple[Any, ...]:
    from offhook.api.app import ROUTERS

    return ROUTERS
