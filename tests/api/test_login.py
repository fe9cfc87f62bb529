"""The dashboard's cookie, cross-site requests and other origins (API.md 1.2)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from offhook.api import sessions
from tests.support.platform import House

LOGIN, ENDPOINTS = "/api/offhook/login", "/api/relay/rest/endpoints/sip"
GOOD = "a long enough secret"
OURS = {"X-Offhook-Request": "1"}


@pytest.fixture
async def browser(client: httpx.AsyncClient, house: House) -> httpx.AsyncClient:
    """A page that has logged in, and has nothing but its cookie."""
    page = httpx.AsyncClient(transport=client._transport, base_url="http://test")
    answer = await page.post(LOGIN, json={"project": house.space.project_id, "token": house.text})
    assert answer.status_code == 200, answer.text
    return page


async def test_a_login_gives_a_cookie_that_scripts_and_other_sites_cannot_use(
    client: httpx.AsyncClient, house: House
) -> None:
    page = httpx.AsyncClient(transport=client._transport, base_url="https://test")
    answer = await page.post(LOGIN, json={"project": house.space.project_id, "token": house.text})
    cookie = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Secure", "Path=/", "Max-Age=43200"):
        assert part in cookie
    assert answer.headers["cache-control"] == "no-store"
    assert house.text not in cookie + answer.text
    plain = httpx.AsyncClient(transport=client._transport, base_url="http://test")
    answer = await plain.post(LOGIN, json={"project": house.space.project_id, "token": house.text})
    assert "Secure" not in answer.headers["set-cookie"]


async def test_the_cookie_reads_and_says_who_it_is(browser: httpx.AsyncClient, house: House) -> None:
    assert (await browser.get(ENDPOINTS)).status_code == 200
    who = (await browser.get(LOGIN)).json()
    assert (who["project_id"], who["name"]) == (house.space.project_id, "first run")
    assert who["expires_at"].endswith("Z")
    assert "calling" in who["permissions"]


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_write_by_cookie_needs_our_header(browser: httpx.AsyncClient, verb: str) -> None:
    path = ENDPOINTS if verb == "POST" else ENDPOINTS + "/x"
    forged = await browser.request(verb, path, json={"username": "carol", "password": GOOD})
    assert (forged.status_code, forged.json()["code"]) == (403, "csrf_header_missing")
    ours = await browser.request(verb, path, json={"username": "carol", "password": GOOD}, headers=OURS)
    assert ours.status_code == (201 if verb == "POST" else 404)


async def test_logging_out_ends_the_cookie_wherever_it_is(browser: httpx.AsyncClient, house: House) -> None:
    kept = browser.cookies[sessions.NAME]
    assert (await browser.delete(LOGIN)).status_code == 403
    answer = await browser.delete(LOGIN, headers=OURS)
    assert (answer.status_code, "Max-Age=0" in answer.headers["set-cookie"]) == (204, True)
    browser.cookies.set(sessions.NAME, kept)
    assert (await browser.get(ENDPOINTS)).status_code == 401
    # Also after a restart.
    house.answers._given_back.clear()
    await house.answers.load()
    assert (await browser.get(ENDPOINTS)).status_code == 401
    assert (await browser.delete(LOGIN)).status_code == 204


async def test_the_cookie_ends_with_its_token(browser: httpx.AsyncClient, house: House) -> None:
    await house.api_tokens.remove(next(iter(house.api_tokens)).id)
    assert (await browser.get(ENDPOINTS)).status_code == 401


async def test_a_cookie_is_good_for_twelve_hours(browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await browser.get(ENDPOINTS)).status_code == 200
    now = time.time()
    held = browser._transport.app.state.sessions  # type: ignore[attr-defined]
    monkeypatch.setattr(held, "_wall", lambda: now + 12 * 3600 + 2)
    assert (await browser.get(ENDPOINTS)).status_code == 401


@pytest.mark.parametrize("change", ["id", "token", "ends", "mac", "shape", "octets"])
async def test_an_altered_cookie_is_none(browser: httpx.AsyncClient, change: str) -> None:
    id_, token, ends, mac = browser.cookies[sessions.NAME].split(".")
    altered = {
        "id": f"{id_[::-1]}.{token}.{ends}.{mac}",
        "token": f"{id_}.{token[::-1]}.{ends}.{mac}",
        "ends": f"{id_}.{token}.{int(ends) + 1}.{mac}",
        "mac": f"{id_}.{token}.{ends}.{'0' * 64}",
        "shape": f"{id_}.{token}.{ends}",
        "octets": "ä.b.3.d",
    }[change]
    bare = httpx.AsyncClient(transport=browser._transport, base_url="http://test")
    answer = await bare.get(ENDPOINTS, headers=[(b"cookie", f"{sessions.NAME}={altered}".encode("latin-1"))])
    assert answer.status_code == 401


async def test_wrong_logins_are_counted(client: httpx.AsyncClient, house: House) -> None:
    page = httpx.AsyncClient(transport=client._transport, base_url="http://test")
    body = {"project": house.space.project_id, "token": "PT" + "0" * 48}
    for _ in range(20):
        assert (await page.post(LOGIN, json=body)).status_code == 401
    answer = await page.post(LOGIN, json={**body, "token": house.text})
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(answer.headers["retry-after"]) <= 61
    house.now = 61.0
    assert (await page.post(LOGIN, json={**body, "token": house.text})).status_code == 200


async def test_logins_whose_bodies_come_together_are_counted_too(client: httpx.AsyncClient, house: House) -> None:
    """Each of them began before any had failed."""
    page = httpx.AsyncClient(transport=client._transport, base_url="http://test")
    begun, arrived = asyncio.Semaphore(0), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        begun.release()
        await arrived.wait()
        yield json.dumps({"project": house.space.project_id, "token": "PT" + "0" * 48}).encode()

    kind = {"Content-Type": "application/json"}
    tasks = [asyncio.create_task(page.post(LOGIN, content=body(), headers=kind)) for _ in range(50)]
    for _ in tasks:
        await begun.acquire()
    arrived.set()
    statuses = [answer.status_code for answer in await asyncio.gather(*tasks)]
    assert (statuses.count(401), statuses.count(429)) == (20, 30)


async def test_what_a_login_must_say(client: httpx.AsyncClient) -> None:
    faults = (await client.post(LOGIN, json={"token": 5, "role": "admin"})).json()["errors"]
    assert [(one["attribute"], one["code"]) for one in faults] == [
        ("role", "unknown_parameter"), ("project", "missing_required_parameter"), ("token", "invalid_parameter"),
    ]  # fmt: skip


async def test_no_window_opens_for_the_dashboard(client: httpx.AsyncClient) -> None:
    bare = httpx.AsyncClient(transport=client._transport, base_url="http://test")
    assert (await bare.get(LOGIN)).headers["www-authenticate"].startswith("Basic")
    assert (await bare.get(LOGIN, headers=OURS)).headers["www-authenticate"].startswith("Cookie")


# ---- other origins

APP = {"Origin": "https://app.example"}
PREFLIGHT = {**APP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


async def test_no_origin_is_allowed_unless_it_is_listed(client: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/api/offhook/provision", ENDPOINTS):
        assert "access-control-allow-origin" not in (await client.get(path, headers=APP)).headers
        assert "access-control-allow-origin" not in (await client.options(path, headers=PREFLIGHT)).headers


async def test_a_listed_origin_reaches_bearer_and_public_routes_only(house: House) -> None:
    async with house.client(cors_origins=("https://app.example",)) as client:
        for path in ("/healthz", "/api/offhook/provision", "/api/fabric/addresses", "/api/fabric/addresses/1"):
            answer = await client.options(path, headers=PREFLIGHT)
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://app.example")
            assert "access-control-allow-credentials" not in answer.headers
        shown = await client.get("/healthz", headers=APP)
        assert shown.headers["access-control-allow-origin"] == "https://app.example"
        assert "X-Request-Id" in shown.headers["access-control-expose-headers"]
        other = await client.get("/healthz", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        for path in (ENDPOINTS, LOGIN, "/api/projects", "/api/offhook/status"):
            assert "access-control-allow-origin" not in (await client.get(path, headers=APP)).headers
            assert (await client.options(path, headers=PREFLIGHT)).status_code in (404, 405)


async def test_widgets_judge_their_origins_themselves(client: httpx.AsyncClient) -> None:
    answer = await client.options("/api/fabric/embeds/tokens", headers=PREFLIGHT)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
