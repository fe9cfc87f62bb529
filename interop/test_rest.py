"""The REST frame of a real server: metrics, health, status, profile and login as a client meets them."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets
from prometheus_client.parser import text_string_to_metric_families

from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from offhook.server.metrics import METRICS, PREFIX
from tests.support.patience import PATIENCE, PATIENTLY

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Offhook]:
    """One server for all tests of this file."""
    async with Offhook(tmp_path_factory.mktemp("rest")) as one:
        yield one


async def scraped(server: Offhook, **options: Any) -> dict[str, dict[tuple[str, ...], float]]:
    answer = await server.http.get("/metrics", auth=None, **options)
    assert answer.status_code == 200, answer.text
    # The labels of a sample come sorted by their names.
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


async def test_metrics_are_exactly_those_of_the_list(server: Offhook) -> None:
    """12.6: every name, kind and label; free from this machine."""
    answer = await server.http.get("/metrics", auth=None)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {one.name: one for one in text_string_to_metric_families(answer.text)}
    assert set(families) == {PREFIX + one.name.removesuffix("_total") for one in METRICS}
    for one in METRICS:
        family = families[PREFIX + one.name.removesuffix("_total")]
        assert family.type == one.kind, one.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(one.labels), one.name


async def test_metrics_count_what_happens(server: Offhook) -> None:
    before = await scraped(server)
    for _ in range(3):
        await server.http.get("/api/relay/rest/endpoints/sip/none")
    async with websockets.connect(server.websocket_url, subprotocols=["sip"], **PATIENTLY) as page:  # type: ignore[list-item]
        await page.send(OPTIONS)
        reply = str(await page.recv())
        after = await scraped(server)
    assert reply.startswith("SIP/2.0 ")
    status = reply.split(" ")[1]
    missing = (PREFIX + "api_requests_total", ("space", "404"))
    assert after[missing[0]][missing[1]] - before.get(missing[0], {}).get(missing[1], 0) == 3
    messages = after[PREFIX + "sip_messages_total"]
    assert messages[("in", "OPTIONS", "")] == 1
    assert messages[("out", "OPTIONS", status)] == 1
    assert after[PREFIX + "flows"][("ws",)] == 1
    assert after[PREFIX + "api_seconds_count"][()] > before[PREFIX + "api_seconds_count"][()]
    assert after[PREFIX + "shard_busy_ratio"]


OPTIONS = (
    "OPTIONS sip:echo@localhost SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
    "From: <sip:a@localhost>;tag=1\r\nTo: <sip:echo@localhost>\r\nCall-ID: c1\r\nCSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


async def test_elsewhere_metrics_need_monitor(server: Offhook) -> None:
    """A trusted proxy tells who asks."""
    far = {"Forwarded": "for=203.0.113.9"}
    assert (await server.http.get("/metrics", auth=None, headers=far)).status_code == 401
    assert (await server.http.get("/metrics", headers=far)).status_code == 200
    body = {"name": "poor", "permissions": ["calling"]}
    poor = (await server.http.post("/api/project/tokens", json=body)).json()["token"]
    refused = await server.http.get("/metrics", auth=(server.project, poor), headers=far)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


async def test_health(server: Offhook) -> None:
    assert (await server.http.get("/healthz", auth=None)).json() == {"status": "ok"}
    ready = (await server.http.get("/readyz", auth=None)).json()
    assert ready == {"status": "ok", "checks": {"store": True, "media": True, "sip": True, "certificate": True}}
    status = await server.status()
    assert set(status) >= {
        "version", "node", "nodes", "uptime_seconds", "listeners", "domain", "certificate", "counts", "limits", "warnings",
    }  # fmt: skip
    assert {"registrations", "calls", "legs"} <= set(status["counts"])
    assert status["nodes"] == [status["node"]]


async def test_the_next_connection_obeys_the_profile(server: Offhook) -> None:
    """Section 3: an origin and a host that were just allowed."""
    origin = "https://app.example.com"

    async def connected() -> bool:
        try:
            async with websockets.connect(server.websocket_url, subprotocols=["sip"], origin=origin, **PATIENTLY):  # type: ignore[arg-type,list-item]
                return True
        except websockets.InvalidStatus:
            return False

    async def asked() -> str:
        async with websockets.connect(server.websocket_url, subprotocols=["sip"], **PATIENTLY) as page:  # type: ignore[list-item]
            await page.send(OPTIONS.replace("@localhost", "@pbx.example.com"))
            return str(await page.recv()).split("\r\n")[0]

    path = "/api/relay/rest/sip_profile"
    assert not await connected()
    assert "404" in await asked()
    changed = await server.http.put(path, json={"offhook": {"origins": [origin], "aliases": ["pbx.example.com"]}})
    assert changed.status_code == 201
    assert changed.json()["offhook"]["websocket_urls"] == [server.websocket_url]
    assert await connected()
    assert "404" not in await asked()
    await server.http.put(path, json={"offhook": {"origins": [], "aliases": []}})
    assert not await connected()


async def test_a_login_is_counted_by_the_client_that_the_proxy_names(server: Offhook) -> None:
    wrong = {"Authorization": "Basic " + base64.b64encode(b"x:y").decode()}
    one, other = {"Forwarded": "for=198.51.100.1"}, {"Forwarded": "for=198.51.100.2"}
    for _ in range(20):
        assert (await server.http.get("/api/projects", auth=None, headers={**wrong, **one})).status_code == 401
    locked = await server.http.get("/api/projects", headers=one)
    assert (locked.status_code, locked.headers["retry-after"].isdigit()) == (429, True)
    assert (await server.http.get("/api/projects", headers=other)).status_code == 200


async def test_lines_of_the_log_carry_the_request_id(server: Offhook) -> None:
    await asyncio.gather(*[
        server.http.get("/api/projects", headers={"X-Request-Id": f"side-by-side-{number}"}) for number in range(5)
    ])  # fmt: skip
    id_ = "find-me-in-the-log-1"
    body = {"name": "x", "targets": [{"uri": "sip:carrier.invalid"}]}
    made = await server.http.post("/api/offhook/trunks", json=body, headers={"X-Request-Id": id_})
    assert made.headers["x-request-id"] == id_
    await server.until_logged(f"request_id='{id_}'")


async def test_the_response_of_a_stranger_tells_no_more_than_the_path(server: Offhook) -> None:
    bare = httpx.AsyncClient(base_url=server.running["http_url"], timeout=PATIENCE, trust_env=False)
    async with bare:
        for path in ("/api/projects", "/api/offhook/status", "/api/offhook/calls"):
            answer = await bare.get(path)
            assert (answer.status_code, "server" in answer.headers) == (401, False)


async def test_what_endpoints_do_now(server: Offhook) -> None:
    """12.2: registered, and by whom."""
    listed = (await server.http.get("/api/offhook/endpoints")).json()["data"]
    assert {row["username"]: row["presence"] for row in listed} == {"alice": "offline", "bob": "offline"}
    phone = PlainPhone("alice", server.passwords["alice"], server.domain, server.sip)
    try:
        await phone.register()
        row = (await server.http.get(f"/api/offhook/endpoints/{listed[-1]['id']}")).json()
        assert (row["username"], row["registered"], row["registrations"], row["presence"]) == (
            "alice", True, 1, "available",
        )  # fmt: skip
        found = (await server.http.get("/api/offhook/endpoints?presence=offline")).json()["data"]
        assert [one["username"] for one in found] == ["bob"]
        summary = (await server.http.get("/api/offhook/registrations/summary")).json()
        assert (summary["total"], summary["by_node"]) == (1, {(await server.status())["node"]: 1})
    finally:
        phone.close()
