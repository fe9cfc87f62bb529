"""Calls that the REST API places and steers, with foreign phones, a carrier and documents of a web server; every webhook is
checked by the validators of both official SDKs."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
from signalwire.core.security.webhook_validator import validate_webhook_signature
from signalwire.rest import RestClient
from twilio.request_validator import RequestValidator

from interop.conftest import ServerMaker
from interop.support.baresip import Baresip
from interop.support.kamailio import ADDRESS, Carrier
from interop.support.server import Offhook
from interop.test_trunks import NUMBER, OURS, make_number, make_trunk
from tests.support.patience import PATIENCE
from tests.support.receiver import Got, Receiver

EVERY = ["queued", "initiated", "created", "ringing", "answered", "ending", "ended"]
CONNECT = b"sections:\n  main:\n    - answer\n    - connect: {to: carol, timeout: 20}\n"


async def signing_key(server: Offhook) -> str:
    """A fresh one of the root project."""
    answer = await server.http.post(f"/api/projects/{server.project}/signing-key/rotate")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["signing_key"])


async def command(server: Offhook, name: str, id_: str = "", **params: Any) -> dict[str, Any]:
    """One command that is accepted; the leg."""
    body: dict[str, Any] = {"command": name, "params": params}
    if id_:
        body["id"] = id_
    answer = await server.http.post("/api/calling/calls", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def check(key: str, base: str, got: Got) -> None:
    """Signed as both official validators want it."""
    url, text = f"{base}{got.target}", got.body.decode()
    signature = got.headers["x-signalwire-signature"]
    if "json" in got.headers["content-type"]:
        assert validate_webhook_signature(key, signature, url, text), "the SDK's validator"
        return
    form = dict(parse_qsl(text, keep_blank_values=True))
    assert "" not in form.values(), "a field without a value is left out"
    assert len(form) == len(parse_qsl(text)), "each key once"
    assert RequestValidator(key).validate(url, form, got.headers["x-twilio-signature"]), "Twilio's validator"
    assert validate_webhook_signature(key, signature, url, text)


def told(receiver: Receiver, path: str) -> list[dict[str, Any]]:
    """JSON events at a path, in the order they came."""
    return [json.loads(one.body) for one in receiver.got if one.target == path]


async def until_told(receiver: Receiver, path: str, count: int) -> list[dict[str, Any]]:
    """Until that many have come there."""
    async with asyncio.timeout(PATIENCE):
        while len(told(receiver, path)) < count:
            await receiver.wait(len(receiver.got) + 1)
    return told(receiver, path)


async def test_a_phone_is_dialled_and_its_document_connects_it(server: Offhook, tmp_path: Path) -> None:
    key = await signing_key(server)
    await server.add_endpoint("carol", "carols-password")
    async with (
        Receiver(pages={"/swml?x=ä": CONNECT, "/swml": CONNECT}) as receiver,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, tone=700) as bob,
        Baresip(tmp_path, "carol", "carols-password", server.domain, server.sip, tone=900) as carol,
    ):
        await bob.registered()
        await carol.registered()
        base = receiver.url("").rstrip("/")
        leg = await command(
            server, "dial", to="bob", **{"from": "alice"}, url=f"{base}/swml?x=1", status_url=f"{base}/status",
            status_events=EVERY, custom_variables={"ticket": "17"},
        )  # fmt: skip
        assert leg["status"] == "queued"
        assert leg["type"] in ("relay_sip_call", "relay_webrtc_call")
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await carol.expect("CALL_INCOMING")
        await carol.answer()
        await carol.expect("CALL_ESTABLISHED")
        # 1. the two hear each other
        await bob.hears(900)
        live = {one["direction"]: one for one in (await server.http.get("/api/calling/calls")).json()["data"]}
        assert live["outbound-api"]["id"] == leg["id"]
        assert live["outbound-dial"]["parent_id"] == leg["id"]
        # 2. a mute by command: the partner hears nothing, which is no fault and told as what it is; and then again
        await command(server, "calling.mute", leg["id"])
        await carol.hears_nothing()
        diagnosis = f"/api/offhook/calls/{(await server.calls())[0]['call_ref']}/diagnosis"
        async with asyncio.timeout(PATIENCE):
            while ("silence_expected", "to_device", "muted") not in (
                found := [
                    (one["code"], one["direction"], one["evidence"]["verdict"])
                    for one in (await server.http.get(diagnosis)).json()["findings"]
                ]
            ):
                await asyncio.sleep(0.1)  # the API is asked, as a dashboard asks
        assert not {"no_media_to_device", "media_stopped", "microphone_silent"} & {code for code, _, _ in found}
        await command(server, "calling.unmute", leg["id"])
        await carol.hears(700)
        await command(server, "calling.user_event", leg["id"], event={"hello": 1})
        await command(server, "calling.end", leg["id"])
        await carol.expect("CALL_CLOSED")
        events = await until_told(receiver, "/status", 8)
        # 3. every state came, once, in order, the user's event among them
        states = [one["params"].get("call_state") for one in events if one["event_type"] == "calling.call.state"]
        assert states == EVERY
        assert events[-1]["params"]["end_reason"] == "hangup"
        assert events[-1]["offhook"]["end_code"] == "api_hangup"
        assert events[-1]["offhook"]["quality"]["mos"] >= 1
        assert [one["offhook"]["sequence"] for one in events] == list(range(1, 9))
        asked = json.loads(next(one.body for one in receiver.got if one.target == "/swml?x=1"))
        assert asked["call"]["call_id"] == leg["id"]
        assert asked["envs"] == {"ticket": "17"}
        for one in receiver.got:
            check(key, base, one)
        # 4. the leg is there after its end, and so is its row
        assert (await server.http.get(f"/api/calling/calls/{leg['id']}")).json()["status"] == "completed"
        row = await logged(server, leg["id"])
        assert (row["direction"], row["status"], row["offhook"]["ended_by"]) == ("outbound-api", "completed", "api")
        assert row["offhook"]["codec"] == "PCMU"
        assert row["offhook"]["setup_ms"] > 0
        async with asyncio.timeout(PATIENCE):
            while "call.ended" not in (names := await names_of_events(server, leg["id"])):
                await asyncio.sleep(0.1)  # they are written behind the call
        assert names[0] == "call.created"
        await logged(server, live["outbound-dial"]["id"])
        found = (await server.http.get("/api/voice/logs?direction=outbound-dial&to=carol&min_mos=1")).json()["data"]
        assert [one["parent_id"] for one in found] == [leg["id"]]


async def names_of_events(server: Offhook, id_: str) -> list[str]:
    """What happened to a leg, as far as it is written."""
    return [one["name"] for one in (await server.http.get(f"/api/voice/logs/{id_}/events")).json()["data"]]


async def logged(server: Offhook, id_: str) -> dict[str, Any]:
    """A row of the log, once it is written."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await server.http.get(f"/api/voice/logs/{id_}")).status_code != 200:
            await asyncio.sleep(0.1)  # rows are written behind the call
    return dict(answer.json())


