"""Foreign phones with ICE. We have one component, for sound and reports alike, and ICE with DTLS-SRTP only; who asks for
more is answered without ICE, as RFC 8839 section 4.2.5 has it, and is heard if he goes by that."""

import asyncio
from pathlib import Path

import pytest

from interop.support.baresip import Baresip
from interop.support.linphone import Linphone
from interop.support.server import Offhook
from interop.test_phone_calls import PHONE_TONE


async def connected(caller: Baresip | Linphone, bob: Baresip) -> None:
    await caller.registered()
    await bob.registered()
    await caller.dial("bob")
    await bob.expect("CALL_INCOMING")
    await bob.answer()
    await bob.expect("CALL_ESTABLISHED")


@pytest.mark.parametrize("encryption", [
    "dtls",
    pytest.param("none", marks=pytest.mark.long),
    pytest.param("srtp", marks=pytest.mark.long),
])  # fmt: skip
async def test_linphone_with_two_components_is_heard_without_ice(
    server: Offhook, tmp_path: Path, encryption: str
) -> None:
    where = (tmp_path, "alice", server.passwords["alice"], server.domain, server.sip)
    caller = Linphone(*where, PHONE_TONE + 300, encryption=encryption, ice=True)
    async with caller, Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as bob:
        await connected(caller, bob)
        assert "a=candidate:1 2 UDP" in caller.log.read_text(errors="replace")
        call_ref = (await server.calls())[0]["call_ref"]
        # 1: both hear the other; the keys are those it asked for
        await bob.hears(PHONE_TONE + 300)
        found = await server.until(call_ref, lambda one: one["legs"][0]["quality"]["signs_in"] > 0)
        leg = found["legs"][0]
        keys = {"dtls": "dtls-srtp", "srtp": "sdes-srtp", "none": "None"}[encryption]
        assert str(leg["media"]["encryption"]).startswith(keys), leg["media"]
        # 2: as a phone, with nothing silent
        assert (leg["type"], found["findings"]) == ("sip", [])
        await caller.hang_up()
        await bob.expect("CALL_CLOSED")
        await caller.in_state("Released")  # with its recording
        assert caller.heard().frequency == pytest.approx(PHONE_TONE, rel=0.01)


async def test_a_phone_that_sends_nothing_without_ice_is_named(server: Offhook, tmp_path: Path) -> None:
    """baresip 1.0 leaves a stream silent whose peer has no ICE for each of its components, whatever the keys."""
    where = (tmp_path, "alice", server.passwords["alice"], server.domain, server.sip)
    caller = Baresip(*where, encryption="dtls_srtp", ice=True)
    async with caller, Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as bob:
        await connected(caller, bob)
        await caller.logged("ICE not supported by peer")
        call_ref = (await server.calls())[0]["call_ref"]
        found = await server.until(call_ref, lambda one: "ice_not_agreed" in one["findings"])
        finding = next(one for one in found["legs"][0]["findings"] if one["code"] == "ice_not_agreed")
        assert finding["evidence"]["rtcp_mux"] == "no"
        await caller.hang_up()
        await bob.expect("CALL_CLOSED")


@pytest.mark.long
async def test_baresip_with_one_component_finds_a_path(server: Offhook, tmp_path: Path) -> None:
    where = (tmp_path, "alice", server.passwords["alice"], server.domain, server.sip)
    caller = Baresip(*where, encryption="dtls_srtp", tone=PHONE_TONE + 300, ice=True, mux=True)
    async with caller, Baresip(tmp_path, "bob", server.passwords["bob"], server.domain, server.sip) as bob:
        await connected(caller, bob)
        await asyncio.gather(bob.hears(PHONE_TONE + 300), caller.hears(PHONE_TONE))
        call = await server.call((await server.calls())[0]["call_ref"])
        assert (call["legs"][0]["type"], call["findings"]) == ("webrtc", [])
        await caller.hang_up()
        await bob.expect("CALL_CLOSED")
