"""Half an hour of 300 calls that come and go, are sent elsewhere and lose packets: nothing grows and nothing is left.

What the server keeps is counted in the pieces of memory that its objects take (`offhook_python_blocks`), what the engine
keeps in resident memory.

OFFHOOK_SOAK_SECONDS and OFFHOOK_SOAK_CALLS make it shorter or smaller, to try it.
"""

import asyncio
import itertools
import os
import random
import re
import statistics
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from interop.conftest import ServerMaker
from interop.support.crowd import CrowdPhone
from interop.support.server import Offhook
from tests.support.patience import PATIENCE

SECONDS = float(os.environ.get("OFFHOOK_SOAK_SECONDS", "1800"))
CALLS = int(os.environ.get("OFFHOOK_SOAK_CALLS", "300"))
SHORTEST, LONGEST = 5.0, min(60.0, SECONDS / 4)
"""Seconds of a call."""
TRANSFERRED = 0.2
"""Share of the calls that are sent elsewhere in the middle."""
SAMPLE = 2.0
ASK = 5
"""Samples between two looks at the server's own count of its objects: asking costs it something, too."""
WARM, WINDOW = 0.3, 0.15
"""Shares of the time: before the first look at the memory, and how long a look is."""
GROWTH = 1.02
SCATTERED = 1.05
"""The server's memory may grow by more than its objects do: half an hour of calls of all lengths leaves free pieces between
those that stay, 4 MB of 185 where not one object more was kept."""
REST = 12.0
"""Freed ports rest for ten seconds, and a transaction of a BYE lives for five."""
PASSWORD = "a long enough secret"
SETTINGS = {
    "OFFHOOK_LIMITS_CALL_RATE": "1000",
    "OFFHOOK_LIMITS_UNAUTH_RATE": "1000",
    "OFFHOOK_LOG_LEVEL": "warning",
    # Ended calls are kept, 1,000 of them unless told otherwise: 20 MB that come with the first thousand. Growth is looked
    # for in what should not be there, so that these tables are small and full before the first look.
    "OFFHOOK_CALLS_ENDED_KEPT": "100",
    "OFFHOOK_TRACE_CALLS": "100",
    # Uses of nonces are remembered in two generations of a nonce's life: both are full before the first look.
    "OFFHOOK_LIMITS_NONCE_LIFE": "30",
}
FULL = 100
"""Calls that have to be over before the first look: those tables are full then."""
REMEMBERED, EACH = 2_100, 4
"""The calls whose addresses, tags and flows are remembered after they are read, 4,096 texts and two for a call, and the KB
that each of these takes at the server. A run of half an hour has more before its first look; a try may have fewer."""