async def test_ringback_is_that_of_the_project_s_country(server: Offhook, tmp_path: Path) -> None:
    await server.add_endpoint("carol", "carols-password")
    answer = await server.http.put("/api/relay/rest/sip_profile", json={"offhook": {"country": "DE"}})
    assert answer.status_code == 201, answer.text
    async with (
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as bob,
        Baresip(tmp_path, "carol", "carols-password", server.domain, server.sip) as carol,
    ):
        await bob.registered()
        await carol.registered()
        leg = await command(server, "dial", to="bob", **{"from": "alice"}, swml=CONNECT.decode())
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await carol.expect("CALL_INCOMING")
        # A second of 425 Hz every five; in North America it would be 440 and 480.
        async with asyncio.timeout(PATIENCE):
            while abs((await bob.heard_now(5)).frequency - 425) > 5:
                pass
        await command(server, "calling.end", leg["id"])
        await carol.expect("CALL_CLOSED")


async def test_the_sdk_dials_through_a_trunk_and_transfers(server: Offhook, tmp_path: Path, monkeypatch: Any) -> None:
    async with (
        Carrier(tmp_path, "127.0.0.1:9") as carrier,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip, tone=700) as bob,
    ):
        await bob.registered()
        await make_number(server, OURS, "alice")
        await make_trunk(server, targets=[{"uri": f"sip:{ADDRESS}:{carrier.port}"}])
        telephone = await carrier.telephone()
        client = RestClient(project=server.project, token=server.token, host=server.http_url.split("//")[1].rstrip("/"))
        swml = {"version": "1.0.0", "sections": {"main": ["answer", {"connect": {"to": "music"}}]}}
        leg = await asyncio.to_thread(
            lambda: client.calling.dial(from_=OURS, to=NUMBER, swml=swml, caller_id="Acme")  # type: ignore[arg-type]
        )
        id_ = str(leg["id"])
        async with asyncio.timeout(PATIENCE):
            while (await server.http.get(f"/api/calling/calls/{id_}")).json()["status"] != "answered":
                await asyncio.sleep(0.1)  # the API is asked, as a program asks
        await asyncio.to_thread(lambda: client.calling.transfer(id_, dest="bob"))
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await bob.expect("CALL_ESTABLISHED")
        async with asyncio.timeout(PATIENCE):
            while not (await bob.heard_now()).frequency:
                pass
        await asyncio.to_thread(lambda: client.calling.end(id_, reason="hangup"))
        await bob.expect("CALL_CLOSED")
        await telephone.done()
        row = await logged(server, id_)
        assert (row["type"], row["to"], row["from"]) == ("relay_pstn_call", NUMBER, OURS)


