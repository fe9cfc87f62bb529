"""Ten thousand junk packets for each second of sound, at the port of browsers, one leg's, or all: calls do not hear it."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from offhook.calls.ports import Codec, KeyKind, LegOffer, LegRemote, PathKind
from tests.media.conftest import range_of
from tests.media.test_process import packet
from tests.media.test_webrtc_aiortc import browser, connect  # noqa: F401
from tests.support.flood import Flood, taken
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.real_time
SECONDS = 20.0 if os.environ.get("LONG") else 3.0
PHONES = 10
PACE = 0.02
MOST_LOST = 0.01
"""Share of its audio that a flood may cost a call."""


class Phone:
    """A plain phone that talks to its echo, and counts."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.said = 0
        self.heard: set[bytes] = set()
        self.port = 0

    async def open(self, engine) -> None:
        pcmu = (Codec("PCMU", 0, 8_000),)
        opened = await engine.open_call((LegOffer(PathKind.PORT, KeyKind.PLAIN, pcmu, "127.0.0.1"),))
        self.leg, (_, self.port) = opened.legs[0].leg, opened.legs[0].candidates[0]
        await engine.complete(self.leg, LegRemote(pcmu, "127.0.0.1", self.socket.getsockname()[1]))
        await engine.bridge(self.leg, self.leg)

    def say(self) -> None:
        """The next packet; its payload is its number."""
        self.socket.sendto(packet(self.said, payload=self.said.to_bytes(2) * 80), ("127.0.0.1", self.port))
        self.said += 1

    def listen(self) -> None:
        """Takes what has come."""
        with contextlib.suppress(BlockingIOError):
            while data := self.socket.recv(2_048):
                if not 192 <= data[1] <= 223:
                    self.heard.add(data[12:14])


@pytest.fixture
def phones() -> Iterator[list[Phone]]:
    all_ = [Phone() for _ in range(PHONES)]
    yield all_
    for one in all_:
        one.socket.close()


async def talk(phones: list[Phone], seconds: float, flood: Flood | None = None) -> None:
    """All talk for so long, whatever else the machine does: what is late is said late, not left out."""
    for _ in range(int(seconds / PACE)):
        for one in phones:
            one.say()
            one.listen()
        if flood is not None:
            await flood.hit(PACE)
        await asyncio.sleep(PACE)  # the pace of sound


async def echoed(phones: list[Phone], ports: range) -> list[float]:
    """What each phone lost, once what it said last has had the time to come back."""
    await taken(ports)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while max(lost := [1 - len(one.heard) / one.said for one in phones]) >= MOST_LOST:
                await asyncio.sleep(PACE)
                for one in phones:
                    one.listen()
    return lost


@pytest.mark.parametrize("target", ["the port of browsers", "one leg's port", "all ports"])
async def test_a_flood_costs_calls_less_than_a_hundredth(hosts, phones, browser, target):  # noqa: F811
    first, last = range_of(100)
    host = await hosts(offer_loopback=True, rtp_ports=(first, last))
    for one in phones:
        await one.open(host.engine)
    page = await connect(host, browser, "PCMU", False)
    await talk(phones, 1)  # the handshake of the page, and the latches
    before = (await host.engine.facts(page.leg)).quality
    where = {
        "the port of browsers": (host.engine.webrtc_ports[0], 1),
        "one leg's port": (phones[0].port, 1),
        "all ports": (first, last - first + 1),
    }
    with contextlib.closing(Flood(*where[target])) as flood:
        await talk(phones, SECONDS, flood)
    # 1: every phone, the one that was hit too, hears itself
    lost = await echoed(phones, range(first, last + 1))
    assert max(lost) < MOST_LOST, lost
    # 2: so does the page
    after = (await host.engine.facts(page.leg)).quality
    came, gone = after.packets_in - before.packets_in, after.lost_in - before.lost_in
    assert came > 50
    assert gone / (came + gone) < MOST_LOST, (came, gone)
    # 3: nobody was cut off, and nothing took the place of a phone
    facts = [await host.engine.facts(one.leg) for one in phones]
    assert {one.verdict_in for one in facts} == {""}
    assert [one.remote for one in facts] == [f"127.0.0.1:{phone.socket.getsockname()[1]}" for phone in phones]
