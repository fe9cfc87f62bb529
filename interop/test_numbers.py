"""Numbers, gateways, applications and trunks by the REST API: Debian's Kamailio is the carrier, SIPp the telephones."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from interop.conftest import DOMAIN, check_log
from interop.support.browser import Browser
from interop.support.ear import ear
from interop.support.kamailio import ADDRESS, TONE, WAITED_FOR, Carrier
from interop.support.parties import signed_in
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook
from interop.test_trunks import call_out
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")
NUMBERS, IMPORTED = "/api/relay/rest/phone_numbers", "/api/relay/rest/imported_phone_numbers"
GATEWAYS, TRUNKS = "/api/fabric/resources/sip_gateways", "/api/offhook/trunks"
FAR, OURS = "+14155550123", "+15125550100"
CROWD = {
    "OFFHOOK_DOMAIN": DOMAIN,
    "OFFHOOK_LIMITS_UNAUTH_RATE": "1000",
    "OFFHOOK_LIMITS_CALL_RATE": "1000",
    "OFFHOOK_LIMITS_TRUNK_CALL_RATE": "1000",
}
"""A hundred calls at once from one address and one endpoint are no attack here."""
SAID = re.compile(r"\ben/\d")
"""A sound file of a digit."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Offhook]:
    """One server for this file."""
    async with Offhook(tmp_path_factory.mktemp("numbers"), CROWD) as one:
        yield one
    check_log(one)


@pytest_asyncio.fixture(loop_scope="module")
async def carrier(server: Offhook, tmp_path: Path) -> AsyncIterator[Carrier]:
    """A carrier whose calls go to the server."""
    async with Carrier(tmp_path, server.sip) as one:
        yield one


async def made(server: Offhook, path: str, body: dict[str, Any], verb: str = "POST") -> dict[str, Any]:
    answer = await server.http.request(verb, path, json=body)
    assert answer.is_success, answer.text
    return dict(answer.json())


async def trunk_to(server: Offhook, carrier: Carrier, **fields: Any) -> str:
    """A trunk to the carrier; its id."""
    target = [{"uri": f"sip:{ADDRESS}:{carrier.port}"}]
    body = {"name": f"to {carrier.port}", "targets": target, "allowed_prefixes": ["+1"], "username": "line1",
            "password": "zanzibar", **WAITED_FOR, "health": {"options_interval": 0}, **fields}  # fmt: skip
    return str((await made(server, TRUNKS, body))["id"])


async def gateway_to(server: Offhook, place: str) -> str:
    return str((await made(server, GATEWAYS, {"name": "pbx", "uri": f"sip:reception@{place}"}))["id"])


async def drop(server: Offhook, *paths: str) -> None:
    for path in paths:
        assert (await server.http.delete(path)).status_code == 204, path


async def live_call(server: Offhook) -> dict[str, Any]:
    """The one call once somebody talks."""
    async with asyncio.timeout(PATIENCE):
        while not (calls := [one for one in await server.calls() if one["state"] == "talking"]):
            await asyncio.sleep(0.1)  # the API is asked, as a dashboard asks
    return await server.call(calls[0]["call_ref"])


async def hung_up(server: Offhook, call: dict[str, Any]) -> None:
    """The call is ended by the API."""
    assert (await server.http.delete(f"/api/offhook/calls/{call['call_ref']}")).status_code == 204


async def test_a_number_leads_to_a_gateway_and_its_trunk_drains(server: Offhook, carrier: Carrier) -> None:
    trunk = await trunk_to(server, carrier)
    place, desk = await carrier.desk()
    gateway = await gateway_to(server, place)
    number = (await made(server, IMPORTED, {"number": OURS}))["id"]
    await made(server, f"/api/fabric/resources/{gateway}/phone_routes", {"phone_route_id": number})
    caller = await carrier.call_in(OURS)
    call = await live_call(server)
    assert (call["direction"], call["from"], [leg["state"] for leg in call["legs"]]) == (
        "inbound", FAR, ["answered", "answered"],
    )  # fmt: skip
    row = (await server.http.get(f"{NUMBERS}/{number}")).json()
    assert (row["call_handler"], row["offhook"]["trunk_id"]) == ("sip_gateway", trunk), "1. who delivered it last"
    assert (await server.http.delete(f"{TRUNKS}/{trunk}")).json()["code"] == "trunk_in_use", "2. 409"
    assert (await server.http.delete(f"{TRUNKS}/{trunk}?drain=true")).status_code == 204
    drains = (await server.http.get(f"{TRUNKS}/{trunk}")).json()
    assert (drains["draining"], drains["status"]["state"]) == (True, "disabled"), "3. still there, without new calls"
    assert len(await server.calls()) == 1, "4. the call goes on"
    await hung_up(server, call)
    await caller.done()
    await desk.done()
    async with asyncio.timeout(PATIENCE):
        while (await server.http.get(f"{TRUNKS}/{trunk}")).status_code != 404:
            await asyncio.sleep(0.2)  # gone after its last call: nothing else tells of it
    await drop(server, f"{NUMBERS}/{number}", f"{GATEWAYS}/{gateway}")