async def test_a_number_runs_cxml_and_its_callbacks_are_valid_forms(serve: ServerMaker, tmp_path: Path) -> None:
    async with serve() as server, Receiver() as receiver, Carrier(tmp_path, server.sip) as carrier:
        key = await signing_key(server)
        base = receiver.url("").rstrip("/")
        receiver.pages["/cxml"] = (
            f'<?xml version="1.0" encoding="UTF-8"?><Response><Dial answerOnBridge="true" action="{base}/after">'
            f'<Client statusCallback="{base}/noun" statusCallbackEvent="initiated ringing answered completed">bob'
            "</Client></Dial></Response>"
        ).encode()
        receiver.pages["/after"] = b"<Response><Hangup/></Response>"
        await make_trunk(server, targets=[{"uri": f"sip:{ADDRESS}:{carrier.port}"}])
        body = {
            "number": OURS, "call_handler": "laml_webhooks", "call_request_url": f"{base}/cxml?ä=ö",
            "call_status_callback_url": f"{base}/number?a=b", "offhook": {"status_events": ["initiated", "completed"]},
        }  # fmt: skip
        made = await server.http.post("/api/relay/rest/imported_phone_numbers", json=body)
        assert made.status_code == 201, made.text
        async with Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as bob:
            await bob.registered()
            telephone = await carrier.call_in(OURS, 4)
            await bob.expect("CALL_INCOMING")
            await bob.answer()
            await bob.expect("CALL_CLOSED")
            await telephone.done()
            await receiver.wait(7)
        for one in receiver.got:
            check(key, base, one)
        forms = [(one.target.partition("?")[0], dict(parse_qsl(one.body.decode()))) for one in receiver.got]
        asked = next(form for path, form in forms if path == "/cxml")
        assert (asked["To"], asked["Direction"], asked["CallStatus"]) == (OURS, "inbound", "initiated")
        noun = [form["CallStatus"] for path, form in forms if path == "/noun"]
        assert noun == ["initiated", "ringing", "in-progress", "completed"]
        last = [form for path, form in forms if path == "/noun"][-1]
        assert last["ParentCallSid"] == asked["CallSid"]
        assert int(last["AudioInMediaPacketCount"]) > 0
        assert {*last} >= SOUND, SOUND - {*last}
        assert (last["AudioInAveragePtime"], last["CallbackSource"], last["SipResultCode"]) == (
            "20",
            "call-progress-events",
            "200",
        )
        number = [form["CallStatus"] for path, form in forms if path == "/number"]
        assert number == ["initiated", "completed"]
        assert [form["SequenceNumber"] for path, form in forms if path == "/number"] == ["0", "1"]


