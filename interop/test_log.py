"""The log for programs: every line of a call bears its `call_ref`, every line that a request causes its `request_id`, as
docs/help/log.md says; no line bears a secret (interop/conftest.py looks)."""

import asyncio
import json
from pathlib import Path
from typing import Any

from interop.conftest import ServerMaker
from interop.support.baresip import Baresip
from interop.support.server import Offhook
from tests.support.patience import PATIENCE

ASKED, WRONG = "who-asked-for-it-1", "who-asked-in-vain-2"


def lines_of(server: Offhook) -> list[dict[str, Any]]:
    """Every line of the log; what greets a person is no line."""
    return [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]


async def test_the_lines_of_a_call_and_of_a_failed_request(serve: ServerMaker, tmp_path: Path) -> None:
    async with (
        serve(OFFHOOK_LOG_FORMAT="json") as server,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as phone,
    ):
        await phone.registered()
        body = {"command": "dial", "params": {"to": "bob", "from": "alice", "swml": {"sections": {"main": ["answer"]}}}}
        placed = await server.http.post("/api/calling/calls", json=body, headers={"X-Request-Id": ASKED})
        assert placed.status_code == 200, placed.text
        ref = placed.json()["id"]
        await phone.expect("CALL_INCOMING")
        await phone.answer()
        await phone.expect("CALL_ESTABLISHED")
        async with asyncio.timeout(PATIENCE):
            while "media event" not in server.log():
                await asyncio.sleep(0.1)  # sound has to come, and a file tells of it
        await phone.hang_up()
        await server.until_idle()
        refused = await server.http.post(
            "/api/calling/calls", json={"command": "dial"}, headers={"X-Request-Id": WRONG}
        )
        assert refused.status_code == 422
        async with asyncio.timeout(PATIENCE):
            heard: list[dict[str, Any]] = []
            while not any(one["type"] == "call.ended" for one in heard):
                await asyncio.sleep(0.1)  # they are written behind the call
                heard = (await server.http.get("/api/offhook/events", params={"call_ref": ref})).json()["data"]
    lines = lines_of(server)
    # 1. an object a line, with when, how grave and what
    assert all({"timestamp", "level", "event"} <= line.keys() for line in lines)
    # 2. what the call went through bears its name
    of_call = [line for line in lines if line.get("call_ref") == ref]
    events = [line["event"] for line in of_call]
    assert [one for one in events if one in ("call.created", "call.answered", "call.ended")] == [
        "call.created", "call.answered", "call.ended",
    ]  # fmt: skip
    assert {"sip in", "sip out", "media event", "decision"} <= set(events)
    # 3. nothing of the call is without it: one Call-ID, one call
    names = {line["sip_call_id"] for line in of_call if "sip_call_id" in line}
    assert len(names) == 1
    assert {line.get("call_ref") for line in lines if line.get("sip_call_id") in names} <= {ref, None}
    late = [line for line in lines if line.get("sip_call_id") in names and "call_ref" not in line]
    assert all(line["message"].startswith(("BYE ", "SIP/2.0 ")) for line in late), "only after the call's end"
    # 4. what the request caused bears that one's name, what the phone did later does not
    asked = [line["event"] for line in lines if line.get("request_id") == ASKED]
    assert {"call.created", "request"} <= set(asked)
    assert not {"call.answered", "call.ended"} & set(asked)
    known = {row["type"]: row["request_id"] for row in heard}
    assert (known["call.created"], known["call.answered"], known["call.ended"]) == (ASKED, None, None), "events too"
    # 5. a failed request stands in the log as it was answered
    (told,) = [line for line in lines if line.get("request_id") == WRONG and line["event"] == "request"]
    assert (told["level"], told["verb"], told["path"], told["status"]) == ("info", "POST", "/api/calling/calls", 422)
