"""What somebody with a token of one project, or with none, tries against the REST API of a real server."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio

from interop.support.server import Offhook
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")
GOOD = "a long enough secret"
UNKNOWN = "0199aaaa-0000-7000-8000-000000000000"
SECRET = "TopSecretName"
"""Stands in everything that the first project has."""


@dataclass
class Place:
    """A server with two projects: `victim` owns `ids`; `attacker` has a token with every scope of its own project."""

    server: Offhook
    victim: httpx.AsyncClient
    attacker: httpx.AsyncClient
    document: dict[str, Any]
    other: str
    ids: dict[str, str] = field(default_factory=dict)

    def operations(self, *verbs: str) -> list[tuple[str, str, dict[str, Any]]]:
        """(path, verb, operation) of what is served now."""
        return [
            (path, verb, one)
            for path, operations in self.document["paths"].items()
            for verb, one in operations.items()
            if verb in verbs and "Not yet" not in one["tags"] and not path.endswith("/events/stream")
        ]


THINGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("endpoint", "/api/relay/rest/endpoints/sip", {"username": "victim", "password": GOOD, "caller_id": SECRET}),
    ("number", "/api/relay/rest/imported_phone_numbers", {"number": "+15125550100", "number_type": "longcode"}),
    ("trunk", "/api/offhook/trunks", {"name": SECRET, "enabled": False, "targets": [{"uri": "sip:127.0.0.1:9"}]}),
    ("subscriber", "/api/fabric/resources/subscribers", {"email": f"{SECRET}@example.com"}),
    ("gateway", "/api/fabric/resources/sip_gateways", {"name": SECRET, "uri": "sip:gateway.example"}),
    ("swml", "/api/fabric/resources/swml_webhooks",
        {"name": SECRET, "used_for": "calling", "primary_request_url": "https://example.com/"}),
    ("application", "/api/relay/rest/domain_applications", {"name": SECRET, "identifier": "victims"}),
    ("caller id", "/api/relay/rest/verified_caller_ids", {"number": "+15125550199", "name": SECRET}),
    ("webhook", "/api/offhook/webhooks", {"name": SECRET, "url": "https://example.com/hook", "types": ["call.*"]}),
    ("token", "/api/project/tokens", {"name": SECRET, "permissions": ["calling"]}),
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """The victim is the root project, which has more to lose."""
    settings = {"OFFHOOK_LIMITS_LOGIN_FAILURES_PER_MINUTE": "100000"}
    async with Offhook(tmp_path_factory.mktemp("attacks"), settings) as server:
        victim = server.http
        document = (await victim.get("/openapi.json")).json()
        other = (await victim.post("/api/projects", json={"name": "Other"})).json()["id"]
        scopes = ["calling", "numbers", "management", "storage", "video", "monitor"]
        body = {"name": "attacker", "permissions": scopes, "subproject_id": other}
        token = (await victim.post("/api/project/tokens", json=body)).json()["token"]
        url = server.running["http_url"]
        async with httpx.AsyncClient(base_url=url, auth=(other, token), timeout=PATIENCE, trust_env=False) as attacker:
            one = Place(server, victim, attacker, document, other)
            for name, path, fields in THINGS:
                made = await victim.post(path, json=fields)
                assert made.status_code in (200, 201), f"{name}: {made.text}"
                one.ids[name] = made.json()["id"]
            one.ids["project"] = server.project
            one.ids["address"] = (await victim.get("/api/fabric/addresses")).json()["data"][0]["id"]
            yield one


def told(answer: httpx.Response) -> tuple[int, str]:
    """What an answer tells, without what the question had in it."""
    return answer.status_code, re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", answer.text)


async def test_objects_of_another_project_are_like_none(place: Place) -> None:
    """1. Every path that takes an id, with every id of the victim; 2. answers as for an id that nothing has."""
    wrong, asked = [], 0
    for path, verb, _ in place.operations("get", "put", "delete", "post"):
        if "{" not in path or "{account}" in path or "{e164}" in path:
            continue
        body = {} if verb in ("put", "post") else None
        nothing = told(await place.attacker.request(verb, re.sub(r"\{[^}]+\}", UNKNOWN, path), json=body))
        for name, id_ in place.ids.items():
            answer = told(await place.attacker.request(verb, re.sub(r"\{[^}]+\}", id_, path), json=body))
            asked += 1
            if answer != nothing:
                wrong.append((verb, path, name, answer, nothing))
    assert asked > 500
    assert wrong == []
    # 3. and nothing of it has happened.
    for name, path, _ in THINGS:
        if name not in ("token", "number"):
            assert (await place.victim.get(f"{path}/{place.ids[name]}")).status_code == 200, name


async def test_no_list_shows_another_project(place: Place) -> None:
    for path, verb, _ in place.operations("get"):
        if "{" in path or not path.startswith("/api/"):
            continue
        answer = await place.attacker.request(verb, path)
        found = [name for name, id_ in place.ids.items() if name != "project" and id_ in answer.text]
        assert (path, found, SECRET in answer.text) == (path, [], False)


HOSTILE = (
    "' OR '1'='1",
    '" OR 1=1 --',
    "%",
    "_",
    "\\",
    "*",
    "(",
    "\x00",
    "٣",
    "x" * 3000,
    "-1",
    "9" * 400,
    "[]",
    "null",
)


async def test_filters_are_values(place: Place) -> None:
    """No text in a query is a command, a pattern or a failure; what matches everything matches nothing by accident."""
    for path, verb, operation in place.operations("get"):
        if "{" in path:
            continue
        for name in [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]:
            for text in HOSTILE:
                answer = await place.victim.request(verb, path, params={name: text})
                assert answer.status_code in (200, 400, 410, 422), (path, name, text, answer.text)
                if name.startswith("filter_") and answer.status_code == 200 and text != "_":
                    assert answer.json()["data"] == [], (path, name, text)


HAS_WORDS = {"state", "type", "direction", "status", "transport", "presence", "number_type"}
"""Filters that have a list of words wherever they stand."""


async def test_every_filter_says_what_it_knows(place: Place) -> None:
    """A misspelt filter is not the whole list: 1. an unknown word is refused by naming the known ones, which are taken;
    2. an unknown name is refused in our own family and named elsewhere; 3. an empty filter is none."""
    enumerated = 0
    for path, verb, operation in place.operations("get"):
        if "{" in path or not path.startswith("/api/"):
            continue
        queries = {one["name"]: one["schema"] for one in operation.get("parameters", ()) if one["in"] == "query"}
        for name, schema in queries.items():
            words = schema.get("enum")
            assert words or name not in HAS_WORDS, (path, name)
            if not words:
                continue
            enumerated += 1
            refused = await place.victim.request(verb, path, params={name: "misspelt"})
            fault = refused.json()["errors"][0]
            told = (refused.status_code, fault["code"], fault["attribute"])
            assert told == (422, "invalid_parameter_value", name), path
            said = fault.get("message") or fault["detail"]
            assert said == f"{name} must be one of: {', '.join(words)}"
            for word in (*words, ""):
                answer = await place.victim.request(verb, path, params={name: word})
                assert answer.status_code == 200, (path, name, word, answer.text)
        if "login" in path or not operation.get("security"):
            continue
        strange = await place.victim.request(verb, path, params={"stat": "up"})
        if path.startswith("/api/offhook"):
            codes = [one["code"] for one in strange.json().get("errors", ())]
            assert (strange.status_code, codes) == (422, ["unknown_parameter"]), path
        else:
            assert (strange.status_code, strange.headers.get("x-offhook-ignored")) == (200, "stat"), path
    assert enumerated >= 9


async def test_bodies_do_not_choose_what_is_not_theirs(place: Place) -> None:
    """Mass assignment: owner, time and state stay ours, in creates and in changes."""
    stolen = {
        "project_id": place.server.project, "created_at": "2001-01-01T00:00:00Z", "updated_at": "2001-01-01T00:00:00Z",
        "type": "admin", "parent_project_id": None, "subproject": False, "signing_key": "PSK_0", "ha1_md5": "0" * 32,
    }  # fmt: skip
    made = await place.attacker.post(
        "/api/relay/rest/endpoints/sip", json={**stolen, "id": UNKNOWN, "username": "mine", "password": GOOD}
    )
    assert (made.status_code, made.json()["type"], made.json()["id"] != UNKNOWN) == (201, "sip_endpoint", True)
    assert "project_id" in made.headers["x-offhook-ignored"]
    one = f"/api/relay/rest/endpoints/sip/{made.json()['id']}"
    changed = await place.attacker.put(
        one, json={**stolen, "id": UNKNOWN, "offhook": {"aor": "sip:x", "registered": True}}
    )
    assert (changed.json()["id"], changed.json()["offhook"]["registered"]) == (made.json()["id"], False)
    # It is not the victim's.
    assert (await place.victim.get(one)).status_code == 404
    fabric = f"/api/fabric/resources/sip_endpoints/{made.json()['id']}"
    row = (await place.attacker.put(fabric, json=stolen)).json()
    assert (row["project_id"], row["type"]) == (place.other, "sip_endpoint")
    assert not row["created_at"].startswith("2001")
    project = (await place.attacker.patch(f"/api/projects/{place.other}", json={**stolen, "id": UNKNOWN})).json()
    assert (project["id"], project["subproject"], "signing_key" in project) == (place.other, True, False)
    refused = await place.attacker.post("/api/offhook/trunks", json={"name": "t", "project_id": place.server.project})
    assert refused.status_code == 422
    assert "unknown_parameter" in refused.text or "project_id" not in refused.text


SHAPES = (b"[]", b'"x"', b"1", b"null", b"true", b"{", b"\xff", b"{}{}", b'{"":""}', b'{"a":' * 40 + b"1" + b"}" * 40)


async def test_bodies_of_every_wrong_shape(place: Place) -> None:
    for path, verb, _ in place.operations("post", "put"):
        at = re.sub(r"\{[^}]+\}", UNKNOWN, path)
        for content in SHAPES:
            answer = await place.attacker.request(
                verb, at, content=content, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code < 500, (verb, path, content, answer.text)


WRONG: tuple[Any, ...] = (
    [[]],
    {"a": {}},
    10**30,
    -1.5,
    "\U0001f600" * 2000,
    "a\nb\r\nSet-Cookie: c=d",
    True,
    ["x", 1],
)


async def test_fields_of_every_wrong_kind(place: Place) -> None:
    """Each field that the document names, alone, with values of every other kind."""
    schemas = place.document["components"]["schemas"]
    tried = 0
    for path, verb, operation in place.operations("post"):
        if "{" in path:
            continue
        for content in operation.get("requestBody", {}).get("content", {}).values():
            name = content["schema"].get("$ref", "").rpartition("/")[2]
            for attribute in schemas.get(name, content["schema"]).get("properties", {}):
                for value in WRONG:
                    tried += 1
                    answer = await place.attacker.request(verb, path, json={attribute: value})
                    assert answer.status_code < 500, (path, attribute, value, answer.text)
                    assert "set-cookie" not in answer.headers
    assert tried > 300


async def raw(place: Place, request: bytes) -> bytes:
    """What the server says to these very octets."""
    host, port = place.server.running["http_url"].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(200_000), PATIENCE)
    writer.close()
    return answer


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd",
        "/assets/../../../../../../etc/passwd", "/....//....//etc/passwd", "/%00", "/assets/%00.js", "//etc/passwd",
        "/..%5c..%5cetc%5cpasswd", "/api/../../offhook.sqlite", "/%c0%ae%c0%ae/etc/passwd", "/first-run.json",
    ],
)  # fmt: skip
async def test_the_page_serves_its_own_files_only(place: Place, path: str) -> None:
    answer = await raw(place, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ")[1] in (b"400", b"404", b"503"), answer[:200]
    for word in (b"root:", b"SQLite", b"api_token"):
        assert word not in answer


async def test_a_header_is_not_repeated_into_others(place: Place) -> None:
    """Request ids, names of fields and of paths end in no header and in no line of the log that is not theirs."""
    forged = b"GET /api/%0d%0aSet-Cookie:%20a=b%0aINJECTED HTTP/1.1\r\nHost: localhost\r\n"
    forged += b"Connection: close\r\nX-Request-Id: a\x0bINJECTED-12\r\n\r\n"
    answer = (await raw(place, forged)).split(b"\r\n\r\n")[0]
    assert b"set-cookie" not in answer.lower().replace(b"%0d%0aset-cookie", b"")
    names = {"a\r\nSet-Cookie: x": 1, "caf\u00e9": 2, "\u202e": 3, "b" * 5000: 4}
    ignored = await place.attacker.post("/api/projects", json={"name": "\n", **names})
    assert ignored.status_code == 422
    assert "set-cookie" not in ignored.headers
    assert len(ignored.headers.get("x-offhook-ignored", "")) <= 1000
    assert [line for line in place.server.log().splitlines() if line.startswith("INJECTED")] == []


async def test_names_of_strangers_are_data(place: Place) -> None:
    """Stored script: JSON says that it is JSON, and no browser may guess."""
    script = "<script>alert(1)</script>"
    made = await place.attacker.post(
        "/api/relay/rest/endpoints/sip", json={"username": "scripted", "password": GOOD, "caller_id": script}
    )
    assert made.json()["caller_id"] == script
    for answer in (
        made,
        await place.attacker.get("/api/relay/rest/endpoints/sip"),
        await place.attacker.get("/api/" + script),
    ):
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
    page = await place.attacker.get("/docs/errors?x=" + script)
    assert script not in page.text


async def test_wrong_credentials_tell_nothing(place: Place) -> None:
    """Enumeration: an unknown project, a wrong token, and a token of another project are one answer."""
    right = json.loads((place.server.data / "first-run.json").read_text())["api_token"]
    answers = {
        told(await place.attacker.get("/api/projects", auth=auth))
        for auth in (
            (UNKNOWN, right),
            (place.server.project, "PT" + "0" * 48),
            (place.other, right),
            ("x", "y"),
            ("", ""),
        )
    }
    assert len(answers) == 1
    assert next(iter(answers))[0] == 401


async def test_a_token_cannot_raise_itself_beyond_its_project(place: Place) -> None:
    body = {"name": "up", "permissions": ["management"], "subproject_id": place.server.project}
    refused = await place.attacker.post("/api/project/tokens", json=body)
    assert [one["code"] for one in refused.json()["errors"]] == ["invalid_subproject_id"]


async def test_nothing_failed_on_the_way(place: Place) -> None:
    assert "request failed" not in place.server.log()