SOUND = {
    "AudioInMos", "AudioInMediaPacketCount", "AudioInSkipPacketCount", "AudioInFlushPacketCount", "AudioInJitterMinVariance",
    "AudioInJitterMaxVariance", "AudioInLargestJbSize", "AudioInAveragePtime", "AudioInDtmfPacketCount",
    "AudioOutMediaPacketCount", "AudioOutDtmfPacketCount", "CallDuration", "SipInviteResultPhrase", "OffhookEndCode",
    "Timestamp",
}  # fmt: skip
SWML = {"sections": {"main": ["answer"]}}
GOOD: dict[str, Any] = {"to": "bob", "from": "alice", "swml": SWML}
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({**GOOD, "to": ""}, "to", "missing_required_parameter"),
    ({**GOOD, "from": None}, "from", "missing_required_parameter"),
    ({**GOOD, "to": "sip:"}, "to", "invalid_sip_destination"),
    ({**GOOD, "to": "nobody"}, "to", "destination_unknown"),
    ({**GOOD, "to": "echo"}, "to", "destination_unknown"),
    (GOOD, "to", "not_registered"),
    ({**GOOD, "to": "+14155550123", "from": OURS}, "to", "not_routable"),
    ({**GOOD, "to": "+19"}, "to", "invalid_pstn_destination"),
    ({**GOOD, "to_script": "x"}, "to_script", "feature_not_available"),
    ({**GOOD, "url": "http://example.com/"}, "url", "inline_swml_or_swml_webhook_required"),
    ({"to": "bob", "from": "alice"}, "url", "inline_swml_or_swml_webhook_required"),
    ({"to": "bob", "from": "alice", "url": "ftp://x/"}, "url", "not_an_http_url"),
    ({"to": "bob", "from": "alice", "url": "http://169.254.169.254/"}, "url", "url_is_unsafe"),
    ({**GOOD, "status_url": "http://10.0.0.1/"}, "status_url", "url_is_unsafe"),
    ({**GOOD, "status_events": ["ended", "often"]}, "status_events", "list_contains_invalid_entries"),
    ({**GOOD, "swml": {"sections": {"main": [{"play": {}}]}}}, "swml", "document_verb_unsupported"),
    ({**GOOD, "swml": "["}, "swml", "document_invalid"),
    ({**GOOD, "codecs": "MP3"}, "codecs", "invalid_codecs_format"),
    ({**GOOD, "timeout": 601}, "timeout", "invalid_parameter"),
    ({**GOOD, "send_digits": "12x"}, "send_digits", "invalid_parameter"),
    (
        {**GOOD, "custom_variables": {f"v{at}": "1" for at in range(21)}},
        "custom_variables",
        "too_many_custom_variables",
    ),
    ({**GOOD, "custom_variables": {"1v": "1"}}, "custom_variables", "invalid_custom_variable_name"),
    ({**GOOD, "custom_variables": {"sw_a": "1"}}, "custom_variables", "reserved_custom_variable_name"),
    ({**GOOD, "custom_variables": {"a": ""}}, "custom_variables", "invalid_custom_variable_value"),
    ({**GOOD, "offhook": {"headers": {"Via": "x"}}}, "offhook.headers", "invalid_header_name"),
    ({**GOOD, "offhook": {"headers": {"X-A": "a\r\nVia: b"}}}, "offhook.headers", "invalid_header_value"),
]
COMMANDS: list[tuple[dict[str, Any], int, str]] = [
    ({"command": "calling.nope", "id": "x"}, 422, "invalid_command_attempted"),
    ({"command": "calling.end"}, 422, "missing_required_parameter"),
    ({"command": "calling.end", "id": "x"}, 404, "call_not_found"),
    ({"command": "calling.play", "id": "x"}, 404, "call_not_found"),
    ({"command": "update", "params": {"id": "x", "status": "completed"}}, 404, "call_not_found"),
    ({}, 422, "missing_required_parameter"),
    ({"command": "dial", "params": []}, 422, "invalid_parameter"),
]


