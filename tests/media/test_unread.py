"""Datagrams that the kernel drops while the engine does not read: counted, of the leg or of the port (MEDIA.md 5 and 7).

The engine is stopped by its process id while a socket's buffer is filled; what it held and what it did not is what was sent.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from offhook.calls.ports import Codec, KeyKind, LegFacts, LegOffer, LegRemote, PathKind
from offhook.media import messages as m
from tests.media.conftest import Host
from tests.media.test_process import packet, phone
from tests.support.patience import PATIENCE

PCMU = Codec("PCMU", 0, 8_000)
HERE = "127.0.0.1"
PHONES, BROWSERS = 3_000, 30_000
"""Datagrams that no buffer of the kind has room for: of 128 KB and of 4 MB, twice that where the kernel doubles it."""
RTC = LegOffer(PathKind.WEBRTC, KeyKind.DTLS, (PCMU,), mid="0")
NOTHING = b"\xff"
"""No packet of any kind (RFC 7983 section 7)."""


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((HERE, 0))
        yield peer


@contextlib.asynccontextmanager
async def standing_still(pid: int):
    """A process that does nothing, not one of its threads."""
    os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(PATIENCE):
            while not all(_stopped(thread) for thread in Path(f"/proc/{pid}/task").iterdir()):
                await asyncio.sleep(0.005)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _stopped(thread: Path) -> bool:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"


async def facts_with(host: Host, leg: int, name: str) -> LegFacts:
    """The leg's facts as soon as this is among them."""
    async with asyncio.timeout(PATIENCE):
        while name not in (facts := await host.engine.facts(leg)).evidence:
            await asyncio.sleep(0.02)
    return facts


async def test_1_of_a_phone_nothing_is_missing_in_the_count(host, peer):
    opened = await host.engine.open_call((phone(), phone()))
    leg, other = opened.legs
    await host.engine.complete(leg.leg, LegRemote((PCMU,), HERE, peer.getsockname()[1]))
    async with standing_still(host.engine.pid):
        for sequence in range(PHONES):
            peer.sendto(packet(sequence), leg.candidates[0])
    async with asyncio.timeout(PATIENCE):
        while True:
            evidence = (await host.engine.facts(leg.leg)).evidence
            read, dropped = int(evidence["datagrams"]), int(evidence.get("socket_drops", 0))
            if read + dropped == PHONES:
                break
            assert read + dropped < PHONES
            await asyncio.sleep(0.02)
    assert dropped > PHONES / 2
    # 1. it is told to whoever commands, for the log and the metrics
    await host.until(lambda: host.of(m.Unread))
    assert {one.port for one in host.of(m.Unread)} == {leg.candidates[0][1]}
    await host.until(lambda: sum(one.lost for one in host.of(m.Unread)) == dropped)
    # 2. a leg beside it has lost nothing
    assert (await host.engine.facts(other.leg)).quality.unread_in == 0
    # 3. the measures at the end have it too
    closed = await host.engine.close_call(opened.call)
    assert [one.quality.unread_in for one in closed if one.leg == leg.leg] == [dropped]


async def test_2_at_the_port_for_browsers_it_is_every_browsers(host, peer):
    legs = (await host.engine.open_call((RTC, RTC))).legs
    port = legs[0].candidates[0][1]
    async with standing_still(host.engine.pid):
        for _ in range(BROWSERS):
            peer.sendto(NOTHING, (HERE, port))
    facts = [await facts_with(host, leg.leg, "port_drops") for leg in legs]
    await host.until(lambda: host.of(m.Unread))
    dropped = sum(one.lost for one in host.of(m.Unread))
    assert 0 < dropped < BROWSERS
    assert [one.evidence["port_drops"] for one in facts] == [str(dropped)] * 2
    assert {one.port for one in host.of(m.Unread)} == {port}
