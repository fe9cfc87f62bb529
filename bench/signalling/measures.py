"""The measures. Each starts one server afresh, puts it under one kind of load and says what a unit of it cost."""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bench.signalling import phones
from bench.signalling.meter import Meter
from bench.signalling.pages import Crowd
from bench.signalling.servers import SERVERS, Running, Setting

STORM = 10_000
"""Browsers that come back at once."""
CALM = 40.0
"""Seconds between so many registrations and the calls: until then rows are written and pages are pinged, 10,000 of them for
300 ms of every five seconds, which is no cost of a call."""
GROWTH = (100, 1_000, 10_000)
"""Registered users among whom one call or refresh is to cost the same."""
GROWTH_CALLS, GROWTH_REFRESHES = 200, 2_000
"""Per second."""
WARM = 2.0
"""Seconds of the same load before the first measured one: caches fill, statements are compiled, code is loaded."""
WARM_PAGES = 100
SETTLE = 1.0
"""Seconds in which a server may finish what it put off, before it is looked at."""


@dataclass(frozen=True, slots=True)
class Row:
    """`cpu_us` is per unit that went well, all parts together; `parts` tells each. `faults` are units that did not."""

    measure: str
    load: str
    server: str
    units: int
    faults: int
    cpu_us: float
    parts: dict[str, float]
    facts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measure needs."""

    setting: Setting
    generator_core: int
    arguments: argparse.Namespace


def _row(
    measure: str, load: str, running: Running, meter: Meter, good: int, faults: int, wall: float, **facts: float
) -> Row:
    parts = {name: taken / max(good, 1) for name, taken in meter.taken().items()}
    facts = {"per_second": good / wall, **facts}
    return Row(measure, load, running.name, good, faults, sum(parts.values()), parts, facts)


async def pages(bench: Bench, server: str) -> list[Row]:
    """WSS: connect with upgrade, register, memory, refresh with credentials and without."""
    count, rounds = bench.arguments.clients, bench.arguments.refreshes
    rows = []
    async with SERVERS[server](bench.setting, media=False) as running:
        meter, crowd, load = running.meter(), Crowd(running.wss), f"{count} clients"
        await crowd.connect(WARM_PAGES)
        await crowd.register(rounds=3)
        await crowd.register(credentials=False)
        await asyncio.sleep(SETTLE)
        idle = meter.pss()
        for measure, work in (
            ("connect", lambda: crowd.connect(count)),
            ("register", lambda: crowd.register()),
            ("refresh", lambda: crowd.register(rounds=rounds)),
            ("refresh without credentials", lambda: crowd.register(credentials=False, rounds=rounds)),
        ):
            before, start = crowd.faults, time.monotonic()
            meter.start()
            good = await work()
            wall = time.monotonic() - start
            rows.append(_row(measure, load, running, meter, good, crowd.faults - before, wall))
            await asyncio.sleep(SETTLE)
            if measure in ("connect", "register"):
                rows[-1].facts["kib_per_client"] = (meter.pss() - idle) / max(len(crowd.pages) - WARM_PAGES, 1)
        await crowd.leave()
    return rows


async def registrations(bench: Bench, server: str) -> list[Row]:
    """UDP: 401 and 200 are one registration."""
    rows, folder, core = [], bench.setting.folder, bench.generator_core
    async with SERVERS[server](bench.setting, media=False) as running:
        meter, users = running.meter(), phones.write_users(folder, 0, bench.setting.users)
        first = bench.arguments.registration_rates[0]
        await phones.run(folder, core, running.sip, "register", users, first, int(first * WARM))
        for rate in bench.arguments.registration_rates:
            count = int(rate * bench.arguments.seconds)
            meter.start()
            start = time.monotonic()
            done = await phones.run(folder, core, running.sip, "register", users, rate, count)
            rows.append(_phones("registration", rate, running, meter, done, start))
            await asyncio.sleep(SETTLE)
    return rows


async def calls(bench: Bench, server: str) -> list[Row]:
    """UDP: whole calls with digest, media anchored."""
    rows, folder, core = [], bench.setting.folder, bench.generator_core
    async with SERVERS[server](bench.setting) as running, phones.callee(folder, core, running.sip):
        meter, users = running.meter(), phones.write_users(folder, 0, bench.setting.users)
        first = bench.arguments.call_rates[0]
        await phones.run(folder, core, running.sip, "caller", users, first, int(first * WARM))
        for rate in bench.arguments.call_rates:
            count = int(rate * bench.arguments.seconds)
            meter.start()
            start = time.monotonic()
            done = await phones.run(folder, core, running.sip, "caller", users, rate, count)
            rows.append(_phones("call", rate, running, meter, done, start))
            await asyncio.sleep(SETTLE)
    return rows


def _phones(measure: str, rate: int, running: Running, meter: Meter, done: phones.Outcome, start: float) -> Row:
    facts = {"retransmissions": float(done.retransmissions)}
    if done.setup_p50 is not None and done.setup_p99 is not None:
        facts |= {"setup_p50_ms": done.setup_p50, "setup_p99_ms": done.setup_p99}
    wall = time.monotonic() - start
    return _row(measure, f"{rate}/s", running, meter, done.good, done.failed, wall, **facts)


async def storm(bench: Bench, server: str) -> list[Row]:
    """Browsers that all come back at once: how long until the last is registered."""
    async with SERVERS[server](bench.setting, media=False) as running:
        meter, crowd = running.meter(), Crowd(running.wss, window=1_000)
        meter.start()
        start = time.monotonic()
        while time.monotonic() < start + 60 and len(crowd.pages) < STORM:
            await crowd.connect(STORM - len(crowd.pages))
        connected = time.monotonic() - start
        good = await crowd.register()
        wall = time.monotonic() - start
        row = _row("storm", f"{STORM} clients", running, meter, good, STORM - good, wall)
        row.facts.update(connected_s=connected, registered_s=wall)
        await crowd.leave()
    return [row]


async def growth(bench: Bench, server: str) -> list[Row]:
    """The same rates of refreshes and calls among more and more registered users."""
    rows, folder, core = [], bench.setting.folder, bench.generator_core
    async with SERVERS[server](bench.setting) as running, phones.callee(folder, core, running.sip):
        meter, crowd, held = running.meter(), Crowd(running.wss), 0
        warm = phones.write_users(folder, 0, GROWTH[0])
        await phones.run(folder, core, running.sip, "caller", warm, GROWTH_CALLS, int(GROWTH_CALLS * WARM))
        for count in (one for one in GROWTH if one <= bench.setting.users):
            load = f"{count} users"
            await crowd.connect(count - len(crowd.pages))
            await crowd.register()
            await phones.run(
                folder,
                core,
                running.sip,
                "register",
                phones.write_users(folder, held, count - held),
                1_000,
                count - held,
            )
            held = count
            await asyncio.sleep(2 * SETTLE)
            rounds = max(1, 10_000 // count)
            before, start = crowd.faults, time.monotonic()
            meter.start()
            good = await crowd.register(rounds=rounds, per_second=GROWTH_REFRESHES)
            wall = time.monotonic() - start
            rows.append(_row("refresh, growth", load, running, meter, good, crowd.faults - before, wall))
            await asyncio.sleep(CALM)
            meter.start()
            start = time.monotonic()
            users = phones.write_users(folder, 0, count)
            done = await phones.run(folder, core, running.sip, "caller", users, GROWTH_CALLS, GROWTH_CALLS * 5)
            row = _phones("call, growth", GROWTH_CALLS, running, meter, done, start)
            rows.append(Row(row.measure, load, row.server, row.units, row.faults, row.cpu_us, row.parts, row.facts))
        await crowd.leave()
    return rows


Measure = Callable[[Bench, str], Awaitable[list[Row]]]

MEASURES: dict[str, Measure] = {
    "pages": pages, "registrations": registrations, "calls": calls, "storm": storm, "growth": growth,
}  # fmt: skip