async def test_what_is_known_beforehand_is_refused_with_its_code(server: Offhook, tmp_path: Path) -> None:
    await make_trunk(server, targets=[{"uri": "sip:127.0.0.9"}], allowed_prefixes=["+44"])
    for params, field, code in REFUSED:
        answer = await server.http.post("/api/calling/calls", json={"command": "dial", "params": params})
        assert answer.status_code == 422, (params, answer.text)
        faults = [(one["attribute"], one["code"]) for one in answer.json()["errors"]]
        assert (field, code) in faults, (params, faults)
    for body, status, code in COMMANDS:
        answer = await server.http.post("/api/calling/calls", json=body)
        said = answer.json()
        assert (answer.status_code, said.get("code") or said["errors"][0]["code"]) == (status, code), body
    for query in ("created_on=2026-13-01", "created_after=soon", "min_mos=nan", "direction=up", "page_token=PAx"):
        assert (await server.http.get(f"/api/voice/logs?{query}")).status_code == 422, query
    for path in ("/api/voice/logs?created_on=9999-12-31", "/api/voice/logs?from=%00&to=%25_"):
        assert (await server.http.get(path)).json()["data"] == [], path
    for path in ("/api/voice/logs/%00", "/api/calling/calls/%00", f"/api/voice/logs/{'9' * 400}/events"):
        assert (await server.http.get(path)).status_code == 404, path
    # Numbers that are not ours are not shown, and calls to our own that lead nowhere are not placed.
    answer = await server.http.post(
        "/api/calling/calls", json={"command": "dial", "params": {**GOOD, "to": "+441632960961", "from": OURS}}
    )
    assert answer.json()["errors"][0]["code"] == "not_purchased_or_verified"
    async with Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as bob:
        await bob.registered()
        leg = await command(server, "dial", **GOOD)
        await bob.expect("CALL_INCOMING")
        early = [("calling.hold", {}), ("calling.disconnect", {}), ("calling.send_digits", {"digits": "1"})]
        for name, given in early:
            answer = await server.http.post(
                "/api/calling/calls", json={"command": name, "id": leg["id"], "params": given}
            )
            assert answer.json()["errors"][0]["code"] == "invalid_state", name
        answer = await server.http.post(
            "/api/calling/calls", json={"command": "update", "params": {"id": leg["id"], "status": "completed"}}
        )
        assert answer.json()["errors"][0]["code"] == "cannot_redirect_not_in_progress"
        answer = await server.http.post(
            "/api/calling/calls", json={"command": "update", "params": {"id": leg["id"], "status": "canceled"}}
        )
        assert answer.status_code == 200, answer.text
        await bob.expect("CALL_CLOSED")
        answer = await server.http.post(
            "/api/calling/calls", json={"command": "update", "params": {"id": leg["id"], "status": "completed"}}
        )
        assert answer.json()["errors"][0]["code"] == "cannot_update_completed"


async def test_calls_beyond_the_pace_wait_and_beyond_the_backlog_are_refused(
    serve: ServerMaker, tmp_path: Path
) -> None:
    # The second call would be placed ten minutes after the first.
    settings = {"OFFHOOK_LIMITS_DIAL_PER_SECOND": "0.00166", "OFFHOOK_LIMITS_DIAL_BACKLOG": "1"}
    async with (
        serve(**settings) as server,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as bob,
    ):
        await bob.registered()
        first, second = [await command(server, "dial", **GOOD) for _ in range(2)]
        await bob.expect("CALL_INCOMING")
        answer = await server.http.post("/api/calling/calls", json={"command": "dial", "params": GOOD})
        assert (answer.status_code, answer.json()["code"]) == (429, "max_queued_calls_exceeded")
        assert answer.headers["retry-after"].isdigit()
        listed = {one["id"]: one["status"] for one in (await server.http.get("/api/calling/calls")).json()["data"]}
        assert listed[second["id"]] == "queued"
        assert listed[first["id"]] in ("created", "ringing")
        # One that waits can be ended before it was ever placed.
        await server.http.post("/api/calling/calls", json={"command": "calling.end", "id": second["id"]})
        assert (await server.http.get(f"/api/calling/calls/{second['id']}")).status_code == 404
        await command(server, "calling.end", first["id"])


