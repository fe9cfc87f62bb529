"""Ten thousand junk packets a second, at the port of browsers, at one leg's and at all of them: calls do not hear it."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Iterator

import pytest

from offhook.calls.ports import Codec, KeyKind, LegOffer, LegRemote, PathKind
from tests.media.conftest import range_of
from tests.media.test_process import packet
from tests.media.test_webrtc_aiortc import browser, connect  # noqa: F401

pytestmark = pytest.mark.real_time
RATE = 10_000
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


async def talk(phones: list[Phone], seconds: float) -> None:
    """All talk for so long, whatever else the machine does: what is late is said late, not left out."""
    for _ in range(int(seconds / PACE)):
        for one in phones:
            one.say()
            one.listen()
        await asyncio.sleep(PACE)  # the pace of sound


async def flood(first: int, count: int) -> int:
    """Junk at these ports, from another process; how many packets were sent."""
    words = ("127.0.0.1", str(first), str(count), str(RATE), str(SECONDS))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.flood", *words, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return int(said)


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
    flooding = asyncio.create_task(flood(*where[target]))
    await talk(phones, SECONDS)
    sent = await flooding
    for _ in range(10):
        await talk(phones, 0.1)
    await asyncio.sleep(0.2)  # the last packets are on their way
    for one in phones:
        one.listen()
    # 1: it was a flood
    assert sent > RATE * SECONDS / 2
    # 2: every phone, the one that was hit too, hears itself
    lost = [1 - len(one.heard) / one.said for one in phones]
    assert max(lost) < MOST_LOST, lost
    # 3: so does the page
    after = (await host.engine.facts(page.leg)).quality
    came, gone = after.packets_in - before.packets_in, after.lost_in - before.lost_in
    assert came > 50
    assert gone / (came + gone) < MOST_LOST, (came, gone)
    # 4: nobody was cut off, and nothing took the place of a phone
    facts = [await host.engine.facts(one.leg) for one in phones]
    assert {one.verdict_in for one in facts} == {""}
    assert [one.remote for one in facts] == [f"127.0.0.1:{phone.socket.getsockname()[1]}" for phone in phones]
