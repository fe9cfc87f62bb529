"""Devices by REST and at the registrar (API.md 12.2): named, blocked, blocked for a while, forgotten."""

from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook

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