async def test_a_call_ends_at_the_limit_and_the_sdk_pages_through_the_log(serve: ServerMaker, tmp_path: Path) -> None:
    async with (
        serve(OFFHOOK_LIMITS_CALL_SECONDS="2") as server,
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as bob,
    ):
        await bob.registered()
        swml = {"sections": {"main": ["answer", {"connect": {"to": "music"}}]}}
        refs = []
        for _ in range(3):
            leg = await command(server, "dial", to="bob", **{"from": "alice"}, swml=swml)
            refs.append(leg["id"])
            await bob.expect("CALL_INCOMING")
            await bob.answer()
            await bob.expect("CALL_CLOSED")
        rows = [await logged(server, ref) for ref in refs]
        assert [row["offhook"]["end_code"] for row in rows] == ["max_duration"] * 3
        assert [row["offhook"]["ended_by"] for row in rows] == ["server"] * 3
        client = RestClient(project=server.project, token=server.token, host=server.http_url.split("//")[1].rstrip("/"))
        paged = await asyncio.to_thread(lambda: [one["id"] for one in client.logs.voice.paginate(page_size=2)])
        assert paged == refs[::-1]
        # Details are there after a restart, with a sample or none, by any id of the call.
        await server.stop()
        await server.start()
        call = (await server.http.get(f"/api/offhook/calls/{refs[0]}")).json()
        assert (call["call_ref"], call["end_code"]) == (refs[0], "max_duration")
        assert (await server.http.get(f"/api/offhook/calls/{refs[0]}/quality")).status_code == 200
        assert (await server.http.get(f"/api/calling/calls/{refs[0]}")).json()["status"] == "completed"


async def test_a_page_reports_on_calls_of_its_endpoint_alone(server: Offhook, tmp_path: Path) -> None:
    async with (
        Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as bob,
        httpx.AsyncClient(base_url=server.http_url.rstrip("/"), timeout=PATIENCE, trust_env=False) as page,
    ):
        await bob.registered()
        swml = {"sections": {"main": ["answer", {"connect": {"to": "music"}}]}}
        leg = await command(server, "dial", to="bob", **{"from": "alice"}, swml=swml)
        await bob.expect("CALL_INCOMING")
        await bob.answer()
        await bob.expect("CALL_ESTABLISHED")
        path = f"/api/offhook/calls/{leg['id']}/client_reports"
        tokens = {}
        for name in ("alice", "bob"):
            made = await server.http.post("/api/offhook/provision", json={"endpoint": name})
            tokens[name] = {"Authorization": f"Bearer {made.json()['token']['value']}"}
        warning = {"kind": "warning", "code": "playback_blocked", "stats": {"frames_late": 12}}
        # 1. only who takes part may report, and only with a token
        assert (await page.post(path, json=warning)).status_code == 401
        assert (await page.post(path, json=warning, headers=tokens["alice"])).status_code == 404
        assert (await page.post(path, json=warning, headers=tokens["bob"])).status_code == 202
        # 2. what only the page can know is a finding, which a sample ends
        call = await server.call(leg["id"])
        assert "playback_blocked" in call["findings"]
        assert call["client_reports"][0]["stats"] == {"frames_late": 12}
        over = {"kind": "sample", "code": "playback_blocked"}
        assert (await page.post(path, json=over, headers=tokens["bob"])).status_code == 202
        assert "playback_blocked" not in (await server.call(leg["id"]))["findings"]
        # 3. every fault of a report is named
        odd = {"kind": "odd", "rating": 9, "stats": {"a": "b"}, "code": "nonsense", "more": 1}
        refused = await page.post(path, json=odd, headers=tokens["bob"])
        assert [one["attribute"] for one in refused.json()["errors"]] == ["more", "kind", "stats", "code", "rating"]
        long = await page.post(path, json={"kind": "sample", "stats": {101 * "x": 1}}, headers=tokens["bob"])
        assert [one["attribute"] for one in long.json()["errors"]] == ["stats"]
        await command(server, "calling.end", leg["id"])
