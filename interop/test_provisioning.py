"""Pages with browser tokens (API.md 4.3, 11): unmodified JsSIP, with what the API gives as it stands. A guest calls the
address that he was given and no other; a widget's page makes one call; a member registers."""

from pathlib import Path
from typing import Any

import httpx

from interop.support.browser import Browser, Page
from interop.support.parties import signed_in
from interop.support.server import Offhook
from tests.support.patience import PATIENCE


async def post(server: Offhook, path: str, status: int, **body: Any) -> dict[str, Any]:
    answer = await server.http.post(path, json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def provisioned(server: Offhook, token: str, origin: str = "") -> dict[str, Any]:
    """What a page gets for its token, and for nothing else."""
    headers = {"Authorization": f"Bearer {token}"} | ({"Origin": origin} if origin else {})
    async with httpx.AsyncClient(base_url=server.http_url, timeout=PATIENCE, trust_env=False) as page:
        answer = await page.post("/api/offhook/provision", json={}, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def address_of(server: Offhook, name: str) -> str:
    rows = (await server.http.get("/api/fabric/addresses", params={"name": name})).json()["data"]
    return next(str(row["id"]) for row in rows if row["name"] == name)


async def started(browser: Browser, server: Offhook, name: str, given: dict[str, Any]) -> Page:
    """A page that runs `new JsSIP.UA({sockets, ...answer.jssip})`."""
    page = await browser.open(name, server.http_url)
    jssip = dict(given["jssip"])
    uri, password = jssip.pop("uri"), jssip.pop("password")
    await page.start(given["sip"]["websocket_urls"][0], uri, password, **jssip)
    await page.expect("registered" if jssip["register"] else "connected")
    return page


async def refused(page: Page, target: str) -> str:
    """The text with which a call is refused."""
    await page.call(target)
    failed = await page.expect("failed")
    assert failed["status"] == 403, failed
    return str(failed.get("warning") or failed)


async def test_a_guest_calls_his_address_and_no_other(server: Offhook, tmp_path: Path) -> None:
    bob = await address_of(server, "bob")
    token = (await post(server, "/api/fabric/guests/tokens", 201, allowed_addresses=[bob]))["token"]
    given = await provisioned(server, token)
    assert given["jssip"]["register"] is False
    assert given["destinations"] == {"bob": f"sip:/private/bob@{server.domain}"}
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        callee = await signed_in(browser, server, "bob")
        guest = await started(browser, server, "guest", given)
        await guest.call(given["destinations"]["bob"])
        await callee.expect("incoming")
        await callee.answer()
        await guest.expect("confirmed")
        await callee.hears(1000)  # 1. they talk
        await guest.hang_up()
        await guest.expect("ended")
        for other in ("alice", "echo", "+15125550100", "nobody"):
            assert "token-tier-not-allowed" in await refused(guest, server.uri(other)), f"2. not {other}"
    # 3. nothing of the guest is registered
    rows = (await server.http.get("/api/offhook/registrations")).json()["data"]
    assert {row["username"] for row in rows} <= {"bob"}


async def test_a_guest_does_not_register(server: Offhook, tmp_path: Path) -> None:
    bob = await address_of(server, "bob")
    token = (await post(server, "/api/fabric/guests/tokens", 201, allowed_addresses=[bob]))["token"]
    given = await provisioned(server, token)
    async with Browser("chromium", tmp_path) as browser:
        for more in ({}, {"authorization_jwt": f"Bearer {token}", "authorization_user": None}):
            page = await browser.open(f"guest {len(more)}", server.http_url)
            jssip = {**given["jssip"], "register": True, **more}
            uri, password = jssip.pop("uri"), jssip.pop("password")
            await page.start(server.websocket_url, uri, "" if more else password, **jssip)
            failed = await page.expect("registrationFailed")
            assert (failed["status"], "token-tier-not-allowed" in failed["warning"]) == (403, True), failed


async def test_a_widget_s_page_has_one_call_and_its_line_a_limit(server: Offhook, tmp_path: Path) -> None:
    origin = server.http_url.rstrip("/")
    body = {"name": "Shop", "address_id": await address_of(server, "bob"), "origins": [origin], "max_calls": 1}
    key = (await post(server, "/api/offhook/widgets", 201, **body))["key"]
    async with Browser("chromium", tmp_path) as browser:
        callee = await signed_in(browser, server, "bob")
        pages = []
        for name in ("first", "second"):
            page = await browser.open(name, server.http_url)
            # 1. the page itself asks for its token, with no credentials
            got = await page.run(
                "await fetch('/api/fabric/embeds/tokens', {method: 'POST', headers: {'Content-Type': 'application/json',"
                " 'Origin': location.origin}, body: JSON.stringify({token: args})}).then(r => r.json())",
                key,
            )
            given = await page.run(
                "await fetch('/api/offhook/provision', {method: 'POST', headers: {Authorization: 'Bearer ' + args}})"
                ".then(r => r.json())",
                got["token"],
            )
            jssip = dict(given["jssip"])
            uri, password = jssip.pop("uri"), jssip.pop("password")
            await page.start(given["sip"]["websocket_urls"][0], uri, password, **jssip)
            await page.expect("connected")
            pages.append(page)
        first, second = pages
        await first.call(server.uri("bob"))
        await callee.expect("incoming")
        await callee.answer()
        await first.expect("confirmed")
        # 2. max_calls is of all pages of the widget together
        await second.call(server.uri("bob"))
        failed = await second.expect("failed")
        assert (failed["status"], "endpoint-at-call-limit" in str(failed)) == (486, True), failed
        await first.hang_up()
        await first.expect("ended")
        # 3. pages of other people get nothing
        answer = await server.http.post(
            "/api/fabric/embeds/tokens", json={"token": key}, headers={"Origin": "https://evil.example"}
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")


async def test_a_member_s_pages_ring_by_the_subscriber_s_address(server: Offhook, tmp_path: Path) -> None:
    made = await post(server, "/api/fabric/subscribers/tokens", 200, reference="ann@example.com", first_name="Ann")
    theirs = f"/api/fabric/resources/subscribers/{made['subscriber_id']}/sip_endpoints"
    second = await post(server, theirs, 201, username="ann-desk", password="a long enough secret")
    async with Browser("chromium", tmp_path) as browser:
        first = await started(browser, server, "ann", await provisioned(server, made["token"]))
        given = await post(server, "/api/offhook/provision", 200, endpoint=second["id"])
        desk = await started(browser, server, "desk", given)
        caller = await signed_in(browser, server, "alice")
        await caller.call(f"sip:/private/ann@{server.domain}")
        await first.expect("incoming")
        await desk.expect("incoming")
        await desk.answer()
        await caller.expect("confirmed")
        await first.expect("failed")
        await caller.hang_up()
        await desk.expect("ended")
        # A locked address refuses, whoever calls.
        id_ = await address_of(server, "ann")
        locked = await server.http.patch(f"/api/fabric/addresses/{id_}", json={"locked": True})
        assert locked.status_code == 200
        assert "address-locked" in await refused(caller, f"sip:/private/ann@{server.domain}")