async def test_a_trunk_s_test_places_a_call_of_ten_seconds(server: Offhook, carrier: Carrier) -> None:
    trunk = await trunk_to(server, carrier)
    telephone = await carrier.telephone()
    tested = (await server.http.post(f"{TRUNKS}/{trunk}/test", json={"to": FAR})).json()
    assert [(step["name"], step["ok"], step["sip_code"]) for step in tested["steps"]] == [
        ("dns", True, None), ("connect", True, None), ("options", True, 200), ("call", True, 200),
    ], tested  # fmt: skip
    assert tested["ok"] is True
    assert tested["steps"][3]["ms"] > 9000, "the telephone was talked to"
    await telephone.done()
    refused = (await server.http.post(f"{TRUNKS}/{trunk}/test", json={"to": "+15550000403"})).json()
    step = refused["steps"][-1]
    assert (refused["ok"], step["sip_code"], step["code"]) == (False, 403, "trunk_rejected")
    assert "Account Suspended" in step["text"]
    assert step["remedy"]
    await drop(server, f"{TRUNKS}/{trunk}")


async def test_a_silent_trunk_is_left_for_the_next_after_its_four_seconds(
    server: Offhook, carrier: Carrier, tmp_path: Path
) -> None:
    """The sound is checked both ways by `call_out`; when each carrier was called stands in the trace."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as deaf:
        deaf.bind((ADDRESS, 0))
        silent = [{"uri": f"sip:{ADDRESS}:{deaf.getsockname()[1]}"}]
        first = await trunk_to(
            server, carrier, name="silent", targets=silent, priority=1, failover={"timeout_ms": 4000}
        )
        second = await trunk_to(server, carrier, priority=2)
        ref = await call_out(server, carrier, tmp_path)
        call = await server.call(ref)
        ends = {leg["trunk_id"]: leg["end_code"] for leg in call["legs"] if leg["trunk_id"]}
        assert (ends[first], ends[second] == "trunk_timeout") == ("trunk_timeout", False), call
        trace = (await server.http.get(f"/api/offhook/calls/{ref}/trace")).json()["data"]
        out = [one for one in trace if one["direction"] == "out" and one["summary"].startswith("INVITE")]
        times = {one["leg_ref"]: datetime.fromisoformat(one["at"]) for one in reversed(out)}
        began, went_on = sorted(times.values())[-2:]
        assert 3.5 < (went_on - began).total_seconds() < 30, "failover.timeout_ms, not the 32 s of a transaction"
        await drop(server, f"{TRUNKS}/{first}", f"{TRUNKS}/{second}")


async def test_a_browser_and_a_telephone_hear_each_other(server: Offhook, carrier: Carrier, tmp_path: Path) -> None:
    """By a number and a trunk that were made by the API; each side's own tone is measured at the other."""
    trunk = await trunk_to(server, carrier)
    async with ear(tmp_path, TONE) as far, Browser("chromium", tmp_path, tone=1000) as browser:
        telephone = await carrier.telephone("callee_ear", "-key", "ear_port", str(far.port))
        alice = await signed_in(browser, server, "alice")
        await alice.call(server.uri(FAR))
        await alice.expect("confirmed")
        await alice.hears(TONE)  # 1. the telephone's tone in the browser
        await far.hears(1000)  # 2. the browser's tone in the telephone
        await alice.hang_up()
        await telephone.done()
    await drop(server, f"{TRUNKS}/{trunk}")