class SoakPhone(CrowdPhone):
    """A phone with long packets, so that one process can be all of them, and a bad network."""

    packet_ms = 60
    loss = 0.02

    async def sound(self, server: Offhook) -> None:
        """Waits for the first packet: on a machine that is busy with other things a short call may be over before it."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        while self.heard == 0:
            assert loop.time() < end, f"{self._user} heard nothing: {self.ended}, {await server.calls()}"
            await asyncio.sleep(0.05)  # it lies in a socket


@dataclass
class Watch:
    """What the two processes take, sample by sample."""

    server: Offhook
    pids: dict[str, int]
    memory: dict[str, list[int]] = field(default_factory=dict)
    """KB of each process, and under `blocks` the pieces that the server's objects take."""
    over: list[int] = field(default_factory=list)
    """Calls that were over at each sample."""
    happened: Counter[str] = field(default_factory=Counter)

    def descriptors(self) -> dict[str, int]:
        return {name: len(os.listdir(f"/proc/{pid}/fd")) for name, pid in self.pids.items()}

    async def look(self) -> None:
        """Samples for ever."""
        blocks = 0
        for number in itertools.count():
            if number % ASK == 0:
                blocks = await self._blocks()
            self.memory.setdefault("blocks", []).append(blocks)
            for name, pid in self.pids.items():
                text = Path(f"/proc/{pid}/status").read_text()
                kilobytes = int(text.partition("VmRSS:")[2].split()[0])
                self.memory.setdefault(name, []).append(kilobytes)
            self.over.append(self.happened["over"])
            await asyncio.sleep(SAMPLE)

    async def _blocks(self) -> int:
        page = (await self.server.http.get("/metrics")).text
        found = re.search(r"^offhook_python_blocks (\S+)$", page, re.MULTILINE)
        assert found is not None, page
        return int(float(found[1]))

    @property
    def looks(self) -> tuple[slice, slice]:
        """The samples of the first look, once it is warm and the tables of ended calls are full, and those of the last."""
        count = len(self.over)
        size = max(1, int(count * WINDOW))
        full = next((at for at, over in enumerate(self.over) if over >= FULL), count)
        first = max(full, int(count * WARM))
        assert first + size <= count - size, (
            f"too short: {self.over[-1]} calls were over, {FULL} of them at sample {full}"
        )
        return slice(first, first + size), slice(count - size, count)

    @property
    def between(self) -> int:
        """Calls from the first look to the last."""
        first, last = self.looks
        return int(statistics.median(self.over[last]) - statistics.median(self.over[first]))

    def growth(self, name: str) -> float:
        """The last look at the memory against the first, without what is remembered anyway. Each look counts the least that
        was seen: where a process waits for its turn, what waits for it is held for a moment, and no growth."""
        first, last = self.looks
        memory, before, after = self.memory[name], *(statistics.median(self.over[one]) for one in (first, last))
        remembered = EACH * (min(after, REMEMBERED) - min(before, REMEMBERED)) if name == "server" else 0
        return (min(memory[last]) - remembered) / min(memory[first])

    def course(self, name: str) -> list[int]:
        """What the process took, at some thirty moments."""
        return self.memory[name][:: max(1, len(self.over) // 30)]


async def caller(server: Offhook, name: str, watch: Watch, chance: random.Random, until: float) -> None:
    """One phone, call after call."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(chance.uniform(0, min(10.0, SECONDS / 10)))  # they do not all come at once
    while (left := until - loop.time()) > SHORTEST:
        phone = SoakPhone(name, PASSWORD, server.domain, server.sip)
        try:
            await phone.call(chance.choice(["echo", "echo", "echo", "music", "tone"]))
            watch.happened["calls"] += 1
            phone.start()
            await phone.sound(server)
            length = min(left, chance.uniform(SHORTEST, LONGEST))
            await asyncio.sleep(length / 2)
            if chance.random() < TRANSFERRED:
                await transfer(server, phone, watch)
            await asyncio.sleep(length / 2)
            assert phone.ended is None, f"{name} was cut off: {phone.ended}"
            await phone.bye()
            await asyncio.sleep(0.5)  # the answer to the BYE
            watch.happened["over"] += 1
        finally:
            await phone.stop()


async def transfer(server: Offhook, phone: SoakPhone, watch: Watch) -> None:
    """Sends the phone's leg elsewhere by the API."""
    for call in await server.calls():
        for leg in call["legs"]:
            if leg["sip_call_id"] == phone._tag:
                body = {"command": "calling.transfer", "id": leg["leg_ref"], "params": {"dest": "music"}}
                answer = await server.http.post("/api/calling/calls", json=body)
                assert answer.status_code == 200, answer.text
                watch.happened["transfers"] += 1
                return
    raise AssertionError("the call is not among the live ones")


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 300)
async def test_nothing_grows_and_nothing_is_left(serve: ServerMaker) -> None:
    async with serve(**SETTINGS) as server:
        names = [f"soak{number}" for number in range(CALLS)]
        for name in names:
            await server.add_endpoint(name, PASSWORD)
        watch = Watch(server, {"server": server.pid, "engine": server.engine_pid})
        before, engine = watch.descriptors(), server.engine_pid
        until = asyncio.get_running_loop().time() + SECONDS
        looking = asyncio.create_task(watch.look())
        async with asyncio.TaskGroup() as group:
            for number, name in enumerate(names):
                group.create_task(caller(server, name, watch, random.Random(number), until))
        looking.cancel()
        grown = {name: round(watch.growth(name), 4) for name in watch.memory}
        print(
            f"{dict(watch.happened)}, memory {grown} in {watch.between} calls,"
            f" engine {watch.course('engine')} KB, server {watch.course('server')} KB, {watch.course('blocks')} blocks"
        )
        # 1: no leg, no call is left
        await server.until_idle(30)
        await asyncio.sleep(REST)
        counts = (await server.status())["counts"]
        assert (counts["calls"], counts["legs"], counts["dialogs"]) == (0, 0, 0), counts
        # 2: descriptors are back where they were; a few connections to the API may be open
        after = watch.descriptors()
        assert after["engine"] <= before["engine"], (before, after)
        assert after["server"] <= before["server"] + 8, (before, after)
        # 3: no panic, and the same engine
        assert server.engine_pid == engine
        assert "panic" not in server.log()
        # 4: the engine's memory stays what it was, and so does what the server's objects take
        for name, bound in (("engine", GROWTH), ("blocks", GROWTH), ("server", SCATTERED)):
            assert grown[name] <= bound, (name, grown, watch.course(name))
        assert watch.happened["transfers"] > 0
