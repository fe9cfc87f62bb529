"""A call without sound is explained: in the API and by `offhook call show`, with direction, cause and remedy."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from interop.support.plain_phone import SDP, PlainPhone
from interop.support.server import Offhook
from interop.test_command_line import offhook


@pytest.fixture
async def phone(server: Offhook) -> AsyncIterator[PlainPhone]:
    """Bob's phone, in a call to echo."""
    one = PlainPhone("bob", server.passwords["bob"], server.domain, server.sip)
    await one.call("echo")
    yield one
    await one.hang_up()
    one.close()


async def explained(server: Offhook, code: str) -> tuple[dict[str, object], str]:
    """(the finding, what `offhook call show` says)."""
    ref = (await server.calls())[0]["call_ref"]
    call = await server.until(ref, lambda call: code in call["findings"])
    finding = next(one for one in call["legs"][0]["findings"] if one["code"] == code and one["until"] is None)
    _, said = await offhook(server.data, "call", "show", ref)
    assert finding["remedy"] in said
    assert code in said
    return finding, said


async def test_nothing_arrives(server: Offhook, phone: PlainPhone) -> None:
    finding, said = await explained(server, "no_media_from_device")
    assert finding["direction"] == "from_device"
    assert "bob is not heard" in said
    # It ends when sound comes.
    ref = (await server.calls())[0]["call_ref"]
    sending = asyncio.create_task(phone.rtp(0, 100))
    await server.until(ref, lambda call: "no_media_from_device" not in call["findings"])
    await sending


HOME = "IN IP4 192.168.1.20"


@pytest.mark.parametrize(
    ("description", "code", "line"),
    [
        (SDP.replace("IN IP4 127.0.0.1", HOME), "sdp_address_private", "c_line"),
        (SDP.replace("1 1 IN IP4 127.0.0.1", f"1 1 {HOME}"), "sip_alg_suspected", "o_line"),
    ],
)
async def test_addresses_that_lead_nowhere(server: Offhook, description: str, code: str, line: str) -> None:
    phone = PlainPhone("bob", server.passwords["bob"], server.domain, server.sip)
    phone.description = description
    await phone.call("echo")
    finding, _ = await explained(server, code)
    assert finding["direction"] == "from_device"
    evidence = finding["evidence"]
    assert isinstance(evidence, dict)
    assert (evidence[line], evidence["source"], evidence["verdict"]) == ("192.168.1.20", "127.0.0.1", "no_packets")
    ref = (await server.calls())[0]["call_ref"]
    diagnosis = (await server.http.get(f"/api/offhook/calls/{ref}/diagnosis")).json()
    assert (diagnosis["paths"][0]["state"], diagnosis["paths"][0]["blocked_at"]) == ("silent", "before_offhook")
    assert diagnosis["findings"][0]["url"].endswith(f"/docs/errors#{code}")
    await phone.hang_up()
    phone.close()


async def test_a_strangers_packets_are_not_echoed(server: Offhook, phone: PlainPhone) -> None:
    await phone.stranger(100)
    ref = (await server.calls())[0]["call_ref"]
    call = await server.until(ref, lambda one: "refused" in one["legs"][0]["facts"]["evidence"])
    assert call["legs"][0]["facts"]["quality"]["packets_in"] <= 101