async def test_a_stranger_calls_an_application_if_its_list_lets_him(server: Offhook, carrier: Carrier) -> None:
    place, desk = await carrier.desk()
    gateway = await gateway_to(server, place)
    path = "/api/relay/rest/domain_applications"
    body = {"identifier": "sales", "ip_auth_enabled": True, "ip_auth": ["192.0.2.0/24"]}
    application = await made(server, path, body)
    assert application["offhook"]["uri"] == f"sip:sales@{DOMAIN}"
    await made(
        server, f"/api/fabric/resources/{gateway}/domain_applications", {"domain_application_id": application["id"]}
    )
    caller = await carrier.call_in("sales", 2)
    with pytest.raises(AssertionError):
        await caller.done()
    assert "403" in caller.messages()
    assert f"{ADDRESS} is not in ip_auth of sales" in caller.messages(), "1. the address seen is named"
    told = (await server.http.get("/api/offhook/events", params={"types": "security.*", "wait": 30})).json()["data"]
    # Once more for each time that it came, where the answer was late.
    assert {(one["type"], one["data"]["code"], one["data"]["source"]) for one in told} == {
        ("security.source_refused", "source_not_allowed", ADDRESS)
    }, "2. and whoever listens hears of it"
    assert re.search(
        r'offhook_sip_refused_total\{code="source_not_allowed"\} [1-9]', (await server.http.get("/metrics")).text
    )
    await made(server, f"{path}/{application['id']}", {"ip_auth": [f"{ADDRESS}/32"]}, "PUT")
    caller = await carrier.call_in("sales")
    call = await live_call(server)
    assert (call["from"], call["direction"]) == (FAR, "inbound")
    await hung_up(server, call)
    await desk.done()
    await caller.stop()  # the edge lets no BYE to it: who has no trunk proves nothing
    await server.until_idle()
    await drop(server, f"{path}/{application['id']}", f"{GATEWAYS}/{gateway}")
    caller = await carrier.call_in("sales", 1)
    with pytest.raises(AssertionError):
        await caller.done(3)
    assert "200 OK" not in caller.messages(), "3. it is gone"


async def test_a_verification_call_reads_a_code_that_stands_nowhere(server: Offhook, carrier: Carrier) -> None:
    trunk = await trunk_to(server, carrier)
    number = (await made(server, IMPORTED, {"number": OURS}))["id"]
    caller_ids = "/api/relay/rest/verified_caller_ids"
    id_ = (await made(server, caller_ids, {"number": FAR}))["id"]
    telephone = await carrier.telephone()
    row = await made(server, f"{caller_ids}/{id_}/verification", {})
    assert row["status"] == "Awaiting Verification"
    call = await live_call(server)
    assert (call["from"], call["to"]) == (OURS, FAR)
    far = next(leg for leg in call["legs"] if leg["state"] == "answered")
    async with asyncio.timeout(PATIENCE):
        while far["quality"]["packets_out"] < 100:
            await asyncio.sleep(0.3)  # the API is asked, as a dashboard asks
            far = next(leg for leg in (await server.call(call["call_ref"]))["legs"] if leg["state"] == "answered")
    ended = await server.http.post("/api/calling/calls", json={"command": "calling.end", "id": far["leg_ref"]})
    assert ended.status_code == 404, "1. who asks for the code cannot take the call over"
    trace = (await server.http.get(f"/api/offhook/calls/{call['call_ref']}/trace")).text
    assert not SAID.search(trace), "2. nor read what was said"
    wrong = await server.http.put(f"{caller_ids}/{id_}/verification", json={"verification_code": "nothing"})
    assert wrong.status_code == 422
    assert (await server.http.post(f"{caller_ids}/{id_}/verification")).status_code == 429, "3. once a minute"
    await telephone.done()
    await server.until_idle()
    assert not SAID.search(server.log()), "4. nor does it stand in the log"
    await drop(server, f"{caller_ids}/{id_}", f"{NUMBERS}/{number}", f"{TRUNKS}/{trunk}")


async def test_of_a_hundred_calls_at_once_none_is_over_the_trunk_s_channels(server: Offhook, carrier: Carrier) -> None:
    channels, calls = 7, 100
    trunk = await trunk_to(server, carrier, max_channels=channels, max_calls_per_second=1000)
    alice = (await server.http.get("/api/relay/rest/endpoints/sip?filter_username=alice")).json()["data"][0]["id"]
    await made(server, f"/api/relay/rest/endpoints/sip/{alice}", {"offhook": {"max_calls": calls}}, "PATCH")
    await carrier.telephone("callee", "-m", str(calls))
    phones = [PlainPhone("alice", server.passwords["alice"], server.domain, server.sip) for _ in range(calls)]
    answers = await asyncio.gather(*(phone.invite(FAR) for phone in phones))
    up = [one for one in answers if one.startswith("SIP/2.0 200")]
    full = [one for one in answers if one.startswith("SIP/2.0 502") and "trunk-full" in one]
    assert (len(up), len(full)) == (channels, calls - channels), [one.splitlines()[0] for one in answers]
    assert carrier.counted("proved INVITE") == channels, "no other came to the carrier, not even for a moment"
    status = (await server.http.get(f"{TRUNKS}/{trunk}")).json()["status"]
    assert status["channels"] == {"in": 0, "out": channels}
    for call in await server.calls():
        assert (await server.http.delete(f"/api/offhook/calls/{call['call_ref']}")).status_code == 204
    for phone in phones:
        phone.close()
    await server.until_idle()
    await drop(server, f"{TRUNKS}/{trunk}")
