"""A browser talks to the telephone network: Debian's Kamailio as the carrier's edge, SIPp as the telephone behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from interop.conftest import ServerMaker
from interop.support.browser import Browser
from interop.support.kamailio import ADDRESS, TONE, WAITED_FOR, Carrier
from interop.support.parties import signed_in
from interop.support.server import Offhook
from tests.support.dns_server import DnsServer
from tests.support.patience import PATIENCE

NUMBER, OURS = "+14155550123", "+15125550100"


async def make_trunk(server: Offhook, **fields: Any) -> dict[str, Any]:
    """A trunk by the API."""
    body = {"name": "acme", "allowed_prefixes": ["+1"], "username": "line1", "password": "zanzibar", **WAITED_FOR}
    body |= fields
    answer = await server.http.post("/api/offhook/trunks", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def make_number(server: Offhook, number: str, username: str) -> None:
    """A number that rings an endpoint."""
    rows = (await server.http.get(f"/api/relay/rest/endpoints/sip?filter_username={username}")).json()["data"]
    body = {"number": number, "call_handler": "relay_sip_endpoint", "call_sip_endpoint_id": rows[0]["id"]}
    answer = await server.http.post("/api/relay/rest/imported_phone_numbers", json=body)
    assert answer.status_code == 201, answer.text


async def until(
    server: Offhook, trunk: str, holds: Callable[[dict[str, Any]], bool], within: float = PATIENCE
) -> dict[str, Any]:
    """The trunk's status once `holds` is true of it."""
    status: dict[str, Any] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            while not holds(status := (await server.http.get(f"/api/offhook/trunks/{trunk}")).json()["status"]):
                await asyncio.sleep(0.1)  # the API is asked, as a dashboard asks
            return status
    raise AssertionError(f"not within {within} s: {status}")


@asynccontextmanager
async def named(
    serve: ServerMaker, tmp_path: Path, *zone: str, tls: bool = False
) -> AsyncIterator[tuple[Offhook, Carrier]]:
    """A server whose DNS knows the carrier by name; `{port}` and `{tls}` in the zone are the edge's."""
    async with DnsServer() as dns, Carrier(tmp_path, "127.0.0.1:9", tls=tls) as carrier:
        dns.zone(*(line.format(port=carrier.port, tls=carrier.tls_port) for line in zone))
        settings = {"OFFHOOK_SIP_DNS_SERVERS": dns.address}
        if tls:
            settings["OFFHOOK_SIP_TLS_AUTHORITIES"] = str(carrier.certificate)
        async with serve(**settings) as server:
            yield server, carrier


def far(call: dict[str, Any]) -> list[dict[str, Any]]:
    """Legs of a call that a carrier has answered."""
    return [leg for leg in call["legs"] if leg["trunk_id"] and leg["state"] == "answered"]


async def call_out(server: Offhook, carrier: Carrier, tmp_path: Path) -> str:
    """A browser calls a number, hears the telephone's tone and hangs up; the call's ref."""
    telephone = await carrier.telephone()
    async with Browser("chromium", tmp_path, tone=1000) as browser:
        alice = await signed_in(browser, server, "alice")
        await alice.call(server.uri(NUMBER))
        await alice.expect("confirmed")
        await alice.hears(TONE)
        ref = str((await server.calls())[0]["call_ref"])
        # The telephone gets the browser's sound.
        await server.until(ref, lambda call: any(leg["quality"]["packets_out"] > 100 for leg in far(call)))
        await alice.hang_up()
        await telephone.done()
    return ref


async def test_a_browser_calls_out_with_digest_on_invite_and_bye(server: Offhook, tmp_path: Path) -> None:
    async with Carrier(tmp_path, "127.0.0.1:9") as carrier:
        await make_number(server, OURS, "alice")
        trunk = await make_trunk(server, targets=[{"uri": f"sip:{ADDRESS}:{carrier.port}"}])
        status = await until(server, trunk["id"], lambda one: one["state"] == "up")
        assert status["targets"][0]["rtt_ms"] is not None, "OPTIONS is answered"
        ref = await call_out(server, carrier, tmp_path)
        call = await server.call(ref)
        assert (call["direction"], call["from"], call["to"], call["end_code"]) == (
            "outbound",
            "alice",
            NUMBER,
            "hangup",
        )
        assert carrier.counted("challenge INVITE") == 1, "asked once"
        assert carrier.counted("proved INVITE") == 1
        assert carrier.counted("challenge BYE") == 0, "the nonce is used on, with nc one higher, as Kamailio checks"
        assert carrier.counted("proved BYE") == 1
        status = await until(server, trunk["id"], lambda one: one["channels"] == {"in": 0, "out": 0})
        day = status["last_24h"]
        assert (day["attempts"], day["answered"], day["answer_seizure_percent"]) == (1, 1, 100.0)
        assert day["post_dial_ms"] > 0
        assert 1 <= day["mos"] <= 5
        assert "zanzibar" not in server.log(), "the carrier's password stands nowhere"
        assert b"zanzibar" not in (server.data / "offhook.sqlite").read_bytes()


