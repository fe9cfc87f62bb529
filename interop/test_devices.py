"""Devices by REST and at the registrar (API.md 12.2): named, blocked, blocked for a while, forgotten."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from interop.conftest import ServerMaker
from interop.support.browser import Browser
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from tests.support.patience import PATIENCE

PATH = "/api/offhook/devices"
UUID = "0199aa11-0000-7000-8000-00000000000a"


def phone(server: Offhook, instance: str = UUID) -> PlainPhone:
    return PlainPhone("alice", server.passwords["alice"], server.domain, server.sip, instance.upper())


async def test_a_device_is_kept_named_blocked_and_forgotten(server: Offhook) -> None:
    desk, again, third, fourth = (phone(server) for _ in range(4))
    other = phone(server, UUID[:-1] + "b")
    try:
        # 1. a page says beforehand what its device is called
        named = {"endpoint": "alice", "device": {"instance_id": UUID, "name": "Desk"}}
        assert (await server.http.post("/api/offhook/provision", json=named)).status_code == 200
        await desk.register()
        await other.register()
        rows = (await server.http.get(PATH)).json()["data"]
        row = next(one for one in rows if one["instance_id"] == UUID)
        assert (len(rows), row["name"], row["registered"], row["blocked"], row["ring"]) == (
            2,
            "Desk",
            True,
            False,
            True,
        )
        assert row["last_source"] == f"127.0.0.1:{desk.address[1]}"
        bound = (await server.http.get("/api/offhook/registrations")).json()["data"]
        assert {one["device_id"] for one in bound} == {one["id"] for one in rows}
        # 2. blocked it loses its registration, and neither calls nor registers; the other one does both
        answer = await server.http.patch(f"{PATH}/{row['id']}", json={"blocked": True})
        assert (answer.status_code, answer.json()["blocked"], answer.json()["registered"]) == (200, True, False)
        refused = await desk.refused("echo")
        assert refused.startswith("SIP/2.0 403")
        assert "device-blocked" in refused
        refused = await again.registration()
        assert refused.startswith("SIP/2.0 403")
        assert "device-blocked" in refused
        await other.call("echo")
        leg = (await server.calls())[0]["legs"][0]
        assert leg["device_id"] == next(one["id"] for one in rows if one["id"] != row["id"])
        await other.hang_up()
        # 3. unblocked it is as before
        assert (await server.http.patch(f"{PATH}/{row['id']}", json={"blocked": False})).status_code == 200
        await third.register()
        # 4. its registration is taken away, and it is not let back for a minute
        bound = (await server.http.get("/api/offhook/registrations")).json()["data"]
        mine = next(one for one in bound if one["device_id"] == row["id"])
        path = f"/api/offhook/registrations/{mine['id']}"
        assert (await server.http.delete(path, params={"block_seconds": "60"})).status_code == 204
        shown = (await server.http.get(f"{PATH}/{row['id']}")).json()
        assert (shown["blocked"], shown["registered"], shown["blocked_until"] is not None) == (True, False, True)
        assert "device-blocked" in await fourth.registration()
        # 5. forgotten it is gone, and its block with it
        assert (await server.http.delete(f"{PATH}/{row['id']}")).status_code == 204
        assert (await server.http.get(f"{PATH}/{row['id']}")).json()["code"] == "device_not_found"
    finally:
        for one in (desk, again, third, fourth, other):
            one.close()


async def until(answer: Callable[[], Awaitable[Any]], what: str) -> Any:
    """What the server says, once it says it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await answer()
            if found:
                return found
            await asyncio.sleep(0.1)
    raise AssertionError(what)


async def test_what_is_known_of_a_page_and_its_calls(serve: ServerMaker, tmp_path: Path) -> None:
    async with serve(OFFHOOK_LIMITS_WS_PING_AFTER="1") as server, Browser("chromium", tmp_path) as browser:

        async def binding() -> Any:
            rows = (await server.http.get("/api/offhook/registrations")).json()["data"]
            return rows[0] if rows and rows[0]["rtt_ms"] is not None else None

        page = await browser.open("alice", server.http_url)
        await page.start(
            server.websocket_url, server.uri("alice"), server.passwords["alice"], instance_id=UUID, register_expires=600
        )
        await page.expect("registered")
        row = await until(binding, "the first ping")
        assert (row["auth"], row["state"], row["transport"]) == ("digest-md5", "reachable", "ws"), "1. how and whether"
        assert 0 <= row["rtt_ms"] < 1000 * PATIENCE, "2. from a ping"
        assert row["warnings"] == ["register_expires_too_long"], "3. ten minutes are too long for a router"
        device = (await server.http.get(f"{PATH}/{row['device_id']}")).json()
        assert (device["warnings"], device["calls_30d"], device["mos_30d"]) == (row["warnings"], 0, None), (
            "4. no calls yet"
        )
        await page.call(server.uri("echo"))
        await page.expect("confirmed")
        await page.heard(2)
        await page.hang_up()
        await page.expect("ended")

        async def counted() -> Any:
            shown = (await server.http.get(f"{PATH}/{row['device_id']}")).json()
            return shown if shown["calls_30d"] else None

        shown = await until(counted, "the call in the log")
        assert (shown["calls_30d"], 1 <= shown["mos_30d"] <= 5) == (1, True), "5. counted from the log, with its score"
        listed = (await server.http.get(PATH)).json()["data"]
        assert [one["calls_30d"] for one in listed] == [1]
        legs = (await server.http.get("/api/voice/logs")).json()["data"]
        assert {one["offhook"]["device_id"] for one in legs} == {row["device_id"]}, "6. the log names the device"


async def test_how_long_a_phone_takes_to_answer(serve: ServerMaker) -> None:
    async with serve(OFFHOOK_LIMITS_OPTIONS_EVERY="1") as server:
        one = phone(server)
        try:
            await one.register()

            async def row() -> Any:
                return (await server.http.get("/api/offhook/registrations")).json()["data"][0]

            first = await row()
            assert (first["auth"], first["state"], first["rtt_ms"]) == ("digest-md5", "unknown", None)
            await one.answer_options()

            async def measured() -> Any:
                found = await row()
                return found if found["rtt_ms"] is not None else None

            assert 0 <= (await until(measured, "the answer's time"))["rtt_ms"] < 1000 * PATIENCE
        finally:
            one.close()


async def test_a_token_is_told_from_a_password(server: Offhook, tmp_path: Path) -> None:
    given = (await server.http.post("/api/offhook/provision", json={"endpoint": "bob"})).json()
    async with Browser("chromium", tmp_path) as browser:
        page = await browser.open("bob", server.http_url)
        bearer = f"Bearer {given['token']['value']}"
        await page.start(server.websocket_url, server.uri("bob"), "", authorization_jwt=bearer)
        await page.expect("registered")
        rows = (await server.http.get("/api/offhook/registrations", params={"username": "bob"})).json()["data"]
        assert [one["auth"] for one in rows] == ["bearer"]
