"""Events of trunks (API.md 12.5), each made by a carrier that answers, refuses or is silent, and read by GET /events."""

from typing import Any

from interop.support.line import Line
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from interop.test_events import until_told
from tests.support.receiver import Receiver

QUICK = {"health": {"options_timeout_ms": 2500, "down_after": 1}}


async def trunk(server: Offhook, name: str, *lines: Line, **fields: Any) -> str:
    """Its id."""
    body = {"name": name, "targets": [{"uri": line.uri} for line in lines], **QUICK, **fields}
    made = await server.http.post("/api/offhook/trunks", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def told(server: Offhook, type_: str, id_: str) -> dict[str, Any]:
    """The first event of this type, which is about this trunk."""
    [event] = await until_told(server, "", type_, 1)
    assert (event["data"]["trunk_id"], event["call_ref"], event["sequence"]) == (id_, None, None)
    return dict(event["data"])


async def test_a_trunk_is_up_degraded_or_down(server: Offhook) -> None:
    async with Line() as good, Line(OPTIONS="") as silent, Line(OPTIONS="503 Service Unavailable") as full:
        up = await trunk(server, "up", good)
        await told(server, "trunk.up", up)
        # 1. the round trip and the time of the last answer are shown (12.1)
        status = (await server.http.get(f"/api/offhook/trunks/{up}")).json()["status"]
        [target] = status["targets"]
        assert (status["state"], target["state"], target["failures"]) == ("up", "up", 0)
        assert target["rtt_ms"] >= 0
        assert target["last_ok_at"].endswith("Z")
        # 2. one of two
        degraded = await trunk(server, "degraded", good, silent)
        await told(server, "trunk.degraded", degraded)
        # 3. none of two, with a cause and a remedy
        down = await trunk(server, "down", silent, full)
        data = await told(server, "trunk.down", down)
        assert data["code"] in ("trunk_timeout", "trunk_rejected")
        assert data["remedy"]


async def test_a_trunk_registers_or_is_refused(server: Offhook) -> None:
    account = {"register": True, "username": "line", "password": "secret"}
    async with Line() as good, Line(REGISTER="403 Forbidden") as closed:
        id_ = await trunk(server, "good", good, **account)
        await told(server, "trunk.registered", id_)
        shown = (await server.http.get(f"/api/offhook/trunks/{id_}")).json()["status"]["registration"]
        assert (shown["state"], shown["sip_code"], shown["code"]) == ("registered", 200, None)
        assert shown["expires_at"].endswith("Z")
        refused = await trunk(server, "refused", closed, **account)
        data = await told(server, "trunk.registration_failed", refused)
        assert (data["sip_code"], data["code"]) == (403, "trunk_auth_failed")
        # the test of a trunk says the same, step by step
        tried = (await server.http.post(f"/api/offhook/trunks/{refused}/test", json={})).json()
        assert tried["ok"] is False
        step = next(one for one in tried["steps"] if one["name"] == "register")
        assert (step["ok"], step["sip_code"], step["code"]) == (False, 403, "trunk_auth_failed")
        assert step["remedy"]
        assert [one["name"] for one in tried["steps"] if one["ok"]] == ["dns", "connect", "options"]


async def test_a_webhook_that_is_gone_and_a_call_that_is_blocked(server: Offhook) -> None:
    async with Receiver(status=410) as receiver, Line() as line:
        body = {"name": "gone", "url": receiver.url("/hook"), "types": ["security.*"]}
        assert (await server.http.post("/api/offhook/webhooks", json=body)).status_code == 201
        # 1. a prefix that is blocked: somebody may want to call at our expense
        await trunk(server, "t", line, allowed_prefixes=["+1"], blocked_prefixes=["+1900"])
        phone = PlainPhone("alice", server.passwords["alice"], server.domain, server.sip)
        assert (await phone.refused("+19005550100")).startswith("SIP/2.0 403")
        phone.close()
        [refused] = await until_told(server, "", "security.call_refused", 1)
        assert refused["data"]["code"] == "prefix_not_allowed"
        assert refused["data"]["source"].startswith("127.0.0.1")
        # 2. 410 ends a delivery at once, and that is told, too
        [failed] = await until_told(server, "", "webhook.failed", 1)
        assert failed["data"]["url"] == receiver.url("/hook")
        assert failed["data"]["code"] == "webhook_undeliverable"
        shown = (await server.http.get("/api/offhook/webhook_deliveries?state=failed")).json()["data"]
        assert [(one["state"], one["attempts"][0]["status"]) for one in shown] == [("failed", 410)]
