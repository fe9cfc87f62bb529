"""A call without sound is explained: in the API and by `offhook call show`, with direction, cause and remedy."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from interop.support.plain_phone import PlainPhone
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


async def explained(server: Offhook, code: str, within: float) -> tuple[dict[str, object], str]:
    """(the finding, what `offhook call show` says)."""
    ref = (await server.calls())[0]["call_ref"]
    call = await server.until(ref, lambda call: code in call["findings"], within)
    finding = next(one for one in call["legs"][0]["findings"] if one["code"] == code and one["until"] is None)
    _, said = await offhook(server.data, "call", "show", ref)
    assert finding["remedy"] in said
    assert code in said
    return finding, said


async def test_nothing_arrives(server: Offhook, phone: PlainPhone) -> None:
    finding, said = await explained(server, "no_media_from_device", 4)
    assert finding["direction"] == "from_device"
    assert "bob is not heard" in said
    # It ends when sound comes.
    ref = (await server.calls())[0]["call_ref"]
    sending = asyncio.create_task(phone.rtp(0, 100))
    await server.until(ref, lambda call: "no_media_from_device" not in call["findings"], 5)
    await sending


async def test_a_payload_type_nobody_agreed(server: Offhook, phone: PlainPhone) -> None:
    sending = asyncio.create_task(phone.rtp(96, 250))
    finding, _ = await explained(server, "payload_type_unexpected", 5)
    assert "96" in str(finding["evidence"])
    await sending


async def test_a_device_that_stops(server: Offhook, phone: PlainPhone) -> None:
    await phone.rtp(0, 50)
    finding, said = await explained(server, "media_stopped", 9)
    assert finding["direction"] == "from_device"
    assert "packets stopped" in said


async def test_a_strangers_packets_are_not_echoed(server: Offhook, phone: PlainPhone) -> None:
    await phone.stranger(100)
    ref = (await server.calls())[0]["call_ref"]
    facts = (await server.call(ref))["legs"][0]["facts"]
    assert facts["quality"]["packets_in"] <= 101
    assert "refused" in facts["evidence"]