async def test_double_record_route_over_tcp_is_kept_and_used(serve: ServerMaker, tmp_path: Path) -> None:
    zone = ("carrier.test. 30 IN A 127.0.0.3",)
    async with named(serve, tmp_path, *zone) as (server, carrier):
        await make_trunk(server, targets=[{"uri": f"sip:carrier.test:{carrier.port}", "transport": "tcp"}])
        await call_out(server, carrier, tmp_path)
        assert carrier.counted("proved BYE") == 1
        # The telephone behind saw both Record-Routes of the edge: one for each transport.
        log = server.log()
        assert "r2=on" in log


async def test_double_record_route_over_tls_with_its_certificate_checked(serve: ServerMaker, tmp_path: Path) -> None:
    zone = ("carrier.test. 30 IN A 127.0.0.3",)
    async with named(serve, tmp_path, *zone, tls=True) as (server, carrier):
        trunk = await make_trunk(server, targets=[{"uri": f"sip:carrier.test:{carrier.tls_port}", "transport": "tls"}])
        await until(server, trunk["id"], lambda one: one["state"] == "up")
        await call_out(server, carrier, tmp_path)
        assert carrier.counted("proved BYE") == 1


async def test_a_certificate_of_another_name_is_refused_and_named(serve: ServerMaker, tmp_path: Path) -> None:
    zone = ("other.test. 30 IN A 127.0.0.3",)
    async with named(serve, tmp_path, *zone, tls=True) as (server, carrier):
        trunk = await make_trunk(server, targets=[{"uri": f"sip:other.test:{carrier.tls_port}", "transport": "tls"}])
        tested = (await server.http.post(f"/api/offhook/trunks/{trunk['id']}/test")).json()
        assert [(step["name"], step["ok"]) for step in tested["steps"]] == [("dns", True), ("connect", False)]
        assert tested["steps"][1]["code"] == "trunk_tls_failed"


async def test_srv_failover_to_the_second_server(serve: ServerMaker, tmp_path: Path) -> None:
    zone = (
        "_sip._udp.carrier.test. 30 IN SRV 10 10 {port} dead.carrier.test.",
        "_sip._udp.carrier.test. 30 IN SRV 20 10 {port} live.carrier.test.",
        "dead.carrier.test. 30 IN A 127.0.0.4",
        "live.carrier.test. 30 IN A 127.0.0.3",
    )
    async with named(serve, tmp_path, *zone) as (server, carrier):
        fields = {"health": {"options_interval": 0}, "failover": {"timeout_ms": 6000}}
        await make_trunk(server, targets=[{"uri": "sip:carrier.test", "transport": "udp"}], **fields)
        ref = await call_out(server, carrier, tmp_path)
        call = await server.call(ref)
        assert [leg["end_code"] for leg in call["legs"] if leg["role"] == "callee"].count("trunk_timeout") == 1


async def test_an_inbound_call_rings_the_browser_by_the_registered_line(server: Offhook, tmp_path: Path) -> None:
    async with Carrier(tmp_path, "127.0.0.1:9") as carrier:
        await make_number(server, OURS, "alice")
        numbers = {"called_from": "to"}
        target = [{"uri": f"sip:{ADDRESS}:{carrier.port}"}]
        trunk = await make_trunk(
            server, targets=target, register=True, expires=60, numbers=numbers, from_domain="carrier.test"
        )
        status = await until(server, trunk["id"], lambda one: one["registration"]["state"] == "registered")
        assert status["registration"]["sip_code"] == 200, "the edge asked for 120 s by 423 and for digest, and got both"
        async with Browser("chromium", tmp_path, tone=1000) as browser:
            alice = await signed_in(browser, server, "alice")
            # Long enough that the page has heard it, and then the telephone hangs up.
            caller = await carrier.call_in(OURS, 15)
            incoming = await alice.expect("incoming")
            assert NUMBER in str(incoming)
            await alice.answer()
            await alice.expect("confirmed")
            call = await server.call((await server.calls())[0]["call_ref"])
            assert (call["direction"], call["from"]) == ("inbound", NUMBER)
            await alice.hears(TONE, 1)
            assert (await alice.expect("ended"))["originator"] == "remote"
            await caller.done()


