"""Every code of silence that a device can bring about, made by a foreign peer (API.md 15.2, item 7).

`diagnosis` names direction, cause and the engine's verdict. All the phones are wrong side by side, each in a call of its own
at one server.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from interop.conftest import DOMAIN, check_log
from interop.support.baresip import Baresip
from interop.support.faulty_phone import DTLS, ICE, SDES, FaultyPhone, OtherCertificate
from interop.support.plain_phone import SDP
from interop.support.server import Offhook
from offhook.calls.catalogue import CATALOGUE
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")
IN, OUT = "from_device", "to_device"
LINK_LOCAL = "c=IN IP4 169.254.1.1"
"""Nothing may be sent there (MEDIA.md rule 9.6)."""


class Fault(NamedTuple):
    """What `diagnosis` is to say, how the phone describes itself, what it does, and whom it calls."""

    code: str
    direction: str
    verdict: str
    description: str
    does: Callable[[Any], Coroutine[Any, Any, None]]
    target: str = "echo"


FAULTS = [
    Fault("no_media_from_device", IN, "no_packets", SDP, FaultyPhone.nothing),
    Fault("no_media_from_device", IN, "ice_no_checks", ICE, FaultyPhone.nothing),
    Fault("media_refused", IN, "bad_address", SDP.replace("c=IN IP4 127.0.0.1", LINK_LOCAL), FaultyPhone.speaks),
    Fault("media_stopped", IN, "stopped", SDP, FaultyPhone.stops),
    Fault("payload_type_unexpected", IN, "wrong_payload_type", SDP, FaultyPhone.other_payload_type),
    Fault("microphone_silent", IN, "digital_silence", SDP, FaultyPhone.no_sound),
    Fault("microphone_silent", IN, "comfort_noise_only", SDP.replace("AVP 0", "AVP 0 13"), FaultyPhone.comfort_noise),
    Fault("media_source_unexpected", IN, "source_refused", SDP, FaultyPhone.moves),
    Fault("no_media_to_device", OUT, "unreachable", SDP, FaultyPhone.closed_port, "music"),
    Fault("no_media_to_device", OUT, "not_acknowledged", SDP, FaultyPhone.hears_no_more),
    Fault("no_media_to_device", OUT, "no_address", ICE, FaultyPhone.nothing),
    Fault("silence_expected", IN, "on_hold", SDP + "a=recvonly\r\n", FaultyPhone.nothing),
    Fault("silence_expected", OUT, "on_hold", SDP + "a=sendonly\r\n", FaultyPhone.speaks),
    Fault("srtp_auth_failed", IN, "srtp_auth", SDES, FaultyPhone.wrong_key),
    Fault("srtp_keys_missing", OUT, "no_keys", DTLS, FaultyPhone.nothing),
    Fault("no_media_from_device", IN, "no_packets", DTLS, FaultyPhone.nothing),
    Fault("dtls_failed", IN, "dtls_no_hello", DTLS, FaultyPhone.speaks),
    Fault("dtls_fingerprint_mismatch", IN, "dtls_fingerprint", "", OtherCertificate.speaks),
    Fault("ice_failed", IN, "ice_not_selected", ICE, FaultyPhone.never_nominates),
    Fault("ice_credentials_stale", IN, "ice_bad_credentials", ICE, FaultyPhone.old_password),
    Fault("one_way_audio", IN, "no_media_from_device", SDP, FaultyPhone.nothing, "bob"),
    Fault("microphone_denied", IN, "client_report", SDP, FaultyPhone.speaks),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Offhook]:
    """One server for this file."""
    async with Offhook(tmp_path_factory.mktemp("faults"), {"OFFHOOK_DOMAIN": DOMAIN}) as one:
        rows = (await one.http.get("/api/relay/rest/endpoints/sip?filter_username=alice")).json()["data"]
        path = f"/api/relay/rest/endpoints/sip/{rows[0]['id']}"
        assert (await one.http.patch(path, json={"offhook": {"max_calls": 100}})).is_success
        yield one
    check_log(one)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls(server: Offhook, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[Fault, str]]:
    """The ref of each fault's call; all of them are under way."""
    where = server.domain, server.sip
    begun: dict[Fault, str] = {}
    async with AsyncExitStack() as stack:
        bob = await stack.enter_async_context(
            Baresip(tmp_path_factory.mktemp("bob"), "bob", server.passwords["bob"], *where)
        )
        await bob.registered()
        for fault in FAULTS:
            kind = FaultyPhone if fault.description else OtherCertificate
            phone = kind("alice", server.passwords["alice"], *where)
            stack.callback(phone.close)
            phone.description = fault.description
            calling = asyncio.create_task(phone.call(fault.target))
            if fault.target == "bob":
                await bob.expect("CALL_INCOMING")
                await bob.answer()
            await calling
            stack.push_async_callback(phone.hang_up)
            doing = asyncio.create_task(fault.does(phone))
            stack.push_async_callback(stopped, doing)
            [begun[fault]] = {one["call_ref"] for one in await server.calls()} - {*begun.values()}
        yield begun


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.code} {fault.verdict} {fault.direction}")
async def test_a_fault_is_named(server: Offhook, calls: dict[Fault, str], fault: Fault) -> None:
    ref = calls[fault]
    if fault.code == "microphone_denied":
        await server.http.post(f"/api/offhook/calls/{ref}/client_reports", json={"kind": "warning", "code": fault.code})
    told: dict[str, Any] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not (found := named(fault, told)):
                await asyncio.sleep(0.1)  # the API is asked, as a dashboard asks
                told = (await server.http.get(f"/api/offhook/calls/{ref}/diagnosis")).json()
    assert found, f"not named within {PATIENCE} s: {told}"
    row = CATALOGUE[fault.code]
    assert (found[0]["cause"], found[0]["remedy"], found[0]["severity"]) == (row.cause, row.remedy, row.severity)
    assert (row.remedy in told["summary"]) == (row.severity != "info"), "no fault is made of what is as it should be"


def named(fault: Fault, told: dict[str, Any]) -> list[dict[str, Any]]:
    """The finding of a fault, if it stands in what `diagnosis` told."""
    wanted = (fault.code, fault.direction, fault.verdict)
    return [
        one for one in told.get("findings", []) if (one["code"], one["direction"], one["evidence"]["verdict"]) == wanted
    ]
