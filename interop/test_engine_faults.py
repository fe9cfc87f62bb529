"""A panic in one call of the media engine, in the real process: that call ends and says why, the others lose nothing."""

import asyncio
import os
import struct
from pathlib import Path

import pytest

from interop.conftest import ServerMaker
from interop.support.plain_phone import PlainPhone
from interop.support.server import Offhook

ROOT = Path(__file__).parent.parent
TRIGGER = b"offhook planted fault"
"""What the engine's feature `faults` panics at (`crates/media/src/faults.rs`)."""
LATE = b"offhook late fault"
"""The same, when its turn to be mixed comes."""
CALLS, PACKETS = 10, 100


@pytest.fixture
async def faulty() -> Path:
    """An engine with the planted fault: a build of tests, never one that is shipped."""
    command = ("cargo", "build", "--package", "offhook-engine", "--locked", "--features", "faults")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    assert await process.wait() == 0
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "debug", "offhook-media")


class Caller(PlainPhone):
    """Calls `echo`, sends numbered packets, and counts what comes back."""

    def send(self, number: int, payload: bytes = b"") -> None:
        head = struct.pack(">BBHII", 0x80, 0, number, number * 160, 7)
        self._rtp.sendto(head + payload + bytes(range(64, 64 + 160 - len(payload))), self._media)

    def echoes(self) -> int:
        """RTP packets that have come back since."""
        count = 0
        while True:
            try:
                data = self._rtp.recv(2048)
            except BlockingIOError:
                return count
            count += not 192 <= data[1] <= 223


async def talk(callers: list[Caller], first: int) -> list[int]:
    """Everybody sends `PACKETS` packets; what came back to each."""
    heard = [0] * len(callers)
    for number in range(first, first + PACKETS):
        for caller in callers:
            caller.send(number)
        await asyncio.sleep(0.02)  # the packets' pace
        heard = [count + caller.echoes() for count, caller in zip(heard, callers, strict=True)]
    await asyncio.sleep(0.3)  # the last ones
    return [count + caller.echoes() for count, caller in zip(heard, callers, strict=True)]


async def ended(server: Offhook, caller: Caller) -> str:
    """The BYE that a caller gets."""
    message = await caller.heard()
    assert message.startswith("BYE "), message
    return message


@pytest.mark.long
@pytest.mark.timeout(900)  # an engine is built for it
async def test_a_panic_costs_its_own_call_and_ten_of_them_close_the_shard(
    serve: ServerMaker, faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFHOOK_MEDIA_BINARY", str(faulty))
    # Nobody answers the BYEs here, and one shard has all calls.
    async with serve(OFFHOOK_MEDIA_SHARDS="1") as server:
        callers: list[Caller] = []
        for number in range(CALLS):
            username = "alice" if number % 2 else "bob"
            callers.append(Caller(username, server.passwords[username], server.domain, server.sip))
            await callers[-1].call("echo")
        refs = {call["call_ref"] for call in await server.calls()}
        assert len(refs) == CALLS
        assert await talk(callers, 0) == [PACKETS] * CALLS
        # 1. one panics in the middle of the others' packets: they lose none, its caller is told why
        lost, rest = callers[0], callers[1:]
        lost.send(PACKETS, TRIGGER)
        assert await talk(rest, PACKETS) == [PACKETS] * len(rest)
        assert 'text="The media engine failed in this call"' in await ended(server, lost)
        living = {call["call_ref"] for call in await server.calls()}
        assert len(living) == CALLS - 1
        (gone,) = refs - living
        call = await server.call(gone)
        assert call["end_code"] == "media_failed"
        assert "a planted fault" in server.log()
        # 2. metrics count it
        assert await failures(server) == 1
        # 3. ten in a minute are no accident: no new calls, and the refusal says so
        for caller in rest:
            caller.send(2 * PACKETS, TRIGGER)
            await ended(server, caller)
        await server.until_idle()
        assert await failures(server) == CALLS
        late = Caller("alice", server.passwords["alice"], server.domain, server.sip)
        refused = await late.refused("echo")
        assert refused.startswith("SIP/2.0 503"), refused
        assert "media-busy" in refused
        assert "too often within a minute" in refused
        for caller in (*callers, late):
            caller.close()


@pytest.mark.long
@pytest.mark.timeout(900)  # an engine is built for it, where this test is the first that needs one
async def test_a_panic_while_a_room_is_mixed_costs_the_member_whose_sound_it_was(
    serve: ServerMaker, faulty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFHOOK_MEDIA_BINARY", str(faulty))
    async with serve(OFFHOOK_MEDIA_SHARDS="1") as server:
        callers: list[Caller] = []
        for number in range(3):
            username = "alice" if number % 2 else "bob"
            callers.append(Caller(username, server.passwords[username], server.domain, server.sip))
            await callers[-1].call("conference-faults")
        assert min(await talk(callers, 0)) > 0
        # 1. who came last, and is first in nothing, sends what cannot be decoded: its call ends and says why
        lost, rest = callers[2], callers[:2]
        lost.send(PACKETS, LATE)
        assert 'text="The media engine failed in this call"' in await ended(server, lost)
        assert "a planted fault" in server.log()
        # 2. the others are in the room as before, and hear it
        assert min(await talk(rest, PACKETS)) > 0
        assert len(await server.calls()) == 2
        assert await failures(server) == 1
        for caller in rest:
            await caller.hang_up()
        await server.until_idle(10)
        for caller in callers:
            caller.close()


async def failures(server: Offhook) -> float:
    """What /metrics has of calls that the engine failed in."""
    text = (await server.http.get("/metrics")).text
    lines = [
        line for line in text.splitlines() if line.startswith("offhook_calls_ended_total") and "media_failed" in line
    ]
    return float(lines[0].rpartition(" ")[2]) if lines else 0