async def test_an_inbound_call_by_address_and_the_browser_hangs_up(server: Offhook, tmp_path: Path) -> None:
    async with Carrier(tmp_path, server.sip) as carrier:
        await make_number(server, OURS, "alice")
        await make_trunk(server, targets=[{"uri": f"sip:{ADDRESS}:{carrier.port}"}])
        async with Browser("chromium", tmp_path, tone=1000) as browser:
            alice = await signed_in(browser, server, "alice")
            await carrier.call_in(OURS, 60)
            await alice.expect("incoming")
            await alice.answer()
            await alice.expect("confirmed")
            await alice.hears(TONE)
            await alice.hang_up()
            await server.until_idle()
            # The edge challenges our BYE in a dialog that the carrier began.
            async with asyncio.timeout(PATIENCE):
                while not carrier.counted("proved BYE"):
                    await asyncio.sleep(0.1)  # the edge's log is the signal
            assert carrier.counted("challenge BYE") == 1


@pytest.mark.long
async def test_digest_on_a_reinvite_of_ours(server: Offhook, tmp_path: Path) -> None:
    """The session is refreshed by re-INVITE, because the telephone takes no UPDATE; the edge wants proof of that too."""
    async with Carrier(tmp_path, "127.0.0.1:9") as carrier, Browser("chromium", tmp_path) as browser:
        await make_trunk(server, targets=[{"uri": f"sip:{ADDRESS}:{carrier.port}"}])
        telephone = await carrier.telephone("callee_refreshed")
        alice = await signed_in(browser, server, "alice")
        await alice.call(server.uri(NUMBER))
        await alice.expect("confirmed")
        async with asyncio.timeout(PATIENCE):
            while carrier.counted("proved INVITE") < 2:
                await asyncio.sleep(0.2)  # the edge's log is the signal
        assert carrier.counted("challenge INVITE") == 1, "the re-INVITE carried its proof unasked"
        await alice.hears(TONE)  # the call goes on
        await alice.hang_up()
        await telephone.done()


async def test_words_of_the_carrier_and_of_a_wrong_password(server: Offhook, tmp_path: Path) -> None:
    async with Carrier(tmp_path, "127.0.0.1:9") as carrier, Browser("chromium", tmp_path) as browser:
        target = [{"uri": f"sip:{ADDRESS}:{carrier.port}"}]
        trunk = await make_trunk(server, targets=target, register=True, from_domain="carrier.test")
        alice = await signed_in(browser, server, "alice")
        for number, status, word in (
            ("+15550000403", 403, "Account Suspended"),
            ("+15550000503", 502, "trunk-rejected"),
        ):
            await alice.call(server.uri(number))
            failed = await alice.expect("failed")
            assert failed["status"] == status
            assert word in str(failed)
        # Its 503 says for how long it wants no calls.
        status = await until(server, trunk["id"], lambda one: one["code"] == "trunk_set_aside")
        assert (status["state"], status["targets"][0]["code"]) == ("degraded", "trunk_set_aside")
        patch = {"password": "wrong"}
        assert (await server.http.patch(f"/api/offhook/trunks/{trunk['id']}", json=patch)).status_code == 200
        status = await until(server, trunk["id"], lambda one: one["registration"]["state"] == "failed")
        assert (status["code"], status["registration"]["sip_code"]) == ("trunk_auth_failed", 401)
        await alice.call(server.uri(NUMBER))
        failed = await alice.expect("failed")
        assert failed["status"] == 502
        assert "trunk-auth-failed" in str(failed)


async def test_a_stranger_over_udp_hears_nothing(server: Offhook, tmp_path: Path) -> None:
    async with Carrier(tmp_path, server.sip) as carrier:
        await make_number(server, OURS, "alice")
        caller = await carrier.call_in(OURS, 1)
        await server.until_logged("source-not-allowed", "127.0.0.3 is not in inbound.allow of any trunk")
        with pytest.raises(AssertionError):
            await caller.done(3)
        assert "407" not in caller.messages()
